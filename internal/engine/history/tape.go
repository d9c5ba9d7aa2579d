package history

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/engine/timeindex"
)

const (
	// block is how much is read at once.
	block = 32 << 10
	// MaxLine is how much of a line is given out, in bytes.
	MaxLine = 1 << 20
	// lastBytes is how many of the bytes read are kept to recognise a file that was emptied and filled again.
	lastBytes = 64
)

// tape reads one log from a place on: its lines, and marks between them.
type tape struct {
	src  int
	path string
	want *wanted

	file *file // nil while there is none
	off  int64 // the next byte to be looked at
	rec  int   // the next record of the file's index
	state
	exit   words.End // how the run before has ended
	exited bool      // that is known

	buf  []byte
	win  []byte // the bytes from off on that have been read
	last []byte // the bytes before them; kept when following

	begun bool // the beginning of a line has been seen: line is when that came
	line  state
	part  []byte // of it
	cut   int64  // what was left out of it
	skip  bool   // it is the rest of a line that began before what is wanted

	heads   []head
	stop    part  // where it ends, at size; no path = it never does
	size    int64 // of stop
	leaving bool  // the path leads to another file by now, this one was looked at once more since
	over    bool
}

// head is a line to be given out.
type head struct {
	Line
	began time.Time // of the run
	marks bool      // the beginning of that run
}

// wanted is what of the lines is.
type wanted struct {
	q          *Query
	from, till time.Time // of runs: those that began at from or later, and before till; zero = all
}

// keeps reports whether a line is wanted.
func (w *wanted) keeps(text []byte, s state) bool {
	switch {
	case !w.within(s.time):
		return false
	case w.q.Run != 0 && (w.from.IsZero() || s.run.Before(w.from) || !w.till.IsZero() && !s.run.Before(w.till)):
		return false
	}
	return w.q.Match == nil || w.q.Match.Match(text)
}

// within reports whether a time is within the bounds.
func (w *wanted) within(at time.Time) bool {
	return !at.Before(w.q.Since) && (w.q.Until.IsZero() || at.Before(w.q.Until))
}

// passed reports whether nothing that is wanted comes any more.
func (w *wanted) passed(s state) bool {
	return !w.q.Follow && !w.q.Until.IsZero() && !s.time.Before(w.q.Until) ||
		w.q.Run != 0 && !w.till.IsZero() && !s.run.Before(w.till)
}

// load sees to it that there is a head; false: there is nothing now, or ever when the tape is over. The error is that of the
// context.
func (t *tape) load(ctx context.Context) (bool, error) {
	for len(t.heads) == 0 && !t.over {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if t.file != nil {
			if t.apply(); len(t.heads) > 0 || t.over {
				break
			}
			if len(t.win) > 0 {
				t.scan()
				continue
			}
		}
		more, err := t.more()
		switch {
		case err != nil:
			t.fail(err)
		case more:
		case !t.want.q.Follow:
			t.flush()
			t.end()
		default:
			return false, nil
		}
	}
	return len(t.heads) > 0, nil
}

// fail says why nothing more is read.
func (t *tape) fail(err error) {
	t.flush()
	t.mark(head{Line: Line{Time: time.Now(), Mark: "cannot be read: " + err.Error()}})
	t.end()
}

// end lets go of the file.
func (t *tape) end() {
	t.over = true
	t.file.close()
	t.file, t.buf, t.win = nil, nil, nil
}

// pop takes the head away.
func (t *tape) pop() {
	t.heads = t.heads[:copy(t.heads, t.heads[1:])]
}

// mark gives out a mark, of this moment unless it says otherwise.
func (t *tape) mark(h head) {
	h.Source = t.src
	if h.Time.IsZero() {
		h.Time, h.began, h.Run = t.time, t.run, t.gen
	}
	t.heads = append(t.heads, h)
}

// apply takes the records up to where we are.
func (t *tape) apply() {
	for len(t.heads) == 0 && t.rec < t.file.idx.Len() {
		r, ok := t.file.idx.At(t.rec)
		if ok && r.Offset > t.off {
			return
		}
		t.rec++
		if !ok {
			continue
		}
		before := t.run
		if !r.Run.IsZero() && !r.Run.Equal(before) {
			t.flush()
			t.skip = false
			t.take(r)
			if t.want.passed(t.state) {
				t.end()
				return
			}
			t.runBegins(r.Time, before)
			continue
		}
		t.take(r)
		if r.Kind > timeindex.Started {
			t.exit = words.End{Known: r.Kind != timeindex.Ended, Code: int(r.Value)}
			if r.Kind == timeindex.Killed {
				t.exit.Code, t.exit.Signal = 0, int(r.Value)
			}
			t.exited = true
		}
	}
}

// runBegins marks the beginning of a run.
func (t *tape) runBegins(at, before time.Time) {
	text := "restarted"
	if before.IsZero() && !t.exited {
		text = "started"
	} else if t.exited {
		how := t.exit.Short()
		if !t.exit.Known {
			how = "exit unknown"
		}
		text += " (" + how + ")"
	}
	t.exited = false
	if t.want.q.Run == 0 && t.want.q.Match == nil && t.want.within(at) {
		t.mark(head{Line: Line{Time: at, Run: t.gen, Mark: text}, began: t.run, marks: true})
	}
}

// scan looks at what was read, as far as one record reaches.
func (t *tape) scan() {
	if !t.begun {
		t.begun, t.line = true, t.state
		if t.part = t.part[:0]; cap(t.part) > 2*block {
			t.part = nil
		}
		if t.want.passed(t.state) && !t.skip {
			t.end()
			return
		}
	}
	n := int(min(int64(len(t.win)), t.file.next(t.rec)-t.off))
	i := bytes.IndexByte(t.win[:n], '\n')
	text := t.win[:n]
	if i >= 0 {
		text, n = t.win[:i], i+1
	}
	t.win, t.off = t.win[n:], t.off+int64(n)
	if i >= 0 && len(t.part) == 0 && t.cut == 0 {
		t.give(text)
		return
	}
	room := min(len(text), MaxLine-len(t.part))
	if !t.skip {
		t.part = append(t.part, text[:room]...)
		t.cut += int64(len(text) - room)
	}
	if i >= 0 {
		t.give(t.part)
	}
}

// give gives out a line.
func (t *tape) give(text []byte) {
	cut, skip := t.cut, t.skip
	t.begun, t.cut, t.skip = false, 0, false
	if skip || !t.want.keeps(text, t.line) {
		return
	}
	l := head{Line: Line{Source: t.src, Time: t.line.time, Run: t.line.gen, Text: text}, began: t.line.run}
	t.heads = append(t.heads, l)
	if cut > 0 {
		l.Text, l.Mark = nil, fmt.Sprintf("cut: %d more bytes of this line", cut)
		t.heads = append(t.heads, l)
	}
}

// flush gives out a line that will not be ended.
func (t *tape) flush() {
	if t.begun && (len(t.part) > 0 || t.skip) {
		t.give(t.part)
	}
	t.begun = false
}

// more reads on, in this file or the next; false: there is nothing now.
func (t *tape) more() (bool, error) {
	if t.file == nil {
		return t.first()
	}
	n, err := t.read()
	if n || err != nil {
		return n, err
	}
	return t.turn()
}

// first opens the log when it comes to be.
func (t *tape) first() (bool, error) {
	if t.stop.path == "" && !t.want.q.Follow {
		return false, nil // there was nothing
	}
	parts := list(t.path)
	if len(parts) == 0 {
		return false, nil
	}
	return t.enter(parts[0])
}

// enter goes on with another file.
func (t *tape) enter(p part) (bool, error) {
	f, err := openOf(t.path, p)
	if err != nil {
		if errors.Is(err, errMoved) || errors.Is(err, fs.ErrNotExist) {
			err = nil // gone again
		}
		return false, err
	}
	t.flush()
	t.file.close()
	t.file, t.off, t.rec, t.win, t.last, t.leaving = f, 0, 0, nil, t.last[:0], false
	s := f.at(0)
	t.time = s.time
	return true, nil
}

// read reads a block. It reports whether there is something new, be it only a record.
func (t *tape) read() (bool, error) {
	most := int64(block)
	if t.stop.path != "" && os.SameFile(t.file.info, t.stop.info) {
		most = min(most, t.size-t.off)
	}
	if most <= 0 {
		return t.refreshed(), nil
	}
	if t.buf == nil {
		t.buf = make([]byte, lastBytes+block)
	}
	known := len(t.last)
	n, err := t.file.ReadAt(t.buf[:int64(known)+most], t.off-int64(known))
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	anew := t.refreshIndex()
	switch other := n < known || !bytes.Equal(t.buf[:known], t.last) || known == 0 && t.shrunk(); {
	case anew && t.off == 0: // its log was noticed before
		t.rec = 0
		return true, nil
	case anew || t.want.q.Follow && other:
		t.rewind()
		return true, nil
	}
	t.win = t.buf[known:max(n, known)]
	if len(t.win) == 0 {
		if t.want.q.Follow {
			t.buf = nil // it may be quiet for long
		}
		t.win = nil
		return t.rec < t.file.idx.Len() && t.file.next(t.rec) <= t.off, nil
	}
	if t.want.q.Follow {
		t.last = append(t.last, t.win[max(0, len(t.win)-lastBytes):]...)
		t.last = append(t.last[:0], t.last[max(0, len(t.last)-lastBytes):]...)
		t.late()
	}
	return true, nil
}

// refreshed looks for new records alone.
func (t *tape) refreshed() bool {
	return !t.refreshIndex() && t.file.next(t.rec) <= t.off
}

// refreshIndex takes notice of new records; true when the log was emptied. Only who follows cares for that.
func (t *tape) refreshIndex() bool { return t.file.idx.Refresh() && t.want.q.Follow }

// shrunk reports whether the file is shorter than what was read of it.
func (t *tape) shrunk() bool {
	info, err := t.file.Stat()
	return err == nil && info.Size() < t.off
}

// rewind begins again at the start of a log that was emptied.
func (t *tape) rewind() {
	t.flush()
	t.win, t.last, t.off, t.rec = nil, t.last[:0], 0, 0
	t.time = t.file.at(0).time
	t.mark(head{Line: Line{Mark: "cleared"}})
}

// late finds out when bytes came of which no index speaks.
func (t *tape) late() {
	if t.file.idx == nil {
		if info, err := t.file.Stat(); err == nil {
			t.file.info = info
		}
		t.file.findIndex() // it may have been made since
		if t.file.idx == nil {
			t.time = t.file.info.ModTime()
		}
	}
}

// turn goes on with the file after this one when this one is complete.
func (t *tape) turn() (bool, error) {
	if t.stop.path != "" && os.SameFile(t.file.info, t.stop.info) {
		return false, nil
	}
	if now, err := os.Stat(t.path); err == nil && os.SameFile(now, t.file.info) {
		return false, nil
	}
	parts := list(t.path)
	at := find(parts, t.file.info)
	if at == len(parts)-1 { // nothing newer; also when there is nothing at all
		return false, nil
	}
	next := parts[at+1]
	if at >= 0 && at == len(parts)-2 && t.want.q.Follow && next.info.Size() == 0 {
		return false, nil // a writer that has not noticed that somebody else renamed the file still writes to it
	}
	if !t.leaving {
		t.leaving = true // once more, for what was written before it was replaced
		return true, nil
	}
	had, known := t.file.idx.Base()
	had += t.off
	ok, err := t.enter(next)
	if !ok || err != nil || at >= 0 {
		return ok, err
	}
	// The file has gone while it was read, and perhaps others after it.
	switch begins, known2 := t.file.idx.Base(); {
	case known && known2 && begins > had:
		t.mark(head{Line: Line{Mark: fmt.Sprintf("skipped %d bytes", begins-had)}})
	case !(known && known2) && len(parts) > 1:
		t.mark(head{Line: Line{Mark: "perhaps skipped some output"}})
	}
	return true, nil
}

// place is a position in a log.
type place struct {
	part part
	off  int64
}

// seek makes the tape begin at a place.
func (t *tape) seek(p place) {
	ok, err := t.enter(p.part)
	if err != nil {
		t.fail(err)
	}
	if !ok || p.off == 0 {
		return
	}
	t.off = p.off
	t.state = t.file.at(p.off - 1)
	t.rec = t.file.idx.AfterOffset(p.off - 1)
	if r, ok := t.file.idx.At(t.rec - 1); ok && r.Kind > timeindex.Started {
		t.rec-- // how the run before has ended is part of the mark
	}
	t.skip = !t.file.starts(p.off)
	t.begun = t.skip
}

// end of a log as it is now; no path = there is none.
func endOf(parts []part) place {
	if len(parts) == 0 {
		return place{}
	}
	p := parts[len(parts)-1]
	return place{p, p.info.Size()}
}

// locate finds the first place of which the index says what is looked for: first is the number of that record. A file
// without an index counts as a whole. What is later than everything is at the end.
func locate(path string, parts []part, first func(*timeindex.Reader) int, coarse func(time.Time) bool) place {
	found := endOf(parts)
	for i := len(parts) - 1; i >= 0; i-- {
		f, err := openOf(path, parts[i])
		if err != nil { // gone, or whoever reads it will say why
			continue
		}
		n, off := 0, int64(0)
		if f.idx.Len() == 0 {
			if f.info.Size() > 0 && !coarse(f.info.ModTime()) {
				n = math.MaxInt
			}
		} else if n = first(f.idx); n > 0 {
			off = f.next(n)
		}
		f.close()
		if off == math.MaxInt64 || n == math.MaxInt {
			return found
		}
		if found = (place{parts[i], off}); n > 0 {
			return found
		}
	}
	return found
}
