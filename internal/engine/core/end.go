package core

import (
	"slices"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/lifecycle"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
)

// reportInterval is how often the activity log names what an ordered end still waits for.
const reportInterval = 3 * time.Second

// drainPatience is how long an ordered end waits for listeners that have events to deal with.
const drainPatience = 2 * time.Second

// ending is the progress of an ordered end. Groups stop in descending priority, those of equal priority
// together (F47). Source: spec/supervisor 2.8.
type ending struct {
	begun    bool
	complete bool
	turning  bool     // nextTurn is at work
	rest     []*group // still to be stopped, ascending priority
	turn     []*group // being stopped
	report   timer
	draining bool  // the class waits for its listeners
	patience timer // with that
	done     chan struct{}
}

// BeginEnd orders everything to stop, for a shutdown or a restart. The first order counts, but a
// shutdown overrides a restart. State tells of the order from the moment at which BeginEnd returns.
func (c *Core) BeginEnd(as model.DaemonState) {
	if as == model.DaemonShutdown {
		c.state.Store(int32(as))
	} else {
		c.state.CompareAndSwap(int32(model.DaemonRunning), int32(as))
	}
	if c.keep.journal != nil { // whoever is told of it may rely on it
		c.put(daemonKey, daemonRecord{Ending: c.State()})
		_ = c.keep.journal.Flush()
	}
	c.post(func() {
		if c.end.begun {
			return
		}
		c.end.begun = true
		c.ring.Append(model.Event{Time: c.host.Wall(), Type: model.EventDaemonStopping})
		for _, s := range c.slots() {
			c.step(s, lifecycle.Event{Kind: lifecycle.Drain})
			if s.held || s.delayed != nil {
				c.stopNow(s)
			}
		}
		c.end.rest = slices.Clone(c.groups)
		c.end.report.What = c.reportEnd
		c.nextTurn()
		if !c.end.complete {
			c.reportEnd()
		}
	})
}

// Done is closed when an ordered end is complete.
func (c *Core) Done() <-chan struct{} { return c.end.done }

// nextTurn stops the next class of priority; classes of which nothing runs are passed over.
func (c *Core) nextTurn() {
	c.end.turning = true
	defer func() { c.end.turning = false }()
	for {
		if c.end.draining || slices.ContainsFunc(c.end.turn, (*group).busy) {
			return
		}
		n := len(c.end.rest)
		if n == 0 {
			c.end.complete = true
			c.timers.Unset(&c.end.report)
			c.endWishes()
			c.keep.acks = append(c.keep.acks, func() { close(c.end.done) })
			return
		}
		first := n - 1
		for first > 0 && c.end.rest[first-1].entry.Spec.Priority == c.end.rest[n-1].entry.Spec.Priority {
			first--
		}
		c.end.turn, c.end.rest = c.end.rest[first:], c.end.rest[:first]
		if c.drainTurn() {
			return
		}
		c.quitTurn()
	}
}

// quitTurn stops the class whose turn it is.
func (c *Core) quitTurn() {
	related := len(c.relations().dependents) > 0
	for _, g := range slices.Backward(c.end.turn) {
		for _, s := range slices.Backward(g.entry.ByPriority()) {
			if c.part(s); !related {
				c.stopNow(s)
			}
		}
	}
	c.depart()
}

// drainTurn begins to wait for the listeners of the class whose turn it is, so that they hear of the end of all
// others (K39); false when there are none.
func (c *Core) drainTurn() bool {
	var names []string
	for _, g := range c.end.turn {
		if g.entry.Spec.Pool != nil && g.busy() {
			names = append(names, g.entry.Spec.Name)
		}
	}
	if c.drain == nil || len(names) == 0 {
		return false
	}
	c.end.draining = true
	c.end.patience.What = c.drained
	c.timers.Set(&c.end.patience, c.host.Now()+drainPatience)
	c.drain(names, func() { c.post(c.drained) })
	return true
}

// drained goes on when the listeners have what there was for them, or take too long.
func (c *Core) drained() {
	if !c.end.draining {
		return
	}
	c.end.draining = false
	c.timers.Unset(&c.end.patience)
	c.end.turning = true
	c.quitTurn()
	c.nextTurn()
}

// progress goes on with an ordered end when the last of a class has stopped.
func (c *Core) progress(s *Slot) {
	if c.end.begun && !c.end.complete && !c.end.turning && s.m.State.Down() && slices.Contains(c.end.turn, s.group) {
		c.nextTurn()
	}
}

// reportEnd names what still runs, now and every three seconds.
func (c *Core) reportEnd() {
	var names []string
	for _, s := range c.slots() {
		if !s.m.State.Down() {
			names = append(names, s.spec.ID.Name)
		}
	}
	if len(names) > 0 {
		c.logf(nil, activity.Info, "waiting for %s to die", strings.Join(names, ", "))
	}
	c.timers.Set(&c.end.report, c.host.Now()+reportInterval)
}

func (g *group) busy() bool {
	return slices.ContainsFunc(g.entry.Slots, func(s *Slot) bool { return !s.m.State.Down() })
}

// slots are all programs in the order of the groups.
func (c *Core) slots() []*Slot {
	var out []*Slot
	for _, g := range c.groups {
		out = append(out, g.entry.Slots...)
	}
	return out
}
