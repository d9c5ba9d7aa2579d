package model

import (
	"testing"
	"time"
)

func TestNextTry(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	after := func(s time.Duration) time.Time { return start.Add(s * time.Second) }
	for _, c := range []struct {
		name string
		st   Status
		want time.Time
	}{
		{"after the first attempt", Status{State: Backoff, Start: start, Stop: after(2), Tries: 1}, after(3)},
		{"after the third", Status{State: Backoff, Start: start, Stop: after(2), Tries: 3}, after(5)},
		{"nothing was forked", Status{State: Backoff, Start: start, Stop: after(-60), Tries: 2}, after(2)},
		{"it has given up", Status{State: Fatal, Start: start, Stop: after(2), Tries: 4}, time.Time{}},
		{"it runs", Status{State: Running, Start: start}, time.Time{}},
	} {
		if got := NextTry(c.st); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
