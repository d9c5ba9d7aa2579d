package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/app"
	"github.com/upkeep-project/upkeep/internal/cli"
)

// patience is how long anything may take here: the machine may be busy.
const patience = 2 * time.Minute

// TestMain makes this binary the product when it is called as that: whoever tests puts flags of tests before anything else.
// So the daemon in the background, the service and the entry for the logon are this binary again.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || strings.HasPrefix(os.Args[1], "-test.") {
		os.Exit(m.Run())
	}
	if os.Args[1] == "play" {
		play(os.Args[2])
	}
	app.Role()
	os.Exit(cli.Main(os.Args))
}

// play is a program.
func play(role string) {
	if role == "tree" { // a child of its own, which does not end with it by itself
		self, err := os.Executable()
		if err != nil {
			os.Exit(3)
		}
		child := exec.Command(self, "play", "tick")
		child.Stdout = os.Stdout
		if err := child.Start(); err != nil {
			os.Exit(4)
		}
		fmt.Println("child", child.Process.Pid)
	}
	for n := range int(time.Hour / (50 * time.Millisecond)) {
		fmt.Println("tick", n)
		time.Sleep(50 * time.Millisecond)
	}
	os.Exit(0)
}

// person is somebody with an instance of their own.
type person struct {
	t    *testing.T
	self string
	env  []string
}

// newPerson makes a person; a daemon that runs at the end is stopped, with its programs.
func newPerson(t *testing.T) *person {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.MkdirTemp("", "upkeep")
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t, self, append(os.Environ(), "LOCALAPPDATA="+data, "UPKEEP_ROOT=", "NO_COLOR=1")}
	t.Cleanup(func() {
		_, _, _ = p.call("daemon", "stop", "--yes")
		if t.Failed() {
			for _, log := range glob(data, "*.log") {
				text, _ := os.ReadFile(log)
				t.Logf("%s:\n%s", log, text[max(0, len(text)-4000):])
			}
		}
		_ = os.RemoveAll(data) // a program that has just ended may hold its log for a moment
	})
	return p
}

// glob finds files of a name below a folder.
func glob(dir, pattern string) (found []string) {
	_ = filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if ok, _ := filepath.Match(pattern, filepath.Base(path)); ok && err == nil {
			found = append(found, path)
		}
		return nil
	})
	return found
}

// call runs the command as a person does.
func (p *person) call(words ...string) (stdout, stderr string, status int) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.self, words...)
	cmd.Env = p.env
	cmd.WaitDelay = 10 * time.Second
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	failed := cmd.Run()
	if cmd.ProcessState == nil {
		p.t.Fatal(failed)
	}
	if errors.Is(failed, exec.ErrWaitDelay) {
		p.t.Errorf("%q: somebody holds its output", words)
	}
	text := out.String() + err.String()
	p.t.Logf("upkeep %s  -> %d\n%s", strings.Join(words, " "), cmd.ProcessState.ExitCode(), text[:min(len(text), 1000)])
	return out.String(), err.String(), cmd.ProcessState.ExitCode()
}

// must runs the command, which is to succeed.
func (p *person) must(words ...string) string {
	p.t.Helper()
	out, err, status := p.call(words...)
	if status != 0 {
		p.t.Fatalf("%q: status %d\n%s%s", words, status, out, err)
	}
	return out
}

// program is how one program is.
func (p *person) program(name string) upkeep.Process {
	p.t.Helper()
	out, _, _ := p.call("status", "-o", "json") // its status says that not all run
	var list []upkeep.Process
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		var one struct{ Items []upkeep.Process }
		if err := json.Unmarshal([]byte(out), &one); err != nil {
			p.t.Fatalf("%v: %s", err, out)
		}
		list = one.Items
	}
	for i := range list {
		if list[i].Name == name {
			return list[i]
		}
	}
	p.t.Fatalf("there is no %s: %s", name, out)
	return upkeep.Process{}
}

// until looks until something is so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

// handle is a process that is known to be what it is, until the test ends.
func handle(t *testing.T, pid int) windows.Handle {
	t.Helper()
	h, err := windows.OpenProcess(windows.SYNCHRONIZE|windows.PROCESS_TERMINATE, false, uint32(pid))
	if err != nil {
		t.Fatalf("process %d: %v", pid, err)
	}
	t.Cleanup(func() { _ = windows.CloseHandle(h) })
	return h
}

// gone waits until a process has ended.
func gone(t *testing.T, what string, h windows.Handle) {
	t.Helper()
	if event, err := windows.WaitForSingleObject(h, uint32(patience/time.Millisecond)); event != windows.WAIT_OBJECT_0 {
		t.Errorf("%s has not ended: %d, %v", what, event, err)
	}
}

// TestPerson: a person without any configuration adds a program, sees it run, reads what it writes, has it come back after
// a crash, and stops it with all that it has started.
func TestPerson(t *testing.T) {
	p := newPerson(t)
	if out, err, status := p.call("daemon", "status"); status == 0 || !strings.Contains(err, `\\.\pipe\`) {
		t.Errorf("nobody runs: %d %s%s", status, out, err)
	}
	p.must("add", "web", "--", p.self, "play", "tree")
	web := p.program("web")
	if web.State != "RUNNING" || web.PID == nil {
		t.Fatalf("%+v", web)
	}
	if out := p.must("daemon", "status"); !strings.Contains(out, `\\.\pipe\`) {
		t.Error(out)
	}
	p.must("doctor")
	children := func() (pids []int) {
		for line := range strings.Lines(p.must("logs", "web", "-n", "all", "--grep", "^child ")) {
			if _, word, ok := strings.Cut(line, "child "); ok {
				pid, err := strconv.Atoi(strings.TrimSpace(word))
				if err != nil {
					t.Fatal(err)
				}
				pids = append(pids, pid)
			}
		}
		return pids
	}
	until(t, "the program's lines", func() bool {
		return len(children()) == 1 && strings.Contains(p.must("logs", "web"), "tick")
	})

	first, itsChild := handle(t, *web.PID), handle(t, children()[0])
	if err := windows.TerminateProcess(first, 7); err != nil {
		t.Fatal(err)
	}
	until(t, "its next run", func() bool {
		web = p.program("web")
		return web.State == "RUNNING" && web.PID != nil && web.Run > 1
	})
	if out := p.must("logs", "--daemon", "-n", "all"); !strings.Contains(out, "exited: web (exit status 7; not expected)") {
		t.Errorf("how it ended: %s", out)
	}
	_ = windows.TerminateProcess(itsChild, 0) // what a crash leaves is the program's own

	until(t, "the child of the next run", func() bool { return len(children()) == 2 })
	second, itsChild := handle(t, *web.PID), handle(t, children()[1])
	p.must("stop", "web")
	gone(t, "the program", second)
	gone(t, "its child", itsChild)
	if web = p.program("web"); web.State != "STOPPED" || web.PID != nil {
		t.Errorf("%+v", web)
	}
	p.must("start", "web")
	third := handle(t, *p.program("web").PID)
	p.must("rm", "web", "--yes")
	gone(t, "the program", third)

	p.must("add", "tick", "--", p.self, "play", "tick")
	tick := handle(t, *p.program("tick").PID)
	p.must("daemon", "stop", "--yes")
	gone(t, "the program", tick)
	if _, _, status := p.call("daemon", "status"); status == 0 {
		t.Error("the daemon runs on")
	}
	p.must("daemon", "start") // and again, with what there was
	until(t, "the program that is on", func() bool { return p.program("tick").State == "RUNNING" })
}

// TestLogon: the entry for the logon is written, found, and removed.
func TestLogon(t *testing.T) {
	p := newPerson(t)
	value := func() string {
		k, err := registry.OpenKey(registry.CURRENT_USER, `Software\Microsoft\Windows\CurrentVersion\Run`, registry.QUERY_VALUE)
		if err != nil {
			return ""
		}
		defer k.Close()
		s, _, err := k.GetStringValue("upkeep")
		if err != nil {
			return ""
		}
		return s
	}
	if value() != "" {
		t.Skip("this person has an entry")
	}
	if _, _, status := p.call("boot", "status"); status != 3 {
		t.Errorf("status before: %d", status)
	}
	p.must("boot", "enable", "--at", "login", "--yes")
	if v := value(); !strings.Contains(v, filepath.Base(p.self)) || !strings.HasSuffix(v, " daemon start") {
		t.Errorf("the value is %q", v)
	}
	if out := p.must("boot", "status"); !strings.Contains(out, "windows-logon") {
		t.Error(out)
	}
	p.must("boot", "disable", "--yes")
	if v := value(); v != "" {
		t.Errorf("the value is still there: %q", v)
	}
	if _, _, status := p.call("boot", "status"); status != 3 {
		t.Errorf("status after: %d", status)
	}
}

// wine reports whether this is no real Windows: the test may change what belongs to the machine.
func wine() bool {
	return windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
}

// TestService: the instance of the machine as a service, from its entry to its end.
func TestService(t *testing.T) {
	if !wine() && os.Getenv("UPKEEP_TEST_SERVICE") == "" {
		t.Skip("it would make a service on this machine; UPKEEP_TEST_SERVICE=1 permits that")
	}
	p := newPerson(t)
	m, err := mgr.Connect()
	if err != nil {
		t.Skipf("services are not for this user: %v", err)
	}
	defer func() { _ = m.Disconnect() }()
	state := func() svc.State {
		s, err := m.OpenService("upkeep")
		if err != nil {
			return 0
		}
		defer s.Close()
		st, err := s.Query()
		if err != nil {
			t.Fatal(err)
		}
		return st.State
	}
	if state() != 0 {
		t.Skip("this machine has the service")
	}
	if _, text, status := p.call("boot", "enable", "--yes"); status == 0 || !strings.Contains(text, "--system") {
		t.Errorf("a person's programs as LocalSystem: %d %s", status, text)
	}
	t.Cleanup(func() {
		s, err := m.OpenService("upkeep")
		if err != nil {
			return
		}
		defer s.Close()
		_, _ = s.Control(svc.Stop)
		_ = s.Delete()
	})
	p.must("--system", "boot", "enable", "--yes")
	until(t, "the service to run", func() bool { return state() == svc.Running })
	p.must("--system", "boot", "status")
	until(t, "the service to answer", func() bool {
		_, _, status := p.call("--system", "daemon", "status")
		return status == 0
	})
	p.must("--system", "add", "tick", "--", p.self, "play", "tick")
	out := p.must("--system", "status", "-o", "json")
	if !strings.Contains(out, `"RUNNING"`) {
		t.Error(out)
	}
	p.must("--system", "rm", "tick", "--yes")
	s, err := m.OpenService("upkeep")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Control(svc.Stop); err != nil {
		t.Fatal(err)
	}
	until(t, "the service to stop", func() bool { return state() == svc.Stopped })
	p.must("--system", "boot", "disable", "--yes") // while somebody looks at it
	if _, _, status := p.call("--system", "boot", "status"); status != 3 {
		t.Errorf("status after: %d", status)
	}
	_ = s.Close() // now it goes
	until(t, "the service to be gone", func() bool { return state() == 0 })
}
