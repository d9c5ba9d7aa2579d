package launch

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/core"
)

// TestReaperTakesNoChildOfOurs: strangers are reaped all the time while programs come and go; every program's
// status is its own, and nothing is said of strangers.
func TestReaperTakesNoChildOfOurs(t *testing.T) {
	r := newRig(t, nil, nil)
	stop := make(chan struct{})
	var reaper sync.WaitGroup
	reaper.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				r.host.ReapOrphans()
			}
		}
	})
	const n = 300
	var ps []*model.Program
	for i := range n {
		p := r.program(fmt.Sprint("p", i), fmt.Sprintf("sh -c 'exit %d'", i%250))
		p.IO = model.IOSpec{}
		ps = append(ps, p)
	}
	want := map[string]int{}
	slots := r.slots(ps...)
	for i, s := range slots {
		want[ps[i].ID.Name] = i % 250
		r.launch(s)
	}
	until(t, "all have ended", func() bool { return len(r.all("ended", "")) == n })
	close(stop)
	reaper.Wait()
	for _, e := range r.all("ended", "") {
		if !e.exit.Known || e.exit.Status != want[e.name] || e.exit.Signal != 0 {
			t.Errorf("%s: %+v, want status %d", e.name, e.exit, want[e.name])
		}
	}
	if strings.Contains(r.activity(), "reaped unknown") {
		t.Error("a child of ours was taken for a stranger")
	}
}

func TestStrangersAreReaped(t *testing.T) {
	r := newRig(t, nil, nil)
	r.keep = true // ended, but not released: still ours
	r.launch(r.slots(r.program("ours", "true"))[0])
	ours := r.outcome("ours")
	pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", "exit 5"}, &syscall.ProcAttr{Files: []uintptr{0, 1, 2}})
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("INFO reaped unknown pid %d (exit status 5)\n", pid)
	until(t, "the stranger is reaped", func() bool {
		r.host.ReapOrphans()
		return strings.Contains(r.activity(), want)
	})
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", ours.proc.PID())); err != nil {
		t.Error("an instance that was not released has been reaped")
	}
	if !r.host.Known(ours.proc.PID()) || r.host.Known(pid) {
		t.Error("ours and strangers are mixed up")
	}
	ours.proc.Release()
	if r.host.Known(ours.proc.PID()) {
		t.Error("a released instance is still known")
	}
}

// TestPidOfASuccessor: letting go of an instance does not forget a newer one with the same pid.
func TestPidOfASuccessor(t *testing.T) {
	r := newRig(t, nil, nil)
	r.keep = true
	r.launch(r.slots(r.program("old", "true"))[0])
	old := r.outcome("old").proc
	r.host.pids.set(old.PID(), &instance{}) // as if the pid had been taken between reaping and forgetting
	old.Release()
	if !r.host.Known(old.PID()) {
		t.Error("the successor has been forgotten")
	}
}

var _ Reports = (*core.Core)(nil)
