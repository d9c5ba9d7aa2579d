package launch

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/find"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
)

// orphan is a process of the test's user whose parent has ended.
func orphan(t *testing.T, seconds int) find.Process {
	t.Helper()
	out, err := exec.Command("sh", "-c", fmt.Sprintf("sleep %d </dev/null >/dev/null 2>&1 & echo $!", seconds)).Output()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p, err := os.FindProcess(pid); err == nil {
			_ = p.Kill()
		}
	})
	var p find.Process
	until(t, "it sleeps alone", func() bool {
		p, err = find.Read(pid)
		return err == nil && p.Line() == fmt.Sprint("sleep ", seconds)
	})
	return p
}

// TestFiled: the word of a pid file that a program has written counts for a process of that start alone, which descends from
// it as far as that can be told. Source: spec/reliability S17.
func TestFiled(t *testing.T) {
	n := unique()
	v := newVault(t)
	r := newRig(t, func(o *Options) { o.Store, o.Journal = v, v }, nil)
	alone := newRig(t, nil, nil)
	r.launch(r.slots(r.program("own", fmt.Sprint("sleep ", n)))[0])
	instance := r.started("own").PID()
	pid := sleeper(t, n+1, os.Getuid()) // it began after first, and is nobody's
	seen, err := find.Read(pid)
	if err != nil {
		t.Fatal(err)
	}
	lost := orphan(t, n+2)
	long := procfd.Identity{PID: 1 << 30, StartTicks: 1} // what was started began before all of them
	family := func(pid int, ticks uint64) map[int]procfd.Process {
		return map[int]procfd.Process{pid: {PID: pid, StartTicks: ticks}}
	}
	const believed = ""
	for _, tt := range []struct {
		name   string
		host   *Host
		pid    int
		first  procfd.Identity
		leader int
		kin    map[int]procfd.Process
		owner  int // of the file; -1 = us
		want   string
	}{
		{"one that descends from it", r.host, pid, long, 0, family(pid, seen.StartTicks), -1, believed},
		{"one that began later", r.host, pid, long, 0, nil, -1, "does not descend from it"},
		{"one that began later, without a keeper", alone.host, pid, long, 0, nil, -1, "does not descend from it"},
		{"another one with the number of one that descended from it", r.host, pid, long, 0, family(pid, seen.StartTicks+1), -1, "does not descend from it"},
		{"one that began before", r.host, pid, procfd.Identity{StartTicks: seen.StartTicks + 1}, 0, family(pid, seen.StartTicks), -1, "not of this start"},
		{"an instance", r.host, instance, long, 0, nil, -1, "not of this start"},
		{"this process", r.host, os.Getpid(), long, 0, nil, -1, "not of this start"},
		{"the keeper", r.host, os.Getppid(), long, 0, nil, -1, "not of this start"},
		{"the process that has ended", r.host, pid, long, pid, family(pid, seen.StartTicks), -1, "has ended"},
		{"nobody", r.host, 1 << 29, long, 0, nil, -1, "has ended"},
		{"an orphan that would have fallen to us", r.host, lost.PID, long, 0, nil, -1, "does not descend from it"},
		{"an orphan, which falls to the first process", alone.host, lost.PID, long, 0, nil, -1, believed},
		{"in a file of another user", r.host, pid, long, 0, family(pid, seen.StartTicks), 12345, "belongs to another user"},
	} {
		if tt.name == "an orphan, which falls to the first process" && lost.PPID != 1 {
			continue // somebody between takes them
		}
		if tt.owner >= 0 && os.Getuid() != 0 {
			continue // only root gives files away
		}
		p := &model.Program{Command: model.Command{UID: -1}}
		p.Attach.PIDFile = r.path("x.pid")
		if err := os.WriteFile(p.Attach.PIDFile, []byte(strconv.Itoa(tt.pid)), 0o600); err != nil {
			t.Fatal(err)
		}
		if tt.owner >= 0 {
			if err := os.Chown(p.Attach.PIDFile, tt.owner, tt.owner); err != nil {
				t.Fatal(err)
			}
		}
		id, err := tt.host.filed(p, tt.first, tt.leader, tt.kin)
		switch {
		case tt.want == believed && (err != nil || id.PID != tt.pid || id.StartTicks == 0):
			t.Errorf("%s: %+v, %v", tt.name, id, err)
		case tt.want != believed && (err == nil || !strings.Contains(err.Error(), tt.want) || id.PID != 0):
			t.Errorf("%s: %+v, %v, want %q", tt.name, id, err, tt.want)
		}
	}
}

// TestEldest: of a family it is the one at its top, if it lives and is the one that was seen.
func TestEldest(t *testing.T) {
	n := unique()
	a, err := find.Read(sleeper(t, n, os.Getuid()))
	if err != nil {
		t.Fatal(err)
	}
	dead := exec.Command("true") // it is not collected yet
	if err := dead.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dead.Wait() })
	was, err := procfd.Identify(dead.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "it has ended", func() bool {
		_, err := find.Read(dead.Process.Pid)
		return err != nil
	})
	own, err := find.Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	one := func(pid int, ticks uint64) procfd.Process { return procfd.Process{PID: pid, StartTicks: ticks} }
	for name, tt := range map[string]struct {
		kin  []procfd.Process
		want int
	}{
		"one":                        {[]procfd.Process{one(a.PID, a.StartTicks)}, a.PID},
		"one and its parent":         {[]procfd.Process{one(a.PID, a.StartTicks), one(own.PID, own.StartTicks)}, own.PID},
		"one that has ended beside":  {[]procfd.Process{one(a.PID, a.StartTicks), one(dead.Process.Pid, was.StartTicks)}, a.PID},
		"one that has ended":         {[]procfd.Process{one(dead.Process.Pid, was.StartTicks)}, 0},
		"another one of that number": {[]procfd.Process{one(a.PID, a.StartTicks+1)}, 0},
		"nobody":                     {nil, 0},
	} {
		kin := map[int]procfd.Process{}
		for _, p := range tt.kin {
			kin[p.PID] = p
		}
		if id, err := eldest(kin); id.PID != tt.want || (err == nil) != (tt.want != 0) {
			t.Errorf("%s: %+v, %v, want %d", name, id, err, tt.want)
		}
	}
}
