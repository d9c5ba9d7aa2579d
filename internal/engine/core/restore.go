package core

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

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
	// Found: it was not launched, but ran already and was taken.
	Found bool
	// Gen is the generation as which it was launched; 0 = the one that was asked for.
	Gen uint64
	// Exit is how it ended, if it has; nil = it lives, and its end is reported later.
	Exit *model.Exit
	// Since is when it came to be and Ended when it ended, on the host's clock, as far as that is known; 0 =
	// it is not, and counts as now.
	Since, Ended time.Duration
}

// Saved is what an earlier process left behind, read from its journal.
type Saved struct {
	groups []groupRecord
	slots  map[model.ID]slotRecord
	lines  []keptLine // in the order of their time
	begun  bool       // there was a set of groups
	names  []string   // of all groups of which there is a record
	ending model.DaemonState
	storm  time.Duration // when the budget of automatic restarts is full again
}

// keptLine is a line of the activity log with its key.
type keptLine struct {
	key  uint64
	id   string // the program that it is about, or empty
	text string
	void bool // what it tells was not recorded any more, and did not happen
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
	complete := groupsRecord{Through: math.MaxUint64} // damaged: better too much than nothing
	if sv.begun = entries[groupsKey] != nil; !sv.begun {
		complete.Through = 0
	}
	for key := range entries {
		switch {
		case key == groupsKey:
			if !get(key, &complete) {
				complete.Through = math.MaxUint64
			}
		case strings.HasPrefix(key, linePrefix):
			if n, err := strconv.ParseUint(strings.TrimPrefix(key, linePrefix), 16, 64); err == nil {
				id, text, _ := strings.Cut(string(entries[key]), "\x00")
				sv.lines = append(sv.lines, keptLine{key: n, id: id, text: text})
			}
		case key == stormKey:
			get(key, &sv.storm)
		case key == daemonKey:
			var r daemonRecord
			if get(key, &r) {
				sv.ending = r.Ending
			}
		case strings.HasPrefix(key, groupPrefix):
			sv.names = append(sv.names, strings.TrimPrefix(key, groupPrefix))
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
	for i, l := range sv.lines {
		group, name, _ := strings.Cut(l.id, ":")
		r, ok := sv.slots[model.ID{Group: group, Name: name}]
		sv.lines[i].void = ok && l.key > r.Said
	}
	slices.SortFunc(sv.lines, func(a, b keptLine) int { return cmp.Compare(a.key, b.key) })
	slices.SortFunc(sv.groups, func(a, b groupRecord) int { return cmp.Compare(a.Order, b.Order) })
	sv.groups = slices.DeleteFunc(sv.groups, func(g groupRecord) bool { return g.Order > complete.Through })
	for i := range sv.groups {
		sv.groups[i].without(sv.slots)
	}
	return sv, errs
}

// Assume is what to go on with when an earlier process has left processes and no journal: what lives of the
// groups is adopted, and the rest begins as if it were new.
func Assume(groups []NewGroup) *Saved {
	sv := &Saved{slots: map[model.ID]slotRecord{}, ending: model.DaemonRunning, begun: true}
	for i, g := range groups {
		sv.groups = append(sv.groups, groupRecord{Order: uint64(i + 1), Spec: g.Spec, Logs: g.Logs})
	}
	return sv
}

// Empty reports whether there are no groups to go on with, and the configuration is to be put into force: an
// earlier process has not come as far as its first groups. One of which all groups were removed has.
func (sv *Saved) Empty() bool { return !sv.begun }

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
// ordered end that was under way is over: of its programs, too, what does not live begins anew.
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
	sv.begun = len(sv.groups) > 0
	if ended {
		sv.revoke(living)
	}
}

// revoke takes back what an ordered end has done to the programs that are left.
func (sv *Saved) revoke(living map[model.ID]bool) {
	for _, g := range sv.groups {
		for _, p := range g.Spec.Programs {
			r, known := sv.slots[p.ID]
			if !known || !living[p.ID] {
				delete(sv.slots, p.ID)
				continue
			}
			r.Machine.Draining, r.Parting = false, false
			r.Begin = r.Machine.State == model.Stopping && p.Start.Auto && !p.Disabled
			sv.slots[p.ID] = r
		}
	}
}

// Lines are the lines of the activity log that may have been lost, in the order of their time. Give them to the
// log before Restore.
func (sv *Saved) Lines() []string {
	var out []string
	for _, l := range sv.lines {
		if !l.void {
			out = append(out, l.text)
		}
	}
	return out
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
// carried out, or an ordered end goes on. Of what is Empty it only clears the journal. Call it before Run, with
// the host ready to launch.
// Source: spec/reliability R1–R4.
func (c *Core) Restore(sv *Saved) {
	leaving := sv.leaving()
	c.restoreLines(sv)
	c.storm.full = sv.storm
	for _, r := range sv.groups {
		g := &group{entry: &GroupEntry{Spec: r.Spec}, order: r.Order, leaving: r.Leaving}
		c.keep.order = max(c.keep.order, r.Order)
		for i, p := range r.Spec.Programs {
			s := c.newSlot(g, p, r.Logs[i])
			if old, ok := sv.slots[p.ID]; ok {
				s.restore(old)
				c.repolicy(s)
			} else {
				s.begin = c.wanted(s)
			}
			g.entry.Slots = append(g.entry.Slots, s)
		}
		c.restoreLeaving(g, leaving[r.Spec.Name], sv)
		c.insert(g)
		c.keepGroup(g)
	}
	c.publishTable()
	c.forgetRest(sv)
	var decided []*Slot
	for _, s := range c.slots() {
		if c.resume(s, sv) {
			decided = append(decided, s)
		}
	}
	c.relaunch(decided)
	c.resumeParting()
	c.calm()
	if sv.ending == model.DaemonRunning {
		c.resumeChanges()
	}
	c.commit()
	if sv.ending != model.DaemonRunning && sv.begun {
		c.BeginEnd(sv.ending)
	}
}

// Autostart starts what is down and would be started if it had come just now; before is told of all these programs. Call it
// after Restore and before Run.
func (c *Core) Autostart(before func([]model.ID)) {
	var coming []*Slot
	var ids []model.ID
	for _, s := range c.slots() {
		if s.m.State.Down() && !s.inhabited() && !s.leaving && s.spec.Start.Auto && c.wanted(s) {
			coming, ids = append(coming, s), append(ids, s.spec.ID)
		}
	}
	before(ids)
	for _, s := range coming {
		c.startNeeded(&order{core: c, internal: true}, s)
		c.step(s, lifecycle.Event{Kind: lifecycle.Start})
	}
	c.commit()
}

// restoreLines goes on to keep the lines of an earlier process until they are in the log, to which they have
// been given.
func (c *Core) restoreLines(sv *Saved) {
	for _, r := range sv.slots {
		c.keep.saying = max(c.keep.saying, r.Said)
	}
	for _, l := range sv.lines {
		c.keep.saying = max(c.keep.saying, l.key)
		if l.void {
			c.forgetLine(l.key)
			continue
		}
		c.keep.said = append(c.keep.said, said{l.key, unknownNumber})
	}
}

// forgetRest deletes the records of groups and programs that are not active, which a kill has left in the
// middle of an addition or a removal: they must not be taken for what is known of one that comes later.
func (c *Core) forgetRest(sv *Saved) {
	if c.keep.journal == nil {
		return
	}
	for _, name := range sv.names {
		if c.active(name) == nil {
			c.keep.journal.Put(groupPrefix+name, nil)
		}
	}
	for id := range sv.slots {
		if c.Table().Slot(id) == nil {
			c.keep.journal.Put(slotPrefix+id.Namespec(), nil)
		}
	}
}

func (s *Slot) restore(r slotRecord) {
	s.restoreExchange(r.exchangeRecord)
	s.m, s.pid, s.start, s.stop, s.exit, s.hasExit = r.Machine, r.PID, r.Start, r.Stop, r.Exit, r.HasExit
	s.failure, s.lastErr = r.Failure, r.SpawnErr
	s.ends = ends{before: r.Ends[0], last: r.Ends[1]}
	s.turn, s.sending, s.said, s.past = r.Turn, r.Sending, r.Said, r.Past
	s.ready, s.completed, s.parting, s.releasing = r.Ready, r.Completed, r.Parting, r.Releasing
	s.publish()
}

// resume takes up one program, and reports whether its launch was decided and is to be carried out.
func (c *Core) resume(s *Slot, sv *Saved) (launch bool) {
	_, known := sv.slots[s.spec.ID]
	if s.m.Armed {
		s.epoch = s.m.Epoch
		c.timers.Set(&s.timer, s.m.Due)
	}
	i := Instance{Slot: s, Gen: s.m.Gen}
	var r Resumed
	if s.inhabited() {
		r = c.host.Resume(i, false)
	}
	if r.Process == nil && c.adopt(s, known) {
		return false
	}
	switch {
	case s.releasing && s.m.Live: // it was decided, and perhaps not done
		c.releaseAgain(s, r)
		return false
	case r.Process == nil && s.m.Live:
		r = unwatched(s.pid)
	case r.Gone:
		r = unwatched(r.PID)
	}
	s.over = r.Exit != nil
	switch {
	case s.m.Live:
		s.proc = r.Process
		s.pid = s.proc.PID()
		s.publish()
		if r.Exit == nil {
			c.look(s)
		}
	case s.m.Spawning && r.Process == nil: // it was decided, but nothing was executed
		switch {
		case s.m.Killing:
			c.giveUp(s)
		case s.masked(), sv.ending != model.DaemonRunning: // that was recorded, and what followed from it was not
			c.step(s, lifecycle.Event{Kind: lifecycle.Stop})
			c.giveUp(s)
		case c.safe:
			c.LaunchFailed(i, safeText)
		default:
			return true
		}
		return false
	case s.m.Spawning && r.Found:
		c.foundAt(i, r.Process, cmp.Or(r.Since, c.host.Now()))
	case s.m.Spawning:
		c.launchedAt(i, r.Process, cmp.Or(r.Since, c.host.Now())) // at once: its end may be reported any moment
	}
	switch {
	case r.Exit != nil:
		c.EndedAt(i, *r.Exit, r.Ended)
	case s.m.Live && s.sending != nil: // it was decided, and perhaps not done
		c.send(s, lifecycle.Action{Do: lifecycle.Send, Gen: s.m.Gen, Signal: s.sending.Signal, Reach: s.sending.Reach})
	}
	return false
}

// relaunch carries out launches that were decided. Those whose turn has come while nobody was there do not come all at
// once, but in the order of their turns and without paying for another: else whoever comes last would wait for ever
// where we are killed again and again.
func (c *Core) relaunch(decided []*Slot) {
	slices.SortStableFunc(decided, func(a, b *Slot) int { return cmp.Compare(a.turn, b.turn) })
	now := c.host.Now()
	var late limiter
	for _, s := range decided {
		at := s.turn
		if at != 0 && at <= now {
			at = now + late.take(now)
		}
		c.launchAt(s, Instance{Slot: s, Gen: s.m.Gen}, at)
	}
	if late.full > c.storm.full {
		c.storm = late
		c.keepStorm()
	}
}

// adopt takes an instance of which only the host knows, because the journal is damaged or could not be
// written, and reports whether there is one: the program must not be started beside it.
func (c *Core) adopt(s *Slot, known bool) bool {
	i := Instance{Slot: s, Gen: s.m.Gen + 1}
	r := c.host.Resume(i, true)
	for known && r.Exit != nil && r.Gen != 0 && r.Gen <= s.m.Gen { // its end is in the journal, and only it was not let go of
		r.Process.Release()
		r = c.host.Resume(i, true)
	}
	if r.Process == nil {
		return false
	}
	i.Gen = cmp.Or(r.Gen, i.Gen)
	c.occupy(i, r.Process, cmp.Or(r.Since, c.host.Now()))
	s.publish()
	if r.Exit == nil {
		c.look(s)
	}
	c.touch(s)
	c.logf(s, activity.Warn, "adopted: '%s' with pid %d", s.spec.ID.Name, s.pid)
	if r.Exit != nil {
		s.over = true
		c.EndedAt(i, *r.Exit, r.Ended)
	}
	return true
}

// occupy makes a process the running instance of its program, as which it began at since.
func (c *Core) occupy(i Instance, p Process, since time.Duration) {
	s := i.Slot
	c.timers.Unset(&s.timer)
	c.unpart(s)
	s.begin, s.sending, s.turn, s.ready, s.releasing = false, nil, 0, false, false
	s.m = lifecycle.Adopted(i.Gen, since)
	s.proc, s.pid = p, p.PID()
	s.start = c.wallAt(since)
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
