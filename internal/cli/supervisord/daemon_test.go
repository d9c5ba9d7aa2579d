//go:build unix

package supervisord

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/client/supervisor"
	"github.com/upkeep-project/upkeep/internal/app"
)

// The test binary is the daemon when it is called by that name.
func TestMain(m *testing.M) {
	app.Role()
	switch filepath.Base(os.Args[0]) {
	case "supervisord":
		os.Exit(Command{}.Main(os.Args[0], os.Args[1:]))
	case responderName:
		os.Exit(respond())
	case listenerName:
		os.Exit(listenBadly())
	}
	root, err := os.MkdirTemp("", "upkeep-root-*")
	if err == nil {
		err = os.Chmod(root, 0o755) // daemons of other users have their place in it too
	}
	if err != nil {
		panic(err)
	}
	os.Setenv(rootVariable, root)
	status := m.Run()
	os.RemoveAll(root)
	os.Exit(status)
}

// rootVariable relocates what the daemon keeps for itself.
const rootVariable = "UPKEEP_ROOT"

const patience = 2 * time.Minute

// site is a directory with a configuration and at most one daemon.
type site struct {
	t    *testing.T
	dir  string
	conf string
	out  bytes.Buffer
	cmd  *exec.Cmd
}

const standard = `[unix_http_server]
file=%(here)s/s.sock
[supervisord]
logfile=%(here)s/d.log
pidfile=%(here)s/d.pid
childlogdir=%(here)s
loglevel=debug
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
`

func newSite(t *testing.T, conf string) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", "upk") // short: the path of a socket is limited
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, dir: dir, conf: filepath.Join(dir, "d.conf")}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Cleanup(s.end)
	s.write("d.conf", conf)
	return s
}

func (s *site) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) read(name string) string {
	b, _ := os.ReadFile(filepath.Join(s.dir, name))
	return string(b)
}

// command is the daemon with the given arguments.
func command(args ...string) *exec.Cmd {
	self, _ := os.Executable()
	cmd := exec.Command(self)
	cmd.Args = append([]string{"supervisord"}, args...)
	cmd.Env = append(os.Environ(), "HOME="+os.TempDir())
	return cmd
}

// start runs the daemon in the foreground and waits until it answers.
func (s *site) start() *supervisor.Client {
	s.t.Helper()
	s.cmd = command("-n", "-c", s.conf)
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	return s.client()
}

func (s *site) client() *supervisor.Client {
	s.t.Helper()
	c, err := supervisor.New(supervisor.Options{URL: "unix://" + s.dir + "/s.sock"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	s.until("the daemon answers", func() bool {
		_, err := c.GetState(context.Background())
		return err == nil
	})
	return c
}

// end stops the daemon of this site, if it still runs.
func (s *site) end() {
	if s.cmd != nil && s.cmd.Process != nil && s.cmd.ProcessState == nil {
		s.cmd.Process.Signal(syscall.SIGTERM)
		over := time.AfterFunc(patience, func() { s.cmd.Process.Kill() })
		s.cmd.Wait()
		over.Stop()
	}
	if s.t.Failed() {
		s.t.Logf("output:\n%s\nactivity log:\n%s", s.out.String(), s.read("d.log"))
	}
}

func (s *site) until(what string, f func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !f(); {
		if time.Now().After(deadline) {
			s.t.Fatalf("in vain: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// info asks about one program.
func (s *site) info(c *supervisor.Client, name string) supervisor.ProcessInfo {
	s.t.Helper()
	p, err := c.GetProcessInfo(context.Background(), name)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// running waits until a program runs; a daemon that is being restarted meanwhile answers nothing, or that it ends.
func (s *site) running(c *supervisor.Client, name string) supervisor.ProcessInfo {
	s.t.Helper()
	var p supervisor.ProcessInfo
	var err error
	s.until(name+" runs", func() bool {
		p, err = c.GetProcessInfo(context.Background(), name)
		return err == nil && p.StateName == "RUNNING"
	})
	return p
}

func (s *site) logged(pattern string) {
	s.t.Helper()
	re := regexp.MustCompile(pattern)
	s.until("the log has "+pattern, func() bool { return re.MatchString(s.read("d.log")) })
}

func TestBackground(t *testing.T) {
	s := newSite(t, standard+"[program:cat]\ncommand=cat\n")
	out, err := command("-c", s.conf).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Fatalf("the launching command: %v %q", err, out)
	}
	// The socket is bound when the launching command has returned.
	conn, err := net.Dial("unix", s.dir+"/s.sock")
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	c := s.client()
	s.until("the pidfile is written", func() bool { return s.read("d.pid") != "" })
	pid, err := strconv.Atoi(strings.TrimSpace(s.read("d.pid")))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.GetPID(context.Background()); err != nil || got != pid {
		t.Errorf("pid %d (%v), pidfile %d", got, err, pid)
	}
	if sid, _ := unix.Getsid(pid); sid != pid {
		t.Errorf("session %d, want %d", sid, pid)
	}
	cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if !bytes.HasPrefix(cmdline, []byte("supervisord\x00")) {
		t.Errorf("command line %q", cmdline)
	}
	child := s.running(c, "cat").PID
	if err := c.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	s.until("all is gone", func() bool {
		return syscall.Kill(pid, 0) != nil && syscall.Kill(child, 0) != nil
	})
	for _, f := range []string{"d.pid", "s.sock"} {
		if _, err := os.Lstat(filepath.Join(s.dir, f)); err == nil {
			t.Errorf("%s is still there", f)
		}
	}
	s.logged(`INFO daemonizing the supervisord process\n`)
	s.logged(`INFO supervisord started with pid ` + strconv.Itoa(pid) + `\n`)
}

func TestErrorsReachTheLaunchingCommand(t *testing.T) {
	for name, c := range map[string]struct{ conf, want string }{
		"no section":      {"[program:x]\ncommand=cat\n", "Error: .ini file does not include supervisord section\nFor help, use supervisord -h\n"},
		"no command":      {standard + "[program:x]\n", "Error: program section program:x does not specify a command in section 'program:x' (file: 'CONF')\nFor help, use supervisord -h\n"},
		"no socket dir":   {strings.Replace(standard, "/s.sock", "/no/s.sock", 1), "Error: Cannot open an HTTP server: socket.error reported errno.ENOENT (2)\nFor help, use supervisord -h\n"},
		"log not to open": {strings.Replace(standard, "/d.log", "", 1), "Error: cannot open the log file DIR: open DIR: is a directory\nFor help, use supervisord -h\n"},
	} {
		for _, args := range [][]string{{"-n"}, nil} {
			s := newSite(t, c.conf)
			out, err := command(append(args, "-c", s.conf)...).CombinedOutput()
			got := strings.NewReplacer(s.conf, "CONF", s.dir, "DIR").Replace(string(out))
			if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 2 || got != c.want {
				t.Errorf("%s %v: %v\n%s", name, args, err, got)
			}
		}
	}
}

func TestSecondInstanceTouchesNothing(t *testing.T) {
	for _, conf := range []string{standard, strings.SplitAfter(standard, "s.sock\n")[1]} {
		s := newSite(t, conf+"[program:talk]\ncommand=sh -c 'echo hello; exec sleep 1000'\n")
		s.cmd = command("-n", "-c", s.conf)
		s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
		if err := s.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var auto string
		s.until("the program has spoken", func() bool {
			m, _ := filepath.Glob(filepath.Join(s.dir, "talk-stdout---*"))
			if len(m) == 1 {
				auto = filepath.Base(m[0])
			}
			return auto != "" && s.read(auto) == "hello\n"
		})
		out, err := command("-n", "-c", s.conf).CombinedOutput()
		if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 2 || !bytes.HasPrefix(out, []byte("Error: ")) {
			t.Errorf("second instance: %v\n%s", err, out)
		}
		if s.read(auto) != "hello\n" {
			t.Error("the second instance has deleted the first one's log")
		}
	}
}

func TestRestartReadsTheConfigurationAgain(t *testing.T) {
	s := newSite(t, standard+"[program:a]\ncommand=cat\n")
	c := s.start()
	before, daemon := s.running(c, "a"), s.cmd.Process.Pid

	s.write("d.conf", standard+"[program:a]\ncommand=cat\nautostart=perhaps\n")
	s.cmd.Process.Signal(syscall.SIGHUP)
	s.logged(`ERRO .*not a valid boolean value: 'perhaps'`)
	if now := s.info(c, "a"); now.PID != before.PID {
		t.Errorf("a bad configuration restarted the program: pid %d, was %d", now.PID, before.PID)
	}
	if err := c.Restart(context.Background()); err == nil {
		t.Error("restart with a bad configuration was accepted")
	}

	s.write("d.conf", standard+"[program:a]\ncommand=cat\n[program:b]\ncommand=cat\n")
	s.cmd.Process.Signal(syscall.SIGHUP)
	s.until("a is another one", func() bool {
		p, err := c.GetProcessInfo(context.Background(), "a")
		return err == nil && p.StateName == "RUNNING" && p.PID != before.PID
	})
	s.running(c, "b")
	if pid, err := c.GetPID(context.Background()); err != nil || pid != daemon {
		t.Errorf("the daemon has pid %d (%v), was %d", pid, err, daemon)
	}
	if n := strings.Count(s.read("d.log"), "supervisord started with pid"); n != 2 {
		t.Errorf("started %d times", n)
	}
}

func TestLogsAreReopened(t *testing.T) {
	s := newSite(t, standard+"[program:echo]\ncommand=cat\nstdout_logfile=%(here)s/echo.log\n")
	c := s.start()
	s.running(c, "echo")
	say := func(text string) {
		if err := c.SendProcessStdin(context.Background(), "echo", text); err != nil {
			t.Fatal(err)
		}
	}
	say("one\n")
	s.until("one is logged", func() bool { return s.read("echo.log") == "one\n" })
	os.Rename(s.dir+"/echo.log", s.dir+"/echo.old")
	os.Rename(s.dir+"/d.log", s.dir+"/d.old")
	s.cmd.Process.Signal(syscall.SIGUSR2)
	s.until("the logs are made anew", func() bool {
		_, err1 := os.Stat(s.dir + "/echo.log")
		_, err2 := os.Stat(s.dir + "/d.log")
		return err1 == nil && err2 == nil
	})
	say("two\n")
	s.until("two is logged", func() bool { return s.read("echo.log") == "two\n" })
	if got := s.read("echo.old"); got != "one\n" {
		t.Errorf("the old log has %q", got)
	}
}

func TestKilledProgramIsReplaced(t *testing.T) {
	s := newSite(t, standard+"[program:p]\ncommand=sleep 1000\nautorestart=true\nstartsecs=0\n")
	c := s.start()
	pid := s.running(c, "p").PID
	syscall.Kill(pid, syscall.SIGKILL)
	s.until("another one runs", func() bool {
		p := s.info(c, "p")
		return p.StateName == "RUNNING" && p.PID != pid
	})
	s.logged(`WARN exited: p \(terminated by SIGKILL; not expected\)`)
}

func TestLimitOfDescriptors(t *testing.T) {
	s := newSite(t, standard+"[program:p]\ncommand=sh -c 'ulimit -n; exec sleep 1000'\nstdout_logfile=%(here)s/p.log\n")
	s.cmd = command("-n", "-c", s.conf)
	s.cmd.Args = append([]string{"sh", "-c", `ulimit -S -n 256; exec -a supervisord "$0" "$@"`, s.cmd.Path}, s.cmd.Args[1:]...)
	s.cmd.Path, _ = exec.LookPath("bash")
	if s.cmd.Path == "" {
		t.Skip("bash is not installed")
	}
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.client()
	s.until("the program has said its limit", func() bool { return s.read("p.log") != "" })
	if got := s.read("p.log"); got != "1024\n" {
		t.Errorf("the program's limit is %q, want 1024", got)
	}
	s.logged(`INFO Increased RLIMIT_NOFILE limit to 1024`)
}
