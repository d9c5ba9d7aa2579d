package core

import (
	"fmt"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/lifecycle"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
)

// Proved reports that all startup checks of an instance have passed: its start has succeeded as soon as it has also stayed
// up long enough.
func (c *Core) Proved(i Instance) {
	c.post(func() {
		if c.present(i) {
			c.step(i.Slot, lifecycle.Event{Kind: lifecycle.Proved, Gen: i.Gen})
		}
	})
}

// StartFailed reports that a startup check of an instance has failed for good, and what it has found. The instance is ended,
// and its start counts as failed. Nothing happens when its start is over.
func (c *Core) StartFailed(i Instance, check, text string) {
	c.post(func() {
		s := i.Slot
		if !c.present(i) || !s.m.Unproved {
			return
		}
		s.past.Check, s.past.CheckText = check, text
		c.logf(s, activity.Warn, "unproved: %s, startup check %s: %s", s.spec.ID.Name, check, text)
		c.step(s, lifecycle.Event{Kind: lifecycle.StartFailed, Gen: i.Gen})
	})
}

// SetReady reports whether all checks of the ready stage of an instance pass. Who depends on it is started when they do.
func (c *Core) SetReady(i Instance, ready bool) {
	c.post(func() {
		s := i.Slot
		if !c.present(i) || s.ready == ready {
			return
		}
		s.ready = ready
		s.publish()
		c.touch(s)
		c.reconsider()
	})
}

// Bounce has a check end an instance and the program started by itself, with all that holds for such a start: its delay, the
// budget of restarts, and that whatever a person orders meanwhile comes first. Nothing happens when that instance does not
// run any more, or may not be started again.
func (c *Core) Bounce(i Instance, check, text string) {
	c.post(func() {
		s := i.Slot
		if !c.present(i) || c.passive || c.safe || s.leaving || s.parting || s.masked() || s.m.State != model.Running || c.State() != model.DaemonRunning {
			return
		}
		s.past.Check, s.past.CheckText = check, text
		c.logf(s, activity.Warn, "check: %s is started anew, %s: %s", s.spec.ID.Name, check, text)
		if c.watch != nil {
			c.watch.Bounced(i, check)
		}
		c.step(s, lifecycle.Event{Kind: lifecycle.Bounce, Gen: i.Gen})
	})
}

// Away reports that the process of an instance has ended as it should, and that what it has left is looked for: Moved or Ended
// says what has come of that. Until then a start has not succeeded, and an end counts from now.
func (c *Core) Away(i Instance) {
	c.post(func() {
		if s := i.Slot; c.present(i) && s.m.State == model.Starting {
			s.away = max(c.host.Now(), 1)
		}
	})
}

// Moved reports that the process of an instance has ended as it should and has left another one, which is the instance from
// now on. The one before is let go of.
func (c *Core) Moved(i Instance, p Process) {
	c.post(func() {
		s := i.Slot
		if !c.present(i) { // it was released meanwhile
			detach(p)
			return
		}
		old := s.proc
		s.proc, s.pid = p, p.PID()
		c.logf(s, activity.Info, "followed: '%s' is pid %d now", s.spec.ID.Name, s.pid)
		if s.away = 0; s.m.Armed { // it may have been due
			c.timers.Set(&s.timer, s.m.Due)
		}
		c.step(s, lifecycle.Event{Kind: lifecycle.Moved, Gen: i.Gen})
		c.commit() // the other one is known before this pid is given up
		if old != nil && old != p {
			old.Release()
		}
	})
}

// LaunchedFound answers a Launch in the place of Launched: nothing was started, since a process that is the program's ran
// already, for as long as since tells on the host's clock. It is the instance from now on, and its start has succeeded.
func (c *Core) LaunchedFound(i Instance, p Process, since time.Duration) {
	c.post(func() {
		s := i.Slot
		if !s.m.Spawning || i.Gen != s.m.Gen {
			detach(p) // nobody asked for it, and it is not ours to end
			return
		}
		c.foundAt(i, p, since)
	})
}

// foundAt takes a process that has run since then as the instance that was to be started.
func (c *Core) foundAt(i Instance, p Process, since time.Duration) {
	s := i.Slot
	s.proc, s.pid = p, p.PID()
	s.start, s.turn, s.past.Adopted = c.wallAt(since), 0, true
	c.logf(s, activity.Info, "adopted: '%s' with pid %d; what it writes is not logged", s.spec.ID.Name, s.pid)
	if s.retune {
		s.tune()
	}
	c.step(s, lifecycle.Event{Kind: lifecycle.Found, Gen: i.Gen, Since: since})
	c.settleSpawned(s)
}

// present reports whether an instance is the living one of its program.
func (c *Core) present(i Instance) bool {
	return i.Slot.m.Live && i.Slot.m.Gen == i.Gen && !i.Slot.gone
}

// look tells Watch what has become of the instance since it was last told.
func (c *Core) look(s *Slot) {
	if c.watch == nil {
		return
	}
	now := watched{}
	if s.m.Live && !s.over && (s.m.State == model.Starting || s.m.State == model.Running) && !s.gone {
		now = watched{gen: s.m.Gen, pid: s.pid, spec: s.spec}
	}
	was := s.watched
	if was == now {
		return
	}
	s.watched = now
	if was.gen != 0 && was.gen != now.gen {
		c.watch.Down(Instance{Slot: s, Gen: was.gen})
	}
	if now.gen != 0 {
		c.watch.Up(Instance{Slot: s, Gen: now.gen}, s.spec, s.pid, s.m.Started)
	}
}

// watched is what Watch was told last.
type watched struct {
	gen  uint64 // 0 = nothing that lives
	pid  int
	spec *model.Program
}

// unproved is why a start has failed whose checks have not passed.
func (s *Slot) unproved() string {
	if s.past.Check == "" {
		return s.past.CheckText
	}
	return fmt.Sprintf("startup check %s: %s", s.past.Check, s.past.CheckText)
}

// isReady reports whether others may rely on a program.
func (s *Slot) isReady() bool {
	return s.m.State == model.Running && (s.ready || !s.spec.Staged(model.StageReady))
}
