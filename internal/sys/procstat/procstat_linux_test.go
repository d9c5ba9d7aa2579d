package procstat

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRead(t *testing.T) {
	s, err := Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if s.PID != os.Getpid() || s.PPID != os.Getppid() || s.PGRP != syscall.Getpgrp() || s.StartTicks == 0 || s.Dead() {
		t.Errorf("got %+v", s)
	}
}

// headless tells the test binary to end its first thread alone.
const headless = "PROCSTAT_HEADLESS"

func init() { // in the first thread
	if os.Getenv(headless) != "" {
		_, _, _ = syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0)
	}
}

// TestHeadless: a process whose first thread has ended lives as long as another one does.
func TestHeadless(t *testing.T) {
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), headless+"=1")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var s Stat
	for over := time.Now().Add(time.Minute); s.State != 'Z'; time.Sleep(time.Millisecond) {
		var err error
		if s, err = Read(c.Process.Pid); err != nil || time.Now().After(over) {
			t.Fatal(s, err)
		}
	}
	if s.Dead() || Gone(s.PID) {
		t.Errorf("%+v, and lives", s)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for over := time.Now().Add(time.Minute); !s.Dead(); time.Sleep(time.Millisecond) {
		var err error
		if s, err = Read(c.Process.Pid); err != nil || time.Now().After(over) {
			t.Fatal(s, err)
		}
	}
	if !Gone(s.PID) {
		t.Error("it has ended")
	}
	_ = c.Wait()
}

func TestGone(t *testing.T) {
	c := exec.Command("/bin/true")
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	pid := c.Process.Pid
	if _, err := Read(pid); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("Read: %v", err)
	}
	if _, err := Cmdline(pid); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("Cmdline: %v", err)
	}
	if kids, err := Children(pid); err != nil || len(kids) != 0 {
		t.Errorf("Children: %v, %v", kids, err)
	}
}

func TestChildren(t *testing.T) {
	var want []int
	for range 5 {
		// From several threads: each has a list of its own.
		done := make(chan *exec.Cmd)
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			c := exec.Command("/bin/sleep", "1000")
			if err := c.Start(); err != nil {
				t.Error(err)
			}
			done <- c
		}()
		c := <-done
		defer func() {
			_ = c.Process.Kill()
			_ = c.Wait()
		}()
		want = append(want, c.Process.Pid)
	}
	slices.Sort(want)
	for name, find := range map[string]func(int) ([]int, error){"lists": Children, "scan": childrenByScan} {
		got, err := find(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if line, err := Cmdline(want[0]); err != nil || !slices.Equal(line, []string{"/bin/sleep", "1000"}) {
		t.Errorf("command line %q, %v", line, err)
	}
}

func TestCmdlineEmptyArguments(t *testing.T) {
	c := exec.Command("/bin/sh", "-c", "read x", "", "")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := Cmdline(c.Process.Pid)
	for end := time.Now().Add(5 * time.Second); err == nil && len(line) == 0 && time.Now().Before(end); {
		line, err = Cmdline(c.Process.Pid) // it executes, but the kernel does not show its arguments yet
	}
	if err != nil || !slices.Equal(line, []string{"/bin/sh", "-c", "read x", "", ""}) {
		t.Errorf("command line %q, %v", line, err)
	}
	in.Close()
	_ = c.Wait()
}

func TestBootID(t *testing.T) {
	a, err := BootID()
	if err != nil {
		t.Fatal(err)
	}
	b, err := BootID()
	if err != nil || a != b || len(a) != 36 || strings.TrimSpace(a) != a {
		t.Errorf("boot ids %q and %q, %v", a, b, err)
	}
}

func TestPIDs(t *testing.T) {
	pids, err := PIDs()
	if err != nil || !slices.Contains(pids, os.Getpid()) {
		t.Errorf("%v, %v", pids, err)
	}
}
