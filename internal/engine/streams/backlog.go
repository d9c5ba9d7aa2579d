package streams

import (
	"bytes"
	"errors"
	"fmt"
	"syscall"

	"github.com/upkeep-project/upkeep/internal/engine/logs"
	"github.com/upkeep-project/upkeep/internal/sys/stage"
)

// backlog is what has been taken out of a pipe and is not in the log yet, in order, and how much was dropped where.
//
// What happens when this process is killed, step by step:
//   - while the pipe's bytes are moved to the stage: each is in one of the two.
//   - before they were shown to the consumers: they are shown by the successor. A line that was just being given out
//     is given out again.
//   - while they are written: the record says where; the successor looks how many of them are there. Where the log
//     has no places (a terminal; a FIFO whose reader is slow), up to 4 KiB can be there twice.
//   - while they are dropped: they are counted in the gap, or still there.
//   - while the empty stage is cut: the size says so.
type backlog struct {
	f   *stage.Stage
	r   record
	mem *memory
	// counted is what is taken from mem, freed the position before which the stage has given its memory back.
	counted, freed int64
	// seen is as shown in the record, but with the beginning of a line that waits for its end.
	seen     int64
	seenANSI ansi
	adopted  bool // the intent is to be looked at
	buf      []byte
}

const (
	// resetAt is the size from which on an empty stage is cut.
	resetAt = 32 << 10
	// wholePiece is how many bytes a FIFO takes whole or not at all.
	wholePiece = 4096
	// freeAt is how much is left behind in a stage before its memory is given back.
	freeAt = 1 << 20
)

func newBacklog(f *stage.Stage, mem *memory) *backlog {
	b := &backlog{f: f, mem: mem}
	if f.Size() > 0 || len(f.State()) > 0 {
		b.r.decode(f.State(), f.Size())
		b.seen, b.seenANSI = b.r.shown, b.r.shownANSI
		b.adopted = true
		b.commit() // what was cut off is so: what comes to its place is not
	}
	b.count()
	return b
}

func (b *backlog) commit() {
	b.buf = b.r.encode(b.buf[:0])
	b.f.Commit(b.buf)
}

// count keeps the account with the shared memory.
func (b *backlog) count() {
	now := b.f.Size() - b.r.done
	b.mem.used.Add(now - b.counted)
	b.counted = now
}

// held is how many bytes wait.
func (b *backlog) held() int64 { return b.f.Size() - b.r.done }

// empty: nothing waits for the log.
func (b *backlog) empty() bool { return b.held() == 0 && len(b.r.gaps) == 0 }

// disposable: nothing at all is known here that is not elsewhere.
func (b *backlog) disposable() bool {
	return b.empty() && b.r.shown == b.f.Size() && b.seen == b.r.shown && b.r.text == (filter{}) && b.seenANSI == ansiText
}

// close lets go of the stage, and returns how many bytes were not written, gaps included.
func (b *backlog) close() (lost int64) {
	lost = b.f.Size() - b.r.done
	for _, g := range b.r.gaps {
		lost += g.lost - g.skip
	}
	b.mem.used.Add(-b.counted)
	b.counted = 0
	b.f.Close()
	return lost
}

// trim gives back memory that is not needed.
func (b *backlog) trim() {
	size := b.f.Size()
	if b.empty() && b.seen == size && b.r.shown == size && size >= resetAt {
		if b.f.Cut(0) == nil { // the record follows: a position behind the end means this
			b.r.done, b.r.shown, b.seen, b.freed = 0, 0, 0, 0
			b.commit()
		}
	} else if low := min(b.r.done, b.r.shown); low-b.freed >= freeAt {
		b.f.Free(low)
		b.freed = low
	}
	b.count()
}

// limit applies the bounds to what was added behind a position: what goes beyond is dropped and counted. A gap
// begins and ends at line ends where that is possible.
func (b *backlog) limit(from int64, most int64, c *scratch, why error) {
	size := b.f.Size()
	before := from - b.r.done
	b.count()
	room := min(most-before, b.mem.limit-(b.mem.used.Load()-(size-from)))
	if !b.r.dropping && size-from <= room {
		return
	}
	p := c.buf[:min(size-from, int64(len(c.buf)))]
	if _, err := b.f.ReadAt(p, from); err != nil {
		return // cannot be; too much is kept then
	}
	if b.r.dropping {
		if before > most/2 || len(b.r.gaps) == maxGaps { // not before there is room for a good while
			b.drop(from, why)
			return
		}
		i := bytes.IndexByte(p, '\n')
		if i < 0 && len(p) < maxLine {
			b.drop(from, why)
			return
		}
		b.lose(from, int64(i+1), why)
		b.r.dropping = false
		b.commit()
		p, from = p[i+1:], from+int64(i+1)
	}
	if int64(len(p)) > room {
		keep := bytes.LastIndexByte(p[:max(room, 0)], '\n') + 1
		b.drop(from+int64(keep), why)
	}
}

// drop counts what is behind a position and gives up its memory.
func (b *backlog) drop(from int64, why error) {
	from = b.lose(from, b.f.Size()-from, why)
	b.r.dropping = true
	b.commit()
	if b.f.Cut(from) == nil {
		b.r.gaps[len(b.r.gaps)-1].skip = 0
		b.r.shown, b.seen = min(b.r.shown, from), min(b.seen, from)
		b.commit()
	}
	b.count()
}

// lose counts n bytes from a position on into the last gap, if they follow it and the log has nothing of its record
// yet, or else into a new one. It returns where that begins.
func (b *backlog) lose(from, n int64, why error) int64 {
	if k := len(b.r.gaps); k > 0 && b.r.gaps[k-1].sent == 0 {
		g := &b.r.gaps[k-1]
		end := g.at + g.skip
		if k == maxGaps { // there is no other: what was kept since is given up too
			n += from - end
			from = end
		}
		if end == from {
			g.skip += n
			g.lost += n
			return g.at
		}
	}
	b.r.gaps = append(b.r.gaps, gap{at: from, skip: n, lost: n, errno: errnoOf(why)})
	return from
}

func errnoOf(err error) uint32 {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return uint32(errno)
	}
	return 0
}

// text is the record of a gap in the log. Source: spec/reliability R16, R18.
func (g *gap) text() string {
	reason := "the log could not be written"
	if g.errno != 0 {
		reason = syscall.Errno(g.errno).Error()
	}
	record := fmt.Sprintf("[upkeep: %d bytes lost: %s]\n", g.lost, reason)
	if g.newline {
		record = "\n" + record
	}
	return record
}

// piece is what comes next for the log.
type piece struct {
	text  []byte
	raw   []byte // what it was made of
	end   int64  // the position behind that
	after filter // of the log's text, there
	more  bool   // something follows
}

// pending: there is something to write, at the end of the stream also a sequence that was only begun.
func (b *backlog) pending(eof bool) bool {
	return !b.empty() || eof && b.r.text.holds()
}

// next makes the next piece. It is valid as long as c is not used for something else.
func (b *backlog) next(c *scratch, rules rules, eof bool) (piece, error) {
	stop := b.f.Size()
	if len(b.r.gaps) > 0 {
		stop = b.r.gaps[0].at
	}
	p := piece{end: min(stop, b.r.done+int64(len(c.buf)))}
	p.more = p.end < b.f.Size() || len(b.r.gaps) > 0
	p.raw = c.buf[:p.end-b.r.done]
	if _, err := b.f.ReadAt(p.raw, b.r.done); err != nil {
		return p, fmt.Errorf("read what waits for the log: %w", err)
	}
	p.text, p.after = p.raw, b.r.text
	if rules != 0 {
		p.text = p.after.apply(rules, c.plain[:0], p.raw)
		if eof && !p.more {
			p.text = p.after.end(rules, p.text)
		}
		c.plain = p.text[:0]
	}
	return p, nil
}

// reach sets the record to where the first n bytes of a piece, which begins at from, are in the log.
func (b *backlog) reach(from int64, a filter, p *piece, n int, rules rules) {
	switch {
	case n == len(p.text): // with what became nothing
		b.r.done, b.r.text = p.end, p.after
	case rules != 0:
		b.r.text = a
		b.r.done = from + int64(b.r.text.upto(rules, p.raw, n))
	default:
		b.r.done = from + int64(n)
	}
}

// write writes the next piece, or the record of a gap, and returns how many bytes that gap has told of. Errors are
// those of the log; logs.ErrPartial when the beginning of a line is left, unless final.
func (b *backlog) write(to *logs.File, c *scratch, rules rules, final, eof bool, why error) (lost int64, err error) {
	defer b.count()
	if len(b.r.gaps) > 0 && b.r.gaps[0].at == b.r.done {
		return b.writeGap(to, why)
	}
	p, err := b.next(c, rules, eof)
	if err != nil {
		return 0, err
	}
	from, a := b.r.done, b.r.text
	note := func(at logs.Place, k, m int) {
		b.reach(from, a, &p, k, rules)
		b.r.intent = intent{at, uint32(m)}
		b.commit()
	}
	text := p.text
	if to.Device() == 0 && len(text) > wholePiece { // it has no places: little can be there twice
		text = text[:wholePiece]
	}
	n, err := to.WriteNoted(text, final || len(b.r.gaps) > 0, note)
	if errors.Is(err, logs.ErrPartial) && n == 0 && p.more { // a line without an end
		n, err = to.WriteNoted(text, true, note)
	}
	if errors.Is(err, logs.ErrPartial) && p.more {
		err = nil // its rest is there
	}
	b.reach(from, a, &p, n, rules)
	b.r.intent = intent{}
	b.commit()
	return 0, err
}

func (b *backlog) writeGap(to *logs.File, why error) (lost int64, err error) {
	g := &b.r.gaps[0]
	if g.sent == 0 {
		if e := errnoOf(why); e != 0 {
			g.errno = e
		}
		g.newline = !to.EndsLine()
	}
	text, sent := g.text(), g.sent
	n, err := to.WriteNoted([]byte(text)[sent:], true, func(at logs.Place, k, m int) {
		g.sent = sent + uint32(k)
		b.r.intent = intent{at, uint32(m)}
		b.commit()
	})
	g.sent = sent + uint32(n)
	b.r.intent = intent{}
	if int(g.sent) == len(text) {
		lost = g.lost
		b.r.done, b.r.text = g.at+g.skip, filter{}
		b.r.gaps = append(b.r.gaps[:0], b.r.gaps[1:]...)
		b.r.dropping = b.r.dropping && len(b.r.gaps) > 0
	}
	b.commit()
	return lost, err
}

// settle finds out what a predecessor that was killed has written of what it had announced.
func (b *backlog) settle(log *logs.File, c *scratch, rules rules) {
	b.adopted = false
	if b.r.intent.n == 0 || log == nil {
		return
	}
	n := int(b.r.intent.n)
	if len(b.r.gaps) > 0 && b.r.gaps[0].at == b.r.done {
		g := &b.r.gaps[0]
		text := []byte(g.text())
		text = text[min(int(g.sent), len(text)):]
		g.sent += uint32(log.Find(b.r.intent.at, text[:min(n, len(text))]))
	} else {
		p, err := b.next(c, rules, false)
		if err == nil && len(p.text) < n {
			p, err = b.next(c, rules, true)
		}
		if err != nil {
			return
		}
		b.reach(b.r.done, b.r.text, &p, log.Find(b.r.intent.at, p.text[:min(n, len(p.text))]), rules)
	}
	b.r.intent = intent{}
	b.commit()
	b.count()
}
