package native

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/find"
)

// foreign is a process that somebody else has started, as a user, which no other one is like.
func (u *user) foreign(uid int, argv ...string) int {
	u.t.Helper()
	c := exec.Command(argv[0], argv[1:]...)
	c.Dir = u.root
	c.Env = append(os.Environ(), "COLOUR=blue")
	if uid != os.Getuid() {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
		c.Dir = "/"
	}
	if err := c.Start(); err != nil {
		u.t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = c.Wait()
	}()
	u.t.Cleanup(func() { _ = c.Process.Kill(); <-over })
	self, err := os.Executable()
	if err != nil {
		u.t.Fatal(err)
	}
	for deadline := time.Now().Add(2 * time.Minute); find.Exe(c.Process.Pid) == self || find.Exe(c.Process.Pid) == ""; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			u.t.Fatal("it does not execute")
		}
	}
	return c.Process.Pid
}

// is calls a command and checks what it says; each of the words must be in its output of both kinds.
func (u *user) is(status int, args []string, words ...string) string {
	u.t.Helper()
	stdout, stderr, got := u.call(args...)
	if got != status {
		u.t.Errorf("%v: status %d, want %d", args, got, status)
	}
	for _, w := range words {
		if !strings.Contains(stdout+stderr, w) {
			u.t.Errorf("%v: %q is missing:\n%s%s", args, w, stdout, stderr)
		}
	}
	return stdout
}

func (u *user) pidOf(name string) int {
	u.t.Helper()
	out := u.is(0, []string{"status", name, "-o", "template={{.PID}}"})
	pid, err := strconv.Atoi(strings.TrimSpace(out))
	if err != nil {
		u.t.Fatal(err)
	}
	return pid
}

// TestAdoptAndRelease: a process that was started by hand becomes the instance of a program, is let go of, found again by
// the program's command, and stopped in the end.
func TestAdoptAndRelease(t *testing.T) {
	u := newUser(t)
	n := strconv.Itoa(2_000_000 + os.Getpid())
	pid := u.foreign(os.Getuid(), "sleep", n)
	u.is(0, []string{"adopt", strconv.Itoa(pid), "--name", "web", "--env", "COLOUR"},
		"✓ web is managed: pid N, not restarted", "When it ends it is started anew with:  sleep "+n, "Undo:  upkeep release web")
	if got := u.pidOf("web"); got != pid {
		t.Errorf("pid %d, want %d", got, pid)
	}
	for _, line := range []string{"command = sleep " + n, "stop_reach = tree", "autostart = true", "env.COLOUR = blue"} {
		if text := u.read("config/upkeep/programs/web.conf"); !strings.Contains(text, line+"\n") {
			t.Errorf("%q is missing:\n%s", line, text)
		}
	}
	u.is(1, []string{"adopt", strconv.Itoa(pid), "--name", "other"}, "already an instance: pid N belongs to the program web")
	u.is(1, []string{"adopt", strconv.Itoa(pid)}, "already an instance")
	u.is(0, []string{"status", "web", "-o", "template={{.Adopted}} {{.Summary}}"}, "true adopted\n")
	u.is(1, []string{"attach", "web"}, "web was adopted: its input and output are its own, until its next start")
	u.is(1, []string{"adopt", "web"}, "web runs already, as pid N")
	u.is(0, []string{"release", "web"}, "✓ web was let go of", "Undo:  upkeep adopt web")
	u.is(1, []string{"release", "web"}, "not running")
	u.is(3, []string{"status", "web", "-o", "template={{.State}}"}, "STOPPED")
	if _, err := find.Read(pid); err != nil {
		t.Errorf("it does not live on: %v", err)
	}
	u.is(0, []string{"adopt", "web"}, "✓ web is managed: pid N")
	if got := u.pidOf("web"); got != pid {
		t.Errorf("pid %d, want %d", got, pid)
	}
	u.is(0, []string{"restart", "web"}, "web is running")
	if got := u.pidOf("web"); got == pid {
		t.Error("it was not started anew")
	}
	u.is(0, []string{"stop", "web"}, "web stopped")
}

// TestAdoptWhich: what is said decides which process it is; several are named, and none is taken.
func TestAdoptWhich(t *testing.T) {
	u := newUser(t)
	n := strconv.Itoa(3_000_000 + os.Getpid())
	u.is(2, []string{"adopt", "a", "b"}, "one process at a time")
	u.is(2, []string{"adopt", "5", "--pid", "6"}, "5 is not the number")
	u.is(2, []string{"adopt", "web", "--", "true"}, "no program named web")
	one, two := u.foreign(os.Getuid(), "sleep", n), u.foreign(os.Getuid(), "sleep", n)
	title := []string{"adopt", "--title", "^sleep " + n + "$", "--name", "nap"}
	u.is(1, title, strconv.Itoa(one), strconv.Itoa(two), "2 processes fit, and none was taken")
	u.is(1, []string{"adopt", "--title", "^no such thing$", "--name", "nap"}, "no process that could be adopted fits")
	u.is(2, []string{"adopt", "--title", "(", "--name", "nap"}, "missing closing")
	u.is(1, []string{"adopt", "--port", "1", "--name", "nap"}, "none that may be looked at listens on port 1")
	u.is(1, []string{"adopt", "1"}, "not adoptable: pid N: it is the first process of the system")
	u.is(1, []string{"adopt", strconv.Itoa(1<<22 + 1)}, "no such process: pid N")
	u.is(1, []string{"adopt", strconv.Itoa(os.Getpid()), "--name", "nap"}, "not adoptable: pid N is the command that asks")
	u.is(1, []string{"adopt", "--pidfile", filepath.Join(u.root, "none"), "--name", "nap"}, "no such file")
	u.is(2, []string{"adopt", "--pidfile", u.write("bad", "-1\n"), "--name", "nap"}, "no process number")
	u.is(0, []string{"adopt", "--pidfile", u.write("good", strconv.Itoa(two)+"\n"), "--name", "nap"}, "✓ nap is managed")
	if got := u.pidOf("nap"); got != two {
		t.Errorf("pid %d, want %d", got, two)
	}
	u.is(0, title[:3], "✓ sleep is managed") // the other one, under a name of its own
	if got := u.pidOf("sleep"); got != one {
		t.Errorf("pid %d, want %d", got, one)
	}
}

// TestAdoptByDefinition: the name of a program alone is the process that its definition says, by its pid file or its pattern.
func TestAdoptByDefinition(t *testing.T) {
	u := newUser(t)
	n := strconv.Itoa(9_000_000 + os.Getpid())
	u.write("config/upkeep/upkeep.conf", "[program:filed]\ncommand = sleep "+n+"\nautostart = false\npidfile = "+u.root+"/filed.pid\n"+
		"check.panics = log panic:\ncheck.errors = log error\ncheck.written = log error file="+u.root+"/app.log\n"+
		"[program:matched]\ncommand = /nonexistent/server\nautostart = false\nmatch = ^sleep "+n+"\\.5$\n")
	u.start()
	first, second := u.foreign(os.Getuid(), "sleep", n), u.foreign(os.Getuid(), "sleep", n)
	u.is(1, []string{"adopt", "filed"}, "2 processes fit, and none was taken")
	u.write("filed.pid", strconv.Itoa(second)+"\n")
	u.is(0, []string{"adopt", "filed"}, "✓ filed is managed", "The checks errors and panics do not look until then: file= says where the lines are.")
	if got := u.pidOf("filed"); got != second {
		t.Errorf("pid %d, want %d, not %d", got, second, first)
	}
	u.is(1, []string{"adopt", "matched"}, "no process that could be adopted fits")
	titled := u.foreign(os.Getuid(), "sleep", n+".5")
	if out := u.is(0, []string{"adopt", "matched"}, "✓ matched is managed"); strings.Contains(out, "not look") {
		t.Error(out)
	}
	if got := u.pidOf("matched"); got != titled {
		t.Errorf("pid %d, want %d", got, titled)
	}
}

// TestAdoptAsks: on a terminal there is a list to choose from, and a name to be given.
func TestAdoptAsks(t *testing.T) {
	u := newUser(t)
	n := strconv.Itoa(4_000_000 + os.Getpid())
	one, two := u.foreign(os.Getuid(), "sleep", n), u.foreign(os.Getuid(), "sleep", n)
	args := []string{"adopt", "--title", "^sleep " + n + "$"}
	u.tty, u.in = true, "7\n"
	u.is(1, args, "Which?", "nothing was done")
	u.in = "2\nnap\n"
	u.is(0, args, "COMMAND", "sleep "+n, "Which? ", "Name [sleep]: ", "✓ nap is managed")
	u.tty = false
	if got := u.pidOf("nap"); got != one && got != two {
		t.Errorf("pid %d, want %d or %d", got, one, two)
	}
}

// What becomes of an answer on the way.
const (
	kept = iota
	lost
	refused // the request was carried out all the same
)

// through is a socket behind which the instance is, and some answers are spoilt.
func (u *user) through(fate func(r *http.Request, n int) int) string {
	u.t.Helper()
	u.start()
	real := filepath.Join(u.root, "run", "upkeep", "upkeep.sock")
	l, err := net.Listen("unix", filepath.Join(u.root, "p"))
	if err != nil {
		u.t.Fatal(err)
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", real)
	}
	var mu sync.Mutex
	seen := map[string]int{}
	p := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "upkeep" },
		Transport: &http.Transport{DialContext: dial},
		ErrorLog:  log.New(io.Discard, "", 0),
		ModifyResponse: func(r *http.Response) error {
			mu.Lock()
			defer mu.Unlock()
			what := r.Request.Method + " " + r.Request.URL.Path
			seen[what]++
			switch fate(r.Request, seen[what]) {
			case lost:
				return errors.New("lost")
			case refused:
				text := `{"status":412,"code":"precondition_failed","title":"refused"}`
				r.StatusCode, r.Body, r.ContentLength = http.StatusPreconditionFailed, io.NopCloser(strings.NewReader(text)), int64(len(text))
				r.Header = http.Header{"Content-Type": {"application/problem+json"}, "Content-Length": {strconv.Itoa(len(text))}}
			}
			return nil
		},
	}
	p.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { panic(http.ErrAbortHandler) }
	s := &http.Server{Handler: p, ErrorLog: p.ErrorLog}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	u.t.Cleanup(func() { s.Close(); <-done })
	return l.Addr().String()
}

// TestAdoptHalfDone: when the daemon goes away in the middle, nothing is undone that could end the process.
func TestAdoptHalfDone(t *testing.T) {
	const unmade = "web is managed, but will not start with upkeep:  upkeep set web autostart=true"
	second := func(fate int) func(*http.Request, int) int {
		return func(r *http.Request, n int) int {
			if r.Method == http.MethodPut && n == 2 {
				return fate
			}
			return kept
		}
	}
	for name, tt := range map[string]struct {
		fate  func(r *http.Request, n int) int
		words []string
	}{
		"the answer to the adoption is lost": {
			func(r *http.Request, _ int) int {
				if r.URL.Path == "/v1/adopt" {
					return lost
				}
				return kept
			},
			[]string{"it is not known whether pid N is managed now:  upkeep status web"},
		},
		"nobody says whether it starts by itself": {second(lost), []string{"✓ web is managed", unmade}},
		"it is refused to start it by itself":     {second(refused), []string{"✓ web is managed", unmade}},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUser(t)
			pid := u.foreign(os.Getuid(), "sleep", strconv.Itoa(8_000_000+os.Getpid()))
			u.is(1, []string{"--socket", u.through(tt.fate), "adopt", strconv.Itoa(pid), "--name", "web"}, tt.words...)
			if got := u.pidOf("web"); got != pid {
				t.Errorf("pid %d, want %d", got, pid)
			}
			if _, err := find.Read(pid); err != nil {
				t.Errorf("it does not live on: %v", err)
			}
		})
	}
}

// TestAdoptByPort: the process that listens is found by the port, and root's instance starts it anew as its user.
func TestAdoptByPort(t *testing.T) {
	u := newUser(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	n := strconv.Itoa(5_000_000 + os.Getpid())
	c := exec.Command("sleep", n)
	c.ExtraFiles = []*os.File{f}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	f.Close()
	l.Close() // it alone listens now
	u.is(0, []string{"adopt", "--port", strconv.Itoa(port), "--name", "web"}, "✓ web is managed")
	if got := u.pidOf("web"); got != c.Process.Pid {
		t.Errorf("pid %d, want %d", got, c.Process.Pid)
	}
}

// TestAdoptOfUser: root's instance keeps the user of what it takes over.
func TestAdoptOfUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may signal the processes of others")
	}
	u := newUser(t)
	pid := u.foreign(65534, "sleep", strconv.Itoa(6_000_000+os.Getpid()))
	u.is(0, []string{"adopt", strconv.Itoa(pid), "--name", "theirs"}, "✓ theirs is managed")
	if text := u.read("config/upkeep/programs/theirs.conf"); !strings.Contains(text, "user = nobody\n") {
		t.Errorf("the user is missing:\n%s", text)
	}
}

// TestAdoptTold: what a process ignores is said; one that shows a title needs a command.
func TestAdoptTold(t *testing.T) {
	u := newUser(t)
	deaf := u.foreign(os.Getuid(), "sh", "-c", fmt.Sprintf("trap '' TERM; : >%s/deaf; exec sleep %d", u.root, 7_000_000+os.Getpid()))
	u.await("deaf")
	// Who runs tests in the background may have them ignore more.
	u.is(0, []string{"adopt", strconv.Itoa(deaf), "--name", "deaf", "--", "sleep", "1000"}, "  It ignores TERM", ": a stop will need KILL", "started anew with:  sleep 1000")
	c := exec.Command("sh")
	c.Args = []string{"sh: master process"}
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = c.Wait() })
	u.is(2, []string{"adopt", strconv.Itoa(c.Process.Pid), "--name", "titled"}, "shows a title in the place of its command line (sh: master process)")
	u.write("bin/only-here", "#!/bin/sh\n")
	if err := os.Chmod(filepath.Join(u.root, "bin/only-here"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", os.Getenv("PATH")+":"+u.root+"/bin") // of the caller, and not of programs
	here := u.root + "/bin/only-here"
	if u.is(1, []string{"adopt", strconv.Itoa(c.Process.Pid), "--name", "titled", "--", "only-here", "x"}, "close by: "); !t.Failed() {
		_, stderr, _ := u.call("adopt", strconv.Itoa(c.Process.Pid), "--name", "titled", "--", "only-here", "x")
		if !strings.Contains(stderr, "bin/only-here x") || !strings.Contains(stderr, " --name titled -- ") || strings.Contains(stderr, "upkeep add") {
			t.Errorf("%s is not proposed: %s", here, stderr)
		}
	}
	u.is(0, []string{"adopt", strconv.Itoa(c.Process.Pid), "--name", "titled", "--", "sleep", "1000"}, "✓ titled is managed")
}
