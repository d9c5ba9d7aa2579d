package streams

import (
	"bytes"
	"errors"
	"time"

	"github.com/upkeep-project/upkeep/internal/engine/logs"
	"github.com/upkeep-project/upkeep/internal/sys/pipe"
)

const (
	// quantum is how much is moved for one stream before others have their turn: no more than the pipe of
	// every busy one can hold, so that all get the same.
	quantum = 256 << 10
	// fastTurn is how long a worker stays with a fast program while others may be waiting, fastWait how long it
	// waits there for more.
	fastTurn = 4 * time.Millisecond
	fastWait = time.Millisecond
	// partialWait is how long a rotation waits for the rest of a line.
	partialWait = 20 * time.Millisecond
)

// mover is the state of a stream that only its worker uses (or whoever holds the stream's lock while no
// worker is busy).
type mover struct {
	spliceable bool
	held       bool  // the beginning of a line waits for its end before a rotation
	stays      bool  // the program is too fast for pauses
	seen       int32 // bytes at the head of the pipe that the consumers have been shown

	capacity, initial int32         // of the pipe
	rest              int32         // in the pipe at the end of the last step
	rate              float32       // at which bytes come, a second
	hot               int32         // bytes moved without a rest
	rested            time.Duration // the end of the last step, since the pump was made; 0 = there was none
	span              window        // since when the throughput is measured

	x *extra // nil for most
}

// step moves what there is.
func (s *Stream) step(urgent bool) verdict {
	now := time.Now()
	avail, end, err := s.available()
	if err != nil {
		s.p.note("cannot read the output of a program: %v", err)
		avail, end = 0, true
	}
	if s.stalled() && now.Before(s.x.retryAt) && !urgent {
		return s.absorb(avail, end, false, now)
	}
	if avail == 0 && s.x == nil { // often the case: nothing is needed for that
		s.held = false
		return verdict{end: end, after: s.pace(0, 0, 0, now), idle: true}
	}
	if f := s.out.file; f != nil && (avail > 0 || s.waits()) {
		d := disk(f)
		// The last words of a program, which would be gone with a pipe that nobody holds any more, go first.
		if v, wait := s.await(d, urgent || end, now); wait && v.hanging {
			a := s.absorb(avail, end, urgent, now)
			a.waits = v.waits
			return a
		} else if wait {
			return v // it is busy; the program waits as for any disk
		}
		defer s.p.leave(d)
	}
	c := s.p.scratch()
	defer s.p.recycle(c)
	if s.x != nil && s.x.log != nil && s.x.log.adopted {
		s.x.log.settle(s.out.file, c, s.out.rules)
		s.showStaged(c, false)
	}
	final := urgent || s.held || end
	found := avail
	s.held = false
	taken, err := s.moveAll(c, &avail, &end, final)
	if err != nil && !errors.Is(err, logs.ErrPartial) {
		s.fail(err, now)
		v := s.absorb(avail, end, urgent, now)
		v.taken += taken
		return v
	}
	if s.stalled() && (taken > 0 || !s.waits()) {
		s.recovered(now)
	}
	if s.held = err != nil; s.held {
		return verdict{taken: taken, after: partialWait, force: true}
	}
	if end && avail == 0 {
		return s.eof(c, taken, now, true)
	}
	if urgent && s.out.line != nil && avail == 0 {
		s.flushLines()
	}
	v := verdict{taken: taken, after: s.pace(found, taken, avail, now), idle: avail == 0}
	if s.out.rest != nil {
		v.after = max(v.after, s.out.rest())
	}
	return v
}

// await says how the stream has to wait before it may write to a disk: for the stream whose output comes first, or for
// its turn.
func (s *Stream) await(disk any, urgent bool, now time.Time) (v verdict, wait bool) {
	if s.behind() {
		x := s.more()
		if x.refused.IsZero() {
			x.refused = now
		}
		return verdict{force: true, after: time.Millisecond, hanging: now.Sub(x.refused) >= hangs}, true
	}
	if s.x != nil {
		s.x.refused, s.x.line = time.Time{}, nil
	}
	ok, hanging := s.p.enter(disk, s, urgent)
	if !ok {
		s.more().line = disk
		v = verdict{force: true, after: inLine, hanging: hanging, waits: true}
	}
	return v, !ok
}

// moveAll writes out what waits and then moves the pipe's bytes, up to a quantum. avail and end are kept up
// to date.
func (s *Stream) moveAll(c *scratch, avail *int, end *bool, final bool) (taken int, err error) {
	if *avail == 0 {
		return 0, s.flush(c, final, false)
	}
	// The beginning of a line at the end of what waits is completed by what comes.
	if err := s.flush(c, false, false); err != nil && !errors.Is(err, logs.ErrPartial) {
		return 0, err
	}
	if s.x != nil && s.x.fast >= 0 && s.plain() && !s.waits() {
		taken, err = s.moveFast(c, final)
		if *avail, *end, _ = s.available(); !errors.Is(err, errors.ErrUnsupported) {
			return taken, err
		}
	}
	for *avail > 0 && taken < quantum && !s.p.detached.Load() {
		n, err := s.move(c, *avail, final)
		taken += n
		if err != nil {
			*avail -= n
			return taken, err
		}
		if *avail, *end, err = s.available(); err != nil {
			*avail, *end = 0, true
		}
		if *avail < chunk/2 { // let some more come
			break
		}
	}
	s.problems()
	return taken, nil
}

// plain: the bytes go to the log as they are, and nobody else needs each of them once.
func (s *Stream) plain() bool {
	return s.spliceable && s.out.file != nil && s.out.rules == 0 && s.out.line == nil
}

// move moves some of the avail bytes in the pipe and returns how many it took out of it.
func (s *Stream) move(c *scratch, avail int, final bool) (int, error) {
	if s.out.file == nil && s.out.line == nil {
		return s.discard(c, avail)
	}
	if s.plain() && !s.waits() && (s.x == nil || s.x.ahead == 0) {
		n, err := s.splice(c, avail, final)
		if !errors.Is(err, errors.ErrUnsupported) {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
	}
	n, err := s.fill(c, avail)
	if err != nil || n == 0 {
		return n, err
	}
	return n, s.flush(c, final, false)
}

// discard takes bytes that nobody keeps.
func (s *Stream) discard(c *scratch, avail int) (int, error) {
	if s.out.tap != nil && s.spliceable { // what was taken out and not shown would be lost by a kill
		n, err := s.showAhead(c, avail)
		if err == nil {
			n, err = c.drop(int(s.fd), n)
			s.seen = max(s.seen-int32(n), 0)
			return n, err
		}
	}
	n, err := pipe.Read(int(s.fd), c.buf[:min(avail, len(c.buf))])
	if fresh := c.buf[min(int(s.seen), max(n, 0)):max(n, 0)]; s.out.tap != nil && len(fresh) > 0 {
		s.out.tap(fresh)
	}
	s.seen = max(s.seen-int32(n), 0)
	return n, err
}

// moveFast moves bytes through the second pipe: the program's pipe is free again at once, and what is copied into
// the log is copied while the program writes on. With one that is too fast for pauses it stays as long as bytes keep
// coming, for a while.
func (s *Stream) moveFast(c *scratch, final bool) (taken int, err error) {
	x := s.x
	began := time.Now()
	for !s.p.detached.Load() {
		n, err := pipe.Move(int(s.fd), x.fast, pipe.MaxCapacity)
		if n > 0 {
			x.ahead += n
		} else if x.ahead == 0 {
			if err == nil || !s.stays || time.Since(began) > fastTurn || !pipe.WaitReadable(int(s.fd), fastWait) {
				break
			}
			continue
		}
		m, err := s.out.file.Splice(x.fast, x.ahead, s.newline(c, x.fast), final)
		x.ahead -= m
		taken += m
		if errors.Is(err, logs.ErrPartial) && n > 0 {
			continue // the rest of the line may be there by now
		}
		if err != nil {
			return taken, err
		}
		if x.ahead == 0 && (!s.stays || time.Since(began) > fastTurn) {
			break
		}
	}
	s.problems()
	return taken, nil
}

// newline finds the first line end in a pipe.
func (s *Stream) newline(c *scratch, fd int) func(limit int) (at, seen int) {
	return func(limit int) (int, int) {
		data, err := c.peek(fd, limit)
		if err != nil {
			return -1, limit // cannot look: cut
		}
		return bytes.IndexByte(data, '\n'), len(data)
	}
}

// showAhead gives the tap a copy of up to n bytes that are still in the pipe, and returns how many it has been shown.
func (s *Stream) showAhead(c *scratch, n int) (int, error) {
	data, err := c.peek(int(s.fd), n)
	if err != nil {
		return 0, err
	}
	if fresh := data[min(int(s.seen), len(data)):]; len(fresh) > 0 {
		s.out.tap(fresh)
	}
	s.seen = max(s.seen, int32(len(data)))
	return len(data), nil
}

// splice moves bytes to the file inside the kernel, after showing the tap a copy.
func (s *Stream) splice(c *scratch, avail int, final bool) (int, error) {
	n := avail
	if s.out.tap != nil {
		var err error
		if n, err = s.showAhead(c, n); err != nil {
			return 0, errors.ErrUnsupported
		}
	}
	moved, err := s.out.file.Splice(int(s.fd), n, s.newline(c, int(s.fd)), final)
	s.seen = max(s.seen-int32(moved), 0)
	return moved, err
}

// eof is the verdict when every writer is gone and the pipe is empty: what is held back goes out. When the
// log does not take it, or is not to be tried now, the stream lives on until it does.
func (s *Stream) eof(c *scratch, taken int, now time.Time, try bool) verdict {
	if s.x == nil || s.x.log == nil {
		return verdict{taken: taken, end: true}
	}
	s.showStaged(c, true)
	if s.out.line != nil {
		s.flushLines()
	}
	if try {
		if err := s.flush(c, true, true); err != nil {
			s.fail(err, now)
		}
	}
	if s.out.file == nil || !s.x.log.pending(true) {
		return verdict{taken: taken, end: true}
	}
	return verdict{taken: taken, force: true, after: max(s.x.retryAt.Sub(now), stallLook)}
}
