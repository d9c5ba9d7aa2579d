package reactor

import (
	"sync"
	"time"
)

// stallAfter is how long all workers must have been inside functions before another is added.
const stallAfter = 5 * time.Millisecond

// workers are the goroutines of a backend: how many there are, how many of them wait, and who asked to run at once.
// The backend embeds them, with the lock that guards it.
type workers struct {
	timers *timers
	work   func() // a worker's life
	wg     sync.WaitGroup

	mu        sync.Mutex
	kicks     []*Registration
	closing   bool
	min, max  int
	total     int
	idle      int
	busySince time.Time // when idle became 0
	check     timer     // the look at whether all are stuck
	checking  bool      // it is scheduled
}

// employ starts those that are always there.
func (w *workers) employ(o Options, t *timers, work func()) {
	w.timers, w.work, w.min, w.max = t, work, o.Workers, o.MaxWorkers
	w.check = timer{What: w}
	w.mu.Lock()
	defer w.mu.Unlock()
	for range o.Workers {
		w.spawnLocked()
	}
}

func (w *workers) spawnLocked() {
	w.total++
	w.idle++
	w.wg.Go(w.work)
}

// beginLocked notes that a worker is busy.
func (w *workers) beginLocked() {
	w.idle--
	if w.idle == 0 && w.total < w.max {
		w.busySince = time.Now()
		if !w.checking {
			w.checking = true
			w.timers.set(&w.check, stallAfter)
		}
	}
}

// leave notes that a worker is free; true tells it to end.
func (w *workers) leave() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closing || (w.total > w.min && w.idle > 0) {
		w.total--
		return true
	}
	w.idle++
	return false
}

// expire is the look at whether all are stuck.
func (w *workers) expire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.checking = false
	if w.closing || w.idle > 0 || w.total >= w.max {
		return
	}
	busy := time.Since(w.busySince)
	if busy >= stallAfter {
		w.spawnLocked()
		return
	}
	w.checking = true
	w.timers.set(&w.check, stallAfter-busy)
}

// kickLocked takes the oldest kick; nil = there is none.
func (w *workers) kickLocked() (g *Registration) {
	if len(w.kicks) == 0 {
		return nil
	}
	g = w.kicks[0]
	w.kicks[0] = nil
	if w.kicks = w.kicks[1:]; len(w.kicks) == 0 {
		w.kicks = nil // after a burst it is long
	}
	return g
}
