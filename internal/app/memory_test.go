package app

import (
	"testing"
	"time"
)

// TestGarbage: the heap may grow while much garbage is made, and has its usual bounds again afterwards.
func TestGarbage(t *testing.T) {
	percent := goPercent
	apply := func(n int) int {
		before := percent
		percent = n
		return before
	}
	inUse := uint64(8 << 20)
	g := newGarbage(apply, func() uint64 { return inUse })
	at := time.Unix(1_000_000, 0)
	for _, step := range []struct {
		what  string
		after time.Duration
		inUse uint64
		want  int
	}{
		{"the first", time.Hour, 8 << 20, usualPercent},
		{"much later", rush, 8 << 20, usualPercent},
		{"soon after", rush - 1, 8 << 20, 400},
		{"a little more in use", rush - 1, 9 << 20, 400},
		{"more in use", rush - 1, 16 << 20, 200},
		{"next to nothing in use", rush - 1, 1 << 10, mostPercent},
		{"much in use", rush - 1, 100 << 20, usualPercent},
		{"soon again", rush - 1, 8 << 20, 400},
	} {
		at, inUse = at.Add(step.after), step.inUse
		g.collected(at)
		if percent != step.want {
			t.Errorf("%s: %d, want %d", step.what, percent, step.want)
		}
	}
	g.rested()
	if percent != usualPercent {
		t.Errorf("after a rest: %d", percent)
	}

	percent = 70
	g = newGarbage(apply, func() uint64 { return inUse })
	g.collected(at)
	g.collected(at)
	g.rested()
	if percent != 70 {
		t.Errorf("what somebody has chosen became %d", percent)
	}
}
