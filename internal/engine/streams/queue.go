package streams

import (
	"bytes"
	"sync/atomic"
)

// memory is an allowance shared by the queues of a pump, in bytes.
type memory struct {
	limit int64
	used  atomic.Int64
}

// take reserves up to n bytes and returns how many.
func (m *memory) take(n int) int {
	for {
		used := m.used.Load()
		got := min(int64(n), max(m.limit-used, 0))
		if m.used.CompareAndSwap(used, used+got) {
			return int(got)
		}
	}
}

func (m *memory) give(n int) { m.used.Add(-int64(n)) }

// segment is bytes to be written, or the number of those that were dropped at that place.
type segment struct {
	data []byte
	lost int64
}

// queue is what could not be written yet, in order. Its size is bounded by its own limit and by the shared
// one; what goes beyond is counted. A gap begins and ends at line ends where that is possible.
type queue struct {
	segs []segment
	size int // of the data
	// dropping: the last segment is a gap that goes on with what comes.
	dropping bool
}

func (q *queue) empty() bool { return len(q.segs) == 0 }

// add queues a copy of p, or counts it.
func (q *queue) add(p []byte, limit int, m *memory) {
	if q.dropping {
		if q.size > limit/2 { // not before there is room for a good while
			q.drop(len(p))
			return
		}
		i := bytes.IndexByte(p, '\n')
		q.drop(i + 1)
		if i < 0 && len(p) < maxLine {
			q.drop(len(p))
			return
		}
		p = p[i+1:]
		q.dropping = false
	}
	room := m.take(min(len(p), limit-q.size))
	keep := p
	if room < len(p) {
		keep = p[:bytes.LastIndexByte(p[:room], '\n')+1]
		m.give(room - len(keep))
	}
	if len(keep) > 0 {
		if n := len(q.segs); n > 0 && q.segs[n-1].lost == 0 {
			q.segs[n-1].data = append(q.segs[n-1].data, keep...)
		} else {
			q.segs = append(q.segs, segment{data: bytes.Clone(keep)})
		}
		q.size += len(keep)
	}
	if rest := len(p) - len(keep); rest > 0 {
		q.drop(rest)
		q.dropping = true
	}
}

func (q *queue) drop(n int) {
	if n <= 0 {
		return
	}
	if k := len(q.segs); k > 0 && q.segs[k-1].lost > 0 {
		q.segs[k-1].lost += int64(n)
		return
	}
	q.segs = append(q.segs, segment{lost: int64(n)})
}

// advance forgets the first n bytes of the first segment, which is data.
func (q *queue) advance(n int, m *memory) {
	q.segs[0].data = q.segs[0].data[n:]
	q.size -= n
	m.give(n)
	if len(q.segs[0].data) == 0 {
		q.pop()
	}
}

// pop removes the first segment.
func (q *queue) pop() {
	q.segs[0] = segment{}
	q.segs = q.segs[1:]
	if len(q.segs) == 0 {
		q.segs, q.dropping = nil, false
	}
}

// clear forgets everything and returns how many bytes that were, gaps included.
func (q *queue) clear(m *memory) (lost int64) {
	for _, s := range q.segs {
		lost += int64(len(s.data)) + s.lost
	}
	m.give(q.size)
	*q = queue{}
	return lost
}
