package checks

import (
	"container/heap"
	"time"
)

// timer is something that is to happen.
type timer struct {
	at   time.Duration
	pos  int // in the queue; -1 = it is not there
	fire func(now time.Duration)
}

// queue has timers, the next first.
type queue []*timer

// Len, Less, Swap, Push and Pop are those of a heap.
func (q queue) Len() int { return len(q) }

// Less orders by time.
func (q queue) Less(i, j int) bool { return q[i].at < q[j].at }

// Swap exchanges two.
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].pos, q[j].pos = i, j
}

// Push adds one at the end.
func (q *queue) Push(x any) {
	t := x.(*timer)
	t.pos = len(*q)
	*q = append(*q, t)
}

// Pop takes the last one.
func (q *queue) Pop() any {
	old := *q
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	t.pos = -1
	return t
}

// set has a timer fire at a time.
func (q *queue) set(t *timer, at time.Duration) {
	t.at = at
	if t.pos < 0 {
		heap.Push(q, t)
		return
	}
	heap.Fix(q, t.pos)
}

// unset has it not fire.
func (q *queue) unset(t *timer) {
	if t.fire != nil && t.pos >= 0 {
		heap.Remove(q, t.pos)
	}
}

// next takes out the first that is due.
func (q *queue) next(now time.Duration) *timer {
	if len(*q) == 0 || (*q)[0].at > now {
		return nil
	}
	return heap.Pop(q).(*timer)
}
