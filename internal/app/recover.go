package app

import (
	"errors"
	"os"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/launch"
	"github.com/upkeep-project/upkeep/internal/face/listen"
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
	if a.found != nil {
		a.core.Restore(a.found)
	}
	a.host.Settle(func(id model.ID) *core.Slot { return a.core.Table().Slot(id) })
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
