package reactor

import (
	"container/heap"
	"sync"
	"time"
)

// timer is one entry of the heap; index is -1 while it is not in it.
type timer struct {
	when  time.Duration // since the timers were made
	index int
	owner interface{ expire() }
}

// timers is one heap of deadlines and the goroutine that waits for the nearest. Without deadlines the
// goroutine sleeps.
type timers struct {
	began time.Time

	mu   sync.Mutex
	heap timerHeap
	wake chan struct{}
	quit chan struct{}
	done chan struct{}
}

func newTimers() *timers {
	t := &timers{began: time.Now(), wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	go t.loop()
	return t
}

// set schedules or reschedules e.
func (t *timers) set(e *timer, d time.Duration) {
	t.mu.Lock()
	e.when = time.Since(t.began) + d
	if e.index >= 0 {
		heap.Fix(&t.heap, e.index)
	} else {
		heap.Push(&t.heap, e)
	}
	first := e.index == 0
	t.mu.Unlock()
	if first {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

func (t *timers) unset(e *timer) {
	t.mu.Lock()
	if e.index >= 0 {
		heap.Remove(&t.heap, e.index)
	}
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
		for len(t.heap) > 0 && t.heap[0].when <= now {
			due = append(due, heap.Pop(&t.heap).(*timer))
		}
		next := time.Duration(-1)
		if len(t.heap) > 0 {
			next = t.heap[0].when - now
		}
		t.mu.Unlock()
		if len(due) > 0 {
			for i, e := range due {
				e.owner.expire()
				due[i] = nil
			}
			due = due[:0]
			continue
		}
		var ring <-chan time.Time // nil: nothing to wait for
		if next >= 0 {
			clock.Reset(next)
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

type timerHeap []*timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].when < h[j].when }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *timerHeap) Push(x any) {
	e := x.(*timer)
	e.index = len(*h)
	*h = append(*h, e)
}

func (h *timerHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	e.index = -1
	return e
}
