package app

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// settle is how long no garbage was collected when what is free is given back to the system.
	settle = 3 * time.Second
	// rush is how soon one collection follows another when much garbage is made, and room how much memory is used then
	// so that they become rarer: the heap of a daemon with few programs is so small that it would be collected up to a
	// hundred times a second, for a third of the processor time.
	rush = 200 * time.Millisecond
	room = 32 << 20

	// How much garbage may lie around, in percent of what is in use: usually half of Go's own, for a process that is to be
	// small and is idle most of the time.
	usualPercent, mostPercent, goPercent = 50, 800, 100
)

// giveBack watches over the memory of this process. See garbage.
var giveBack = sync.OnceFunc(func() { newGarbage(debug.SetGCPercent, live).watch() })

// live is the size of what was in use at the last collection, in bytes.
func live() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// garbage lets the heap grow for as long as much garbage is made, and returns memory to the system when the collector has
// rested for a while: after a burst, such as the start of a thousand programs, and not again before the next one. It
// wakes nothing up while there is nothing to do.
type garbage struct {
	apply func(percent int) (before int) // debug.SetGCPercent
	live  func() uint64

	mu      sync.Mutex
	last    time.Time // of the collections
	percent int
	fixed   bool // somebody has set GOGC
}

func newGarbage(apply func(int) int, live func() uint64) *garbage {
	g := &garbage{apply: apply, live: live, percent: usualPercent}
	if before := apply(usualPercent); before != goPercent && before != usualPercent {
		g.fixed = true
		apply(before)
	}
	return g
}

// watch begins to watch, for the life of the process.
func (g *garbage) watch() {
	var own atomic.Bool // the next collection is that of FreeOSMemory
	rest := time.AfterFunc(settle, func() {
		g.rested()
		own.Store(true)
		debug.FreeOSMemory()
	})
	type cycle struct{ _ *byte } // with a pointer, so that it is not allocated together with others
	var watch func()
	watch = func() {
		runtime.SetFinalizer(&cycle{}, func(*cycle) {
			if !own.Swap(false) {
				rest.Reset(settle)
				g.collected(time.Now())
			}
			watch()
		})
	}
	watch()
}

// rested is called when nothing was collected for a while.
func (g *garbage) rested() { g.set(usualPercent) }

// collected is called after a collection.
func (g *garbage) collected(now time.Time) {
	g.mu.Lock()
	soon := now.Sub(g.last) < rush
	g.last = now
	g.mu.Unlock()
	if n := g.live(); soon && n > 0 {
		g.set(int(max(usualPercent, min(room*100/n, mostPercent))))
	}
}

// set puts a percentage into force, which stops everything for a moment: not for a small difference.
func (g *garbage) set(percent int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fixed || percent == g.percent || percent != usualPercent && abs(percent-g.percent) < g.percent/4 {
		return
	}
	g.percent = percent
	g.apply(percent)
}

func abs(n int) int { return max(n, -n) }
