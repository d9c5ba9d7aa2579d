package app

import (
	"context"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/listeners"
)

// makePools makes what serves event listeners. Every event passes it before the ring's readers get it.
func (a *App) makePools() {
	o := listeners.Options{
		Identifier: a.set().Identifier, Ring: a.ring, Log: a.log,
		Table:  func() *core.Table { return a.core.Table() },
		Bounce: func(id model.ID, gen uint64) { a.core.Renew(id, gen) },
	}
	if a.o.State != nil {
		o.Journal = a.o.State.journal
	}
	if a.o.Serial != nil {
		o.Serial = *a.o.Serial
	}
	a.pools = listeners.New(o)
	a.ring.Observe(a.happened)
}

// restorePools goes on with the pools that an earlier process has left, before their listeners are taken back.
func (a *App) restorePools() {
	if a.o.State == nil || a.found == nil {
		return
	}
	a.pools.Restore(a.o.State.entries(), a.found.Groups())
}

// runPools runs the pools until the function it returns is called. The serials of events go on for the daemon's next
// turn. Source: spec/supervisor 4.2.
func (a *App) runPools() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.pools.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
		if a.o.Serial != nil {
			*a.o.Serial = a.pools.Serial()
		}
	}
}
