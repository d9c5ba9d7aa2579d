package streams

import "sync/atomic"

// memory is an allowance shared by the backlogs of a pump, in bytes.
type memory struct {
	limit int64
	used  atomic.Int64
}

// room is how much of the allowance is left.
func (m *memory) room() int64 { return max(m.limit-m.used.Load(), 0) }
