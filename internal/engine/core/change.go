package core

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/upkeep-project/upkeep/internal/domain/lifecycle"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/domain/plan"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
)

// Change is what is to become of the active groups: all of it is ordered, or nothing.
type Change struct {
	Groups []NewGroup // what is to be in force, of active groups and of new ones
	Remove []string   // groups that are to go; those that are not active are left out
}

// Applied is what a change did to one program.
type Applied struct {
	ID   model.ID
	Kind plan.StepKind // as in plan.ProgramStep
	Err  error         // why the stop or the start that it needed failed
}

// Tuner is a Process of which some surroundings can follow a changed definition while it lives: how its
// logs are rotated. Tune is called on the core's goroutine and must not block.
type Tuner interface{ Tune(*model.Program) }

// definition is what a program is to be.
type definition struct {
	Spec *model.Program
	Logs LogPaths
}

// changing is the part of a Slot that is about the exchange of its definition.
type changing struct {
	// next waits until the process of the definition in force is gone; nil for nothing.
	next    atomic.Pointer[definition]
	leaving bool // it is forgotten as soon as nothing of it lives
	begin   bool // it is to be started when there is room, or after the stop for the exchange
	retune  bool // the definition was exchanged while the process was being made
}

// Target is the definition that is to be in force, with its log files: the one in force, unless another
// waits for a process to end.
func (s *Slot) Target() (*model.Program, LogPaths) {
	if d := s.next.Load(); d != nil {
		return d.Spec, d.Logs
	}
	return s.Program(), s.Logs()
}

// Application is a change that has been ordered.
type Application struct {
	c     *Core
	went  []noted // removed
	rest  []noted
	fresh []*Slot // to be started when those that go are gone
	gone  *order  // the stops of those that go
	up    *order  // the starts
	out   []Applied
	done  chan struct{}
}

// noted is a program of which an Application tells; slot is nil for a group alone.
type noted struct {
	slot *Slot
	id   model.ID
	kind plan.StepKind
}

// Apply orders a change and returns when the new groups are in the table; Wait waits for what follows. A
// program is touched only as far as its own definition asks for it (plan.ForProgram): values that count
// from now on are exchanged under the living process, whose pid and uptime stay; where a restart is
// necessary the process is ended as its old definition says, and the new one comes into force when it is
// gone. A program that was stopped stays so; a stop that is ordered meanwhile counts. What comes is started
// when what goes is gone, so that it finds the ports and files that it may need. ErrEnding.
//
// Source: spec/reliability R24, one-model C5.
func (c *Core) Apply(ctx context.Context, ch Change) (*Application, error) {
	a := c.application()
	if err := c.call(ctx, func() error { return c.apply(a, ch) }); err != nil {
		return nil, err
	}
	return a, nil
}

// Wait waits until what had to stop has stopped and what was started is confirmed or has failed, and says
// what became of each program that is concerned: what goes first, then in the order of the definitions.
// The end of ctx ends only the waiting. ErrEnding: an ordered end came first.
func (a *Application) Wait(ctx context.Context) ([]Applied, error) {
	select {
	case <-a.done:
	case <-a.c.end.done:
		select {
		case <-a.done:
		default:
			return nil, ErrEnding
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return a.out, nil
}

func (c *Core) application() *Application {
	a := &Application{c: c, done: make(chan struct{})}
	a.gone, a.up = &order{core: c, then: a.begin}, &order{core: c, then: a.finish}
	return a
}

// apply makes the table what it is to be, and gives the orders that follow.
func (c *Core) apply(a *Application, ch Change) error {
	if c.State() != model.DaemonRunning {
		return ErrEnding
	}
	var leave, replace []*Slot
	for _, name := range ch.Remove {
		if g := c.active(name); g != nil {
			leave = append(leave, c.disband(g)...)
		}
	}
	var added []*group
	for _, n := range ch.Groups {
		g := c.active(n.Spec.Name)
		if g == nil {
			added = append(added, c.found(a, n))
			continue
		}
		l, r := c.reshape(a, g, n)
		leave, replace = append(leave, l...), append(replace, r...)
	}
	c.publishTable()
	for _, g := range added {
		c.ring.Append(model.Event{Time: c.host.Wall(), Type: model.EventGroupAdded, ID: model.ID{Group: g.entry.Spec.Name}})
	}
	for _, s := range leave {
		a.went = append(a.went, noted{s, s.spec.ID, plan.Remove})
		c.leave(a.gone, s)
	}
	c.depart()
	slices.SortStableFunc(replace, byPriority)
	for _, s := range replace {
		c.replace(a.up, s)
	}
	slices.SortStableFunc(a.fresh, byPriority)
	a.gone.sealed = true
	a.gone.check()
	return nil
}

// byPriority is the order in which orders reach programs.
func byPriority(x, y *Slot) int {
	return cmp.Or(cmp.Compare(x.group.entry.Spec.Priority, y.group.entry.Spec.Priority), cmp.Compare(x.spec.Priority, y.spec.Priority))
}

// begin starts what has come. What goes is gone.
func (a *Application) begin() {
	for _, s := range a.fresh {
		if s.begin && !s.leaving && !s.gone {
			a.up.pending++
			a.c.startOne(a.up, s, Needed, true)
		}
		s.begin = false
		a.c.touch(s)
	}
	a.up.sealed = true
	a.up.check()
}

// finish puts the outcomes together.
func (a *Application) finish() {
	errs := map[*Slot]error{}
	for _, o := range append(a.gone.out, a.up.out...) {
		errs[o.Slot] = o.Err
	}
	for _, n := range append(a.went, a.rest...) {
		a.out = append(a.out, Applied{ID: n.id, Kind: n.kind, Err: errs[n.slot]})
	}
	a.c.keep.acks = append(a.c.keep.acks, func() { close(a.done) })
}

func (a *Application) note(s *Slot, k plan.StepKind) { a.rest = append(a.rest, noted{s, s.spec.ID, k}) }

// active finds a group.
func (c *Core) active(name string) *group {
	for _, g := range c.groups {
		if g.entry.Spec.Name == name {
			return g
		}
	}
	return nil
}

// disband makes a group one that goes, and returns the programs that have to.
func (c *Core) disband(g *group) (leave []*Slot) {
	spec := *g.entry.Spec
	spec.Programs = nil
	for _, s := range g.entry.ByPriority() {
		if !s.leaving {
			s.goes()
			leave = append(leave, s)
		}
	}
	g.leaving, g.entry = true, &GroupEntry{Spec: &spec, Slots: g.entry.Slots}
	c.keepGroup(g)
	c.unlistSoon()
	return leave
}

// found makes a new group active.
func (c *Core) found(a *Application, n NewGroup) *group {
	g := &group{entry: &GroupEntry{Spec: n.Spec}}
	for i, p := range n.Spec.Programs {
		g.entry.Slots = append(g.entry.Slots, c.enlist(a, g, &definition{p, n.Logs[i]}))
	}
	c.insert(g)
	c.keepGroup(g)
	return g
}

// enlist makes the place of a program that has come.
func (c *Core) enlist(a *Application, g *group, d *definition) *Slot {
	s := c.newSlot(g, d.Spec, d.Logs)
	s.begin = !c.adopt(s, false) && c.wanted(s)
	a.fresh = append(a.fresh, s)
	a.note(s, plan.Add)
	return s
}

// reshape puts the new definition of an active group into force, as far as that can be now. It returns the
// programs that have to go, and those that have to be started again.
func (c *Core) reshape(a *Application, g *group, n NewGroup) (leave, replace []*Slot) {
	old := map[model.ID]*Slot{}
	for _, s := range g.entry.Slots {
		old[s.spec.ID] = s
	}
	own, forAll := plan.GroupFields(model.DiffGroup(g.entry.Spec, n.Spec))
	if len(forAll) == 0 && model.Differs(own) {
		a.rest = append(a.rest, noted{nil, model.ID{Group: n.Spec.Name}, plan.Refresh})
	}
	entry := &GroupEntry{Spec: n.Spec}
	for i, p := range n.Spec.Programs {
		d := &definition{p, n.Logs[i]}
		s := old[p.ID]
		delete(old, p.ID)
		switch {
		case s == nil:
			s = c.enlist(a, g, d)
		case s.leaving:
			c.revive(a, s, d)
		case c.redefine(a, s, d, forAll):
			replace = append(replace, s)
		}
		entry.Slots = append(entry.Slots, s)
	}
	for _, s := range g.entry.ByPriority() {
		if old[s.spec.ID] != nil {
			if !s.leaving {
				s.goes()
				leave = append(leave, s)
			}
			entry.Slots = append(entry.Slots, s)
		}
	}
	moves := g.entry.Spec.Priority != n.Spec.Priority
	g.entry, g.leaving = entry, false
	if moves {
		c.groups = slices.DeleteFunc(c.groups, func(x *group) bool { return x == g })
		c.insert(g)
	}
	c.keepGroup(g)
	return leave, replace
}

// redefine gives a program its new definition, at once or as soon as the process is gone, and reports
// whether it is to be started again.
func (c *Core) redefine(a *Application, s *Slot, d *definition, forAll []model.FieldChange) bool {
	fields := append(model.Diff(s.spec, d.Spec), forAll...)
	kind := plan.ForProgram(fields, d.Spec, s.m.State)
	if (c.gentle || s.parting) && kind == plan.Replace {
		kind = plan.Refresh
	}
	if model.Differs(fields) {
		a.note(s, kind)
		c.logf(s, activity.Info, "changed: '%s' (%s)", s.spec.ID.Name, keys(fields))
	}
	if model.EffectOf(fields) == model.EffectRestart && s.inhabited() {
		s.next.Store(d)
		c.repolicy(s)
		c.touch(s)
	} else {
		c.exchange(s, d)
	}
	s.begin = kind == plan.Replace || s.begin && c.wanted(s) // an earlier change may be about to start it
	c.mask(s)
	return kind == plan.Replace
}

// keys are the names of what differs.
func keys(fields []model.FieldChange) string {
	var out []string
	for _, f := range fields {
		if model.Differs([]model.FieldChange{f}) {
			out = append(out, f.Field)
		}
	}
	return strings.Join(out, ", ")
}

// inhabited reports whether a process of the definition in force lives or is being made.
func (s *Slot) inhabited() bool { return s.m.Live || s.m.Spawning }

// exchange puts a definition into force. What lives goes on under it.
func (c *Core) exchange(s *Slot, d *definition) {
	s.spec, s.logs = d.Spec, d.Logs
	s.publish()
	s.next.Store(nil)
	c.repolicy(s)
	c.index = nil
	c.touch(s)
	s.retune = s.m.Spawning
	if s.m.Live {
		s.tune()
		c.look(s)
		if s.m.Unproved && !s.policy.Checked { // nobody would ever say that they have passed
			c.step(s, lifecycle.Event{Kind: lifecycle.Proved, Gen: s.m.Gen})
		}
	}
	c.reconsider()
}

// exchangeAt puts the definition that waits into force on the way into a state in which no process is left.
func (c *Core) exchangeAt(s *Slot, to model.State) {
	if d := s.next.Load(); d != nil && (to.Down() && to != model.Unknown || to == model.Backoff || to == model.Starting) {
		c.exchange(s, d)
		s.retune = false // the next process is made from it
	}
}

// tune lets the surroundings of the process follow.
func (s *Slot) tune() {
	s.retune = false
	if t, ok := s.proc.(Tuner); ok {
		t.Tune(s.spec)
	}
}

// replace ends the process and starts the program anew. A stop that is ordered meanwhile counts.
func (c *Core) replace(o *order, s *Slot) {
	o.pending++
	c.stopNow(s)
	c.startOne(o, s, Each, true)
	s.begin = false
	c.touch(s)
}

// leave stops a program that is to be forgotten.
func (c *Core) leave(o *order, s *Slot) {
	o.pending++
	c.touch(s)
	switch {
	case s.m.State == model.Unknown && s.m.Live:
		o.settle(s, &SignalError{s.lastErr})
		return
	case s.m.State.Down():
		o.settle(s, nil)
		c.retire(s)
		return
	}
	w := &wait{order: o, goal: goalDown}
	s.waits = append(s.waits, w)
	if c.part(s); len(c.relations().dependents) == 0 {
		c.stopNow(s)
	}
	if s.waitsFor(w) {
		c.mention(s, w)
	}
}

// goes marks a program as one that is to be forgotten: nothing starts it any more.
func (s *Slot) goes() {
	s.leaving, s.begin = true, false
	s.policy.Exit.Restart = model.RestartNever
}

// revive keeps a program after all that was to be forgotten.
func (c *Core) revive(a *Application, s *Slot, d *definition) {
	s.leaving = false
	c.repolicy(s)
	if s.inhabited() {
		s.next.Store(d)
		c.repolicy(s)
		c.touch(s)
	} else {
		c.exchange(s, d)
	}
	c.unwish(s.spec.ID)
	s.begin = c.wanted(s)
	a.fresh = append(a.fresh, s)
	a.note(s, plan.Add)
}

// left reports whether nothing is left of a program that was to go.
func (s *Slot) left() bool { return s.leaving && s.m.State.Down() && !s.inhabited() }

// retire has a program forgotten that is to leave and of which nothing lives.
func (c *Core) retire(s *Slot) {
	if s.left() && !s.gone {
		c.unlistSoon()
	}
}

// unlistSoon lets many that end together be forgotten together.
func (c *Core) unlistSoon() {
	if !c.unlisting {
		c.unlisting = true
		c.post(c.unlist)
	}
}

// unlist takes the programs that have left out of the table, and groups of which nothing is left.
func (c *Core) unlist() {
	c.unlisting = false
	if c.end.begun {
		return // everything ends, in the order that was fixed then
	}
	var removed []string
	c.groups = slices.DeleteFunc(c.groups, func(g *group) bool {
		if slices.ContainsFunc(g.entry.Slots, (*Slot).left) {
			rest := &GroupEntry{Spec: g.entry.Spec}
			for _, s := range g.entry.Slots {
				if s.left() {
					c.forgetSlot(s)
				} else {
					rest.Slots = append(rest.Slots, s)
				}
			}
			g.entry = rest
		}
		over := g.leaving && len(g.entry.Slots) == 0
		if over {
			c.forgetGroup(g)
			removed = append(removed, g.entry.Spec.Name)
		}
		return over
	})
	c.publishTable()
	for _, name := range removed {
		c.ring.Append(model.Event{Time: c.host.Wall(), Type: model.EventGroupRemoved, ID: model.ID{Group: name}})
	}
}
