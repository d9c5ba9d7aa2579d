package streams

import (
	"testing"
	"time"
)

// TestGather: bytes that keep coming are left alone for as long as those who wait for them allow, but never so long that
// the pipe is full; the first after a pause never.
func TestGather(t *testing.T) {
	const ms = time.Millisecond
	asked := 0
	allow := ms / 2
	p := &Pump{began: time.Now().Add(-time.Hour)}
	s := &Stream{p: p, out: output{prompt: true, gather: func() time.Duration { asked++; return allow }}}
	s.capacity, s.initial = 64<<10, 64<<10
	look := func(what string, after time.Duration, avail int, want time.Duration, asks int) {
		t.Helper()
		asked = 0
		start := p.began.Add(s.rested + after) // as if no time had passed in between
		if got := s.pace(avail, avail, 0, start).Round(10 * time.Microsecond); got != want || asked != asks {
			t.Errorf("%s: %v, asked %d times; want %v, %d", what, got, asked, want, asks)
		}
	}
	look("the first", time.Hour, 100, 0, 0)
	look("the next", 5*ms, 100, ms/2, 1)
	look("after a pause", 21*ms, 100, 0, 0)
	allow = 0
	look("who has nothing else to do", 5*ms, 100, 0, 1)
	allow = ms / 2
	look("half full", 5*ms, 32<<10, 0, 0)
	s.rate = 0
	look("half full in a millisecond", ms, 32<<10-1, 500*time.Microsecond, 1)
	s.rate = 0
	look("four times as fast", ms/4, 32<<10-1, 130*time.Microsecond, 1) // 125
}

// TestSecondPipeIsPaced: a program with a second pipe is left alone between its pieces, too, if there is time for that.
func TestSecondPipeIsPaced(t *testing.T) {
	const ms = time.Millisecond
	p := &Pump{began: time.Now().Add(-time.Hour)}
	s := &Stream{p: p}
	s.capacity, s.initial, s.rested = 1<<20, 64<<10, time.Minute
	s.x = &extra{}
	for _, c := range []struct {
		after time.Duration
		avail int
		stays bool
		want  time.Duration
	}{
		{5 * ms, 500_000, false, 2600 * time.Microsecond}, // 100 MB/s: half full in 5.2 ms
		{5 * ms, 500_000, true, 0},
		{ms, 300_000, false, 0},       // 300 MB/s
		{5 * ms, 512 << 10, false, 0}, // half full: it may have been waiting
	} {
		s.rate, s.stays = 0, c.stays
		if got := s.pace(c.avail, c.avail, 0, p.began.Add(s.rested+c.after)).Round(100 * time.Microsecond); got != c.want {
			t.Errorf("%d bytes after %v: %v, want %v", c.avail, c.after, got, c.want)
		}
	}
}
