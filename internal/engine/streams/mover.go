package streams

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/logs"
	"github.com/upkeep-project/upkeep/internal/sys/logfile"
	"github.com/upkeep-project/upkeep/internal/sys/pipe"
)

const (
	// quantum is how much is moved for one stream before others have their turn: no more than the pipe of
	// every busy one can hold, so that all get the same.
	quantum = 256 << 10
	// partialWait is how long a rotation waits for the rest of a line.
	partialWait = 20 * time.Millisecond
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

// mover is the state of a stream that only its worker uses (or whoever holds the stream's lock while no
// worker is busy).
type mover struct {
	spliceable bool
	told       bool // Closed was called
	held       bool // the beginning of a line waits for its end before a rotation
	ansi       ansi
	lines      lines
	seen       int // bytes at the head of the pipe that the consumers have been shown

	capacity, initial int       // of the pipe
	rested            time.Time // the end of the last step
	left              int       // in the pipe then
	rate              float64   // at which bytes come, a second
	hot               int       // bytes moved without a rest

	queue   queue
	stall   error // why the log cannot be written
	since   time.Time
	retryAt time.Time
	toldAt  time.Time // when the last trouble was reported
	lost    int64     // by this trouble
}

// step moves what there is.
func (s *Stream) step(urgent bool) verdict {
	now := time.Now()
	avail, end, err := s.available()
	if err != nil {
		s.p.note("cannot read the output of a program: %v", err)
		avail, end = 0, true
	}
	if s.stall != nil && now.Before(s.retryAt) && !urgent {
		return s.absorb(avail, end, false, now)
	}
	if f := s.out.File; f != nil && (avail > 0 || !s.queue.empty()) {
		d := disk(f)
		if !s.p.enter(d) {
			return s.absorb(avail, end, urgent, now)
		}
		defer s.p.leave(d)
	}
	final := urgent || s.held || end
	found := avail
	s.held = false
	taken, err := s.moveAll(&avail, &end, final)
	if err != nil && !errors.Is(err, logs.ErrPartial) {
		s.fail(err, now)
		v := s.absorb(avail, end, urgent, now)
		v.taken += taken
		return v
	}
	if s.stall != nil && (taken > 0 || s.queue.empty()) {
		s.recovered(now)
	}
	if s.held = err != nil; s.held {
		return verdict{taken: taken, after: partialWait, force: true}
	}
	if end && avail == 0 {
		return s.eof(taken, now, true)
	}
	if urgent && s.out.Line != nil && avail == 0 {
		s.lines.flush(s.out.Line)
	}
	return verdict{taken: taken, after: s.pace(found, taken, avail, now), idle: avail == 0}
}

// moveAll writes out the queue and then moves the pipe's bytes, up to a quantum. avail and end are kept up
// to date.
func (s *Stream) moveAll(avail *int, end *bool, final bool) (taken int, err error) {
	if *avail == 0 {
		return 0, s.flush(final)
	}
	// The beginning of a line at the end of the queue is completed by what comes.
	if err := s.flush(false); err != nil && !errors.Is(err, logs.ErrPartial) {
		return 0, err
	}
	c := s.p.scratch()
	defer s.p.recycle(c)
	for *avail > 0 && taken < quantum {
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

// move moves some of the avail bytes in the pipe and returns how many it took out of it.
func (s *Stream) move(c *scratch, avail int, final bool) (int, error) {
	if s.spliceable && s.out.File != nil && !s.out.StripANSI && s.queue.empty() {
		n, err := s.splice(c, avail, final)
		if !errors.Is(err, errors.ErrUnsupported) {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
	}
	return s.copy(c, avail, final)
}

// splice moves bytes to the file inside the kernel, after showing the consumers a copy.
func (s *Stream) splice(c *scratch, avail int, final bool) (int, error) {
	n := avail
	if s.out.Tap != nil || s.out.Line != nil {
		data, err := c.peek(s.fd, n)
		if err != nil {
			return 0, errors.ErrUnsupported
		}
		n = len(data)
		s.show(data[min(s.seen, n):])
		s.seen = max(s.seen, n)
	}
	moved, err := s.out.File.Splice(s.fd, n, func(limit int) (int, int) {
		data, err := c.peek(s.fd, limit)
		if err != nil {
			return -1, limit // cannot look: cut
		}
		return indexLine(data), len(data)
	}, final)
	s.seen = max(s.seen-moved, 0)
	return moved, err
}

// copy reads a piece and writes it, or queues what cannot be written.
func (s *Stream) copy(c *scratch, avail int, final bool) (int, error) {
	data, n, err := s.read(c, avail)
	if err != nil || n == 0 {
		return n, err
	}
	return n, s.write(data, final)
}

// read takes a piece out of the pipe: n bytes, of which data remains after stripping. The consumers are
// shown what they have not seen.
func (s *Stream) read(c *scratch, avail int) (data []byte, n int, err error) {
	// One byte is left free in front: a sequence that was held back makes the piece longer by that.
	n, err = pipe.Read(s.fd, c.buf[1:min(avail+1, len(c.buf))])
	if n == 0 || err != nil {
		return nil, n, err
	}
	data = c.buf[1 : n+1]
	fresh := data[min(s.seen, n):]
	s.seen -= min(s.seen, n)
	if s.out.StripANSI {
		data = s.ansi.strip(c.buf[:0], data)
		fresh = data
	}
	s.show(fresh)
	return data, n, nil
}

// show gives bytes to the consumers.
func (s *Stream) show(data []byte) {
	if len(data) == 0 {
		return
	}
	if s.out.Tap != nil {
		s.out.Tap(data)
	}
	if s.out.Line != nil {
		s.lines.feed(data, s.out.Line)
	}
}

// write appends data to the log after what is queued; what cannot be written is queued and the reason
// returned.
func (s *Stream) write(data []byte, final bool) error {
	f := s.out.File
	if f == nil || len(data) == 0 {
		return nil
	}
	if !s.queue.empty() {
		s.queue.add(data, s.p.o.StreamMemory, &s.p.mem)
		return s.flush(final)
	}
	n, err := f.WriteLines(data, final)
	if errors.Is(err, logs.ErrPartial) && s.p.mem.used.Load() > s.p.mem.limit-longest {
		var k int // no memory to hold it in
		k, err = f.WriteLines(data[n:], true)
		n += k
	}
	if err != nil {
		s.queue.add(data[n:], s.p.o.StreamMemory, &s.p.mem)
	}
	return err
}

// longest is about how much the beginning of a line and a piece can be together.
const longest = 256 << 10

// flush writes out the queue. Gaps become records in the log.
func (s *Stream) flush(final bool) error {
	f := s.out.File
	for !s.queue.empty() {
		seg := &s.queue.segs[0]
		if seg.lost > 0 {
			record := gapRecord(seg.lost, s.stall)
			if !f.EndsLine() {
				record = "\n" + record
			}
			n, err := f.Write([]byte(record))
			if n > 0 {
				// What is left of the record goes out as data, whatever happens.
				s.lost += seg.lost
				seg.lost, seg.data = 0, []byte(record[n:])
				s.queue.size += len(seg.data)
				s.p.mem.used.Add(int64(len(seg.data)))
				if len(seg.data) == 0 {
					s.queue.pop()
				}
			}
			if err != nil {
				return err
			}
			continue
		}
		n, err := f.WriteLines(seg.data, final || len(s.queue.segs) > 1)
		s.queue.advance(n, &s.p.mem)
		if err != nil {
			return err
		}
	}
	return nil
}

// gapRecord is the line that stands for lost bytes. Source: spec/reliability R16, R18.
func gapRecord(lost int64, why error) string {
	reason := "the log could not be written"
	var errno syscall.Errno
	if errors.As(why, &errno) {
		reason = errno.Error()
	}
	return fmt.Sprintf("[upkeep: %d bytes lost: %s]\n", lost, reason)
}

// fail notes that the log cannot be written. On a full disk the log's oldest backup goes first.
func (s *Stream) fail(err error, now time.Time) {
	full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
	if full && s.out.File.FreeOldest() {
		if s.stall == nil {
			s.stall, s.since = err, now
		}
		s.retryAt = now
		return
	}
	if s.stall == nil {
		s.since = now
	}
	s.stall = err
	s.retryAt = now.Add(retryEvery)
	if errors.Is(err, logfile.ErrAgain) { // somebody reads slowly: no trouble of ours
		s.retryAt = now.Add(readerWait)
		return
	}
	if s.toldAt.IsZero() || now.Sub(s.toldAt) > tellEvery {
		s.toldAt = now
		s.p.log(activity.Error, "cannot write %v; output waits", err)
	}
}

// recovered notes that the log takes bytes again.
func (s *Stream) recovered(now time.Time) {
	if s.lost > 0 {
		s.p.log(activity.Warn, "%s: written again after %.1f seconds, %d bytes of output were lost: %v",
			s.out.File.Path(), now.Sub(s.since).Seconds(), s.lost, s.stall)
	}
	s.stall, s.lost = nil, 0
}

// absorb takes what the pipe has no room for into memory while the log cannot be written.
func (s *Stream) absorb(avail int, end, urgent bool, now time.Time) verdict {
	v := verdict{}
	fills := avail >= s.capacity/4*3
	if fills && s.spliceable {
		s.capacity = s.p.budget.Grow(s.fd, s.initial, s.capacity)
	}
	if avail > 0 && !s.out.Block && (urgent || end || fills) {
		c := s.p.scratch()
		for avail > 0 {
			data, n, err := s.read(c, avail)
			if err != nil || n == 0 {
				break
			}
			v.taken += n
			avail -= n
			s.queue.add(data, s.p.o.StreamMemory, &s.p.mem)
		}
		s.p.recycle(c)
	}
	if end && avail == 0 {
		return s.eof(v.taken, now, false)
	}
	if avail == 0 && s.queue.empty() {
		v.idle = true
		return v
	}
	v.force, v.after = true, stallLook
	if fills && !s.out.Block {
		v.after = stallLookFast
	}
	if wait := s.retryAt.Sub(now); s.stall != nil {
		v.after = min(v.after, max(wait, time.Millisecond))
	}
	return v
}

// eof is the verdict when every writer is gone and the pipe is empty: what is held back goes out. When the
// log does not take it, or is not to be tried now, the stream lives on until it does.
func (s *Stream) eof(taken int, now time.Time, try bool) verdict {
	if rest := s.ansi.end(nil); len(rest) > 0 {
		s.show(rest)
		if s.out.File != nil {
			s.queue.add(rest, s.p.o.StreamMemory, &s.p.mem)
		}
	}
	if s.out.Line != nil {
		s.lines.flush(s.out.Line)
	}
	if try {
		if err := s.flush(true); err != nil {
			s.fail(err, now)
		}
	}
	if s.queue.empty() {
		return verdict{taken: taken, eof: true, end: true}
	}
	return verdict{taken: taken, eof: true, force: true, after: max(s.retryAt.Sub(now), stallLook)}
}

// problems reports trouble with rotation.
func (s *Stream) problems() {
	if f := s.out.File; f != nil {
		if err := f.Problem(); err != nil {
			s.p.log(activity.Error, "cannot %v; the log grows on", err)
		}
	}
}
