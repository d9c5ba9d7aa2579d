package history

import (
	"bytes"
	"context"
	"errors"
	"io"
)

// firstBlock is how much is read at first: enough for a few lines, which is all that most ask for.
const firstBlock = 8 << 10

// back goes through the lines of one log from the newest to the oldest.
type back struct {
	path  string
	want  *wanted
	parts []part
	k     int   // the part at hand
	floor place // nothing before is looked at; no path = everything is
	file  *file

	hi    int64  // the end of the line that is looked for
	lo    int64  // of buf
	buf   []byte // the bytes from lo on: up to hi, or the first of a long line
	scan  int    // how many of them may contain the end of the line before
	block int64

	// The line that was found.
	at   place
	said state
}

// newBack begins at the end of what was listed.
func newBack(path string, parts []part, floor place, want *wanted) *back {
	return &back{path: path, want: want, parts: parts, k: len(parts), floor: floor, block: firstBlock}
}

func (b *back) close() {
	b.file.close()
	b.file, b.buf = nil, nil
}

// next finds the next line that is wanted; false when there is none, or none can be read.
func (b *back) next(ctx context.Context) bool {
	for ctx.Err() == nil {
		if b.file == nil || b.hi <= b.bound() {
			if !b.older() {
				return false
			}
			continue
		}
		from, text, err := b.line()
		if err != nil {
			return false
		}
		s := b.file.at(from)
		kept := b.want.keeps(text, s) && (from > b.bound() || b.file.starts(from))
		b.cutTo(from)
		if kept {
			b.at, b.said = place{b.parts[b.k], from}, s
			return true
		}
	}
	return false
}

// bound is the first byte of this part that is looked at.
func (b *back) bound() int64 {
	if b.floor.part.path != "" && b.k < len(b.parts) && b.parts[b.k].path == b.floor.part.path {
		return b.floor.off
	}
	return 0
}

// older opens the part before this one.
func (b *back) older() bool {
	for b.k > 0 {
		if b.k < len(b.parts) && b.floor.part.path == b.parts[b.k].path {
			return false
		}
		b.k--
		b.file.close()
		var err error
		if b.file, err = openOf(b.path, b.parts[b.k]); err != nil {
			continue
		}
		b.hi = min(b.parts[b.k].info.Size(), b.file.info.Size())
		b.lo, b.buf, b.scan = b.hi, nil, 0
		return true
	}
	return false
}

// line finds the line that ends at hi. The text is valid until the next call.
func (b *back) line() (from int64, text []byte, err error) {
	for from = -1; from < 0; {
		i := bytes.LastIndexByte(b.buf[:b.scan], '\n')
		switch {
		case i >= 0:
			from = b.lo + int64(i) + 1
		case b.lo <= b.bound():
			from = b.lo
		default:
			if err := b.extend(); err != nil {
				return 0, nil, err
			}
		}
	}
	if at := b.file.splits(from, b.hi-1); at > from {
		from = at
	}
	rest := b.buf[min(from-b.lo, int64(len(b.buf))):]
	text = rest[:min(int64(len(rest)), b.hi-from, MaxLine)]
	return from, bytes.TrimSuffix(text, []byte("\n")), nil
}

// extend reads the bytes before buf. Of a long line only the beginning is kept.
func (b *back) extend() error {
	n := min(b.block, b.lo-b.bound())
	b.block = min(2*b.block, 2*block)
	buf := make([]byte, n, n+int64(min(len(b.buf), MaxLine+1)))
	got, err := b.file.ReadAt(buf, b.lo-n)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if int64(got) < n { // it was emptied meanwhile
		clear(buf[got:])
	}
	b.scan = int(n)
	if len(b.buf) == 0 {
		b.scan-- // its own end
	}
	b.buf = append(buf, b.buf[:min(len(b.buf), MaxLine+1)]...)
	b.lo -= n
	return nil
}

// cutTo makes a line's beginning the end of the one before.
func (b *back) cutTo(from int64) {
	b.hi = from
	b.buf = b.buf[:min(from-b.lo, int64(len(b.buf)))]
	b.scan = max(len(b.buf)-1, 0)
}
