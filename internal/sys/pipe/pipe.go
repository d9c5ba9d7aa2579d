// Package pipe is what the log path needs of pipes: how much waits in one, moving it to a file inside the
// kernel, looking at it without taking it, and a bigger buffer for those that need it.
//
// Functions take plain descriptors, never close them, and never change their flags, which may be shared
// with other processes. None of them blocks on the pipe; moving to a file blocks as long as its disk does.
package pipe

import (
	"errors"
	"sync"
)

// Errors that callers decide on. ErrUnsupported of package errors is returned where the system, or the
// kind of descriptor, has no such operation.
var (
	// ErrAgain: nothing to read, or no room to write, at the moment.
	ErrAgain = errors.New("pipe: not ready")
	// ErrBroken: nobody will ever read what is written.
	ErrBroken = errors.New("pipe: nobody reads")
)

// DefaultCapacity is the capacity in bytes of a new pipe on Linux.
const DefaultCapacity = 64 << 10

// MaxCapacity is the largest capacity in bytes that is asked for.
const MaxCapacity = 1 << 20

// Budget bounds the memory of enlarged pipes: past its limit the kernel would give an ordinary user's
// new pipes two pages instead of sixteen. Its methods are safe for concurrent use.
type Budget struct {
	mu      sync.Mutex
	left    int64
	total   int64
	holders int // pipes that are larger than they began
}

// NewBudget makes a budget of limit bytes; 0 or less means half of what the system allows one user
// before it shrinks pipes (32 MiB by default on Linux), and nothing where pipes have a fixed size.
func NewBudget(limit int64) *Budget {
	if limit <= 0 {
		limit = softLimit() / 2
	}
	return &Budget{left: limit, total: limit}
}

// Grow enlarges a pipe fourfold, at most to MaxCapacity and to an equal share of the budget, and returns its
// capacity afterwards. The capacity is what it was when the budget or the system does not allow more.
// initial is the capacity that the pipe began with.
func (b *Budget) Grow(fd, initial, capacity int) int {
	want := min(capacity*4, MaxCapacity, b.share(capacity == initial))
	if want <= capacity || capacity <= 0 {
		return capacity
	}
	if !b.take(int64(want - capacity)) {
		return capacity
	}
	got, err := SetCapacity(fd, want)
	if err != nil || got < want {
		b.give(int64(want - capacity))
		return capacity
	}
	if capacity == initial {
		b.hold(1)
	}
	return got
}

// share is what one pipe may have when all that were enlarged have the same, a power of two.
func (b *Budget) share(another bool) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.holders
	if another {
		n++
	}
	share := 1
	for int64(share)*2*int64(max(n, 1)) <= b.total && share < MaxCapacity {
		share *= 2
	}
	return share
}

// Adopt counts a pipe that was enlarged before, by a predecessor of this process.
func (b *Budget) Adopt(initial, capacity int) {
	if capacity > initial {
		b.give(int64(initial - capacity))
		b.hold(1)
	}
}

// Release gives back what Grow took for a pipe that now has this capacity and began with initial.
func (b *Budget) Release(initial, capacity int) {
	if capacity > initial {
		b.give(int64(capacity - initial))
		b.hold(-1)
	}
}

func (b *Budget) hold(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.holders += n
}

func (b *Budget) take(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > b.left {
		return false
	}
	b.left -= n
	return true
}

func (b *Budget) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += n
}
