package streams

import (
	"bytes"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/pipe"
)

const (
	// rest is a pause after which a program is not in the middle of an outburst any more.
	rest = 20 * time.Millisecond
	// longestPause is how long output may wait for more.
	longestPause = 5 * time.Millisecond
	// shortestPause is the least that is worth a timer.
	shortestPause = 500 * time.Microsecond
	// coolAfter is when a quiet program's pipe is given its first size back.
	coolAfter = 10 * time.Second
)

// pace decides how long to leave the pipe alone after a step that began at now and took some bytes: long
// enough that a program writing small pieces does not wake us for each, short enough that it does not
// find its pipe full. A pipe that is too small for that is enlarged.
func (s *Stream) pace(taken, left int, now time.Time) time.Duration {
	gap := now.Sub(s.last)
	s.last = now
	if taken == 0 {
		return 0
	}
	if gap > rest {
		s.hot = 0
		if gap > coolAfter && s.capacity > s.initial {
			s.cool()
		}
		return 0
	}
	s.hot += taken
	// The time in which half of the pipe fills at the present rate.
	half := time.Duration(float64(gap) * float64(s.capacity/2) / float64(taken))
	if half < longestPause && s.hot >= 4*s.capacity && s.spliceable && s.capacity < pipe.MaxCapacity {
		s.hot = 0
		s.capacity = s.p.budget.Grow(s.fd, s.capacity)
	}
	if half < shortestPause || left >= s.capacity/2 {
		return 0
	}
	return min(half, longestPause)
}

// cool gives a pipe its first size back, if what is in it has room there.
func (s *Stream) cool() {
	if n, err := pipe.SetCapacity(s.fd, s.initial); err == nil {
		s.p.budget.Release(n, s.capacity)
		s.capacity = n
	}
}

func indexLine(p []byte) int { return bytes.IndexByte(p, '\n') }
