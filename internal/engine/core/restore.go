package core

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/upkeep-project/upkeep/internal/domain/lifecycle"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
)

// Resumed is what became of an instance that an earlier process started.
type Resumed struct {
	// Process is the instance, alive or ended but not released; nil = it never came to be, or Gone.
	Process Process
	// Gone: it was there, as the pid, and nothing is left that could tell how it ended.
	Gone bool
	PID  int
	// Exit is how it ended, as far as that is known already; nil = it lives, or its end is reported later.
	Exit *model.Exit
}

// Saved is what an earlier process left behind, read from its journal.
type Saved struct {
	groups []groupRecord
	slots  map[model.ID]slotRecord
	ending model.DaemonState
}

// Read makes sense of a journal's content. What cannot be read is named and left out.
func Read(entries map[string][]byte) (*Saved, []error) {
	sv := &Saved{slots: map[model.ID]slotRecord{}, ending: model.DaemonRunning}
	var errs []error
	get := func(key string, into any) bool {
		if err := json.Unmarshal(entries[key], into); err != nil {
			errs = append(errs, fmt.Errorf("journal: %s: %w", key, err))
			return false
		}
		return true
	}
	for key := range entries {
		switch {
		case key == daemonKey:
			var r daemonRecord
			if get(key, &r) {
				sv.ending = r.Ending
			}
		case strings.HasPrefix(key, groupPrefix):
			var r groupRecord
			if get(key, &r) && r.Spec != nil && len(r.Logs) == len(r.Spec.Programs) {
				sv.groups = append(sv.groups, r)
			}
		case strings.HasPrefix(key, slotPrefix):
			var r slotRecord
			group, name, ok := strings.Cut(strings.TrimPrefix(key, slotPrefix), ":")
			if ok && get(key, &r) {
				sv.slots[model.ID{Group: group, Name: name}] = r
			}
		}
	}
	slices.SortFunc(sv.groups, func(a, b groupRecord) int { return cmp.Compare(a.Order, b.Order) })
	return sv, errs
}

// Empty reports whether there is nothing to go on with.
func (sv *Saved) Empty() bool { return len(sv.groups) == 0 }

// Groups are the active groups in the order of their addition.
func (sv *Saved) Groups() []*model.Group {
	out := make([]*model.Group, len(sv.groups))
	for i, g := range sv.groups {
		out[i] = g.Spec
	}
	return out
}

// Has reports whether a group is among them.
func (sv *Saved) Has(name string) bool {
	return slices.ContainsFunc(sv.groups, func(g groupRecord) bool { return g.Spec.Name == name })
}

// Retain keeps, for a start after all processes of the daemon were gone, the groups of which something lives,
// as they were, and those that next defines in the same way; others begin anew by the configuration. An
// ordered end that was under way is over.
func (sv *Saved) Retain(living map[model.ID]bool, next *model.Config) {
	ended := sv.ending != model.DaemonRunning
	sv.ending = model.DaemonRunning
	sv.groups = slices.DeleteFunc(sv.groups, func(g groupRecord) bool {
		for _, p := range g.Spec.Programs {
			if living[p.ID] {
				return false
			}
		}
		n := next.Group(g.Spec.Name)
		return ended || n == nil || model.Differs(model.DiffGroup(g.Spec, n))
	})
}

// Lines are the lines of the activity log that may have been lost, in the order of their time.
func (sv *Saved) Lines() []string {
	var out []string
	for _, r := range sv.slots {
		out = append(out, r.Say...)
	}
	slices.Sort(out) // each begins with its time
	return slices.Compact(out)
}

// SetWishes tells what was wished in an earlier life: it decides over autostart. Call it before Run.
func (c *Core) SetWishes(entries map[string][]byte) {
	for key, value := range entries {
		group, name, ok := strings.Cut(key, ":")
		if ok {
			c.keep.wished[model.ID{Group: group, Name: name}] = string(value) == "up"
		}
	}
}

// Restore goes on where an earlier process was killed: its groups are active, its programs are in their
// states, timers and counters run on, instances that live are taken back, launches that were decided are
// carried out and an ordered end goes on. Call it before Run, with the host ready to launch.
// Source: spec/reliability R1–R4.
func (c *Core) Restore(sv *Saved) {
	leaving := sv.leaving()
	for _, r := range sv.groups {
		g := &group{entry: &GroupEntry{Spec: r.Spec}, order: r.Order, leaving: r.Leaving}
		c.keep.order = max(c.keep.order, r.Order)
		for i, p := range r.Spec.Programs {
			s := c.newSlot(g, p, r.Logs[i])
			if old, ok := sv.slots[p.ID]; ok {
				s.restore(old)
			}
			g.entry.Slots = append(g.entry.Slots, s)
		}
		c.restoreLeaving(g, leaving[r.Spec.Name], sv)
		c.insert(g)
		c.keepGroup(g)
	}
	c.publishTable()
	for _, s := range c.slots() {
		c.resume(s, sv.slots)
	}
	if sv.ending == model.DaemonRunning {
		c.resumeChanges()
	}
	c.commit()
	if sv.ending != model.DaemonRunning {
		c.BeginEnd(sv.ending)
	}
}

func (s *Slot) restore(r slotRecord) {
	s.restoreExchange(r.exchangeRecord)
	s.m, s.pid, s.start, s.stop, s.exit, s.hasExit = r.Machine, r.PID, r.Start, r.Stop, r.Exit, r.HasExit
	s.failure, s.lastErr = r.Failure, r.SpawnErr
	s.ends = ends{before: r.Ends[0], last: r.Ends[1]}
	s.publish()
}

// resume takes up one program.
func (c *Core) resume(s *Slot, records map[model.ID]slotRecord) {
	if _, ok := records[s.spec.ID]; !ok {
		// Its group was active, and the record is damaged: what is known is the definition and, by the
		// host, whether an instance lives.
		c.adopt(s)
		return
	}
	if s.m.Armed {
		s.epoch = s.m.Epoch
		c.timers.set(&s.timer, s.m.Due)
	}
	i := Instance{Slot: s, Gen: s.m.Gen}
	switch {
	case s.m.Live:
		r := c.host.Resume(i, false)
		if r.Process == nil {
			r = unwatched(s.pid)
		}
		s.proc = r.Process
		s.pid = s.proc.PID()
		s.publish()
		if r.Exit != nil {
			c.Ended(i, *r.Exit)
		}
	case s.m.Spawning:
		r := c.host.Resume(i, false)
		if r.Gone {
			r = unwatched(r.PID)
		}
		if r.Process == nil { // it was decided, but nothing was executed
			if c.safe {
				c.LaunchFailed(i, safeText)
				return
			}
			c.host.Launch(i)
			return
		}
		c.launched(i, r.Process) // at once: its end may be reported any moment
		if r.Exit != nil {
			c.Ended(i, *r.Exit)
		}
	}
}

// adopt takes an instance of which only the host knows, or starts the program as if it were new.
func (c *Core) adopt(s *Slot) {
	i := Instance{Slot: s, Gen: 1}
	r := c.host.Resume(i, true)
	if r.Process == nil {
		if c.wanted(s) {
			c.step(s, lifecycle.Event{Kind: lifecycle.Start})
		}
		return
	}
	s.proc, s.pid = r.Process, r.Process.PID()
	s.start = c.host.Wall()
	s.m = lifecycle.Adopted(i.Gen, c.host.Now())
	s.publish()
	c.touch(s)
	c.logf(s, activity.Warn, "adopted: '%s' with pid %d", s.spec.ID.Name, s.pid)
	if r.Exit != nil {
		c.Ended(i, *r.Exit)
	}
}

// errDeparted: there is nobody left.
var errDeparted = syscall.ESRCH

// safeText is why nothing is started by itself in safe mode.
const safeText = "the daemon has crashed too often and starts nothing by itself"

// unwatched is an instance that ended while no process of ours was there.
func unwatched(pid int) Resumed {
	return Resumed{Process: departed(pid), Exit: &model.Exit{Reason: "it ended while nobody watched"}}
}

// departed stands for an instance of which nothing is left.
type departed int

func (d departed) PID() int                    { return int(d) }
func (departed) Signal(int, model.Reach) error { return errDeparted }
func (departed) WriteStdin([]byte) error       { return errDeparted }
func (departed) Release()                      {}
