package app

import (
	"errors"
	"os"
	"slices"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/launch"
	"github.com/upkeep-project/upkeep/internal/face/listen"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
)

// recover reads what an earlier process of this boot has left.
func (a *App) recover() error {
	if a.o.State == nil {
		return nil
	}
	entries := a.o.State.entries()
	saved, errs := core.Read(entries)
	for _, err := range errs {
		a.note(activity.Error, err.Error())
	}
	if !a.o.Continue {
		// A new start after all of us were gone: what lives goes on as it is; the rest is what the
		// configuration says now.
		saved.Retain(launch.Living(entries), a.o.Config.Model)
	}
	if a.found = saved; !saved.Empty() {
		a.saved = saved
	}
	return nil
}

// restored reports whether a group was taken over from an earlier process, or removed by it. What is in no damaged record may
// be there all the same.
func (a *App) restored(group string) bool {
	return a.saved != nil && (a.saved.Has(group) || a.o.Continue && !a.o.State.damaged())
}

// resume takes back what lives and goes on with everything that was under way.
func (a *App) resume() {
	if s := a.o.State; s != nil {
		if a.foreign() {
			s.thisBoot()
		}
		a.core.SetWishes(s.wishes.Snapshot())
		a.host.Inherit(append(a.o.Keeper.held(), s.held...), s.entries())
		s.held = nil
	} else {
		a.host.Inherit(nil, nil)
	}
	a.assume()
	a.restorePools()
	if a.found != nil {
		a.core.Restore(a.found)
		if a.foreign() && !a.o.Continue {
			a.core.Autostart(a.alerts.Expect)
		}
	}
	a.pools.Settle()
	a.host.ResumeSockets(a.core.Table().Sorted)
	coming := map[model.ID]bool{}
	for _, g := range a.first {
		for _, p := range g.Spec.Programs {
			coming[p.ID] = true
		}
	}
	a.host.Settle(a.core.Table().Slot, func(id model.ID) bool { return coming[id] })
}

// assume goes on with what lives although no record says so: it is found by what the keeper holds, or by its
// marks. To start it a second time would be the worst. Source: spec/reliability R8.
func (a *App) assume() {
	held := a.saved == nil && a.host.Holding()
	lost := map[model.ID]procfd.Identity{}
	if !held && a.unsure() {
		lost = a.search()
		a.host.Lost(lost)
	}
	var lives, coming []core.NewGroup
	for _, g := range a.first {
		is := func(p *model.Program) bool { _, found := lost[p.ID]; return found }
		if held || slices.ContainsFunc(g.Spec.Programs, is) {
			lives = append(lives, g)
		} else {
			coming = append(coming, g)
		}
	}
	if len(lives) == 0 {
		return
	}
	if a.found == nil {
		a.found = core.Assume(nil)
	}
	a.found.Add(lives)
	a.first = coming
}

// unsure reports whether something may live of which there is no record: there are no records at all, and that
// is not because everything has ended, or some are damaged.
func (a *App) unsure() bool {
	switch {
	case a.o.State == nil:
		return true
	case a.saved == nil:
		return !a.o.State.over // else what has the marks of a program was left by one, and is not to be taken for it
	}
	return a.o.State.damaged()
}

// search finds the instances of our programs by their marks.
func (a *App) search() map[model.ID]procfd.Identity {
	var wanted []procfd.Wanted
	want := func(g *model.Group) {
		for _, p := range g.Programs {
			wanted = append(wanted, procfd.Wanted{
				Group: p.ID.Group, Name: p.ID.Name, UID: p.Command.UID, Server: a.host.ServerURL(p),
			})
		}
	}
	for _, g := range a.first {
		want(g.Spec)
	}
	if a.saved != nil {
		for _, g := range a.saved.Groups() {
			want(g)
		}
	}
	found, err := procfd.FindInstances(wanted)
	if err != nil {
		return nil // a system without such marks
	}
	lost := map[model.ID]procfd.Identity{}
	for w, id := range found {
		lost[model.ID{Group: w.Group, Name: w.Name}] = id
	}
	return lost
}

// inherited is the listening socket that an earlier process has opened for a server; nil = none.
func (a *App) inherited(e *endpoint) (*listen.Listener, error) {
	it, ok := a.o.Keeper.take(e.key())
	if !ok || len(it.FDs) != 1 || it.FDs[0] < 0 {
		return nil, nil
	}
	f := os.NewFile(uintptr(it.FDs[0]), e.key())
	if f == nil {
		return nil, errors.New("not a descriptor")
	}
	path := ""
	if e.section.Unix {
		path = e.section.File
	}
	return listen.Adopt(f, path)
}
