package streams

import (
	"sync"
	"time"

	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/sys/pipe"
	"github.com/upkeep-project/upkeep/internal/sys/reactor"
)

// drainPatience is how long Drain waits for a log that takes nothing and cannot be put off.
const drainPatience = 500 * time.Millisecond

// Stream is one output of a program. Its methods are safe for concurrent use.
type Stream struct {
	p   *Pump
	out Output
	fd  int
	reg *reactor.Registration

	mu      sync.Mutex
	busy    bool // a worker is moving
	closing bool // Close was called
	closeBy time.Time
	ended   bool // the descriptor is closed
	taken   int64
	drains  []drain

	mover // of the worker that is moving
}

// drain is a call of Drain that waits.
type drain struct {
	target int64 // of taken; -1 when that is to be found out after the move under way
	done   chan struct{}
}

// Attach takes over the reading end of a program's output and moves what comes to where o says, until every
// writer is gone or Close. The descriptor and the file are closed at the end. Attach never fails: when
// the descriptor cannot be watched that is logged, and the stream ends at once.
func (p *Pump) Attach(fd int, o Output) *Stream {
	s := &Stream{p: p, fd: fd, out: o}
	s.spliceable = pipe.IsPipe(fd)
	if n, err := pipe.Capacity(fd); err == nil {
		s.capacity = n
	} else {
		s.capacity = pipe.DefaultCapacity
	}
	s.initial = s.capacity
	s.mu.Lock()
	defer s.mu.Unlock()
	if !p.addStream(s) {
		s.finishLocked()
		return s
	}
	reg, err := p.r.Register(fd, reactor.Readable, s.run)
	if err != nil {
		p.note("cannot read the output of a program: %v", err)
		s.finishLocked()
		return s
	}
	s.reg = reg
	return s
}

// Drain returns when all that is in the pipe now has been moved, or has been put off because its log cannot
// be written. It does not wait for the end of the pipe, and at most half a second for a hanging disk.
func (s *Stream) Drain() {
	s.mu.Lock()
	target := int64(-1)
	if !s.busy {
		n, _, err := s.available()
		if s.ended || err != nil || n == 0 && !s.held {
			s.mu.Unlock()
			return
		}
		target = s.taken + int64(n)
	}
	d := drain{target: target, done: make(chan struct{})}
	s.drains = append(s.drains, d)
	s.reg.RunAfter(0)
	s.mu.Unlock()
	t := time.NewTimer(drainPatience)
	defer t.Stop()
	select {
	case <-d.done:
	case <-t.C:
	}
}

// Close moves what is in the pipe now and lets go of it; it does not wait for that. Output that comes later
// finds no reader. What a broken log does not take within two seconds is dropped, counted and reported.
func (s *Stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.closing {
		return nil
	}
	s.closing = true
	s.closeBy = time.Now().Add(closePatience)
	s.reg.RunAfter(0)
	return nil
}

func (s *Stream) available() (n int, end bool, err error) {
	if s.ended {
		return 0, true, nil
	}
	return pipe.Available(s.fd)
}

// run is called by a worker: move what there is, and say when to be called again.
func (s *Stream) run() {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	s.busy = true
	urgent := s.closing || len(s.drains) > 0
	s.mu.Unlock()

	v := s.step(urgent)

	s.mu.Lock()
	s.busy = false
	s.taken += int64(v.taken)
	left := s.settleLocked()
	switch {
	case v.end:
		s.finishLocked()
	case s.closing && (v.idle || time.Now().After(s.closeBy)):
		s.finishLocked()
	case v.force:
		s.reg.RunAfter(v.after)
	case left || s.closing:
		s.reg.RunAfter(0)
	default:
		s.reg.ArmAfter(v.after)
	}
	ended := v.eof && !s.told
	s.told = s.told || v.eof
	s.mu.Unlock()
	if ended && s.out.Closed != nil {
		s.out.Closed()
	}
}

// settleLocked releases the callers of Drain whose bytes have been taken; true when some still wait.
func (s *Stream) settleLocked() bool {
	if len(s.drains) == 0 {
		return false
	}
	n, _, err := s.available()
	keep := s.drains[:0]
	for _, d := range s.drains {
		if d.target < 0 {
			d.target = s.taken + int64(n)
		}
		if err == nil && (d.target > s.taken || s.held) {
			keep = append(keep, d)
		} else {
			close(d.done)
		}
	}
	if s.drains = keep; len(keep) == 0 {
		s.drains = nil
	}
	return len(s.drains) > 0
}

// finishLocked lets go of everything.
func (s *Stream) finishLocked() {
	if s.ended {
		return
	}
	s.ended = true
	if s.reg != nil {
		s.reg.Close()
	}
	s.countLossLocked()
	s.p.budget.Release(s.initial, s.capacity)
	pipe.Close(s.fd)
	for _, d := range s.drains {
		close(d.done)
	}
	s.drains = nil
	if f := s.out.File; f != nil {
		if err := f.Close(); err != nil {
			s.p.log(activity.Error, "%s: %v", f.Path(), err)
		}
	}
	s.p.removeStream(s)
}

// countLossLocked reports what a stream that is let go of has not written.
func (s *Stream) countLossLocked() {
	lost := s.queue.clear(&s.p.mem)
	if n, _, err := pipe.Available(s.fd); err == nil && s.stall != nil {
		lost += int64(n)
	}
	if lost == 0 || s.out.File == nil {
		return
	}
	why := s.stall
	if why == nil {
		why = errStuck
	}
	s.p.log(activity.Error, "%s: %d bytes of output were lost: %v", s.out.File.Path(), lost, why)
}

// verdict is the outcome of a step.
type verdict struct {
	taken int           // bytes taken out of the pipe
	after time.Duration // when to look again
	force bool          // even if nothing comes
	idle  bool          // nothing is left to do now
	eof   bool          // every writer is gone and the pipe is empty
	end   bool          // and all has been written
}
