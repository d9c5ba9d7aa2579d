package reactor

import (
	"sync"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/agenda"
)

// timer is a deadline of somebody, in time since the timers were made.
type timer = agenda.Item[interface{ expire() }]

// timers is one queue of deadlines and the goroutine that waits for the nearest. Without deadlines the
// goroutine sleeps.
type timers struct {
	began time.Time

	mu    sync.Mutex
	queue agenda.Queue[interface{ expire() }]
	wake  chan struct{}
	quit  chan struct{}
	done  chan struct{}
}

func newTimers() *timers {
	t := &timers{began: time.Now(), wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	go t.loop()
	return t
}

// set schedules or reschedules e.
func (t *timers) set(e *timer, d time.Duration) {
	t.mu.Lock()
	at := time.Since(t.began) + d
	t.queue.Set(e, at)
	next, _ := t.queue.Next()
	t.mu.Unlock()
	first := next == at
	if first {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

func (t *timers) unset(e *timer) {
	t.mu.Lock()
	t.queue.Unset(e)
	t.mu.Unlock()
}

func (t *timers) close() {
	close(t.quit)
	<-t.done
}

func (t *timers) loop() {
	defer close(t.done)
	clock := time.NewTimer(time.Hour)
	defer clock.Stop()
	var due []*timer
	for {
		t.mu.Lock()
		now := time.Since(t.began)
		for e := t.queue.Take(now); e != nil; e = t.queue.Take(now) {
			due = append(due, e)
		}
		at, some := t.queue.Next()
		t.mu.Unlock()
		if len(due) > 0 {
			for i, e := range due {
				e.What.expire()
				due[i] = nil
			}
			due = due[:0]
			continue
		}
		var ring <-chan time.Time // nil: nothing to wait for
		if some {
			clock.Reset(at - now)
			ring = clock.C
		} else {
			clock.Stop()
		}
		select {
		case <-ring:
		case <-t.wake:
		case <-t.quit:
			return
		}
	}
}
