package streams

import (
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/pipe"
)

const (
	// pauseBetween is a pause after which a program is not in the middle of an outburst any more.
	pauseBetween = 20 * time.Millisecond
	// longestPause is how long output may wait for more.
	longestPause = 5 * time.Millisecond
	// shortestHalf is the time until a pipe is half full that leaves room for a pause: the timers are not
	// finer than a millisecond.
	shortestHalf = 2 * time.Millisecond
	// coolAfter is when a quiet program's pipe is given its first size back.
	coolAfter = 10 * time.Second

	// A program is fast when so many bytes have come at such a rate (a second), without a rest; it is so until it
	// falls below a share of that rate. From stayRate on there is no time for pauses, which are cheaper. Among many busy
	// programs none is fast for longer than the window, so that all get the same.
	fastBytes  = 4 << 20
	fastRate   = 80e6
	stayRate   = 200e6
	slowShare  = 0.6
	fastWindow = 50 * time.Millisecond
)

// pace decides how long to leave the pipe alone after a step that found avail bytes and left some: long
// enough that a program writing small pieces does not wake us for each, short enough that it does not
// find its pipe full. A pipe that is too small for that is enlarged; a program that is too fast for pauses gets a
// second pipe.
func (s *Stream) pace(avail, taken, left int, start time.Time) time.Duration {
	began, now := start.Sub(s.p.began), time.Since(s.p.began)
	gap := pauseBetween + 1
	if s.rested > 0 {
		gap = began - s.rested
	}
	came := avail - int(s.rest)
	s.rested, s.rest = now, int32(left)
	crowded := avail >= int(s.capacity)/4*3 // the program may have been waiting, however long ago we came last
	if gap > pauseBetween && !crowded {
		s.hot, s.rate, s.span = 0, 0, window{}
		if gap > coolAfter && s.capacity > s.initial {
			s.cool()
		}
		return 0
	}
	// The rate is what came while nobody took any, in bytes a second; it is slow to forget, because a
	// program that has just been waiting for us begins hesitantly.
	s.rate = max(float32(came)/float32(max(gap, time.Microsecond).Seconds()), s.rate*3/4)
	if taken == 0 || s.rate <= 0 {
		return 0
	}
	s.hot = min(s.hot+int32(taken), 1<<30)
	s.gear(taken, began, now)
	half := time.Duration(float64(s.capacity/2) / float64(s.rate) * float64(time.Second)) // until the pipe is half full
	if (crowded || half < longestPause) && s.hot >= 4*s.capacity && s.spliceable && s.capacity < pipe.MaxCapacity {
		s.hot = 0
		s.grow()
	}
	if s.x != nil && s.x.fast >= 0 && s.stays || avail >= int(s.capacity)/2 {
		return 0 // it may have been waiting for us, and nobody knows how fast it really is
	}
	switch {
	case s.out.prompt && s.out.gather != nil:
		return min(half/2, s.out.gather())
	case half < shortestHalf || s.out.prompt:
		return 0
	}
	return min(half/2, longestPause)
}

// window is a stretch of time for which the throughput is measured.
type window struct {
	began time.Duration // since the pump was made
	bytes int64
}

// gear decides whether a program needs a second pipe, and whether its worker stays with it.
func (s *Stream) gear(taken int, began, now time.Duration) {
	if !s.plain() || s.out.tap != nil {
		return
	}
	if s.span.bytes == 0 {
		s.span.began = began
	}
	s.span.bytes += int64(taken)
	enough := s.span.bytes >= s.p.fastBytes
	if !enough && now-s.span.began < fastWindow {
		return
	}
	rate := float64(s.span.bytes) / max(now-s.span.began, time.Microsecond).Seconds()
	s.span = window{}
	s.stays = rate >= stayRate || s.stays && rate >= stayRate*slowShare
	switch {
	case enough && rate >= s.p.fastRate:
		s.haste()
	case rate < s.p.fastRate*slowShare && s.x != nil && s.x.ahead == 0:
		s.slow()
	}
}

// grow enlarges the pipe.
func (s *Stream) grow() {
	s.capacity = int32(s.p.budget.Grow(int(s.fd), int(s.initial), int(s.capacity)))
}

// cool gives a pipe its first size back, if what is in it has room there.
func (s *Stream) cool() {
	if n, err := pipe.SetCapacity(int(s.fd), int(s.initial)); err == nil {
		s.p.budget.Release(n, int(s.capacity))
		s.capacity = int32(n)
	}
}
