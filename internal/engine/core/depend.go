package core

import (
	"cmp"
	"slices"

	"github.com/upkeep-project/upkeep/internal/domain/lifecycle"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
)

// DependencyError says which dependency cannot become what a start waits for, and what it is instead: "db: FATAL". It is
// an ErrDependency.
type DependencyError struct{ Text string }

// Error is the text with what it means.
func (e *DependencyError) Error() string { return ErrDependency.Error() + ": " + e.Text }

// Is makes it an ErrDependency.
func (e *DependencyError) Is(target error) bool { return target == ErrDependency }

// depending is the part of a Slot that is about other programs.
type depending struct {
	unmet     string // for what the launch waits
	held      bool   // STARTING: the launch waits for other programs
	completed bool   // it has ended as expected since somebody asked for it last
	parting   bool   // it is to be stopped when what depends on it is gone
	releasing bool   // its process is to be let go of
	asking    bool   // what it depends on is being started
	over      bool   // it has ended while we were not there, and that is about to be dealt with
}

// waiting are the programs that wait for others.
type waiting struct {
	held        []*Slot // in the order in which they came to wait
	parting     []*Slot
	departing   bool // depart is at work
	considering bool // consider is posted
	index       *relations
}

// relations are who depends on whom, for one table.
type relations struct {
	named      map[string][]*Slot // what a dependency may say → whom it is about
	dependents map[*Slot][]*Slot
}

// relations are made when they are first needed.
func (c *Core) relations() *relations {
	if c.index != nil {
		return c.index
	}
	r := &relations{map[string][]*Slot{}, map[*Slot][]*Slot{}}
	all := c.slots()
	for _, s := range all {
		id := s.spec.ID
		names := []string{id.Name, id.Group, id.Namespec(), id.Group + ":*"}
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			r.named[name] = append(r.named[name], s)
		}
	}
	for _, s := range all {
		for _, d := range s.spec.Depends {
			for _, on := range r.named[d.On] {
				if on != s {
					r.dependents[on] = append(r.dependents[on], s)
				}
			}
		}
	}
	c.index = r
	return r
}

// masked reports whether a program may not be started.
func (s *Slot) masked() bool {
	if d := s.next.Load(); d != nil {
		return d.Spec.Disabled
	}
	return s.spec.Disabled
}

// fulfils reports whether a program is what a condition asks for.
func (s *Slot) fulfils(c model.Condition) bool {
	switch {
	case s.leaving || s.gone || s.over && c != model.DependCompleted:
		return false
	case c == model.DependStarted:
		return s.m.Live && (s.m.State == model.Starting || s.m.State == model.Running)
	case c == model.DependCompleted:
		return s.completed
	}
	return s.isReady()
}

// hopeless says why a program will not fulfil a condition unless somebody does something; empty = it may.
func (s *Slot) hopeless() string {
	switch {
	case s.leaving || s.gone:
		return "is removed"
	case !s.m.State.Down() || s.begin:
		return ""
	case s.masked():
		return "disabled"
	}
	return s.m.State.String()
}

// unmet is the first condition of a start that is not met, "db: ready", and why it will not be by itself, "db: FATAL".
func (c *Core) unmet(s *Slot) (condition, hopeless string) {
	for _, d := range s.spec.Depends {
		about := c.relations().named[d.On]
		if len(about) == 0 {
			return cmp.Or(condition, d.String()), d.On + ": no such program"
		}
		for _, on := range about {
			if on == s || on.fulfils(d.Condition) {
				continue
			}
			name := on.spec.ID.String()
			condition = cmp.Or(condition, name+": "+d.Condition.String())
			if why := on.hopeless(); why != "" {
				return condition, name + ": " + why
			}
		}
	}
	return condition, ""
}

// launchFree launches an instance whose turn it is, or holds it until what it depends on is there.
func (c *Core) launchFree(s *Slot, i Instance) {
	condition, hopeless := c.unmet(s)
	if condition == "" {
		c.commit()
		c.host.Launch(i)
		return
	}
	s.held = true
	c.held = append(c.held, s)
	c.waitFor(s, condition)
	c.settleSpawned(s) // what was asked for is done as far as it can be
	c.disappoint(s, hopeless)
}

// waitFor shows what a program waits for.
func (c *Core) waitFor(s *Slot, condition string) {
	if s.unmet != condition {
		s.unmet = condition
		c.logf(s, activity.Info, "waiting: '%s' is started when this is so: %s", s.spec.ID.Name, condition)
		s.publish()
	}
}

// unhold ends the waiting of a program for others.
func (c *Core) unhold(s *Slot) {
	s.held, s.unmet = false, ""
	c.held = slices.DeleteFunc(c.held, func(x *Slot) bool { return x == s })
}

// disappoint answers those who wait for a start that cannot come about by itself. The program goes on waiting.
func (c *Core) disappoint(s *Slot, hopeless string) {
	if hopeless == "" {
		return
	}
	kept := s.waits[:0]
	for _, w := range s.waits {
		if w.goal == goalDown || w.later {
			kept = append(kept, w)
			continue
		}
		w.order.settle(s, &DependencyError{hopeless})
	}
	clear(s.waits[len(kept):])
	s.waits = kept
}

// reconsider looks at those who wait for others, soon: many changes that come together are looked at together.
func (c *Core) reconsider() {
	if !c.considering && len(c.held)+len(c.parting) > 0 {
		c.considering = true
		c.post(c.consider)
	}
}

func (c *Core) consider() {
	c.considering = false
	for _, s := range slices.Clone(c.held) {
		if !s.held {
			continue
		}
		condition, hopeless := c.unmet(s)
		if condition != "" {
			c.waitFor(s, condition)
			c.disappoint(s, hopeless)
			continue
		}
		c.unhold(s)
		s.start = c.host.Wall()
		s.publish()
		c.touch(s)
		c.commit()
		c.host.Launch(Instance{Slot: s, Gen: s.m.Gen})
	}
	c.depart()
}

// startNeeded starts what a program depends on, before it is started itself. When it is a person who starts it, what was
// stopped is started too; else what somebody wants to be down stays so, and the program waits for it.
func (c *Core) startNeeded(o *order, s *Slot) {
	person := o.then == nil && !o.internal
	s.asking = true
	defer func() { s.asking = false }()
	p, _ := s.Target() // by which it is started
	for _, d := range p.Depends {
		for _, on := range c.relations().named[d.On] {
			if on.asking || d.Condition == model.DependCompleted && on.completed || !c.startable(on, person) {
				continue
			}
			c.startNeeded(o, on)
			if !on.begin { // else it is its turn anyway
				c.logf(on, activity.Info, "needed: '%s', by %s", on.spec.ID.Name, s.spec.ID)
			}
			if person {
				o.wish(on, true)
			}
			on.begin = false
			if on.parting {
				c.stopNow(on)
			}
			c.step(on, lifecycle.Event{Kind: lifecycle.Start})
		}
	}
}

// startable reports whether a program on which another depends is to be started for it.
func (c *Core) startable(s *Slot, person bool) bool {
	switch {
	case s.leaving || s.gone || s.masked() || c.State() != model.DaemonRunning:
		return false
	case person && (s.parting || s.m.State == model.Stopping && !s.m.Again):
		return true
	case !s.m.State.Down() || s.m.Live || s.m.Spawning:
		return false
	case person:
		return true
	case c.passive:
		return false
	}
	up, known := c.keep.wished[s.spec.ID]
	// What was started and is STOPPED was stopped by somebody: that is no wish where autostart says the same.
	return s.begin || (up || !known) && (s.m.State != model.Stopped || s.m.Gen == 0)
}

// needsFirst puts those of a set on which others of it depend before them. The order is kept otherwise.
func (c *Core) needsFirst(slots []*Slot) []*Slot {
	if len(slots) < 2 || len(c.relations().dependents) == 0 {
		return slots
	}
	todo := make(map[*Slot]bool, len(slots))
	for _, s := range slots {
		todo[s] = true
	}
	out := make([]*Slot, 0, len(slots))
	var visit func(s *Slot)
	visit = func(s *Slot) {
		if !todo[s] {
			return
		}
		delete(todo, s)
		for _, d := range s.spec.Depends {
			for _, on := range c.index.named[d.On] {
				visit(on)
			}
		}
		out = append(out, s)
	}
	for _, s := range slots {
		visit(s)
	}
	return out
}

// noteEnd notes what an end means for the program, before its machine hears of it.
func (s *Slot) noteEnd() {
	switch {
	case s.m.Failed:
		s.failure = s.unproved()
	case s.m.Unproved && s.past.Lasted >= s.spec.Start.Secs:
		s.failure = "Exited before its startup checks had passed (process log may have details)"
	}
	if !s.m.Failed && !s.m.Bouncing {
		s.past.Check, s.past.CheckText = "", ""
	}
}
