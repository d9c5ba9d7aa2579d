// Package events is the one log of what happened: a ring of numbered events that every reader follows at
// its own pace. The writer never waits for a reader; a reader that falls behind is told how many events
// it has missed.
//
// Source: spec/supervisor 4; the numbers are ours.
package events

import (
	"context"
	"sync"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Ring holds the newest events. All its methods may be called at the same time from any goroutine; with
// several writers the order of the numbers is the order of the events.
type Ring struct {
	capacity uint64
	maxData  int // bytes of Data that are kept; 0 = no limit

	mu    sync.Mutex
	buf   []model.Event // event n is at (n-1) % capacity; grows up to the capacity
	last  uint64        // number of the newest event, 0 = none yet
	count uint64        // events held: last-count+1 … last
	data  int           // bytes of Data held
	news  chan struct{} // closed by the next Append; nil when nobody waits

	observe func(model.Event)
}

// New makes an empty ring that holds up to capacity events, at least one. Memory is taken as it fills.
func New(capacity int) *Ring { return NewBounded(capacity, 0) }

// NewBounded makes an empty ring that holds up to capacity events, at least one, and up to maxData bytes
// of their Data (0 = no limit). The newest event is held whatever its size.
func NewBounded(capacity, maxData int) *Ring {
	return &Ring{capacity: uint64(max(capacity, 1)), maxData: maxData}
}

// Observe has f told of every event inside its Append, in the order of the numbers, before Append returns. f must
// return at once and must not call the ring. Call it before the first Append.
func (r *Ring) Observe(f func(model.Event)) { r.observe = f }

// Append numbers the event, stores it, wakes those who wait, and returns it with its number. The oldest
// events make room. The Data is not copied and must not change any more.
func (r *Ring) Append(e model.Event) model.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count == r.capacity {
		r.dropOldest()
	}
	r.last++
	e.Seq = r.last
	if at := (r.last - 1) % r.capacity; at < uint64(len(r.buf)) {
		r.buf[at] = e
	} else {
		r.buf = append(r.buf, e)
	}
	r.count++
	r.data += len(e.Data)
	for r.maxData > 0 && r.data > r.maxData && r.count > 1 {
		r.dropOldest()
	}
	if r.news != nil {
		close(r.news)
		r.news = nil
	}
	if r.observe != nil {
		r.observe(e)
	}
	return e
}

// dropOldest forgets one event, and what it points to.
func (r *Ring) dropOldest() {
	oldest := &r.buf[(r.last-r.count)%r.capacity]
	r.data -= len(oldest.Data)
	*oldest = model.Event{}
	r.count--
}

// Since returns up to limit events with numbers above seq, oldest first (limit ≤ 0: all of them), and how
// many events above seq are no longer held. Those are the ones directly after seq: what is returned
// begins at seq+lost+1. A number that was not given yet is answered with nothing.
// The returned events' Data must not be changed.
func (r *Ring) Since(seq uint64, limit int) (events []model.Event, lost uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if seq >= r.last {
		return nil, 0
	}
	if before := r.last - r.count; seq < before {
		lost = before - seq
		seq = before
	}
	n := r.last - seq
	if limit > 0 {
		n = min(n, uint64(limit))
	}
	events = make([]model.Event, 0, n)
	for s := seq; s < seq+n; s++ {
		events = append(events, r.buf[s%r.capacity])
	}
	return events, lost
}

// Last is the number of the newest event, 0 when there was none.
func (r *Ring) Last() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// Wait blocks until there is an event with a number above seq, and returns nil; or until ctx ends, and
// returns its error. An ended ctx is reported even when there are events.
func (r *Ring) Wait(ctx context.Context, seq uint64) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		news := r.newer(seq)
		if news == nil {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
		}
	}
}

// newer is nil when there is an event above seq, else the channel that the next Append closes.
func (r *Ring) newer(seq uint64) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last > seq {
		return nil
	}
	if r.news == nil {
		r.news = make(chan struct{})
	}
	return r.news
}
