package lifecycle

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// history is one program with tiny surroundings of its own: a clock, a queue of what is on its way, and a
// process that lives as long as chance says. The same seed gives the same history.
type history struct {
	rnd   *rand.Rand
	p     *Policy
	rules []rule
	w     world
	now   time.Duration
	queue []later // what is on its way
	trace uint64
	steps int
	said  [model.NumStates]int
	room  []Action
	obs   seen
}

// later is an event on its way. Two at the same time come in the order in which they were sent.
type later struct {
	at time.Duration
	ev Event
}

func newHistory(seed uint64, rules []rule) *history {
	h := &history{rnd: rand.New(rand.NewPCG(seed, 0x75706b656570)), rules: rules, room: make([]Action, 0, maxActs)}
	pick := func(of ...time.Duration) time.Duration { return of[h.rnd.IntN(len(of))] }
	reach := func() model.Reach { return model.Reach(h.rnd.IntN(3)) }
	h.p = &Policy{
		Start: model.StartPolicy{
			Secs: pick(0, time.Millisecond, time.Second, 2500*time.Millisecond), Retries: []int{0, 1, 2, 3, 4, 5, model.Endless}[h.rnd.IntN(7)],
			Delay: pick(0, 0, time.Millisecond, 2500*time.Millisecond), Timeout: pick(0, time.Millisecond, time.Second, 10*time.Second),
		},
		Checked: h.rnd.IntN(3) == 0,
		Stop:    model.StopPolicy{Signal: 1 + h.rnd.IntN(31), Wait: pick(0, time.Millisecond, time.Second, 10*time.Second), Reach: reach(), KillReach: reach()},
		Exit:    model.ExitPolicy{Restart: model.Restart(h.rnd.IntN(3)), Codes: [][]int{nil, {0}, {0, 2}}[h.rnd.IntN(3)]},
	}
	return h
}

// span is a random time: often nothing, mostly milliseconds, at times seconds.
func (h *history) span() time.Duration {
	switch h.rnd.IntN(8) {
	case 0:
		return 0
	case 1, 2:
		return time.Duration(h.rnd.Int64N(int64(15 * time.Second)))
	case 3:
		return []time.Duration{time.Second, 2500 * time.Millisecond, 10 * time.Second}[h.rnd.IntN(3)]
	}
	return time.Duration(h.rnd.Int64N(int64(20 * time.Millisecond)))
}

func (h *history) send(after time.Duration, ev Event) {
	h.queue = append(h.queue, later{h.now + after, ev})
}

// next takes the earliest event off the queue.
func (h *history) next() Event {
	first := 0
	for i, l := range h.queue {
		if l.at < h.queue[first].at {
			first = i
		}
	}
	l := h.queue[first]
	h.queue = append(h.queue[:first], h.queue[first+1:]...)
	h.now = max(h.now, l.at)
	return l.ev
}

// do applies one event, holds the rules, and lets the surroundings answer.
func (h *history) do(ev Event) error {
	observe(realStep, &h.obs, h.p, h.now, h.w, ev, h.room)
	s := &h.obs
	for i := range h.rules {
		if !h.rules[i].holds(s) {
			return fmt.Errorf("step %d at %s: %s: %s → %s\nbefore %+v\nafter %+v", h.steps, h.now, h.rules[i].name,
				describe(ev), describeAll(s.acts), s.before, s.after)
		}
	}
	h.w = s.after
	h.steps++
	h.record(ev)
	for _, a := range s.acts {
		h.answer(a)
	}
	if (ev.Kind == Spawned || ev.Kind == Found) && s.fresh {
		for _, kind := range []Kind{Proved, StartFailed, Bounce, Moved, Released} {
			if h.rnd.IntN(6) == 0 || kind == Proved && h.rnd.IntN(2) == 0 {
				h.send(h.span(), Event{Kind: kind, Gen: ev.Gen})
			}
		}
		h.send(h.span(), Event{Kind: Ended, Gen: ev.Gen, Code: []int{0, 1, 2, -1}[h.rnd.IntN(4)]})
	}
	return nil
}

// answer is what the surroundings do about an action. Answers are late, timers early, and some come twice.
func (h *history) answer(a Action) {
	switch a.Do {
	case Enter:
		h.said[a.To]++
	case Spawn:
		kind := Spawned
		switch h.rnd.IntN(8) {
		case 0, 1:
			kind = SpawnFailed
		case 2:
			kind = Found
		}
		ev := Event{Kind: kind, Gen: a.Gen}
		if kind == Found {
			ev.Since = h.now - h.span()
		}
		h.send(h.span()/100, ev)
		if h.rnd.IntN(10) == 0 {
			h.send(h.span(), ev)
		}
	case Arm:
		wait := a.At - h.now
		switch h.rnd.IntN(8) {
		case 0:
			wait -= wait / 4 // early
		case 1:
			wait += h.span() / 100 // late
		}
		h.send(wait, Event{Kind: Timer, Epoch: a.Epoch})
	case Send:
		switch {
		case h.rnd.IntN(8) == 0:
			h.send(0, Event{Kind: SignalFailed, Gen: a.Gen})
		case a.Signal == sigKill || h.rnd.IntN(2) == 0:
			h.send(h.span()/100, Event{Kind: Ended, Gen: a.Gen, Code: -1})
		}
	}
}

// record adds a step to the trace.
func (h *history) record(ev Event) {
	hash := fnv.New64a()
	fmt.Fprint(hash, h.trace, h.now, ev, h.obs.acts, h.w.m)
	h.trace = binary.BigEndian.Uint64(hash.Sum(nil))
}

// run lets a number of events happen, with orders now and then, and then ends the daemon.
func (h *history) run(events int) error {
	for range events {
		ev := Event{Kind: []Kind{Start, Start, Start, Stop}[h.rnd.IntN(4)]}
		switch {
		case len(h.queue) > 0 && h.rnd.IntN(5) > 0:
			ev = h.next()
		case h.rnd.IntN(10) == 0: // news of the past
			ev = Event{Kind: Kind(h.rnd.IntN(NumKinds-int(Spawned)) + int(Spawned)), Gen: h.w.gen - 1, Epoch: h.w.epoch - 1}
		default:
			h.now += h.span()
		}
		if err := h.do(ev); err != nil {
			return err
		}
	}
	for _, order := range []Kind{Drain, Quit} {
		if err := h.do(Event{Kind: order}); err != nil {
			return err
		}
	}
	for range 10 * (events + 10) {
		if resting(h.w.state) && len(h.queue) == 0 {
			return nil
		}
		if len(h.queue) == 0 {
			return fmt.Errorf("still %s and nothing is on its way", h.w.state)
		}
		if err := h.do(h.next()); err != nil {
			return err
		}
	}
	return fmt.Errorf("still %s a long time after the end: %+v", h.w.state, h.w)
}

// TestHistories: long random histories keep every rule, and all of them come to rest.
func TestHistories(t *testing.T) {
	count, length := 600, 500
	if testing.Short() {
		count = 60
	}
	rules := allRules(newTable(t))
	var said [model.NumStates]int
	for seed := range uint64(count) {
		h := newHistory(seed, rules)
		if err := h.run(length); err != nil {
			t.Fatalf("seed %d, %s: %v", seed, h.p.describe(), err)
		}
		for s, n := range h.said {
			said[s] += n
		}
	}
	for s, n := range said {
		if n < count {
			t.Errorf("%s was entered only %d times in %d histories: they are not varied enough", model.State(s), n, count)
		}
	}
}

// TestSameSeedSameHistory: nothing but the seed decides what happens.
func TestSameSeedSameHistory(t *testing.T) {
	rules := allRules(newTable(t))
	traces := make(map[uint64]uint64)
	for seed := range uint64(40) {
		var first *history
		for range 2 {
			h := newHistory(seed, rules)
			if err := h.run(300); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if first == nil {
				first = h
				continue
			}
			if h.trace != first.trace || h.steps != first.steps || h.w != first.w {
				t.Errorf("seed %d gave two histories", seed)
			}
		}
		if other, dup := traces[first.trace]; dup {
			t.Errorf("seeds %d and %d gave the same history", seed, other)
		}
		traces[first.trace] = seed
	}
}
