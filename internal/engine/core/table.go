package core

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/internal/domain/lifecycle"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Table is the set of programs at one moment; it never changes. The statuses inside it are always the
// latest.
type Table struct {
	Groups []*GroupEntry // ascending priority, ties in order of addition
	Sorted []*Slot       // by (group, name)
}

// GroupEntry is one active group.
type GroupEntry struct {
	Spec  *model.Group
	Slots []*Slot // in the order of the definition
}

// Slot finds a program; nil when there is none.
func (t *Table) Slot(id model.ID) *Slot {
	at, found := slices.BinarySearchFunc(t.Sorted, id, func(s *Slot, id model.ID) int { return compareIDs(s.status.Load().ID, id) })
	if !found {
		return nil
	}
	return t.Sorted[at]
}

// compareIDs orders by (group, name).
func compareIDs(a, b model.ID) int {
	return cmp.Or(strings.Compare(a.Group, b.Group), strings.Compare(a.Name, b.Name))
}

// Group finds an active group; nil when there is none.
func (t *Table) Group(name string) *GroupEntry {
	for _, g := range t.Groups {
		if g.Spec.Name == name {
			return g
		}
	}
	return nil
}

// ByPriority are the group's programs in the order in which orders reach them: ascending priority,
// stable. Source: spec/supervisor 1.9.
func (g *GroupEntry) ByPriority() []*Slot {
	out := slices.Clone(g.Slots)
	slices.SortStableFunc(out, func(a, b *Slot) int { return cmp.Compare(a.Program().Priority, b.Program().Priority) })
	return out
}

// ByPriority are all programs in the order in which orders reach them.
func (t *Table) ByPriority() []*Slot {
	out := make([]*Slot, 0, len(t.Sorted))
	for _, g := range t.Groups {
		out = append(out, g.ByPriority()...)
	}
	return out
}

// group is the core's own record of an active group.
type group struct {
	entry *GroupEntry
	order uint64 // of its record in the journal; 0 = none yet
	dirty bool   // the journal does not know the latest
	// leaving: it goes when its last program does.
	leaving bool
}

// NewGroup is a group to be added, with the log files of each of its programs.
type NewGroup struct {
	Spec *model.Group
	Logs []LogPaths // one for each program
}

// AddGroups activates groups, all or none, and starts what starts by itself. ErrAlreadyAdded, ErrEnding.
func (c *Core) AddGroups(ctx context.Context, add []NewGroup) error {
	return c.call(ctx, func() error { return c.addGroups(add) })
}

func (c *Core) addGroups(add []NewGroup) error {
	if c.State() != model.DaemonRunning {
		return ErrEnding
	}
	for _, n := range add {
		if c.Table().Group(n.Spec.Name) != nil {
			return ErrAlreadyAdded
		}
	}
	fresh := make([]*GroupEntry, len(add))
	for k, n := range add {
		g := &group{entry: &GroupEntry{Spec: n.Spec}}
		for i, p := range n.Spec.Programs {
			s := c.newSlot(g, p, n.Logs[i])
			if !c.adopt(s, false) {
				s.begin = c.wanted(s) // in the journal before the first of them starts
			}
			g.entry.Slots = append(g.entry.Slots, s)
		}
		c.insert(g)
		c.keepGroup(g)
		fresh[k] = g.entry
	}
	c.publishTable()
	for _, e := range fresh {
		c.ring.Append(model.Event{Time: c.host.Wall(), Type: model.EventGroupAdded, ID: model.ID{Group: e.Spec.Name}})
	}
	if c.announce {
		c.announce = false
		c.ring.Append(model.Event{Time: c.host.Wall(), Type: model.EventDaemonRunning})
	}
	slices.SortStableFunc(fresh, func(a, b *GroupEntry) int { return cmp.Compare(a.Spec.Priority, b.Spec.Priority) })
	for _, e := range fresh {
		for _, s := range e.Slots {
			if s.begin {
				s.begin = false
				c.startNeeded(&order{core: c, internal: true}, s)
				c.step(s, lifecycle.Event{Kind: lifecycle.Start})
			}
		}
	}
	return nil
}

// insert puts a group behind those of its priority.
func (c *Core) insert(g *group) {
	at := len(c.groups)
	for at > 0 && c.groups[at-1].entry.Spec.Priority > g.entry.Spec.Priority {
		at--
	}
	c.groups = slices.Insert(c.groups, at, g)
}

// RemoveGroup deactivates a group of which nothing runs. ErrNoGroup, ErrStillRunning.
func (c *Core) RemoveGroup(ctx context.Context, name string) error {
	return c.call(ctx, func() error { return c.removeGroup(name) })
}

func (c *Core) removeGroup(name string) error {
	at := slices.IndexFunc(c.groups, func(g *group) bool { return g.entry.Spec.Name == name })
	if at < 0 {
		return ErrNoGroup
	}
	for _, s := range c.groups[at].entry.Slots {
		if !s.m.State.Down() || s.m.Live { // UNKNOWN is down, but its process lives
			return ErrStillRunning
		}
	}
	c.forgetGroup(c.groups[at])
	c.groups = slices.Delete(c.groups, at, at+1)
	c.publishTable()
	c.ring.Append(model.Event{Time: c.host.Wall(), Type: model.EventGroupRemoved, ID: model.ID{Group: name}})
	return nil
}

// call runs f on the core's goroutine and returns its error, or ctx's when that ends first. ErrEnding: the
// core has ended without running it.
func (c *Core) call(ctx context.Context, f func() error) error {
	done := c.ask(f)
	select {
	case err := <-done:
		return err
	case <-c.end.done:
		select {
		case err := <-done:
			return err
		default:
			return ErrEnding
		}
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask runs f on the core's goroutine and gives its error when what it did is committed.
func (c *Core) ask(f func() error) <-chan error {
	done := make(chan error, 1)
	c.post(func() {
		err := f()
		answer := func() { done <- err }
		if err != nil || !c.keep.unsynced() {
			c.keep.acks = append(c.keep.acks, answer)
			return
		}
		c.sync(func(failed error) { // what it has forgotten must not come back after a power cut
			if failed != nil {
				err = notDurable(failed)
			}
			c.keep.acks = append(c.keep.acks, answer)
		})
	})
	return done
}

func (c *Core) publishTable() {
	c.index = nil
	defer c.reconsider() // what some wait for may have come, or gone
	t := &Table{}
	for _, g := range c.groups {
		t.Groups = append(t.Groups, g.entry)
		t.Sorted = append(t.Sorted, g.entry.Slots...)
	}
	slices.SortFunc(t.Sorted, func(a, b *Slot) int { return compareIDs(a.spec.ID, b.spec.ID) })
	c.table.Store(t)
}
