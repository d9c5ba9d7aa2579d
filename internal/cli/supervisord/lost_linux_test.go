package supervisord

import (
	"os"
	"syscall"
	"testing"

	"github.com/upkeep-project/upkeep/client/supervisor"
)

// living are the pids and birth times of programs that are to be there all the time.
func (h *hardy) living() map[string]life {
	out := h.lives("count", "idle")
	for name, l := range out {
		out[name] = life{PID: l.PID, Ticks: l.Ticks} // what the journal knew besides is lost with it
	}
	return out
}

// same checks that they are the same processes, one of each, and that the output goes on.
func (h *hardy) same(before map[string]life) {
	h.t.Helper()
	for name, now := range h.living() {
		if now != before[name] {
			h.t.Errorf("%s: %+v, was %+v", name, now, before[name])
		}
	}
	h.unchanged(h.lives("count", "idle"))
	h.counts()
}

// TestStateIsLost: with the journal and the wishes gone nothing is started a second time, whether the keeper
// lives and knows the programs or they have to be found by their marks (R8).
func TestStateIsLost(t *testing.T) {
	h, before, _ := populate(t, "")
	lives := h.living()
	h.root = t.TempDir() // its own, so that the other tests keep theirs
	h.kill(before.Manager, before.PID, h.spawner(before))
	h.over()
	now := h.begin()
	h.same(lives)
	if err := os.RemoveAll(h.root); err != nil {
		t.Fatal(err)
	}
	h.kill(now.Manager)
	h.same(lives)
	h.down()
}

// TestStartFolderIsDeleted: a daemon comes back, and another version takes its place, also where the folder in which it was
// started is there no more, as that of an old release.
func TestStartFolderIsDeleted(t *testing.T) {
	for name, args := range map[string][]string{"keeper": nil, "one process": {"--no-keeper"}} {
		t.Run(name, func(t *testing.T) {
			h := newHardy(t, "[program:idle]\ncommand=sleep 1000\nstartsecs=0\n")
			var err error
			if h.from, err = os.MkdirTemp(h.dir, "release"); err != nil {
				t.Fatal(err)
			}
			now := h.begin(args...)
			h.state("idle", "RUNNING")
			lives := h.lives("idle")
			if err := os.Remove(h.from); err != nil {
				t.Fatal(err)
			}
			other := func(what string) {
				t.Helper()
				before := now
				now = h.await(what, func(i supervisor.Info) bool { return i.Manager != before.Manager })
				h.unchanged(lives)
			}
			if args == nil {
				h.kill(now.Manager)
				other("another manager answers")
				h.signal(syscall.SIGUSR1)
				other("another version answers")
			} else {
				h.signal(syscall.SIGUSR1)
				h.until("the daemon has executed itself", func() bool { return len(marked("UPKEEP_CONTINUE=1")) > 0 })
				h.await("it answers", func(supervisor.Info) bool { return true })
				h.unchanged(lives)
			}
			if _, err := h.c.ReloadConfig(t.Context()); err != nil {
				t.Error(err)
			}
			if args == nil {
				h.kill(now.PID)
				other("another daemon has taken the keeper's place")
				return
			}
			h.down()
		})
	}
}
