package timeindex

import (
	"io"
	"sort"
	"time"
)

// page is how many records a Reader has at hand.
const page = 128

// Reader looks things up in an index, which may grow meanwhile. Records that are damaged count as the one before them. It is
// for one goroutine. A nil Reader is that of a file without an index: it has no records.
type Reader struct {
	f    io.ReaderAt
	head header
	n    int // records
	at   int // the first one at hand
	have int
	buf  []byte
}

// NewReader reads an index; nil when that is none. The caller closes f.
func NewReader(f io.ReaderAt) *Reader {
	b := make([]byte, recordSize)
	if n, _ := f.ReadAt(b, 0); n < recordSize {
		return nil
	}
	head, ok := decodeHeader(b)
	if !ok {
		return nil
	}
	r := &Reader{f: f, head: head}
	r.Refresh()
	return r
}

// Of reports whether the index belongs to the file with this inode.
func (r *Reader) Of(ino uint64) bool { return r != nil && r.head.ino == ino }

// Base is how many bytes the log has had before this file; false when nobody knows.
func (r *Reader) Base() (int64, bool) {
	if r == nil || r.head.base == unknownBase {
		return 0, false
	}
	return r.head.base, true
}

// Len is how many records there were at the last Refresh.
func (r *Reader) Len() int {
	if r == nil {
		return 0
	}
	return r.n
}

// Refresh takes notice of what was appended. It reports whether the index has begun anew: the log was emptied.
func (r *Reader) Refresh() (anew bool) {
	if r == nil {
		return false
	}
	b := make([]byte, recordSize)
	n, _ := r.f.ReadAt(b, 0)
	head, ok := decodeHeader(b[:n])
	if !ok {
		return false // in the middle of that
	}
	there := func(i int) bool {
		var b [1]byte
		n, _ := r.f.ReadAt(b[:], int64(i+2)*recordSize-1)
		return n == 1
	}
	if anew = head != r.head || r.n > 0 && !there(r.n-1); anew {
		r.head, r.n = head, 0
	}
	r.have = 0
	// The end is found by steps that double.
	step := 1
	for ; there(r.n + step - 1); step *= 2 {
		r.n += step
	}
	r.n += sort.Search(step-1, func(k int) bool { return !there(r.n + k) })
	return anew
}

// At is record i of Len. Of damaged ones it is the one before; false when there is none.
func (r *Reader) At(i int) (Record, bool) {
	for k := 0; k < lookBack && i >= 0 && i < r.Len(); i, k = i-1, k+1 {
		if i < r.at || i >= r.at+r.have {
			r.fill(max(0, min(i, i-page/2)))
		}
		if i >= r.at+r.have {
			continue
		}
		if rec, ok := decode(r.buf[(i-r.at)*recordSize:]); ok {
			return rec, true
		}
	}
	return Record{}, false
}

func (r *Reader) fill(from int) {
	if r.buf == nil {
		r.buf = make([]byte, page*recordSize)
	}
	n, _ := r.f.ReadAt(r.buf, int64(from+1)*recordSize)
	r.at, r.have = from, n/recordSize
}

// Generation is that of the run which record i is about: the records of its end do not name it.
func (r *Reader) Generation(i int) uint32 {
	for k := 0; k < lookBack; i, k = i-1, k+1 {
		rec, ok := r.At(i)
		if !ok || rec.Kind <= Started {
			return rec.Value
		}
	}
	return 0
}

// Last is the last record.
func (r *Reader) Last() (Record, bool) { return r.At(r.Len() - 1) }

// search is the first record for which f is true, given that it is then for all that follow.
func (r *Reader) search(f func(Record) bool) int {
	return sort.Search(r.Len(), func(i int) bool {
		rec, ok := r.At(i)
		return ok && f(rec)
	})
}

// AfterOffset is the number of the first record whose offset is larger; Len when there is none.
func (r *Reader) AfterOffset(offset int64) int {
	return r.search(func(rec Record) bool { return rec.Offset > offset })
}

// AtTime is the number of the first record of that time or later.
func (r *Reader) AtTime(t time.Time) int {
	return r.search(func(rec Record) bool { return !rec.Time.Before(t) })
}

// AtRun is the number of the first record of a run that began at that time or later.
func (r *Reader) AtRun(t time.Time) int {
	return r.search(func(rec Record) bool { return !rec.Run.Before(t) })
}
