package core

import (
	"container/heap"
	"sync"
	"time"
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

// timer is a call at a time of the host's clock. Its place in the heap is its own, so that a program's
// one timer is moved, not made anew.
type timer struct {
	at  time.Duration
	seq uint64 // ties fire in the order in which they were set
	fn  func()
	pos int // 1-based place in the heap, 0 = not set
}

// timers is the core's clockwork.
type timers struct {
	heap timerHeap
	seq  uint64
}

func (t *timers) set(x *timer, at time.Duration) {
	t.seq++
	x.at, x.seq = at, t.seq
	if x.pos > 0 {
		heap.Fix(&t.heap, x.pos-1)
	} else {
		heap.Push(&t.heap, x)
	}
}

func (t *timers) clear(x *timer) {
	if x.pos > 0 {
		heap.Remove(&t.heap, x.pos-1)
	}
}

func (t *timers) next() (time.Duration, bool) {
	if len(t.heap) == 0 {
		return 0, false
	}
	return t.heap[0].at, true
}

// fire calls what is due at now, and reports whether anything was.
func (t *timers) fire(now time.Duration) bool {
	fired := false
	for len(t.heap) > 0 && t.heap[0].at <= now {
		x := heap.Pop(&t.heap).(*timer)
		x.fn()
		fired = true
	}
	return fired
}

type timerHeap []*timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if h[i].at != h[j].at {
		return h[i].at < h[j].at
	}
	return h[i].seq < h[j].seq
}

func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i+1, j+1
}

func (h *timerHeap) Push(x any) {
	t := x.(*timer)
	*h = append(*h, t)
	t.pos = len(*h)
}

func (h *timerHeap) Pop() any {
	old := *h
	n := len(old) - 1
	t := old[n]
	old[n] = nil
	*h = old[:n]
	t.pos = 0
	return t
}
