package streams

import (
	"errors"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/sys/logfile"
)

const (
	// retryEvery is how often a log that cannot be written is tried again.
	retryEvery = 250 * time.Millisecond
	// readerWait is how long the reader of a full FIFO is given.
	readerWait = 5 * time.Millisecond
	// stallLook is how often the pipe of such a log is looked at, stallLookFast while it fills up.
	stallLook     = 20 * time.Millisecond
	stallLookFast = time.Millisecond
	// tellEvery bounds the lines about one log's troubles in the activity log.
	tellEvery = time.Minute
)

// stalled: the log could not be written when it was tried last.
func (s *Stream) stalled() bool { return s.x != nil && s.x.stall != nil }

// fail notes that the log cannot be written. On a full disk the log's oldest backup goes first.
func (s *Stream) fail(err error, now time.Time) {
	x := s.more()
	full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
	if full && s.out.file.FreeOldest() {
		if x.stall == nil {
			x.stall, x.since = err, now
		}
		x.retryAt = now
		return
	}
	if x.stall == nil {
		x.since = now
	}
	x.stall = err
	x.retryAt = now.Add(retryEvery)
	if errors.Is(err, logfile.ErrAgain) { // somebody reads slowly: no trouble of ours
		x.retryAt = now.Add(readerWait)
		return
	}
	s.p.stall(x, err)
	if x.toldAt.IsZero() || now.Sub(x.toldAt) > tellEvery {
		x.toldAt = now
		s.p.log(activity.Error, "cannot write %v; output waits", err)
	}
}

// recovered notes that the log takes bytes again.
func (s *Stream) recovered(now time.Time) {
	x := s.x
	if x.lost > 0 {
		s.p.log(activity.Warn, "%s: written again after %.1f seconds, %d bytes of output were lost: %v",
			s.out.file.Path(), now.Sub(x.since).Seconds(), x.lost, x.stall)
	}
	x.stall, x.lost = nil, 0
	s.p.flows(x)
}

// stall counts a log that cannot be written, and tells.
func (p *Pump) stall(x *extra, err error) {
	if x.counted || p.o.Stalled == nil {
		return
	}
	x.counted = true
	p.stallMu.Lock()
	defer p.stallMu.Unlock()
	p.stalls++
	p.o.Stalled(p.stalls, err)
}

// flows counts one that can be written again, or that nobody writes any more.
func (p *Pump) flows(x *extra) {
	if !x.counted {
		return
	}
	x.counted = false
	p.stallMu.Lock()
	defer p.stallMu.Unlock()
	p.stalls--
	p.o.Stalled(p.stalls, nil)
}

// absorb takes what the pipe has no room for onto the stage while the log cannot be written.
func (s *Stream) absorb(avail int, end, urgent bool, now time.Time) verdict {
	v := verdict{}
	fills := avail >= int(s.capacity)/4*3
	if fills && s.spliceable {
		s.grow()
	}
	c := s.p.scratch()
	defer s.p.recycle(c)
	adopted := s.x != nil && s.x.log != nil && s.x.log.adopted // what of its record is in the log is not known yet
	if avail > 0 && !s.out.block && !adopted && (urgent || end || fills) {
		for avail > 0 && !s.p.detached.Load() {
			b := s.backlog()
			from := b.f.Size()
			n, err := s.fill(c, avail)
			if n > 0 {
				b.limit(from, int64(s.p.o.StreamMemory), c, s.x.stall)
			}
			v.taken += n
			avail -= n
			if err != nil || n == 0 {
				break
			}
		}
	}
	if end && avail == 0 {
		return s.eof(c, v.taken, now, false)
	}
	if avail == 0 && !s.waits() {
		v.idle = true
		return v
	}
	v.force, v.after = true, stallLook
	if fills && !s.out.block {
		v.after = stallLookFast
	}
	if s.stalled() {
		v.after = min(v.after, max(s.x.retryAt.Sub(now), time.Millisecond))
	}
	return v
}

// problems reports trouble with rotation.
func (s *Stream) problems() {
	if f := s.out.file; f != nil {
		if err := f.Problem(); err != nil {
			s.p.log(activity.Error, "cannot %v; the log grows on", err)
		}
	}
}
