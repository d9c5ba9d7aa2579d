package core

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/domain/lifecycle"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
)

// The ways an order can fail; a signal that cannot be sent is a *SignalError.
var (
	ErrAlreadyStarted = errors.New("already started")
	ErrNotRunning     = errors.New("not running")
	ErrSpawn          = errors.New("spawn error")
	ErrAbnormal       = errors.New("abnormal termination")
	ErrUnknownState   = errors.New("unknown process state")
	ErrStillRunning   = errors.New("still running")
	ErrAlreadyAdded   = errors.New("already added")
	ErrNoGroup        = errors.New("no such group")
	ErrEnding         = errors.New("shutting down")
	ErrNotDurable     = errors.New("done, but it would not survive a power cut")
	ErrDisabled       = errors.New("disabled")
	ErrDependency     = errors.New("a dependency has failed") // a *DependencyError
)

// SignalError says why a signal could not be sent to a process that is there. Its text is the original's.
type SignalError struct{ Text string }

// Error is the text.
func (e *SignalError) Error() string { return e.Text }

// waitingInterval is how often a client's wait for a stop is mentioned in the activity log.
const waitingInterval = 2 * time.Second

// Outcome is what became of an order for one program.
type Outcome struct {
	Slot *Slot
	Err  error
}

// Mode says which programs of a set an order is for.
type Mode uint8

// The modes.
const (
	Each   Mode = iota // every program: those already in the wanted state are an error
	Needed             // those not in the wanted state; the others are left out
)

// order collects the outcomes of one call.
type order struct {
	out     []Outcome
	pending int
	sealed  bool   // every program has been looked at
	wished  bool   // it changed what is to run, which is to be durable
	fail    error  // why none of it counts as done
	then    func() // instead of answering, in a turn of its own
	// internal: no person has given it
	internal bool
	done     chan struct{}
	core     *Core
}

func (o *order) settle(s *Slot, err error) {
	o.out = append(o.out, Outcome{s, err})
	o.pending--
	o.check()
}

// skip leaves a program out of the outcomes.
func (o *order) skip() { o.pending-- }

func (o *order) check() {
	switch {
	case !o.sealed || o.pending > 0:
	case o.then != nil:
		o.core.post(o.then)
	default:
		o.core.keep.acks = append(o.core.keep.acks, o.answer)
	}
}

// wish notes what the order means for the time after us.
func (o *order) wish(s *Slot, up bool) { o.wished = o.core.wish(s, up) || o.wished }

// answer gives the outcomes to whom they are for.
func (o *order) answer() {
	for i := range o.out {
		if o.fail != nil && o.out[i].Err == nil {
			o.out[i].Err = o.fail
		}
	}
	close(o.done)
}

// wait is one client waiting for one program.
type wait struct {
	order   *order
	goal    goal
	later   bool   // start: the program is still stopping; its STOPPED does not count
	mention *timer // stop: the next mention in the activity log
}

type goal uint8

const (
	goalSpawned goal = iota // the process exists
	goalRunning             // the start is confirmed
	goalDown                // nothing runs
)

// begin performs act for each slot on the core's goroutine.
func (c *Core) begin(slots []*Slot, act func(*order, *Slot)) *order {
	return c.beginSet(func() []*Slot { return slots }, act)
}

// beginSet is begin for a set whose order is known only on the core's goroutine.
func (c *Core) beginSet(set func() []*Slot, act func(*order, *Slot)) *order {
	o := &order{done: make(chan struct{}), core: c}
	c.post(func() {
		for _, s := range set() {
			o.pending++
			act(o, s)
		}
		c.depart()
		if o.wished {
			c.durable(o)
		}
		o.sealed = true
		o.check()
	})
	return o
}

// wait waits for all outcomes. When ctx ends first the order itself goes on. ErrEnding: the core has ended
// before it looked at the order.
func (c *Core) wait(ctx context.Context, o *order) ([]Outcome, error) {
	select {
	case <-o.done:
	case <-c.end.done:
		select {
		case <-o.done: // it was looked at in time
		default:
			return nil, ErrEnding
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return o.out, nil
}

// Start orders the slots to start, in the order given, but what others of them depend on first. With confirm it waits for
// RUNNING, else for the process to exist or the program to wait for others. A program that is stopping is started when it
// has stopped (F16). What they depend on is started too.
func (c *Core) Start(ctx context.Context, slots []*Slot, mode Mode, confirm bool) ([]Outcome, error) {
	return c.wait(ctx, c.start(slots, mode, confirm))
}

func (c *Core) start(slots []*Slot, mode Mode, confirm bool) *order {
	return c.beginSet(func() []*Slot { return c.needsFirst(slots) }, func(o *order, s *Slot) { c.startOne(o, s, mode, confirm) })
}

func (c *Core) startOne(o *order, s *Slot, mode Mode, confirm bool) {
	if s.parting && c.State() == model.DaemonRunning && !s.masked() {
		c.stopNow(s) // the newest order counts
	}
	switch {
	case s.leaving || s.gone: // nobody would know of its process
		o.settle(s, ErrNoGroup)
	case s.masked() && mode == Needed:
		o.skip()
	case s.masked():
		o.settle(s, ErrDisabled)
	case s.m.State.Up() && mode == Needed:
		o.skip()
	case s.m.State.Up():
		o.settle(s, ErrAlreadyStarted)
	case c.State() != model.DaemonRunning:
		o.settle(s, ErrEnding)
	case s.m.State == model.Unknown && s.m.Live:
		o.settle(s, ErrUnknownState)
	case s.m.State == model.Stopping && !confirm:
		o.wish(s, true)
		c.step(s, lifecycle.Event{Kind: lifecycle.Start})
		o.settle(s, nil)
	default:
		w := &wait{order: o, goal: goalSpawned, later: s.m.State == model.Stopping}
		if confirm {
			w.goal = goalRunning
		}
		s.waits = append(s.waits, w)
		o.wish(s, true)
		c.startNeeded(o, s)
		c.step(s, lifecycle.Event{Kind: lifecycle.Start})
	}
}

// Stop orders the slots to stop, in the order given, and with gone waits until they have. One on which others of them
// depend is asked when those are gone.
func (c *Core) Stop(ctx context.Context, slots []*Slot, mode Mode, gone bool) ([]Outcome, error) {
	return c.wait(ctx, c.stopFor(model.Actor(ctx), slots, mode, gone))
}

func (c *Core) stop(slots []*Slot, mode Mode, gone bool) *order {
	return c.stopFor("", slots, mode, gone)
}

func (c *Core) stopFor(who string, slots []*Slot, mode Mode, gone bool) *order {
	return c.begin(slots, func(o *order, s *Slot) {
		comesBack := s.m.Bouncing || s.m.Failed // STOPPING, but not for good
		if !s.m.State.Up() && (s.m.State == model.Stopping || s.begin) {
			o.wish(s, false)
			s.begin = false
			c.step(s, lifecycle.Event{Kind: lifecycle.Stop}) // a start that waits is off
		}
		switch {
		case s.m.State.Up() || comesBack:
			s.past.StopBy = who
			c.stopOne(o, s, gone, c.together(slots))
		case mode == Needed:
			o.skip()
		default:
			if c.gentle { // whose next process starts what is down
				o.wish(s, false)
			}
			o.settle(s, ErrNotRunning)
		}
	})
}

func (c *Core) stopOne(o *order, s *Slot, gone, together bool) {
	o.wish(s, false)
	w := &wait{order: o, goal: goalDown}
	if gone {
		s.waits = append(s.waits, w)
	}
	if c.part(s); !together {
		c.stopNow(s)
	}
	switch {
	case gone:
		if s.waitsFor(w) {
			c.mention(s, w)
		}
	case s.m.State == model.Unknown:
		o.settle(s, &SignalError{s.lastErr})
	default:
		o.settle(s, nil)
	}
}

// mention says in the activity log that a client waits, now and every two seconds.
func (c *Core) mention(s *Slot, w *wait) {
	c.logf(s, activity.Info, "waiting for %s to stop", s.spec.ID.Name)
	if w.mention == nil {
		w.mention = &timer{What: func() { c.mention(s, w) }}
	}
	c.timers.Set(w.mention, c.host.Now()+waitingInterval)
}

// Signal sends a signal without any intent to stop, to the process alone. Source: spec/supervisor 2.7.
func (c *Core) Signal(ctx context.Context, slots []*Slot, mode Mode, sig int) ([]Outcome, error) {
	return c.wait(ctx, c.signalFor(model.Actor(ctx), slots, mode, sig))
}

func (c *Core) signal(slots []*Slot, mode Mode, sig int) *order {
	return c.signalFor("", slots, mode, sig)
}

func (c *Core) signalFor(who string, slots []*Slot, mode Mode, sig int) *order {
	return c.begin(slots, func(o *order, s *Slot) {
		switch {
		case !s.m.State.Signallable() && mode == Needed:
			o.skip()
		case !s.m.State.Signallable() || !s.m.Live:
			o.settle(s, ErrNotRunning)
		default:
			s.past.Signal, s.past.SignalBy = sig, who
			c.touch(s)
			c.commit() // before anybody can see what the signal does
			o.settle(s, c.sendSignal(s, sig))
			s.publish()
		}
	})
}

func (c *Core) sendSignal(s *Slot, sig int) error {
	name, word := s.spec.ID.Name, units.SignalName(sig)
	c.logf(s, activity.Debug, "sending %s (pid %d) sig %s", name, s.pid, word)
	err := s.proc.Signal(sig, model.ReachProcess)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ESRCH):
		c.logf(s, activity.Debug, "unable to signal %s (pid %d), it probably just now exited on its own: %s", name, s.pid, errnoText(err))
		return nil
	}
	text := fmt.Sprintf("unknown problem sending sig %s (%d):%s", name, s.pid, errnoText(err))
	c.logf(s, activity.Critical, "%s", text)
	return &SignalError{text}
}

// WriteStdin queues data for the standard input of a program.
func (c *Core) WriteStdin(ctx context.Context, s *Slot, data []byte) error {
	return c.call(ctx, func() error {
		if !s.m.Live || s.m.Killing {
			return ErrNotRunning
		}
		return s.proc.WriteStdin(data)
	})
}

// waitsFor reports whether w is still waiting.
func (s *Slot) waitsFor(w *wait) bool {
	for _, x := range s.waits {
		if x == w {
			return true
		}
	}
	return false
}

// settle answers those who waited for the state that was just entered.
func (c *Core) settle(s *Slot, entered model.State) {
	kept := s.waits[:0]
	for _, w := range s.waits {
		if err, over := s.verdict(w, entered); over {
			if w.mention != nil {
				c.timers.Unset(w.mention)
			}
			w.order.settle(s, err)
		} else {
			kept = append(kept, w)
		}
	}
	clear(s.waits[len(kept):])
	s.waits = kept
}

// settleSpawned answers those who waited for the process to exist.
func (c *Core) settleSpawned(s *Slot) {
	kept := s.waits[:0]
	for _, w := range s.waits {
		if w.goal == goalSpawned && !w.later {
			w.order.settle(s, nil)
		} else {
			kept = append(kept, w)
		}
	}
	clear(s.waits[len(kept):])
	s.waits = kept
}

// verdict judges a wait by the state that was just entered. Source: spec/supervisor 5.6.
func (s *Slot) verdict(w *wait, entered model.State) (err error, over bool) {
	if w.goal == goalDown {
		switch entered {
		case model.Unknown:
			return &SignalError{s.lastErr}, true
		case model.Stopped, model.Exited, model.Fatal:
			return nil, true
		}
		return nil, false
	}
	switch entered {
	case model.Starting:
		w.later = false
	case model.Running:
		return nil, true
	case model.Backoff, model.Fatal:
		return ErrSpawn, true
	case model.Stopped:
		if w.later && s.m.State == model.Starting { // the start follows in the same step
			return nil, false
		}
		return ErrAbnormal, true
	case model.Stopping:
		if s.m.Failed { // BACKOFF follows
			return nil, false
		}
		return ErrAbnormal, true
	default: // EXITED, UNKNOWN
		return ErrAbnormal, true
	}
	return nil, false
}
