package app

import (
	"errors"
	"os"

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
		saved.Retain(launch.Living(entries), runnable(a.o.Config))
	}
	if a.found = saved; !saved.Empty() {
		a.saved = saved
	}
	return nil
}

// restored reports whether a group was taken over from an earlier process.
func (a *App) restored(group string) bool {
	return a.saved != nil && (a.o.Continue || a.saved.Has(group))
}

// resume takes back what lives and goes on with everything that was under way.
func (a *App) resume() {
	if a.o.State == nil {
		return
	}
	a.core.SetWishes(a.o.State.wishes.Snapshot())
	a.host.Inherit(a.o.Keeper.held(), a.o.State.entries())
	if a.saved == nil && a.remains() {
		// The journal is lost, and something lives: it is found by what the keeper holds, or by its marks. To
		// start it a second time would be the worst (R8).
		a.found, a.first = core.Assume(a.first), nil
	}
	if a.found != nil {
		a.core.Restore(a.found)
	}
	coming := map[model.ID]bool{}
	for _, g := range a.first {
		for _, p := range g.Spec.Programs {
			coming[p.ID] = true
		}
	}
	a.host.Settle(a.core.Table().Slot, func(id model.ID) bool { return coming[id] })
}

// remains reports whether instances of our programs may live although there is no journal of them.
func (a *App) remains() bool {
	if a.host.Holding() {
		return true
	}
	if a.o.State.over {
		return false // what has the marks of a program was left by one, and is not to be taken for it
	}
	var wanted []procfd.Wanted
	for _, g := range a.first {
		for _, p := range g.Spec.Programs {
			wanted = append(wanted, procfd.Wanted{Group: p.ID.Group, Name: p.ID.Name, UID: p.Command.UID})
		}
	}
	found, err := procfd.FindInstances(wanted)
	if err != nil || len(found) == 0 {
		return false // a system without such marks
	}
	lost := map[model.ID]procfd.Identity{}
	for w, id := range found {
		lost[model.ID{Group: w.Group, Name: w.Name}] = id
	}
	a.host.Lost(lost)
	return true
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
