package services

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/base/pagetest"
	"github.com/upkeep-project/upkeep/internal/wire/mail/smtptest"
)

// patience is how long a test waits for what must come; mails are collected for half a minute.
const patience = 3 * time.Minute

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s has not come", what)
		}
	}
}

// must is a value, or the end of the test.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// app is the application: it answers, and ends with 7 when it is told to.
const app = `import http.server, os, signal, sys
signal.signal(signal.SIGUSR1, lambda *_: os._exit(7))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"fine")
    def log_message(self, *_): pass
print("serves", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
`

// service is one that somebody has started by hand.
type service struct {
	name  string
	argv  []string
	port  int
	adopt []string // what upkeep adopt is told
	// titled: it shows a title in the place of its command line, so that upkeep adopt is told the latter too.
	titled bool
	check  string
	// end is the signal that ends it, code what upkeep_process_last_exit_code is then; quiet: that is no failure.
	end   syscall.Signal
	code  float64
	quiet bool

	pid   int
	ended chan struct{}
}

// world is a machine with services and an instance of ours.
type world struct {
	t      *testing.T
	dir    string
	binary string
	mail   *smtptest.Server
	api    *upkeep.Client
	list   []*service
}

// freePort is one at which nobody listens.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// find is a command that is installed; else the test is skipped.
func find(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range []string{"", "/usr/sbin/", "/usr/bin/", "/usr/local/sbin/"} {
		if path, err := exec.LookPath(dir + name); err == nil && !strings.Contains(path, "/shims/") {
			return path
		}
	}
	t.Skipf("%s is not installed", name)
	return ""
}

// newWorld makes the binaries, the services' files and the mail server.
func newWorld(t *testing.T) *world {
	t.Helper()
	nginx, redis, python := find(t, "nginx"), find(t, "redis-server"), find(t, "python3")
	dir, err := os.MkdirTemp("", "up") // short: sockets are in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w := &world{t: t, dir: dir, binary: filepath.Join(dir, "bin", "upkeep"), mail: (&smtptest.Server{}).Start(t)}
	w.build(older)
	w.build(newer)
	w.install(older)
	web, data, py := freePort(t), freePort(t), freePort(t)
	w.write("nginx.conf", fmt.Sprintf(`daemon off; pid %[1]s/nginx.pid; error_log %[1]s/nginx.log; worker_processes 2;
events { worker_connections 64; }
http { access_log off; client_body_temp_path %[1]s/t1; proxy_temp_path %[1]s/t2; fastcgi_temp_path %[1]s/t3; uwsgi_temp_path %[1]s/t4;
scgi_temp_path %[1]s/t5; server { listen 127.0.0.1:%[2]d; location / { return 200 "fine"; } } }
`, dir, web))
	w.write("app.py", app)
	w.list = []*service{
		{
			name: "nginx", argv: []string{nginx, "-p", dir, "-c", dir + "/nginx.conf"}, port: web, adopt: []string{"--pidfile", dir + "/nginx.pid"},
			titled: true,
			check:  fmt.Sprintf("http http://127.0.0.1:%d/ every=1s after=0 then=alert", web), end: syscall.SIGQUIT, code: 0, quiet: true,
		},
		{
			name: "redis", argv: []string{redis, "--port", strconv.Itoa(data), "--bind", "127.0.0.1", "--save", "", "--dir", dir}, port: data,
			adopt: []string{"--port", strconv.Itoa(data)}, titled: true, check: fmt.Sprintf("tcp 127.0.0.1:%d every=1s after=0 then=alert", data),
			end: syscall.SIGKILL, code: -9,
		},
		{
			name: "app", argv: []string{python, dir + "/app.py", "--port", strconv.Itoa(py)}, port: py,
			adopt: []string{"--title", `app\.py --port ` + strconv.Itoa(py) + "$"}, check: "memory max=1GB of=tree every=1s after=0 then=alert",
			end: syscall.SIGUSR1, code: 7,
		},
	}
	w.write("root/config/upkeep/upkeep.conf", fmt.Sprintf("[notify:ops]\nto=mailto:ops@x.example\nvia=smtp://%s\nfrom=upkeep@x.example\n"+
		"on=fatal,unhealthy,restart,recovered\n", w.mail.Addr))
	return w
}

func (w *world) write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		w.t.Fatal(err)
	}
}

// The versions of the product.
const older, newer = "1.0.1", "1.0.2"

// build makes a version of the product.
func (w *world) build(version string) {
	w.t.Helper()
	cmd := exec.Command("go", "build", "-ldflags", "-s -w -X github.com/upkeep-project/upkeep/internal/cli.Version="+version,
		"-o", w.binary+"-"+version, "./cmd/upkeep")
	cmd.Dir, cmd.Env = pagetest.Root(w.t), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("%v\n%s", err, out)
	}
}

// install puts a version in the place of the one before.
func (w *world) install(version string) {
	w.t.Helper()
	if err := os.Rename(w.binary+"-"+version, w.binary); err != nil {
		w.t.Fatal(err)
	}
}

// start starts a service as somebody at a terminal does, and waits until it answers.
func (w *world) start(s *service) {
	w.t.Helper()
	cmd := exec.Command(s.argv[0], s.argv[1:]...)
	cmd.Dir = w.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	s.pid, s.ended = cmd.Process.Pid, make(chan struct{})
	go func() {
		_ = cmd.Wait() // its parent takes notice, as a shell does
		close(s.ended)
	}()
	w.t.Cleanup(func() {
		_ = unix.Kill(-s.pid, unix.SIGKILL) // it may have ended
		<-s.ended
	})
	until(w.t, s.name, func() bool {
		text, err := os.ReadFile(s.adopt[1]) // where that is a pid file, it comes after the first answer
		return answers(s.port) && (s.adopt[0] != "--pidfile" || err == nil && len(text) > 0)
	})
}

func answers(port int) bool {
	c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return false
	}
	return c.Close() == nil
}

// upkeep runs a command of the product.
func (w *world) upkeep(args ...string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.binary, args...)
	cmd.Dir, cmd.Env = w.dir, append(os.Environ(), "UPKEEP_ROOT="+w.dir+"/root")
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("upkeep %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// end ends the daemon, if there is one.
func (w *world) end() {
	cmd := exec.Command(w.binary, "daemon", "stop")
	cmd.Env = append(os.Environ(), "UPKEEP_ROOT="+w.dir+"/root")
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Errorf("daemon stop: %v\n%s", err, out)
	}
}

func (w *world) process(name string) upkeep.Process {
	w.t.Helper()
	return must[upkeep.Process](w.t)(w.api.Process(w.t.Context(), name))
}

func (w *world) system() upkeep.System {
	w.t.Helper()
	return must[upkeep.System](w.t)(w.api.System(w.t.Context()))
}

// metric is a value of /metrics by the beginning of its line; ok is false when it is not there.
func (w *world) metric(begin string) (value float64, ok bool) {
	w.t.Helper()
	cmd := exec.Command("curl", "-s", "--unix-socket", w.dir+"/root/run/upkeep/upkeep.sock", "http://upkeep/metrics")
	text := must[[]byte](w.t)(cmd.Output())
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, begin+" "); found {
			return must[float64](w.t)(strconv.ParseFloat(strings.TrimSpace(rest), 64)), true
		}
	}
	return 0, false
}

// same holds the services against what they were before.
func (w *world) same(when string) {
	w.t.Helper()
	for _, s := range w.list {
		p := w.process(s.name)
		if p.State != "RUNNING" || p.PID == nil || *p.PID != s.pid || !answers(s.port) {
			w.t.Errorf("%s: %s is %s, pid %v, it was %d", when, s.name, p.State, p.PID, s.pid)
		}
		if v, ok := w.metric(fmt.Sprintf(`upkeep_process_adopted{group="%[1]s",process="%[1]s"}`, s.name)); !ok || v != 1 {
			w.t.Errorf("%s: %s is not adopted", when, s.name)
		}
	}
}

// healthy waits until the check of every service passes.
func (w *world) healthy(when string) {
	w.t.Helper()
	for _, s := range w.list {
		until(w.t, s.name+" is healthy "+when, func() bool { return w.process(s.name).Health == "healthy" })
	}
}

// exact reports whether this kernel tells how a process ended that is not our child.
func exact(t *testing.T) bool {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if n, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor); n != 2 {
		t.Fatal(err)
	}
	return major > 6 || major == 6 && minor >= 15
}

// about counts mails whose subject names a program, from the given one on.
func (w *world) about(name string, from int) (n int) {
	for _, m := range w.mail.Mails()[from:] {
		_, rest, _ := strings.Cut(m.Text, "\nSubject: ")
		subject, _, _ := strings.Cut(rest, "\n")
		if strings.Contains(subject, name) {
			n++
		}
	}
	return n
}

// TestAdoptServices: services that run already are taken over as they are, watched, and told about; the daemon may be killed
// and replaced meanwhile; how each of them ends is known, and from its next start on it is wholly ours.
func TestAdoptServices(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the product twice, and waits for mails that are collected for half a minute")
	}
	find(t, "curl")
	w := newWorld(t)
	for _, s := range w.list {
		w.start(s)
	}
	w.api = upkeep.New(upkeep.Options{Socket: w.dir + "/root/run/upkeep/upkeep.sock"})
	defer w.api.Close()
	defer w.end()
	for _, s := range w.list {
		args := append([]string{"adopt", "--name", s.name}, s.adopt...)
		if s.titled {
			args = append(append(args, "--"), s.argv...)
		}
		out := w.upkeep(args...)
		if !strings.Contains(out, strconv.Itoa(s.pid)) {
			t.Errorf("adopt %s: %s", s.name, out)
		}
	}
	w.same("adopted")
	for _, s := range w.list {
		w.upkeep("set", "--now", s.name, "check.watch="+s.check, "autorestart=unexpected", "notify=ops")
	}
	w.same("checked")
	w.healthy("at first")

	before := w.system()
	if before.Manager == before.PID {
		t.Fatalf("there is no keeper: %+v", before)
	}
	if err := unix.Kill(before.Manager, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "the next manager", func() bool {
		now, err := w.api.System(t.Context())
		return err == nil && now.Manager != before.Manager
	})
	w.same("after the kill")
	w.healthy("after the kill")
	w.install(newer)
	w.upkeep("daemon", "upgrade")
	if now := w.system(); now.Version != newer {
		t.Errorf("the version is %s", now.Version)
	}
	w.same("after the upgrade")
	w.healthy("after the upgrade")

	for _, s := range w.list {
		w.ends(s, exact(t))
	}
	w.wanted()
}

// ends has a service end, and holds what is known of that against the truth.
func (w *world) ends(s *service, exact bool) {
	t := w.t
	t.Helper()
	known := len(w.mail.Mails())
	if err := unix.Kill(s.pid, s.end); err != nil {
		t.Fatal(err)
	}
	<-s.ended
	if s.quiet {
		until(t, s.name+" has ended", func() bool { return w.process(s.name).State == "EXITED" })
		p := w.process(s.name)
		if x := p.LastExit; exact && (x == nil || x.Code == nil || float64(*x.Code) != s.code) {
			t.Errorf("%s: %+v", s.name, x)
		}
		w.upkeep("start", s.name)
	}
	until(t, s.name+" runs again", func() bool {
		p := w.process(s.name)
		return p.State == "RUNNING" && p.PID != nil && *p.PID != s.pid && answers(s.port)
	})
	of := fmt.Sprintf(`{group="%[1]s",process="%[1]s"}`, s.name)
	if v, ok := w.metric("upkeep_process_last_exit_code" + of); exact && (!ok || v != s.code) {
		t.Errorf("%s has ended with %v (known: %v), want %v", s.name, v, ok, s.code)
	} else if !exact {
		t.Logf("this kernel does not tell how a process ended that is not our child: %v, known: %v", v, ok)
	}
	if v, ok := w.metric("upkeep_process_adopted" + of); !ok || v != 0 {
		t.Errorf("%s is not wholly ours: %v", s.name, v)
	}
	if !s.quiet {
		until(t, "the mail about "+s.name, func() bool { return w.about(s.name, known) > 0 })
	}
}

// wanted: what a person orders is told to nobody. A mail that comes later shows that none is on its way.
func (w *world) wanted() {
	t := w.t
	t.Helper()
	known := len(w.mail.Mails())
	before := *w.process("nginx").PID
	w.upkeep("restart", "nginx")
	if now := *w.process("nginx").PID; now == before {
		t.Error("nginx was not restarted")
	}
	w.upkeep("add", "fence", "--", "/bin/sleep", "1000")
	w.upkeep("set", "--now", "fence", "notify=ops")
	until(t, "the fence", func() bool { p := w.process("fence"); return p.State == "RUNNING" && p.PID != nil })
	if err := unix.Kill(*w.process("fence").PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "the mail about the fence", func() bool { return w.about("fence", known) > 0 })
	if n := w.about("nginx", known); n > 0 {
		t.Errorf("%d mails about what somebody wanted", n)
	}
}
