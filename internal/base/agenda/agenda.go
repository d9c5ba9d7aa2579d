// Package agenda is a queue of what is due at some time: what is due first comes first, and what is due at the same time in
// the order in which it was set. It has no clock; times are on whatever clock its user has. It is not safe for concurrent use.
package agenda

import (
	"container/heap"
	"time"
)

// Item is something that is due at a time. The zero value is in no queue. It must not be copied while it is in one.
type Item[T any] struct {
	What T

	at    time.Duration
	seq   uint64
	place int // in the heap, from 1; 0 = in none
}

// Waits reports whether the item is in a queue.
func (x *Item[T]) Waits() bool { return x.place > 0 }

// At is when it is due, or was when it was set last.
func (x *Item[T]) At() time.Duration { return x.at }

// Queue has items, the next first. The zero value is empty.
type Queue[T any] struct {
	items items[T]
	seq   uint64
}

// Len is how many items wait.
func (q *Queue[T]) Len() int { return len(q.items) }

// Set has an item due at a time, in the place of any earlier one. It is in no other queue.
func (q *Queue[T]) Set(x *Item[T], at time.Duration) {
	q.seq++
	x.at, x.seq = at, q.seq
	if x.Waits() {
		heap.Fix(&q.items, x.place-1)
		return
	}
	heap.Push(&q.items, x)
}

// Unset takes an item out, if it is in.
func (q *Queue[T]) Unset(x *Item[T]) {
	if x.Waits() {
		heap.Remove(&q.items, x.place-1)
	}
}

// Next is when the first item is due; false when there is none.
func (q *Queue[T]) Next() (time.Duration, bool) {
	if len(q.items) == 0 {
		return 0, false
	}
	return q.items[0].at, true
}

// Take takes out the first item that is due at now; nil when none is.
func (q *Queue[T]) Take(now time.Duration) *Item[T] {
	if len(q.items) == 0 || q.items[0].at > now {
		return nil
	}
	return heap.Pop(&q.items).(*Item[T])
}

// items is a heap; its methods are those of heap.Interface.
type items[T any] []*Item[T]

func (h items[T]) Len() int { return len(h) }

func (h items[T]) Less(i, j int) bool {
	if h[i].at != h[j].at {
		return h[i].at < h[j].at
	}
	return h[i].seq < h[j].seq
}

func (h items[T]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i+1, j+1
}

func (h *items[T]) Push(x any) {
	i := x.(*Item[T])
	*h = append(*h, i)
	i.place = len(*h)
}

func (h *items[T]) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	x.place = 0
	return x
}
