package core

import (
	"slices"

	"github.com/upkeep-project/upkeep/internal/domain/lifecycle"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// When several programs are stopped together, one on which another of them depends is asked only when that is gone. Until
// then it is parting: it is not started by itself any more, and that it is to be stopped survives us.

// together reports whether an order to stop a set is to look at who depends on whom.
func (c *Core) together(slots []*Slot) bool {
	return len(slots) > 1 && len(c.relations().dependents) > 0
}

// part has a program stopped when what depends on it is gone. Call depart when all of a set are parting. One that has been
// asked already is only kept from coming back.
func (c *Core) part(s *Slot) {
	switch {
	case s.m.State == model.Stopping:
		c.stopNow(s)
	case !s.parting:
		s.parting = true
		s.policy.Exit.Restart = model.RestartNever
		c.parting = append(c.parting, s)
		c.touch(s)
	}
}

// unpart forgets that a program is parting.
func (c *Core) unpart(s *Slot) {
	if !s.parting {
		return
	}
	s.parting = false
	c.repolicy(s)
	c.parting = slices.DeleteFunc(c.parting, func(x *Slot) bool { return x == s })
	c.touch(s)
}

// depart asks those whose dependents are gone, and in a circle the first.
func (c *Core) depart() {
	if c.departing {
		return
	}
	c.departing = true
	defer func() { c.departing = false }()
	for {
		batch := c.free()
		if len(batch) == 0 {
			return
		}
		for _, s := range batch {
			if s.parting {
				c.stopNow(s)
			}
		}
	}
}

// free are the parting programs for which nothing has to be waited.
func (c *Core) free() (out []*Slot) {
	stopping := false
	for _, s := range c.parting {
		if !s.m.Live {
			out = append(out, s)
			continue
		}
		blocked := false
		for _, d := range c.relations().dependents[s] {
			stopping = stopping || d.m.State == model.Stopping
			blocked = blocked || d.m.State == model.Stopping || d.parting
		}
		if !blocked {
			out = append(out, s)
		}
	}
	if len(out) == 0 && !stopping && len(c.parting) > 0 {
		return c.parting[:1:1]
	}
	return out
}

// stopNow stops a program, and gives up a start that waits.
func (c *Core) stopNow(s *Slot) {
	kind := lifecycle.Stop
	if c.end.begun && slices.Contains(c.end.turn, s.group) {
		kind = lifecycle.Quit
	}
	c.unpart(s)
	c.step(s, lifecycle.Event{Kind: kind})
	c.cancelDelayed(s)
}

// resumeParting goes on with the stops of sets that were under way.
func (c *Core) resumeParting() {
	for _, s := range c.slots() {
		if s.parting {
			s.parting = false
			c.part(s)
		}
	}
	c.depart()
}

// repolicy has the machine go by the definition in force, and by what is to become of the program.
func (c *Core) repolicy(s *Slot) {
	s.policy = c.policyOf(s.spec)
	s.policy.Masked = s.masked()
	if s.leaving || s.parting {
		s.policy.Exit.Restart = model.RestartNever
	}
}

// mask gives up attempts to start a program that may not be started any more. What lives goes on.
func (c *Core) mask(s *Slot) {
	if s.masked() && (s.m.State == model.Backoff || s.held || s.delayed != nil) {
		c.stopNow(s)
	}
}
