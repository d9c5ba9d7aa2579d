package chalmers

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/app"
)

// called tells the test binary to be the program, or a monitor of the original.
const (
	called  = "CHALMERS_TEST_CALLED"
	monitor = "CHALMERS_TEST_MONITOR"
)

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0") // of the children: every end would take a second
	app.Role()
	switch {
	case os.Getenv(monitor) != "":
		os.Exit(watch(os.Getenv(monitor), os.Args[1], os.Args[2]))
	case os.Getenv(called) != "":
		os.Exit(Command{Version: "test"}.Main("chalmers", os.Args[1:]))
	}
	os.Exit(m.Run())
}

// watch does what a monitor of the original does: it is the parent of the command, which writes its log itself, and keeps
// the state. TERM ends it and leaves the command alone.
func watch(root, name, script string) int {
	out, err := os.OpenFile(filepath.Join(root, "logs", name+".stdout.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return 1
	}
	cmd := exec.Command("sh", "-c", script)
	cmd.Stdout, cmd.Stderr, cmd.Dir = out, out, "/"
	if err := cmd.Start(); err != nil {
		return 1
	}
	state := fmt.Sprintf("child_pid: %d\nexit_status: null\npaused: false\npid: %d\nreason: ''\nstart_time: %.6f\n",
		cmd.Process.Pid, os.Getpid(), float64(time.Now().UnixMicro())/1e6)
	if err := os.WriteFile(filepath.Join(root, "data", "state", name+".yaml"), []byte(state), 0o644); err != nil {
		return 1
	}
	_ = cmd.Wait()
	return 0
}

// site is a machine for chalmers in a folder.
type site struct {
	t   *testing.T
	dir string
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", "ch") // short: there is a socket in it
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t, dir}
	t.Cleanup(func() {
		s.end(filepath.Join(dir, "upkeep"))
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return s
}

// end ends the daemon of an instance.
func (s *site) end(root string) {
	text, err := os.ReadFile(filepath.Join(root, "run", "upkeep", "upkeep.pid"))
	if err != nil {
		return
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || syscall.Kill(pid, syscall.SIGTERM) != nil {
		return
	}
	until(s.t, "the daemon ends", func() bool { return syscall.Kill(pid, 0) != nil })
}

func (s *site) command(args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), called+"=1", "CHALMERS_ROOT="+s.dir, "EDITOR=sed -i s/1000/999/", "UPKEEP_ROOT=", "SUDO_USER=")
	return cmd
}

func (s *site) run(args ...string) (out, errs string, status int) {
	s.t.Helper()
	var o, e bytes.Buffer
	cmd := s.command(args...)
	cmd.Stdout, cmd.Stderr = &o, &e
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// ok runs a command that has to succeed, and returns its output.
func (s *site) ok(args ...string) string {
	s.t.Helper()
	out, errs, status := s.run(args...)
	if status != 0 {
		s.t.Fatalf("%v: status %d\n%s%s", args, status, out, errs)
	}
	return out
}

// pid is the pid that list shows; 0 = none.
func (s *site) pid(name string) int {
	s.t.Helper()
	m := regexp.MustCompile(`(?m)^` + name + ` +RUNNING +pid (\d+)`).FindStringSubmatch(s.ok("list"))
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// TestQuickStart: every command of the text with which chalmers introduces itself does what the text says.
func TestQuickStart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	steps := []struct {
		line   string // the command; fields, or after | the words of its end as one
		status int
		out    string // a regular expression that the output has
	}{
		{"list", 0, `^No programs added\n$`},
		{"add --name myprogram -- sleep 1000", 0, `^Added program myprogram\n$`},
		{"list", 0, `^myprogram +STOPPED\n$`},
		{"set myprogram startsecs=1 startretries=2", 0, `Set startretries = 2\nUpdated program myprogram`},
		{"start myprogram", 0, `^Starting program myprogram +\[OK\]\n$`},
		{"list", 0, `^myprogram +RUNNING +pid \d+ +, uptime 0:\d\d:\d\d\n$`},
		{"set myprogram stopwaitsecs=5 exitcodes=[0,2] stopsignal=15 cwd=/", 0, `Updated program myprogram`},
		{"set myprogram stopsignal=SIGTERM env.PORT=4567 env.PYTHONUNBUFFERED=1", 0, `Set env.PORT = 4567`},
		{"set myprogram redirect_stderr=true umask=022", 0, ``},
		{"set myprogram log_dir=" + s.dir + "/own", 1, ``}, // there is no such folder
		{"set myprogram daemon_log=/x", 0, ``},
		{"set myprogram startsecs=soon", 1, ``},
		{"show myprogram", 0, `cwd: '/'\n +env: \{'PORT': '4567', 'PYTHONUNBUFFERED': '1'\}\n(?s:.*)exitcodes: \[0, 2\]\n +stopsignal: 'SIGTERM'\nstopwaitsecs: 5\n`},
		{"restart myprogram", 0, `\[OK\]`},
		{"off myprogram", 0, `^Turned off: myprogram\n$`},
		{"list", 0, `RUNNING`},
		{"start --all", 0, ``},
		{"on myprogram", 0, `^Turned on: myprogram\n$`},
		{"add --run-later -n server --|sh -c 'echo port $PORT; echo wrong >&2; exec sleep 1000'", 0, `^Added program server\n$`},
		{"set server env.PORT=3030 startsecs=1", 0, ``},
		{"start server", 0, `\[OK\]`},
		{"log server", 0, `^port 3030\nwrong\n$`},
		{"log -3 server", 0, `spawned: 'server' with pid \d+\n`},
		{"log --head 1 server", 0, `^port 3030\n$`},
		{"log", 0, `'myprogram'(?s:.*)'server'`},
		{"edit server", 0, `Updated program server`},
		{"show --command server", 0, `exec sleep 999\n$`},
		{"restart --all", 0, `myprogram +\[OK\]\nRestarting program server +\[OK\]`},
		{"bg server", 0, `in the background already`},
		{"remove server", 1, `\[ERROR\]`}, // it runs
		{"stop server", 0, `^Stopping program server +\[OK\]\n$`},
		{"list", 0, `server +STOPPED +stopped on request\n +downtime 0:\d\d:\d\d\n`},
		{"off server", 0, ``},
		{"list", 0, `server +OFF`},
		{"start -a", 0, ``}, // without the one that is off
		{"list", 0, `server +OFF`},
		{"export -a -o all.yaml", 0, ``},
		{"remove server", 0, `\[OK\]`},
		{"import all.yaml", 0, `^Added program server\n$`},
		{"show --raw server", 0, `paused: True(?s:.*)cwd: '` + regexp.QuoteMeta(s.dir) + `'\n +env: \{'PORT': '3030'\}`},
		{"run -n worker -- sleep 1000", 0, `Starting program worker +\[OK\]`},
		{"stop --all --force", 0, `worker +\[OK\]`},
		{"remove --all", 0, ``},
		{"list", 0, `^No programs added\n$`},
		{"@startup on", 2, ``},
		{"@login sometimes", 2, ``},
		{"frobnicate", 2, ``},
	}
	for _, step := range steps {
		line, last, whole := strings.Cut(step.line, "|")
		args := strings.Fields(line)
		if whole {
			words := strings.SplitN(last, " ", 3)
			args = append(args, words[0], words[1], strings.Trim(words[2], "'"))
		}
		out, errs, status := s.run(args...)
		for end := time.Now().Add(time.Minute); args[0] == "log" && !regexp.MustCompile(step.out).MatchString(out) && time.Now().Before(end); {
			out, errs, status = s.run(args...) // what a program writes first may come after its start is told
		}
		if status != step.status || !regexp.MustCompile(step.out).MatchString(out) {
			t.Errorf("%s: status %d\n%s%s", step.line, status, out, errs)
		}
	}
}

// TestRefusals: a program that does not start is a failure of the command, and does not touch the others.
func TestRefusals(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ok("add", "-n", "bad", "--", "sh", "-c", "echo oops; exit 3")
	s.ok("add", "-n", "good", "--", "sleep", "1000")
	s.ok("set", "good", "startsecs=1")
	s.ok("set", "bad", "startretries=1")
	out, errs, status := s.run("start", "bad", "good")
	if status != 1 || !strings.Contains(errs, "[ERROR] bad: ") || !strings.Contains(errs, "oops") || !regexp.MustCompile(`good +\[OK\]`).MatchString(out) {
		t.Errorf("%d\n%s%s", status, out, errs)
	}
	until(t, "it is given up", func() bool { return regexp.MustCompile(`(?m)^bad +ERROR +exit 3`).MatchString(s.ok("list")) })
	if _, errs, status = s.run("add", "-n", "good", "x"); status != 1 || !strings.Contains(errs, "exists: good") {
		t.Errorf("%d %s", status, errs)
	}
	if _, errs, status = s.run("add", "-n", "../x", "x"); status != 1 {
		t.Errorf("%d %s", status, errs)
	}
	// Without the daemon, what only looks or edits does its work.
	s.end(filepath.Join(s.dir, "upkeep"))
	if out := s.ok("off", "good"); out != "Turned off: good\n" {
		t.Error(out)
	}
	s.ok("set", "bad", "env.A=1")
	if _, errs, status := s.run("set", "bad", "cwd=/nowhere/%"); status != 0 {
		t.Errorf("%d %s", status, errs)
	}
	if out := s.ok("show", "bad"); !strings.Contains(out, "cwd: '/nowhere/%'") || !strings.Contains(out, "env: {'A': '1'}") {
		t.Error(out)
	}
	if out := s.ok("list"); out != "good                      OFF\nbad                       STOPPED\n" {
		t.Error(out)
	}
	if out := s.ok("log", "bad", "-n", "1"); out != "oops\n" {
		t.Error(out)
	}
	s.ok("remove", "bad")
	put(t, filepath.Join(s.dir, "upkeep", "config", "upkeep", "programs", "broken.conf"), "[program:broken]\nstartsecs=x\n")
	if out := s.ok("list"); !strings.Contains(out, "broken                    ERROR") || !strings.Contains(out, "good ") {
		t.Error(out)
	}
}

// TestForeground: start -w shows what all write, each with its name; the interruption leaves nothing behind.
func TestForeground(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, name := range []string{"a", "b"} {
		s.ok("add", "-n", name, "--", "sh", "-c", "echo I am "+name+" $$; sleep 1000 & sleep 1000")
		s.ok("set", name, "startsecs=0")
	}
	cmd := s.command("start", "-w", "--stream", "a", "b")
	out, err := os.Create(filepath.Join(s.dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	text := func() string { b, _ := os.ReadFile(out.Name()); return string(b) }
	until(t, "both are heard", func() bool {
		return strings.Contains(text(), "[a] I am a ") && strings.Contains(text(), "[b] I am b ") && strings.Contains(text(), "[b] 20")
	})
	pids := regexp.MustCompile(`I am \w (\d+)`).FindAllStringSubmatch(text(), -1)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("%v\n%s", cmd.ProcessState, text())
	}
	for _, m := range pids {
		pid, _ := strconv.Atoi(m[1])
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("%d is there still: %v", pid, err)
		}
	}
	if left := s.ok("list"); strings.Contains(left, "RUNNING") {
		t.Error(left)
	}
	// It ends with the programs, with their verdict.
	s.ok("add", "-n", "brief", "--", "sh", "-c", "echo done")
	s.ok("set", "brief", "startsecs=0")
	if out := s.ok("start", "-w", "--stream", "brief"); !strings.Contains(out, "[brief] done\n") {
		t.Error(out)
	}
}

func TestProcfile(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	put(t, filepath.Join(s.dir, "Procfile"), "one: echo first $PORT; sleep 1.5; echo last\ntwo: sleep 1.5\n")
	t.Cleanup(func() { s.end(filepath.Join(s.dir, ".chalmers", "upkeep")) })
	for range 2 { // the definitions of the first time are replaced
		out, errs, status := s.run("procfile")
		if status != 0 && status != 1 || !strings.Contains(out, "[one] first 5000\n") || !strings.Contains(out, "[one] last\n") {
			t.Fatalf("%d\n%s%s", status, out, errs)
		}
	}
	if out := s.ok("list"); out != "No programs added\n" {
		t.Error(out)
	}
}
