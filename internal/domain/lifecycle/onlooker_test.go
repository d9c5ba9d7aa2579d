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
	unproved bool          // STARTING: the checks of the start have not passed
	failing  bool          // STOPPING since the start has failed
	bouncing bool          // STOPPING for a check, to be started by itself
	resend   bool          // the next signal is the first one of another process
}

// fresh reports whether the event is about the present: the answer to the spawn under way, news of the
// living process, the timer in force. Orders always are.
func (w *world) fresh(ev Event) bool {
	switch ev.Kind {
	case Spawned, SpawnFailed, Found:
		return w.spawning && ev.Gen == w.gen
	case Ended, SignalFailed, Proved, StartFailed, Bounce, Moved, Released:
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
		if w.draining || p.Masked {
			return
		}
		w.down, w.failing, w.bouncing = false, false, false
		w.again = w.state == model.Stopping
		if resting(w.state) {
			w.failed = 0
		}
	case Stop, Quit:
		w.down = w.down || w.state != model.Unknown // there the order is refused: spec/supervisor 2.7
		w.again, w.failing, w.bouncing = false, false, false
		w.draining = w.draining || ev.Kind == Quit
	case Drain:
		w.draining, w.again, w.bouncing = true, false, false
	case Spawned:
		w.spawning, w.live, w.born = false, true, now
		w.unproved = p.Checked && w.state == model.Starting
	case Found:
		w.spawning, w.live, w.born = false, true, ev.Since
	case SpawnFailed:
		w.spawning = false
		w.fail(now)
	case Ended:
		failed := w.failing || w.state == model.Starting && (w.unproved || now-w.born < p.Start.Secs)
		w.live, w.born, w.unproved = false, 0, false
		if failed {
			w.fail(now)
		}
	case Timer:
		if w.due <= now && w.unproved {
			w.unproved, w.failing = false, true
		}
		w.armed, w.due = false, 0
	default:
		w.hearLiving(p, ev.Kind)
	}
}

// hearLiving takes notice of what happens to a living process and does not end it.
func (w *world) hearLiving(p *Policy, kind Kind) {
	switch kind {
	case Proved:
		w.unproved = false
	case StartFailed:
		w.failing = w.failing || w.unproved
		w.unproved = false
	case Bounce:
		w.bouncing = w.bouncing || w.state == model.Running && !w.draining && !p.Masked
	case Moved:
		w.resend = w.state == model.Stopping
	case Released:
		w.live, w.born, w.unproved, w.failed = false, 0, false, 0
		w.down, w.again, w.failing, w.bouncing = true, false, false, false
	case SignalFailed:
		if w.state == model.Stopping {
			w.down, w.failing, w.bouncing = false, false, false // whoever ordered the stop has been told that it failed
		}
	}
}

func (w *world) fail(now time.Duration) {
	if w.state == model.Starting || w.failing {
		w.failed++
		w.failedAt = now
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// wait is how long BACKOFF lasts. Source: spec/supervisor 2.4; restart_delay; a minute at most where attempts never end.
func wait(p *Policy, failed int) time.Duration {
	out := time.Duration(failed) * time.Second
	if p.Start.Retries == model.Endless {
		out = min(out, time.Minute)
	}
	return max(out, p.Start.Delay)
}

// limited reports whether the attempts are used up after a number of failed ones.
func limited(p *Policy, failed int) bool {
	return p.Start.Retries != model.Endless && failed > p.Start.Retries
}

// see takes notice of an action.
func (w *world) see(now time.Duration, a Action) {
	switch a.Do {
	case Enter:
		w.enter(now, a.To)
	case Spawn:
		w.spawning, w.gen = true, a.Gen
	case Send:
		if w.resend {
			w.resend = false
		} else if w.signaled {
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

func (w *world) enter(now time.Duration, to model.State) {
	if w.state == model.Stopping {
		w.failing = false
		w.signaled, w.signalAt, w.killed, w.killAt = false, 0, false, 0
		if w.again && to == model.Stopped {
			w.failed = 0
		}
	}
	if to == model.Running || to == model.Exited || to == model.Fatal {
		w.failed = 0
	}
	if to != model.Stopped && to != model.Stopping { // after the one something may follow, in the other is the stop
		w.bouncing = false
	}
	w.failedAt, w.unproved = 0, false
	if to == model.Backoff {
		w.failedAt = now
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
	s.after.bouncing = w.bouncing && w.state == model.Stopping
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
	return s.ev.Kind == Ended && s.fresh && s.before.state == model.Starting &&
		(s.before.unproved || s.now-s.before.born < s.p.Start.Secs)
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
