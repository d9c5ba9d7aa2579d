package pidproxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asPidproxy makes the test binary the command.
const asPidproxy = "PIDPROXY_TEST_RUN"

func TestMain(m *testing.M) {
	if os.Getenv(asPidproxy) != "" {
		os.Exit(Main("pidproxy", os.Args[1:]))
	}
	// Under nohup a shell could not trap it.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	os.Exit(m.Run())
}

// patience bounds every wait.
const patience = 30 * time.Second

// running is a pidproxy that has been started.
type running struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string // of standard output; closed at its end
	errs  bytes.Buffer
	ended chan struct{}
}

func start(t *testing.T, dir string, args ...string) *running {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, cmd: exec.Command(self, args...), lines: make(chan string, 100), ended: make(chan struct{})}
	r.cmd.Dir, r.cmd.Env, r.cmd.Stderr = dir, append(os.Environ(), asPidproxy+"=1"), &r.errs
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its command can be killed with it
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.ended)
		for s := bufio.NewScanner(out); s.Scan(); {
			r.lines <- s.Text()
		}
		close(r.lines)
		_ = r.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL)
		<-r.ended
	})
	return r
}

// expect waits for a line of output.
func (r *running) expect(want string) {
	r.t.Helper()
	select {
	case line, ok := <-r.lines:
		if !ok || line != want {
			r.t.Fatalf("%q (end: %v), want %q", line, !ok, want)
		}
	case <-time.After(patience):
		r.t.Fatalf("no %q", want)
	}
}

func (r *running) signal(s syscall.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

// status waits for the end.
func (r *running) status() int {
	r.t.Helper()
	select {
	case <-r.ended:
		return r.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		r.t.Fatal("it does not end")
		return 0
	}
}

func write(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return name
}

// server is a process with a pid file that is no child of pidproxy. Its standard output are lines.
func server(t *testing.T, pidfile, script string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", script)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	r := bufio.NewReader(out)
	if line, err := r.ReadString('\n'); line != "up\n" {
		t.Fatalf("%q %v", line, err)
	}
	write(t, pidfile, strconv.Itoa(cmd.Process.Pid)+"\n", 0o644)
	return cmd, r
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"x.pid"}} {
		r := start(t, t.TempDir(), args...)
		if got := r.status(); got != 1 {
			t.Errorf("%q: status %d", args, got)
		}
		r.expect("")
		r.expect("pidproxy -- run a command and pass signals on to the process of its pid file.")
		if text := r.errs.String(); text != "" {
			t.Errorf("on standard error: %q", text)
		}
	}
}

func TestCommands(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "here"), "#!/bin/sh\necho \"$0 $1\"\nexit 7\n", 0o755)
	write(t, filepath.Join(dir, "closed"), "#!/bin/sh\n", 0o644)
	for _, c := range []struct {
		args   []string
		status int
		line   string
		errs   string
	}{
		{[]string{"here", "a b"}, 7, filepath.Join(dir, "here") + " a b", ""}, // no path search is needed
		{[]string{"./here", ""}, 7, filepath.Join(dir, "here") + " ", ""},
		{[]string{"/bin/sh", "-c", "exit 0"}, 0, "", ""},
		{[]string{"sh", "-c", "echo $0; exit 255"}, 255, "sh", ""}, // found on the path, called as typed
		{[]string{"/bin/sh", "-c", "kill -9 $$"}, 137, "", ""},
		{[]string{"./nothing"}, 127, "", "no such file"},
		{[]string{"nothing-of-that-name"}, 127, "", "pidproxy: "},
		{[]string{"./closed"}, 126, "", "permission denied"},
	} {
		r := start(t, dir, append([]string{"none.pid"}, c.args...)...)
		if got := r.status(); got != c.status || !strings.Contains(r.errs.String(), c.errs) || c.errs == "" && r.errs.Len() > 0 {
			t.Errorf("%q: status %d, %q", c.args, got, r.errs.String())
		}
		if c.line != "" {
			r.expect(c.line)
		}
	}
}

// TestSignalsReachThePidFile: every one of them, the process that the file names at that moment, and not
// the command.
func TestSignalsReachThePidFile(t *testing.T) {
	const script = `for s in TERM HUP INT QUIT USR1 USR2; do trap "echo $s" $s; done; echo up; while :; do sleep 0.02; done`
	dir := t.TempDir()
	pidfile := filepath.Join(dir, "pid")
	r := start(t, dir, pidfile, "/bin/sh", "-c", "for s in TERM HUP INT QUIT USR1 USR2; do trap 'echo not me' $s; done; echo running; while :; do sleep 0.02; done")
	r.expect("running")
	for range 2 {
		_, lines := server(t, pidfile, script)
		for _, s := range []struct {
			signal syscall.Signal
			name   string
		}{{syscall.SIGHUP, "HUP"}, {syscall.SIGUSR1, "USR1"}, {syscall.SIGUSR2, "USR2"}, {syscall.SIGINT, "INT"}, {syscall.SIGQUIT, "QUIT"}, {syscall.SIGTERM, "TERM"}} {
			r.signal(s.signal)
			if line, err := lines.ReadString('\n'); line != s.name+"\n" {
				t.Fatalf("%q instead of %s, %v", line, s.name, err)
			}
		}
	}
	select {
	case line := <-r.lines:
		t.Errorf("output %q", line)
	case <-r.ended:
		t.Error("it has ended, but both processes run")
	default:
	}
}

// TestEndWaitsForBoth: after TERM neither of the two is left behind, in whatever order they end.
func TestEndWaitsForBoth(t *testing.T) {
	for _, first := range []string{"command", "server"} {
		t.Run(first+" ends first", func(t *testing.T) {
			dir := t.TempDir()
			pidfile := filepath.Join(dir, "pid")
			file := func(name string) string { return filepath.Join(dir, name) }
			hold := func(name string) string {
				return fmt.Sprintf("while [ ! -e %s ]; do sleep 0.02; done", file(name))
			}
			r := start(t, dir, pidfile, "/bin/sh", "-c", "echo running; "+hold("command")+"; echo command ends; exit 3")
			r.expect("running")
			cmd, lines := server(t, pidfile, "trap 'echo told; "+hold("server")+"; exit 0' TERM; echo up; while :; do sleep 0.02; done")
			r.signal(syscall.SIGTERM)
			if line, err := lines.ReadString('\n'); line != "told\n" {
				t.Fatalf("%q %v", line, err)
			}
			release := func(name string) {
				write(t, file(name), "", 0o644)
				if name == "server" {
					if _, err := io.ReadAll(lines); err != nil {
						t.Fatal(err)
					}
					_ = cmd.Wait()
				} else {
					r.expect("command ends")
				}
			}
			second := map[string]string{"command": "server", "server": "command"}[first]
			release(first)
			select {
			case <-r.ended:
				t.Fatalf("it has ended before the %s", second)
			case <-time.After(100 * time.Millisecond): // passing proves little, failing does
			}
			release(second)
			if got := r.status(); got != 3 {
				t.Errorf("status %d, want the command's", got)
			}
		})
	}
}

// TestUnusablePidFile: the command gets the signal instead.
func TestUnusablePidFile(t *testing.T) {
	gone := exec.Command("/bin/sh", "-c", "exit 0")
	if err := gone.Run(); err != nil {
		t.Skip(err)
	}
	const unreadable = "Can't read child pidfile pid!"
	for name, c := range map[string]struct{ text, says string }{
		"missing":  {"", unreadable},
		"empty":    {"\n", unreadable},
		"words":    {"nginx 12\n", unreadable},
		"zero":     {"0\n", unreadable},
		"group":    {"-1\n", unreadable},
		"enormous": {"99999999999\n", unreadable},
		"ended":    {strconv.Itoa(gone.Process.Pid), fmt.Sprintf("Can't signal pid %d of pid: os: process already finished", gone.Process.Pid)},
		"itself":   {"self", unreadable},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			r := start(t, dir, "pid", "/bin/sh", "-c", "trap 'echo end; exit 5' TERM; echo running; while :; do sleep 0.02; done")
			r.expect("running")
			text := c.text
			if text == "self" {
				text = strconv.Itoa(r.cmd.Process.Pid)
			}
			if text != "" {
				write(t, filepath.Join(dir, "pid"), text, 0o644)
			}
			r.signal(syscall.SIGTERM)
			r.expect(c.says)
			r.expect("end")
			if got := r.status(); got != 5 {
				t.Errorf("status %d", got)
			}
		})
	}
}

// TestPidFileOfTheCommand: the two may be one process.
func TestPidFileOfTheCommand(t *testing.T) {
	dir := t.TempDir()
	r := start(t, dir, "pid", "/bin/sh", "-c", "echo $$ >pid; echo running; exec sleep 1000")
	r.expect("running")
	r.signal(syscall.SIGTERM)
	if got := r.status(); got != 128+int(syscall.SIGTERM) {
		t.Errorf("status %d", got)
	}
}
