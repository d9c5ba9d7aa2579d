package usrsvc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/app"
)

// called tells the test binary to be the program whose name it is called by.
const called = "USRSVC_TEST_CALLED"

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0") // of the children: every end would take a second
	app.Role()
	if os.Getenv(called) != "" {
		c := Command{Version: "test"}
		if filepath.Base(os.Args[0]) == "usrsvcd" {
			os.Exit(c.Daemon(os.Args[0], os.Args[1:]))
		}
		os.Exit(c.Tool(os.Args[0], os.Args[1:]))
	}
	os.Exit(m.Run())
}

// patience is how long something may take that comes by itself.
const patience = 2 * time.Minute

// site is a service account: a home directory with a usrsvc.cfg.
type site struct {
	t    *testing.T
	home string
	env  []string
	n    string // the beginning of how long sleeps of this account last
}

// accounts counts the sites of this process.
var accounts atomic.Int32

// newSite makes an account whose programs are defined by text, in which {} stands for the home directory and {n} for the
// beginning of a number that nobody else has: a program is also known by its command line. A program gets a
// pid file, a log and a short time of proof when its text does not say otherwise.
func newSite(t *testing.T, text string) *site {
	t.Helper()
	if testing.Short() {
		t.Skip("runs a daemon and programs")
	}
	dir, err := os.MkdirTemp("", "us") // short: there is a socket in it
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, home: dir, n: fmt.Sprintf("1%d%03d", os.Getpid(), accounts.Add(1))}
	t.Cleanup(s.end)
	s.write("usrsvc.cfg", text)
	return s
}

// end ends the daemon and what it has left running.
func (s *site) end() {
	if s.t.Failed() {
		for _, name := range []string{"d.log", "err.log"} {
			text, _ := os.ReadFile(filepath.Join(s.home, name))
			s.t.Logf("%s:\n%s", name, text)
		}
		logs, _ := filepath.Glob(filepath.Join(s.home, "r/logs/usrsvc/*/upkeep.log"))
		for _, l := range logs {
			text, _ := os.ReadFile(l)
			s.t.Logf("%s:\n%s", l, text)
		}
	}
	s.run("usrsvcd stop")
	for _, pid := range s.processes("") {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err := os.RemoveAll(s.home); err != nil {
		s.t.Error(err)
	}
}

// filled completes the definitions of programs.
func filled(text string) string {
	var out strings.Builder
	for _, part := range regexp.MustCompile(`(?m)^\[Program:`).Split(text, -1) {
		name, _, ok := strings.Cut(part, "]")
		if out.Len() == 0 || !ok {
			out.WriteString(part)
			continue
		}
		out.WriteString("[Program:" + name + "]\n")
		for _, kv := range [][2]string{{"pidfile", "{}/" + name + ".pid"}, {"stdout", "{}/" + name + ".log"}, {"success_seconds", "0.2"}} {
			if !strings.Contains(part, "\n"+kv[0]+" ") {
				out.WriteString(kv[0] + " = " + kv[1] + "\n")
			}
		}
		out.WriteString(part[len(name)+1:])
	}
	return out.String()
}

// write writes a file of the account. Scripts can be executed.
func (s *site) write(name, text string) {
	s.t.Helper()
	path, mode := filepath.Join(s.home, name), os.FileMode(0o600)
	if strings.HasPrefix(text, "#!") {
		mode = 0o700
	}
	if strings.HasSuffix(name, ".cfg") {
		text = filled("\n" + text)
	}
	text = strings.NewReplacer("{}", s.home, "{n}", s.n).Replace(text)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), mode)); err != nil {
		s.t.Fatal(err)
	}
}

// sleeps is what the command lines of all sleeps of the account have in common.
func (s *site) sleeps() string { return "sleep " + s.n }

// read is the content of a file, empty when it is not there.
func (s *site) read(name string) string {
	text, _ := os.ReadFile(filepath.Join(s.home, name))
	return string(text)
}

func (s *site) command(line string) *exec.Cmd {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Args = strings.Fields(line)
	cmd.Dir = "/"
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "HOME=") && !strings.HasPrefix(kv, "UPKEEP_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(append(cmd.Env, called+"=1", "HOME="+s.home, "UPKEEP_ROOT="+filepath.Join(s.home, "r")), s.env...)
	return cmd
}

// run runs a command line: what it prints, and its code.
func (s *site) run(line string) (out, errs string, code Code) {
	s.t.Helper()
	var o, e bytes.Buffer
	cmd := s.command(line)
	cmd.Stdout, cmd.Stderr = &o, &e
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		s.t.Error(err)
	}
	return o.String(), e.String(), Code(cmd.ProcessState.ExitCode())
}

// want runs a command line that has to end with a code, and returns all that it prints.
func (s *site) want(line string, code Code) string {
	s.t.Helper()
	out, errs, got := s.run(line)
	if got != code {
		s.t.Fatalf("%s: %s, want %s\n%s%s", line, got, code, out, errs)
	}
	return out + errs
}

// outcome is the one object that a command prints with --json.
func (s *site) outcome(line string) (o Outcome) {
	s.t.Helper()
	out, errs, _ := s.run(line + " --json")
	if err := json.Unmarshal([]byte(out), &o); err != nil {
		s.t.Fatalf("%s: %v\n%s%s", line, err, out, errs)
	}
	return o
}

// pid is the pid of a program that runs; 0 = it does not.
func (s *site) pid(name string) int {
	s.t.Helper()
	if o := s.outcome("usrsvc status " + name); o.Process != nil {
		return o.Process.PID
	}
	return 0
}

// until waits for something.
func (s *site) until(what string, f func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("it does not happen: %s", what)
		}
	}
}

// runs waits until a program runs, and returns its pid.
func (s *site) runs(name string) (pid int) {
	s.t.Helper()
	s.until(name+" runs", func() bool { pid = s.pid(name); return pid != 0 })
	return pid
}

// processes are the processes of the account, without commands and daemons, whose command line contains a text.
func (s *site) processes(text string) (pids []int) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		s.t.Fatal(err)
	}
	self, _ := os.Executable()
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		environ, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		line, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		exe, _ := os.Readlink(filepath.Join("/proc", e.Name(), "exe"))
		if strings.Contains("\x00"+string(environ), "\x00HOME="+s.home+"\x00") && exe != self &&
			len(line) > 0 && strings.Contains(strings.ReplaceAll(string(line), "\x00", " "), text) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// byHand starts a command as somebody else would; it ends with the test.
func (s *site) byHand(argv ...string) int {
	s.t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = s.home, []string{"HOME=" + s.home, "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	return cmd.Process.Pid
}

// kill kills a process and waits until it is gone.
func (s *site) kill(pid int) {
	s.t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	s.until("it is gone", func() bool { return !lives(pid) })
}

// killed kills a program that is kept alive, and waits until it is there again.
func (s *site) killed(name string, pid int) {
	s.t.Helper()
	s.kill(pid)
	s.until(name+" is started again", func() bool { now := s.pid(name); return now != 0 && now != pid })
}

// lives reports whether a process is there and has not ended.
func lives(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return rest != "" && rest[0] != 'Z'
}
