package streams

import (
	"bytes"
	"errors"

	"github.com/upkeep-project/upkeep/internal/engine/logs"
)

// waits: something on the stage is to be written.
func (s *Stream) waits() bool { return s.x != nil && s.x.log != nil && !s.x.log.empty() }

// fill takes a piece out of the pipe onto the stage, and shows it to the consumers.
func (s *Stream) fill(c *scratch, avail int) (int, error) {
	b := s.backlog()
	from := int(s.fd)
	n := min(avail, len(c.buf))
	if s.x.ahead > 0 {
		from, n = s.x.fast, min(s.x.ahead, n)
	}
	n, err := b.f.Fill(from, n)
	if s.x.ahead > 0 {
		s.x.ahead -= n
	}
	if n > 0 {
		s.showStaged(c, false)
	}
	b.count()
	return n, err
}

// showStaged gives the consumers what is on the stage and new to them.
func (s *Stream) showStaged(c *scratch, eof bool) {
	b := s.x.log
	for b.seen < b.f.Size() || eof && b.seenANSI == ansiEscape {
		p := c.buf[:min(b.f.Size()-b.seen, int64(len(c.buf)))]
		if _, err := b.f.ReadAt(p, b.seen); err != nil {
			return
		}
		if s.out.line != nil { // line by line, so that few are given out again after a kill
			if i := bytes.IndexByte(p, '\n'); i >= 0 {
				p = p[:i+1]
			}
		}
		text := p
		if s.out.rules&noANSI != 0 {
			text = b.seenANSI.strip(c.plain[:0], p)
			if eof && b.seen+int64(len(p)) == b.f.Size() {
				text = b.seenANSI.end(text)
			}
			c.plain = text[:0]
		}
		shown := min(int(s.seen), len(p)) // while it was in the pipe; never when stripped
		s.seen -= int32(shown)
		if fresh := text[min(shown, len(text)):]; s.out.tap != nil && len(fresh) > 0 {
			s.out.tap(fresh)
		}
		b.seen += int64(len(p))
		if s.out.line != nil {
			s.x.lines.Feed(text, s.out.line)
		}
		s.markShown()
	}
}

// markShown records what the consumers need not be shown again.
func (s *Stream) markShown() {
	b := s.x.log
	if len(s.x.lines.part) > 0 {
		return
	}
	b.r.shown, b.r.shownANSI = b.seen, b.seenANSI
	if s.out.file == nil {
		b.r.done, b.r.text = b.r.shown, filter{}
	}
	if s.out.line != nil || s.out.file == nil {
		b.commit()
	}
}

// flushLines gives out a line without an end.
func (s *Stream) flushLines() {
	if s.x == nil || s.x.log == nil {
		return
	}
	s.x.lines.flush(s.out.line)
	s.markShown()
	s.x.log.trim()
}

// longest is about how much the beginning of a line and a piece can be together.
const longest = 256 << 10

// flush writes what waits on the stage. Gaps become records in the log.
func (s *Stream) flush(c *scratch, final, eof bool) error {
	if s.x == nil || s.x.log == nil {
		return nil
	}
	b := s.x.log
	if s.out.file == nil {
		b.trim()
		return nil
	}
	for b.pending(eof) && !s.p.detached.Load() {
		lost, err := b.write(s.out.file, c, s.out.rules, final, eof, s.x.stall)
		s.x.lost += lost
		s.dropped(lost)
		if errors.Is(err, logs.ErrPartial) && b.mem.room() < longest && !final {
			final = true // no memory to hold it in
			continue
		}
		if err != nil {
			return err
		}
	}
	b.trim()
	return nil
}
