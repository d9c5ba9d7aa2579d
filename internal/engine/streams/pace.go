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
	// shortestHalf is the time until a pipe is half full that leaves room for a pause: the timers are not
	// finer than a millisecond.
	shortestHalf = 2 * time.Millisecond
	// coolAfter is when a quiet program's pipe is given its first size back.
	coolAfter = 10 * time.Second
)

// pace decides how long to leave the pipe alone after a step that found avail bytes and left some: long
// enough that a program writing small pieces does not wake us for each, short enough that it does not
// find its pipe full. A pipe that is too small for that is enlarged.
func (s *Stream) pace(avail, taken, left int, began time.Time) time.Duration {
	gap := began.Sub(s.rested)
	came := avail - s.left
	s.rested, s.left = time.Now(), left
	crowded := avail >= s.capacity/4*3 // the program may have been waiting, however long ago we came last
	if gap > rest && !crowded {
		s.hot, s.rate = 0, 0
		if gap > coolAfter && s.capacity > s.initial {
			s.cool()
		}
		return 0
	}
	// The rate is what came while nobody took any, in bytes a second; it is slow to forget, because a
	// program that has just been waiting for us begins hesitantly.
	s.rate = max(float64(came)/max(gap, time.Microsecond).Seconds(), s.rate*3/4)
	if taken == 0 || s.rate <= 0 {
		return 0
	}
	s.hot += taken
	half := time.Duration(float64(s.capacity/2) / s.rate * float64(time.Second)) // until the pipe is half full
	if (crowded || half < longestPause) && s.hot >= 4*s.capacity && s.spliceable && s.capacity < pipe.MaxCapacity {
		s.hot = 0
		s.capacity = s.p.budget.Grow(s.fd, s.initial, s.capacity)
	}
	if avail >= s.capacity/2 {
		return 0 // it may have been waiting for us, and nobody knows how fast it really is
	}
	if half < shortestHalf {
		return 0
	}
	return min(half/2, longestPause)
}

// cool gives a pipe its first size back, if what is in it has room there.
func (s *Stream) cool() {
	if n, err := pipe.SetCapacity(s.fd, s.initial); err == nil {
		s.p.budget.Release(n, s.capacity)
		s.capacity = n
	}
}

func indexLine(p []byte) int { return bytes.IndexByte(p, '\n') }
