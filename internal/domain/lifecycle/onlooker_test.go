package lifecycle

import (
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// stepper is the machine under test: (*Machine).Step, or a planted bug around it.
type stepper func(m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action

func realStep(m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action {
	return m.Step(p, now, ev, out)
}

// world is a machine and what an onlooker knows of its surroundings from the events and actions alone.
// The onlooker never looks into the machine. It is a comparable value.
type world struct {
	m Machine

	state    model.State
	gen      uint64 // the last one ordered
	spawning bool   // ordered and not answered
	live     bool
	born     time.Duration // when live
	armed    bool
	epoch    uint64 // the last one armed
	due      time.Duration
	failed   int           // failed attempts in a row
	failedAt time.Duration // in BACKOFF
	down     bool          // ordered to be down, and no order to start since
	again    bool          // ordered to start while stopping
	draining bool
	signaled bool          // the stop signal is sent
	signalAt time.Duration // when, until the first KILL
	killed   bool
	killAt   time.Duration // the last KILL
}

// fresh reports whether the event is about the present: the answer to the spawn under way, news of the
// living process, the timer in force. Orders always are.
func (w *world) fresh(ev Event) bool {
	switch ev.Kind {
	case Spawned, SpawnFailed:
		return w.spawning && ev.Gen == w.gen
	case Ended, SignalFailed:
		return w.live && ev.Gen == w.gen
	case Timer:
		return w.armed && ev.Epoch == w.epoch
	}
	return true
}

// resting are the states in which nothing is to exist and nothing to happen by itself.
func resting(s model.State) bool { return s == model.Stopped || s == model.Exited || s == model.Fatal }

// hear takes notice of an event.
func (w *world) hear(p *Policy, now time.Duration, ev Event) {
	if !w.fresh(ev) {
		return
	}
	switch ev.Kind {
	case Start:
		if w.draining {
			return
		}
		w.down = false
		w.again = w.state == model.Stopping
		if resting(w.state) {
			w.failed = 0
		}
	case Stop, Quit:
		w.down = w.down || w.state != model.Unknown // there the order is refused: spec/supervisor 2.7
		w.again = false
		w.draining = w.draining || ev.Kind == Quit
	case Drain:
		w.draining, w.again = true, false
	case Spawned:
		w.spawning, w.live, w.born = false, true, now
	case SpawnFailed:
		w.spawning = false
		w.fail(now)
	case Ended:
		quick := w.state == model.Starting && now-w.born < p.Start.Secs
		w.live, w.born = false, 0
		if quick {
			w.fail(now)
		}
	case Timer:
		w.armed, w.due = false, 0
	case SignalFailed:
		if w.state == model.Stopping {
			w.down = false // whoever ordered the stop has been told that it failed
		}
	}
}

func (w *world) fail(now time.Duration) {
	if w.state == model.Starting {
		w.failed++
		w.failedAt = now
	}
}

// see takes notice of an action.
func (w *world) see(now time.Duration, a Action) {
	switch a.Do {
	case Enter:
		w.enter(a.To)
	case Spawn:
		w.spawning, w.gen = true, a.Gen
	case Send:
		if w.signaled {
			w.killed, w.killAt, w.signalAt = true, now, 0
		} else {
			w.signaled, w.signalAt = true, now
		}
	case Arm:
		w.armed, w.epoch, w.due = true, a.Epoch, a.At
	case Disarm:
		w.armed, w.due = false, 0
	}
}

func (w *world) enter(to model.State) {
	if w.state == model.Stopping {
		w.signaled, w.signalAt, w.killed, w.killAt = false, 0, false, 0
		if w.again && to == model.Stopped {
			w.failed = 0
		}
	}
	if to == model.Running || to == model.Exited || to == model.Fatal {
		w.failed = 0
	}
	if to != model.Backoff {
		w.failedAt = 0
	}
	w.state = to
}

// seen is one step with everything that the onlooker noticed of it.
type seen struct {
	p      *Policy
	now    time.Duration
	ev     Event
	fresh  bool
	before world
	acts   []Action
	at     [16]world // at[i] is the world before action i, the event heard
	after  world     // with the machine as the step left it
	same   bool      // a second run of the step gave the same
}

// maxActs is more than any step may answer.
const maxActs = len(seen{}.at) - 1

// observe runs one step and watches it.
func observe(step stepper, s *seen, p *Policy, now time.Duration, w world, ev Event, room []Action) {
	s.p, s.now, s.ev, s.before = p, now, ev, w
	s.fresh = w.fresh(ev)
	m := w.m
	s.acts = step(&m, p, now, ev, room[:0])
	w.hear(p, now, ev)
	for i, a := range s.acts[:min(len(s.acts), maxActs)] {
		s.at[i] = w
		w.see(now, a)
	}
	s.after = w
	s.after.m = m
	s.after.again = w.again && w.state == model.Stopping // fulfilled or void once the stop is over
	m2 := s.before.m
	var again [maxActs]Action
	second := step(&m2, p, now, ev, again[:0])
	s.same = m2 == m && len(second) == len(s.acts)
	for i := range second {
		s.same = s.same && second[i] == s.acts[i]
	}
}

// count is how many actions of a kind there are.
func (s *seen) count(do Do) (n int) {
	for _, a := range s.acts {
		if a.Do == do {
			n++
		}
	}
	return n
}

// entered reports whether the step entered the state.
func (s *seen) entered(to model.State) bool {
	for _, a := range s.acts {
		if a.Do == Enter && a.To == to {
			return true
		}
	}
	return false
}

// each reports whether all actions of a kind satisfy ok, given the world just before them.
func (s *seen) each(do Do, ok func(w *world, a Action) bool) bool {
	for i, a := range s.acts[:min(len(s.acts), maxActs)] {
		if a.Do == do && !ok(&s.at[i], a) {
			return false
		}
	}
	return true
}

// quick reports that a process ended before its start was confirmed.
func (s *seen) quick() bool {
	return s.ev.Kind == Ended && s.fresh && s.before.state == model.Starting && s.now-s.before.born < s.p.Start.Secs
}

// expected is the meaning of the exit code, read from the list itself.
func (s *seen) expected() bool {
	for _, c := range s.p.Exit.Codes {
		if c == s.ev.Code {
			return true
		}
	}
	return false
}

// restarts is the restart policy for the exit code. Source: spec/supervisor 2.4.
func (s *seen) restarts() bool {
	switch s.p.Exit.Restart {
	case model.RestartAlways:
		return true
	case model.RestartUnexpected:
		return !s.expected()
	}
	return false
}
