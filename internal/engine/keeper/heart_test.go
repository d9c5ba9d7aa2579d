package keeper

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestHeart(t *testing.T) {
	tm := Timings{}.filled()
	start := time.Unix(1000, 0)
	at := func(d time.Duration) time.Time { return start.Add(d) }
	h := newHeart(tm)
	if ask, dead := h.tick(at(time.Hour)); ask || dead {
		t.Error("it beats before it is started")
	}
	h.start(start)
	if ask, _ := h.tick(at(tm.PingEvery - 1)); ask {
		t.Error("too early")
	}
	if ask, _ := h.tick(at(tm.PingEvery)); !ask {
		t.Error("no question")
	}
	h.answer(h.number-1, at(tm.PingEvery)) // an old one
	h.answer(h.number+1, at(tm.PingEvery)) // a lie
	if !h.asked {
		t.Error("a wrong answer counts")
	}
	h.answer(h.number, at(11*time.Second))
	if want := at(21 * time.Second); !h.next.Equal(want) {
		t.Errorf("next at %v", h.next.Sub(start))
	}
	h.stop()
	h.answer(h.number, start)
	if ask, dead := h.tick(at(time.Hour)); ask || dead {
		t.Error("it beats after it was stopped")
	}
}

// TestHeartPatience: without an answer the other side is given up after HangAfter, however often it is
// looked at, and never because we were stopped ourselves.
func TestHeartPatience(t *testing.T) {
	tm := Timings{}.filled()
	start := time.Unix(1000, 0)
	for _, step := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond} {
		h := newHeart(tm)
		h.start(start)
		now := start
		for {
			now = now.Add(step)
			if _, dead := h.tick(now); dead {
				break
			}
			if now.Sub(start) > time.Minute {
				t.Fatal("it never gives up")
			}
		}
		if took := now.Sub(start); took < tm.HangAfter || took > tm.HangAfter+(beats+1)*step {
			t.Errorf("steps of %v: given up after %v", step, took)
		}
	}
	h := newHeart(tm)
	h.start(start)
	now := start.Add(tm.PingEvery)
	h.tick(now)
	for i := range beats - 1 {
		now = now.Add(24 * time.Hour) // we were away
		if _, dead := h.tick(now); dead {
			t.Fatalf("given up at absence %d", i)
		}
	}
}

func TestPolicy(t *testing.T) {
	ms := time.Millisecond
	p := policy{t: Timings{}.filled()}
	now := time.Unix(1000, 0)
	var pauses []time.Duration
	for range 12 {
		pauses = append(pauses, p.crashed(now, -1))
	}
	want := []time.Duration{10 * ms, 20 * ms, 40 * ms, 80 * ms, 160 * ms, 320 * ms, 640 * ms, 1280 * ms, 2560 * ms, 5000 * ms, 5000 * ms, 5000 * ms}
	if diff := cmp.Diff(want, pauses); diff != "" {
		t.Error(diff)
	}
	for range 100 {
		if got := p.crashed(now, 9999*ms); got != 5*time.Second {
			t.Fatalf("after a short life: %v", got)
		}
	}
	if got := p.crashed(now, 10*time.Second); got != 10*ms {
		t.Errorf("after a life that counts: %v", got)
	}
	if len(p.crashes) != 5 {
		t.Errorf("%d crashes are remembered", len(p.crashes))
	}
}

func TestPolicySafe(t *testing.T) {
	sec := time.Second
	cases := []struct {
		crashes []time.Duration // ago
		want    bool
	}{
		{nil, false},
		{[]time.Duration{4 * sec, 3 * sec, 2 * sec, 1 * sec}, false},
		{[]time.Duration{60 * sec, 3 * sec, 2 * sec, 1 * sec, 0}, true},
		{[]time.Duration{61 * sec, 3 * sec, 2 * sec, 1 * sec, 0}, false},
		{[]time.Duration{90 * sec, 50 * sec, 40 * sec, 30 * sec, 20 * sec, 10 * sec}, true},
	}
	for _, c := range cases {
		p := policy{t: Timings{}.filled()}
		now := time.Unix(1000, 0)
		for _, ago := range c.crashes {
			p.crashed(now.Add(-ago), -1)
		}
		if got := p.safe(now); got != c.want {
			t.Errorf("%v: %v", c.crashes, got)
		}
		p.forget()
		if p.safe(now) {
			t.Error("it does not forget")
		}
	}
}

func TestTimings(t *testing.T) {
	want := Timings{
		Backoff: 10 * time.Millisecond, BackoffMax: 5 * time.Second, Settled: 10 * time.Second, ReadyWithin: 30 * time.Second,
		LeaveWithin: 30 * time.Second, ClaimWithin: 5 * time.Second, PingEvery: 10 * time.Second, HangAfter: 25 * time.Second,
		SafeCrashes: 5, SafeWindow: 60 * time.Second,
	}
	if diff := cmp.Diff(want, Timings{}.filled()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, want.filled()); diff != "" {
		t.Error(diff)
	}
}
