package streams

import (
	"sync"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/logs"
	"github.com/upkeep-project/upkeep/internal/sys/pipe"
	"github.com/upkeep-project/upkeep/internal/sys/reactor"
)

// drainPatience is how long Drain waits while nothing moves, for a log that takes nothing and cannot be put off: longer than
// a worker waits for a processor where much is to be done.
const drainPatience = 2 * time.Second

// Stream is one output of a program. Its methods are safe for concurrent use.
type Stream struct {
	p   *Pump
	out output
	key string
	reg *reactor.Registration
	fd  int32

	// There are ten thousands of these: the small ones are together.
	busy   bool // a worker is moving
	ended  bool // the descriptor is closed
	left   bool // the worker is to say when it has left, after Detach
	listed bool // among those with extras; guarded by the pump's lock
	mu     sync.Mutex
	taken  int64
	ask    *asked // nil when nobody wants anything

	mover // of the worker that is moving
}

// output is what is kept of an Output.
type output struct {
	file   *logs.File
	line   func([]byte)
	tap    func([]byte)
	closed func()
	rest   func() time.Duration
	gather func() time.Duration
	flow   *model.Flow // nil = nobody counts
	rules  rules
	block  bool
	prompt bool
}

// asked is what others want of a stream.
type asked struct {
	closing bool // Close was called
	closeBy time.Time
	drains  []drain
}

// drain is a call of Drain that waits.
type drain struct {
	target int64 // of taken; -1 when that is to be found out after the move under way
	done   chan struct{}
}

// Attach takes over the reading end of a program's output and moves what comes to where o says, until every
// writer is gone or Close. The descriptor and the file are closed at the end. Attach never fails: when
// the descriptor cannot be watched that is logged, and the stream ends at once.
//
// A pipe whose former reader was killed goes on exactly where that one was: give the same log and what the Keeper
// held.
func (p *Pump) Attach(fd int, o Output) *Stream {
	s := &Stream{p: p, fd: int32(fd), key: o.Key, out: output{
		file: o.File, line: o.Line, tap: o.Tap, closed: o.Closed, rest: o.Rest, gather: o.Gather, flow: o.Flow, rules: o.rules(), block: o.Block, prompt: o.Prompt,
	}}
	s.spliceable = pipe.IsPipe(fd)
	s.initial = pipe.DefaultCapacity
	s.capacity = s.initial
	if n, err := pipe.Capacity(fd); err == nil {
		s.capacity = int32(n)
		s.initial = min(s.initial, s.capacity)
		p.budget.Adopt(int(s.initial), n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.detached.Load() { // everything stays as it is
		s.ended = true
		return s
	}
	s.adopt(o.Stages)
	p.succeed(s)
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
	if s.x != nil {
		s.reg.RunAfter(0)
	}
	return s
}

func (s *Stream) asked() *asked {
	if s.ask == nil {
		s.ask = &asked{}
	}
	return s.ask
}

// Drain returns when all that is in the pipes of these streams now has been moved, or has been put off because its log
// cannot be written. It does not wait for the end of a pipe, and when nothing moves for two seconds, as with a hanging
// disk, not for that either.
func Drain(list ...*Stream) {
	asked := make([]func(), 0, len(list))
	for _, s := range list { // all before the first is waited for
		if wait := s.askDrain(); wait != nil {
			asked = append(asked, wait)
		}
	}
	for _, wait := range asked {
		wait()
	}
}

// askDrain has the stream drained, and returns how to wait for that; nil = there is nothing to wait for.
func (s *Stream) askDrain() (wait func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	target := int64(-1)
	if !s.busy {
		n, _, err := s.available()
		if s.ended || s.p.detached.Load() || err != nil || n == 0 && !s.held {
			return nil
		}
		target = s.taken + int64(n)
	}
	d := drain{target: target, done: make(chan struct{})}
	s.asked().drains = append(s.ask.drains, d)
	s.reg.RunAfter(0)
	moved := s.taken
	return func() { s.awaitDrain(d, moved) }
}

// awaitDrain waits for a drain for as long as something moves.
func (s *Stream) awaitDrain(d drain, moved int64) {
	t := time.NewTimer(drainPatience)
	defer t.Stop()
	for {
		select {
		case <-d.done:
			return
		case <-t.C:
		}
		s.mu.Lock()
		stands := s.taken == moved
		moved = s.taken
		s.mu.Unlock()
		if stands {
			return
		}
		t.Reset(drainPatience)
	}
}

// Close moves what is in the pipe now and lets go of it; it does not wait for that. Output that comes later
// finds no reader. What a broken log does not take within two seconds is dropped, counted and reported.
func (s *Stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.asked().closing {
		return nil
	}
	s.ask.closing = true
	s.ask.closeBy = time.Now().Add(closePatience)
	s.reg.RunAfter(0)
	return nil
}

// detach ends the moving; true when a worker is still inside and will say when it has left.
func (s *Stream) detach() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.reg.Close()
	s.releaseDrainsLocked()
	s.left = s.busy
	return s.busy
}

// releaseDrainsLocked lets the callers of Drain go.
func (s *Stream) releaseDrainsLocked() {
	if s.ask == nil {
		return
	}
	for _, d := range s.ask.drains {
		close(d.done)
	}
	s.ask.drains = nil
}

// available is how many bytes are in the pipe, or have left it and are neither in the log nor on a stage.
func (s *Stream) available() (n int, end bool, err error) {
	if s.ended {
		return 0, true, nil
	}
	n, end, err = pipe.Available(int(s.fd))
	if s.x != nil && s.x.ahead > 0 {
		return n + s.x.ahead, false, err
	}
	return n, end, err
}

// run is called by a worker: move what there is, and say when to be called again.
func (s *Stream) run() {
	s.mu.Lock()
	if s.ended || s.p.detached.Load() {
		s.mu.Unlock()
		return
	}
	s.busy = true
	urgent := s.ask != nil
	s.mu.Unlock()

	v := s.step(urgent)
	s.stay(&v)

	s.mu.Lock()
	s.busy = false
	s.taken += int64(v.taken)
	if s.out.flow != nil && v.taken > 0 {
		s.out.flow.Written.Add(uint64(v.taken))
	}
	if s.p.detached.Load() {
		if s.left {
			s.p.calm <- struct{}{} // has room for all
		}
		s.mu.Unlock()
		return
	}
	left := s.settleLocked()
	closing := s.ask != nil && s.ask.closing
	switch {
	case v.end:
		s.finishLocked()
	case closing && (v.idle || time.Now().After(s.ask.closeBy)):
		s.finishLocked()
	case v.force:
		s.reg.RunAfter(v.after)
	case left || closing:
		s.reg.RunAfter(0)
	default:
		s.reg.ArmAfter(v.after)
	}
	s.mu.Unlock()
	if v.end && s.out.closed != nil {
		s.out.closed()
	}
}

// stay keeps the place in a line, or gives it up when the step has found that it is not needed.
func (s *Stream) stay(v *verdict) {
	switch {
	case s.x == nil || s.x.line == nil:
	case !v.waits:
		s.p.standDown(s.x.line, s)
		s.x.line = nil
	case s.p.called(s.x.line, s): // it was not to be run then
		v.after = 0
	}
}

// settleLocked releases the callers of Drain whose bytes have been taken; true when some still wait.
func (s *Stream) settleLocked() bool {
	if s.ask == nil {
		return false
	}
	n, _, err := s.available()
	keep := s.ask.drains[:0]
	for _, d := range s.ask.drains {
		if d.target < 0 {
			d.target = s.taken + int64(n)
		}
		if err == nil && (d.target > s.taken || s.held) {
			keep = append(keep, d)
		} else {
			close(d.done)
		}
	}
	if s.ask.drains = keep; len(keep) == 0 && !s.ask.closing {
		s.ask = nil
	}
	return len(keep) > 0
}

// finishLocked lets go of everything.
func (s *Stream) finishLocked() {
	if s.ended {
		return
	}
	if s.reg != nil {
		s.reg.Close()
	}
	if s.x != nil && s.x.line != nil {
		s.p.standDown(s.x.line, s)
		s.x.line = nil
	}
	s.countLossLocked()
	if s.x != nil {
		s.p.flows(s.x)
	}
	s.ended = true
	s.p.budget.Release(int(s.initial), int(s.capacity))
	pipe.Close(int(s.fd))
	s.releaseDrainsLocked()
	if f := s.out.file; f != nil {
		if err := f.Close(); err != nil {
			s.p.log(activity.Error, "%s: %v", f.Path(), err)
		}
	}
	s.p.leaveLocked(s)
	s.p.removeStream(s)
}

// countLossLocked lets go of what is on the way, and reports what a stream that is let go of has not written.
func (s *Stream) countLossLocked() {
	if s.x == nil {
		return
	}
	why := s.x.stall
	lost := int64(s.x.ahead)
	if n, _, err := pipe.Available(int(s.fd)); err == nil && why != nil {
		lost += int64(n)
	}
	s.slow()
	lost += s.unstage()
	if lost == 0 || s.out.file == nil {
		return
	}
	if why == nil {
		why = errStuck
	}
	s.dropped(lost)
	s.p.log(activity.Error, "%s: %d bytes of output were lost: %v", s.out.file.Path(), lost, why)
}

// dropped counts what the log has lost.
func (s *Stream) dropped(n int64) {
	if s.out.flow != nil && n > 0 {
		s.out.flow.Dropped.Add(uint64(n))
	}
}

// verdict is the outcome of a step.
type verdict struct {
	taken int           // bytes taken out of the pipe
	after time.Duration // when to look again
	force bool          // even if nothing comes
	idle  bool          // nothing is left to do now
	end   bool          // every writer is gone, and all has been written

	waits   bool // in a line, and is run when its turn comes
	hanging bool // what it waits for takes too long
}
