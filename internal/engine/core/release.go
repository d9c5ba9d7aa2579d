package core

import (
	"context"
	"errors"

	"github.com/upkeep-project/upkeep/internal/domain/lifecycle"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
)

// Releaser is a Process that can be let go of while it lives. Afterwards nothing of us holds it, knows of it, or ends it;
// it may be called again for one that was let go of before, as far as that is known. It must not block.
type Releaser interface{ Detach() }

// Release lets the processes of programs go, in the order given: they live on as strangers, and the programs are STOPPED and
// wished to be down. ErrNotRunning where nothing lives or it is being stopped.
//
// We may be killed at any moment of it: then the process is still ours, or let go of, and the program is not started.
func (c *Core) Release(ctx context.Context, slots []*Slot, mode Mode) ([]Outcome, error) {
	return c.wait(ctx, c.letGo(slots, mode))
}

func (c *Core) letGo(slots []*Slot, mode Mode) *order {
	return c.begin(slots, func(o *order, s *Slot) {
		settled := s.m.State == model.Starting || s.m.State == model.Running || s.m.State == model.Unknown
		switch {
		case !s.m.Live && mode == Needed:
			o.skip()
		case !s.m.Live || !settled || s.gone:
			o.settle(s, ErrNotRunning)
		default:
			p, ok := s.proc.(Releaser)
			if !ok {
				o.settle(s, errors.ErrUnsupported)
				return
			}
			o.wish(s, false)
			c.release(s, p)
			o.settle(s, nil)
		}
	})
}

// detach lets go of a living process, as far as that can be done.
func detach(p Process) {
	if r, ok := p.(Releaser); ok {
		r.Detach()
	}
}

// release lets the process of a program go. That it is decided is known before, so that it is done after a kill too.
func (c *Core) release(s *Slot, p Releaser) {
	s.releasing = true
	c.touch(s)
	c.commit()
	p.Detach()
	c.released(s)
}

// releaseAgain goes on with a release in which an earlier process was killed. It may have ended meanwhile.
func (c *Core) releaseAgain(s *Slot, r Resumed) {
	if r.Exit == nil {
		detach(r.Process)
	}
	c.released(s)
	if r.Process != nil && r.Exit != nil {
		r.Process.Release()
	}
}

// released makes the program one of which nothing runs. Its process was let go of.
func (c *Core) released(s *Slot) {
	pid := s.pid
	c.logf(s, activity.Info, "released: '%s' with pid %d, which goes on without us", s.spec.ID.Name, pid)
	c.unpart(s)
	s.releasing, s.sending, s.stop, s.lastErr = false, nil, c.host.Wall(), ""
	s.proc, s.past.Released = nil, pid
	c.step(s, lifecycle.Event{Kind: lifecycle.Released, Gen: s.m.Gen})
	c.commit()
	c.ring.Append(model.Event{Time: c.host.Wall(), Type: model.EventReleased, ID: s.spec.ID, PID: pid})
}
