package oom

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestKills(t *testing.T) {
	for name, c := range map[string]struct {
		file, text string
		want       int
	}{
		"version 2":   {"memory.events", "low 0\nhigh 0\nmax 12\noom 4\noom_kill 4\noom_group_kill 0\n", 4},
		"version 1":   {"memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n", 1},
		"none":        {"memory.events", "low 0\noom_kill 0\n", 0},
		"no number":   {"memory.events", "oom_kill x\noom_kill -3\n", 0},
		"other names": {"memory.stat", "oom_kill 3\n", 0},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := Kills(dir); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	if Kills("") != 0 || Kills("/nothing/here") != 0 {
		t.Error("kills where there is no group")
	}
}

// records gives one record at a time, like the kernel, with the errors in between.
func records(list ...any) func([]byte) (int, error) {
	return func(b []byte) (int, error) {
		if len(list) == 0 {
			return 0, unix.EAGAIN
		}
		next := list[0]
		list = list[1:]
		if err, ok := next.(error); ok {
			return -1, err
		}
		return copy(b, next.(string)), nil
	}
}

func TestLogged(t *testing.T) {
	const (
		global = "6,339,5000000,-;Out of memory: Killed process 77 (model) total-vm:1kB, anon-rss:2kB, UID:0\n SUBSYSTEM=x\n"
		group  = "3,340,6000000,-;Memory cgroup out of memory: Killed process 78 (model) total-vm:1kB\n"
		old    = "3,341,7000000,-;Out of memory: Kill process 79 (model) score 1 or sacrifice child\n"
		other  = "6,342,8000000,-;process 80 said: Killed process 80\n"
	)
	for _, c := range []struct {
		pid  int
		from time.Duration
		want bool
	}{
		{77, 0, true},
		{77, 5 * time.Second, true},
		{77, 6 * time.Second, false},
		{7, 0, false},
		{777, 0, false},
		{78, 0, true},
		{79, 0, true},
		{80, 0, false},
	} {
		next := records("garbage", ";", "1,2,x;y", unix.EPIPE, global, group, old, other)
		if got := logged(next, c.pid, c.from); got != c.want {
			t.Errorf("%d from %v: %v", c.pid, c.from, got)
		}
	}
	if killed, _ := Logged(os.Getpid(), time.Now().Add(-time.Hour)); killed {
		t.Error("this very process was killed")
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add("6,339,5000000,-;Out of memory: Killed process 77 (model)")
	f.Fuzz(func(t *testing.T, s string) {
		if r, ok := parseRecord(s); ok && r.at < 0 {
			t.Errorf("%q is before the boot", s)
		} else if ok {
			r.kills(1)
		}
	})
}
