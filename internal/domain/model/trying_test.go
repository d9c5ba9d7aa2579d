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

// TestWait: the wait grows with the attempts, is at least the delay, and where attempts never end a minute at most.
func TestWait(t *testing.T) {
	for _, c := range []struct {
		p     StartPolicy
		tries int
		want  time.Duration
	}{
		{StartPolicy{Retries: 3}, 0, 0},
		{StartPolicy{Retries: 3}, 2, 2 * time.Second},
		{StartPolicy{Retries: 1000}, 900, 900 * time.Second},
		{StartPolicy{Retries: Endless}, 900, time.Minute},
		{StartPolicy{Retries: Endless, Delay: time.Hour}, 900, time.Hour},
		{StartPolicy{Delay: 5 * time.Second}, 0, 5 * time.Second},
		{StartPolicy{Delay: 5 * time.Second}, 7, 7 * time.Second},
	} {
		if got := c.p.Wait(c.tries); got != c.want {
			t.Errorf("%+v after %d: %v, want %v", c.p, c.tries, got, c.want)
		}
		failed := time.Unix(1000, 0)
		st := Status{Program: &Program{Start: c.p}, State: Backoff, Start: failed, Tries: c.tries}
		if got := NextTry(st).Sub(failed); got != c.want {
			t.Errorf("%+v after %d: the next try is %v later, want %v", c.p, c.tries, got, c.want)
		}
	}
}
