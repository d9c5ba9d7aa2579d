// Package lifecycle is the state machine of one program, and nothing else: no operating system, no
// clock, no goroutine. Step takes what happened and returns what to do. It is total (every event is
// legal in every state), deterministic, and allocates nothing of its own; a Machine is a comparable
// value and can be stored as it is.
//
// Stale facts are harmless by construction: timers carry an epoch, processes a generation, and Step
// ignores those that are not the current ones. A timer that comes before its time is armed again.
//
// Source: spec/supervisor 2.3–2.8, with F14–F16 of its section 10 settled (an exit is judged by the time
// at which it happened, an order to start resets the retry counter, a start during a stop follows it).
package lifecycle

import (
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// KillInterval is the least time between two KILLs, whatever the stop wait is.
const KillInterval = time.Second

// Policy is the part of a definition that the machine looks at.
type Policy struct {
	Start   model.StartPolicy
	Stop    model.StopPolicy
	Exit    model.ExitPolicy
	Checked bool // a start has succeeded only when its checks have passed too: Proved
	Masked  bool // it may not be started
}

// PolicyOf is the policy of a program.
func PolicyOf(p *model.Program) Policy {
	return Policy{Start: p.Start, Stop: p.Stop, Exit: p.Exit, Checked: p.Staged(model.StageStartup), Masked: p.Disabled}
}

// Kind is the kind of an event.
type Kind uint8

// The events.
const (
	Start        Kind = iota // an order to start, or the automatic start of a fresh program
	Stop                     // an order to stop
	Drain                    // the daemon ends: no automatic starts from here on
	Quit                     // the daemon ends and it is this program's turn
	Spawned                  // generation Gen runs
	SpawnFailed              // generation Gen could not be started
	Ended                    // generation Gen has ended, with exit code Code
	Timer                    // the timer with this Epoch is due
	SignalFailed             // the signal to generation Gen could not be sent (and it is not gone)
	Found                    // generation Gen is a process that has been running Since: nothing was spawned
	Proved                   // the checks of the start of generation Gen have passed
	StartFailed              // one of them has failed for good
	Bounce                   // generation Gen is to be ended, and the program started by itself
	Moved                    // generation Gen is another process now, which has not been sent what the one before was
	Released                 // generation Gen is a stranger from now on
	NumKinds     int  = iota
)

// Event is what happened.
type Event struct {
	Kind  Kind
	Gen   uint64        // all that are about a generation
	Code  int           // Ended: exit status, -1 after a signal or when nobody knows
	Epoch uint64        // Timer
	Since time.Duration // Found: on the clock of Step's now
}

// Do is the kind of an action.
type Do uint8

// The actions.
const (
	Enter       Do = iota // the state changed: From → To. Announce it
	Spawn                 // start generation Gen; answer with Spawned or SpawnFailed
	Send                  // send Signal with Reach to generation Gen; answer SignalFailed if that fails
	Arm                   // the one timer is due At, with Epoch; it replaces any earlier one
	Disarm                // the timer is void
	SayRunning            // confirmed: it has stayed up
	SayEnded              // the process ended by itself; Expected tells how; after Enter
	SayStopped            // the process ended because it was stopped; after Enter. Not said when none came to be
	SayGaveUp             // no attempts left; after Enter
	SayKill               // it did not end in time; before the Send of the KILL
	SayUnproved           // its checks have not passed in time; before Enter of STOPPING
)

// Action is something to do, in the order given.
type Action struct {
	Do       Do
	From, To model.State   // Enter
	Gen      uint64        // Spawn, Send, SayEnded, SayStopped
	Signal   int           // Send
	Reach    model.Reach   // Send
	At       time.Duration // Arm, on the clock of Step's now
	Epoch    uint64        // Arm
	Tries    int           // Enter: failed attempts in a row, after the change
	Expected bool          // Enter (Exited), SayEnded, SayStopped: the code was an expected one
	TooQuick bool          // SayEnded: it ended before the start was confirmed
}

// Machine is the state of one program. The zero value is a program that was never started.
type Machine struct {
	State    model.State   `json:",omitzero"`
	Armed    bool          `json:",omitzero"` // a timer is in force
	Spawning bool          `json:",omitzero"` // a Spawn is under way and not answered
	Live     bool          `json:",omitzero"` // generation Gen is a living process
	Killing  bool          `json:",omitzero"` // it is being stopped
	Again    bool          `json:",omitzero"` // start it when it has stopped
	Draining bool          `json:",omitzero"` // no automatic starts any more
	Unproved bool          `json:",omitzero"` // STARTING: its checks have not passed
	Failed   bool          `json:",omitzero"` // it is being stopped since its start has failed
	Bouncing bool          `json:",omitzero"` // it is being stopped to be started by itself
	Gen      uint64        `json:",omitzero"` // counts spawn orders; the generation in question
	Epoch    uint64        `json:",omitzero"` // of the timer in force; changes when it is armed or void
	Due      time.Duration `json:",omitzero"` // when, if Armed; else 0
	Started  time.Duration `json:",omitzero"` // when generation Gen was spawned
	Tries    int           `json:",omitzero"` // failed attempts in a row
}

const (
	sigKill = 9
)

// step is one call of Step: the machine, its surroundings, and the actions so far.
type step struct {
	m   *Machine
	p   *Policy
	now time.Duration
	out []Action
}

// Step applies one event at the time now (monotonic, any origin) and appends what is to be done to out.
func (m *Machine) Step(p *Policy, now time.Duration, ev Event, out []Action) []Action {
	s := step{m, p, now, out}
	switch ev.Kind {
	case Start:
		s.start()
	case Stop:
		s.stop(model.Stopped)
	case Drain:
		m.Draining = true
		m.Again, m.Bouncing = false, false
		if m.State == model.Backoff {
			s.disarm()
		}
	case Quit:
		m.Draining = true
		s.stop(model.Fatal)
	case Spawned:
		if m.Spawning && ev.Gen == m.Gen {
			s.spawned()
		}
	case SpawnFailed:
		if m.Spawning && ev.Gen == m.Gen {
			s.spawnFailed()
		}
	case Ended:
		if m.Live && ev.Gen == m.Gen {
			s.ended(ev.Code)
		}
	case Timer:
		if m.Armed && ev.Epoch == m.Epoch {
			s.timer()
		}
	case SignalFailed:
		if m.Live && ev.Gen == m.Gen && m.State == model.Stopping {
			s.wanted(false)
			m.Killing = false
			s.disarm()
			s.enter(model.Unknown)
		}
	case Found:
		if m.Spawning && ev.Gen == m.Gen {
			s.found(ev.Since)
		}
	default:
		if m.Live && ev.Gen == m.Gen {
			s.living(ev.Kind)
		}
	}
	return s.out
}

// living is what happens to a living process and does not end it.
func (s *step) living(kind Kind) {
	m := s.m
	switch kind {
	case Proved:
		if m.Unproved {
			m.Unproved = false
			s.disarm()
			s.confirmIn(m.Started + s.p.Start.Secs - s.now)
		}
	case StartFailed:
		if m.Unproved {
			m.Failed = true
			s.bringDown()
		}
	case Bounce:
		if m.State == model.Running && !m.Draining && !s.p.Masked {
			m.Bouncing = true
			s.bringDown()
		}
	case Moved:
		if m.State == model.Stopping {
			s.send()
		}
	case Released:
		s.wanted(false)
		m.Live, m.Unproved, m.Killing, m.Tries = false, false, false, 0
		s.disarm()
		s.enter(model.Stopped)
	}
}

// wanted is what an order that comes during a stop makes of it.
func (s *step) wanted(up bool) { s.m.Again, s.m.Failed, s.m.Bouncing = up, false, false }

// start obeys an order to start. While up it means nothing; while stopping it is kept for later.
func (s *step) start() {
	switch {
	case s.m.State.Up() || s.m.Draining || s.p.Masked:
	case s.m.State == model.Stopping:
		s.wanted(true)
	case s.m.Live: // UNKNOWN with its process: never a second one
	default:
		s.m.Tries = 0
		s.spawn()
	}
}

// stop obeys an order to stop; a program that waits for its next attempt goes to idle at once.
func (s *step) stop(idle model.State) {
	s.wanted(false)
	switch s.m.State {
	case model.Starting, model.Running:
		s.bringDown()
	case model.Backoff:
		s.disarm()
		if idle == model.Fatal {
			s.m.Tries = 0
		}
		s.enter(idle)
	}
}

// bringDown begins to end what runs, or is about to.
func (s *step) bringDown() {
	s.m.Killing, s.m.Unproved = true, false
	s.disarm()
	s.enter(model.Stopping)
	if s.m.Live {
		s.sendStop()
	}
}

// spawned: the process exists. A stop may have been ordered meanwhile.
func (s *step) spawned() {
	s.m.Spawning, s.m.Live, s.m.Started = false, true, s.now
	switch {
	case s.m.Killing:
		s.sendStop()
	case !s.p.Checked:
		s.confirmIn(s.p.Start.Secs)
	default:
		s.m.Unproved = true
		if s.p.Start.Timeout > 0 {
			s.arm(s.now + s.p.Start.Timeout)
		}
	}
}

// found: there is a process already, and that it has stayed up is known.
func (s *step) found(since time.Duration) {
	s.m.Spawning, s.m.Live, s.m.Started = false, true, since
	if s.m.Killing {
		s.sendStop()
		return
	}
	s.m.Tries = 0
	s.enter(model.Running)
}

// confirmIn waits for as long as a process has still to stay up.
func (s *step) confirmIn(left time.Duration) {
	if left <= 0 {
		s.confirm()
		return
	}
	s.arm(s.now + left)
}

func (s *step) spawnFailed() {
	s.m.Spawning = false
	if s.m.Killing {
		s.stopped()
		s.resume()
		return
	}
	s.backoffEnter()
	s.backoffNext()
}

// ended: the first matching row of spec/supervisor 2.6.
func (s *step) ended(code int) {
	m := s.m
	unproved := m.Unproved
	m.Live, m.Unproved = false, false
	s.disarm()
	expected := s.p.Exit.Expected(code)
	switch {
	case m.Failed:
		m.Killing, m.Failed = false, false
		s.backoffEnter()
		s.out = append(s.out, Action{Do: SayStopped, Gen: m.Gen, Expected: expected})
		s.backoffNext()
	case m.Killing:
		s.stopped()
		s.out = append(s.out, Action{Do: SayStopped, Gen: m.Gen, Expected: expected})
		s.resume()
	case m.State == model.Starting && (unproved || s.now-m.Started < s.p.Start.Secs):
		// Too quick: a failed start, even with an expected code.
		s.backoffEnter()
		s.out = append(s.out, Action{Do: SayEnded, Gen: m.Gen, TooQuick: true})
		s.backoffNext()
	default:
		if m.State == model.Starting {
			m.Tries = 0
			s.enter(model.Running)
		}
		m.Tries = 0
		s.enterExited(expected)
		s.out = append(s.out, Action{Do: SayEnded, Gen: m.Gen, Expected: expected})
		if s.p.Exit.Restart == model.RestartAlways || s.p.Exit.Restart == model.RestartUnexpected && !expected {
			s.byItself()
		}
	}
}

// byItself starts what nobody has asked for: not before the delay has passed.
func (s *step) byItself() {
	switch {
	case s.m.Draining || s.p.Masked:
	case s.p.Start.Delay > 0:
		s.enter(model.Backoff)
		s.arm(s.now + s.p.Start.Wait(0))
	default:
		s.spawn()
	}
}

// stopped: what was to be stopped is gone, or never came to be.
func (s *step) stopped() {
	s.m.Killing = false
	s.enter(model.Stopped)
}

// resume obeys the order to start that came during the stop, or goes on with what the stop was for.
func (s *step) resume() {
	again, bouncing := s.m.Again && !s.m.Draining, s.m.Bouncing
	s.wanted(false)
	switch {
	case again:
		s.m.Tries = 0
		if !s.p.Masked {
			s.spawn()
		}
	case bouncing:
		s.byItself()
	}
}

func (s *step) timer() {
	if s.now < s.m.Due {
		s.arm(s.m.Due)
		return
	}
	s.m.Armed, s.m.Due = false, 0
	switch s.m.State {
	case model.Starting:
		if s.m.Unproved {
			s.out = append(s.out, Action{Do: SayUnproved, Gen: s.m.Gen})
			s.m.Failed = true
			s.bringDown()
			return
		}
		s.confirm()
	case model.Backoff:
		switch {
		case s.p.Masked:
			s.enter(model.Stopped)
		case !s.m.Draining:
			s.spawn()
		}
	case model.Stopping:
		s.out = append(s.out, Action{Do: SayKill, Gen: s.m.Gen})
		s.arm(s.now + max(s.p.Stop.Wait, KillInterval))
		s.out = append(s.out, Action{Do: Send, Gen: s.m.Gen, Signal: sigKill, Reach: s.p.Stop.KillReach})
	}
}

// confirm: the start has succeeded.
func (s *step) confirm() {
	s.m.Tries = 0
	s.enter(model.Running)
	s.out = append(s.out, Action{Do: SayRunning})
}

func (s *step) spawn() {
	s.m.Gen++
	s.m.Spawning = true
	s.enter(model.Starting)
	s.out = append(s.out, Action{Do: Spawn, Gen: s.m.Gen})
}

// sendStop sends the first signal and limits the patience.
func (s *step) sendStop() {
	s.arm(s.now + s.p.Stop.Wait)
	s.send()
}

// send sends the first signal.
func (s *step) send() {
	s.out = append(s.out, Action{Do: Send, Gen: s.m.Gen, Signal: s.p.Stop.Signal, Reach: s.p.Stop.Reach})
}

func (s *step) backoffEnter() {
	s.m.Tries++
	s.enter(model.Backoff)
}

// backoffNext waits for the next attempt or gives up.
func (s *step) backoffNext() {
	switch {
	case s.p.Start.Retries != model.Endless && s.m.Tries > s.p.Start.Retries:
		s.m.Tries = 0
		s.enter(model.Fatal)
		s.out = append(s.out, Action{Do: SayGaveUp})
	case s.p.Masked:
		s.enter(model.Stopped)
	case !s.m.Draining:
		s.arm(s.now + s.p.Start.Wait(s.m.Tries))
	}
}

func (s *step) enter(to model.State) {
	s.out = append(s.out, Action{Do: Enter, From: s.m.State, To: to, Gen: s.m.Gen, Tries: s.m.Tries})
	s.m.State = to
}

func (s *step) enterExited(expected bool) {
	s.enter(model.Exited)
	s.out[len(s.out)-1].Expected = expected
}

func (s *step) arm(at time.Duration) {
	s.m.Epoch++
	s.m.Armed, s.m.Due = true, at
	s.out = append(s.out, Action{Do: Arm, At: at, Epoch: s.m.Epoch})
}

func (s *step) disarm() {
	if s.m.Armed {
		s.m.Armed, s.m.Due = false, 0
		s.m.Epoch++
		s.out = append(s.out, Action{Do: Disarm})
	}
}

// Adopted is the machine of a program whose instance was found alive: it runs, as far as anybody knows.
func Adopted(gen uint64, now time.Duration) Machine {
	return Machine{State: model.Running, Gen: gen, Live: true, Started: now}
}
