package core

import (
	"cmp"
	"context"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/lifecycle"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
)

// Candidate is a process that somebody else has started.
type Candidate interface {
	// Since is when it began, on the host's clock; 0 = that is not known.
	Since() time.Duration
	// Take makes it that instance, which survives this process from then on, and whose end is reported by
	// Core.Ended. It is called on the core's goroutine and at most once.
	Take(Instance) (Process, error)
}

// Adopt takes a process as the instance of a program of which nothing runs. From then on it is one like any other
// and the program is wished to be up; its next start is ours. ErrAlreadyStarted, ErrNoGroup, ErrEnding, and those of
// Take.
func (c *Core) Adopt(ctx context.Context, s *Slot, p Candidate) error {
	return c.call(ctx, func() error { return c.adoptForeign(s, p) })
}

func (c *Core) adoptForeign(s *Slot, p Candidate) error {
	idle := s.m.State == model.Stopped || s.m.State == model.Exited || s.m.State == model.Fatal
	switch {
	case s.leaving || s.gone:
		return ErrNoGroup
	case c.State() != model.DaemonRunning:
		return ErrEnding
	case !idle || s.inhabited():
		return ErrAlreadyStarted
	}
	i := Instance{Slot: s, Gen: s.m.Gen + 1}
	since := cmp.Or(p.Since(), c.host.Now())
	proc, err := p.Take(i)
	if err != nil {
		return err
	}
	c.wish(s, true)
	c.takeIn(i, proc, since)
	return nil
}

// takeIn makes a process the running instance of its program. Others see it start.
func (c *Core) takeIn(i Instance, p Process, since time.Duration) {
	s := i.Slot
	from := s.m.State
	c.occupy(i, p, since)
	s.ends, s.past = ends{}, s.past.Begin(false)
	s.past.Adopted, s.completed = true, false
	c.logf(s, activity.Info, "adopted: '%s' with pid %d; what it writes is not logged", s.spec.ID.Name, s.pid)
	c.enter(s, lifecycle.Action{Do: lifecycle.Enter, From: from, To: model.Starting, Gen: i.Gen})
	s.start = c.wallAt(since) // not now, as for one that starts
	c.enter(s, lifecycle.Action{Do: lifecycle.Enter, From: model.Starting, To: model.Running, Gen: i.Gen})
	c.touch(s)
	c.look(s)
	c.reconsider()
}
