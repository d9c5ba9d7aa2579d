package core

import (
	"sync"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/agenda"
)

// inbox is the core's queue of work: many writers, one reader, never blocking a writer.
type inbox struct {
	mu    sync.Mutex
	work  []func()
	spare []func() // the reader's last batch, to be filled again
	ready chan struct{}
}

func (b *inbox) init() { b.ready = make(chan struct{}, 1) }

func (b *inbox) put(f func()) {
	b.mu.Lock()
	b.work = append(b.work, f)
	b.mu.Unlock()
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// take returns what is waiting; the slice is valid until the next take.
func (b *inbox) take() []func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	work := b.work
	clear(b.spare)
	b.work, b.spare = b.spare[:0], work
	return work
}

// timer is a call at a time of the host's clock.
type timer = agenda.Item[func()]

// fire calls what is due at now, and reports whether anything was.
func (c *Core) fire(now time.Duration) bool {
	fired := false
	for x := c.timers.Take(now); x != nil; x = c.timers.Take(now) {
		x.What()
		fired = true
	}
	return fired
}
