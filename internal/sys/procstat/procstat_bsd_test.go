//go:build darwin || freebsd

package procstat

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"
)

func TestLookAtOurselves(t *testing.T) {
	s, err := Look(os.Getpid())
	if err != nil || s.PPID != os.Getppid() || s.StartTicks == 0 || s.Dead() || s.Kernel || s.PGRP != syscall.Getpgrp() {
		t.Fatalf("%+v, %v", s, err)
	}
	if d, err := Age(s.StartTicks); err != nil || d <= 0 || d > time.Hour {
		t.Errorf("age %v, %v", d, err)
	}
	if u, err := Usage(os.Getpid()); err != nil || u.Memory <= 0 || u.Threads < 1 || u.Age <= 0 {
		t.Errorf("%+v, %v", u, err)
	}
	if argv, err := Cmdline(os.Getpid()); err != nil || !slices.Equal(argv, os.Args) {
		t.Errorf("%q, %v", argv, err)
	}
	if _, err := Look(1 << 30); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("nobody: %v", err)
	}
}

// What has ended shows its status until it is reaped.
func TestLookAtTheDead(t *testing.T) {
	c := exec.Command("/bin/sh", "-c", "exit 7")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	pid := c.Process.Pid
	var s Sight
	for end := time.Now().Add(10 * time.Second); !s.Dead() && time.Now().Before(end); time.Sleep(time.Millisecond) {
		s, _ = Look(pid)
	}
	if !s.Dead() || s.Raw != 7<<8 {
		t.Errorf("%+v", s)
	}
	if kids, err := Children(os.Getpid()); err != nil || !slices.Contains(kids, pid) {
		t.Errorf("children %v, %v", kids, err)
	}
	_ = c.Wait()
	if _, err := Look(pid); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("after it was reaped: %v", err)
	}
}

func TestEnviron(t *testing.T) {
	c := exec.Command(os.Args[0], "-test.run=^$", "-test.timeout=1h")
	c.Env = []string{"UPKEEP_TEST_MARK=here"}
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	env, err := Environ(c.Process.Pid)
	_ = c.Wait()
	if err == nil && len(env) > 0 && !slices.Contains(env, "UPKEEP_TEST_MARK=here") {
		t.Errorf("%q", env)
	}
}
