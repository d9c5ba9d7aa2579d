package supervisord

import (
	"os"
	"testing"
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
