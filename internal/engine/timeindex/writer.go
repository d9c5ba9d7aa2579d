package timeindex

import (
	"io/fs"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/logfile"
)

const (
	// Resolution is how far apart two records are at least: what a time may be early by.
	Resolution = 10 * time.Millisecond
	// slack is how large an index may be however small its log.
	slack = 64 << 10
	// jitter is how far the clock may go back for the times to stand still meanwhile; what is set back further
	// goes back in the index too.
	jitter = time.Minute
	// lookBack is in how many of the last records one that is whole is looked for.
	lookBack = 64
)

// Writer appends to the index of one open log file. It is for one goroutine at a time. A nil Writer notes nothing: the index
// is a help, and no log goes without because it cannot be written.
type Writer struct {
	h    *logfile.File
	head header
	size int64  // of the index
	last Record // Kind 0 = there is none
	run  time.Time
	gen  uint32
	wait time.Time // nothing is tried before, after a failure
}

// retryAfter is how long a failed index is left alone.
const retryAfter = time.Second

// Open opens the index of the log at a path, which has been opened as the file that info says, or begins it. It is nil
// when there can be none.
func Open(path string, perm fs.FileMode, log logfile.Info) *Writer {
	d, err := logfile.OpenDir(path)
	if err != nil {
		return nil
	}
	defer d.Close()
	w := open(d, perm)
	if w == nil {
		return nil
	}
	known := w.load()
	switch {
	case known && w.head.ino == log.Ino && w.last.Offset <= log.Size:
		return w
	case known && w.head.ino == log.Ino: // emptied meanwhile
		w.reset(w.before(w.last.Offset))
		return w
	case w.size > 0: // of another file; who reads it there keeps it
		if !known || !w.rehome(d) {
			Remove(d, d.Name())
		}
		w.Close()
		if w = open(d, perm); w == nil {
			return nil
		}
	}
	w.head = header{ino: log.Ino, base: unknownBase}
	w.last, w.run, w.gen = Record{}, time.Time{}, 0
	w.inherit(d)
	w.reset(w.head.base)
	return w
}

func open(d *logfile.Dir, perm fs.FileMode) *Writer {
	h, err := d.OpenOther(Name(d.Name()), perm, logfile.Create)
	if err != nil {
		return nil
	}
	if !h.Regular() {
		_ = h.Close()
		return nil
	}
	return &Writer{h: h}
}

// load reads what is there; false when that is no index.
func (w *Writer) load() bool {
	info, err := w.h.Stat()
	if err != nil {
		return false
	}
	w.size = info.Size
	r := NewReader(w.h)
	if r == nil {
		return false
	}
	w.head = r.head
	return w.take(r) || r.Len() == 0 // nothing but a header is a good index; nothing but damage is none
}

// take goes on from the last record of an index.
func (w *Writer) take(r *Reader) (ok bool) {
	if w.last, ok = r.Last(); ok {
		w.run, w.gen = w.last.Run, r.Generation(r.Len()-1)
	}
	return ok
}

// rehome gives the index that is open back to the file it belongs to, when that has been renamed to the first backup
// without it.
func (w *Writer) rehome(d *logfile.Dir) bool {
	first := d.Name() + ".1"
	info, err := d.Stat(first)
	return err == nil && info.Ino == w.head.ino && d.Rename(Name(d.Name()), Name(first)) == nil
}

// inherit goes on with the run that wrote to the first backup, and with the count of its bytes.
func (w *Writer) inherit(d *logfile.Dir) {
	first := d.Name() + ".1"
	info, err := d.Stat(first)
	if err != nil {
		w.head.base = 0
		return
	}
	f, err := d.ReadOther(Name(first))
	if err != nil {
		return
	}
	defer f.Close()
	r := NewReader(f)
	if r == nil || r.head.ino != info.Ino {
		return
	}
	old := Writer{head: r.head}
	w.head.base = old.before(info.Size)
	w.take(r)
}

// before is how many bytes of the log there have been up to a position in this file.
func (w *Writer) before(pos int64) int64 {
	if w.head.base == unknownBase {
		return unknownBase
	}
	return w.head.base + pos
}

// reset begins an empty index, with a record of the run that goes on.
func (w *Writer) reset(base int64) {
	latest := w.last.Time
	w.head.base, w.last, w.size = base, Record{}, 0
	if w.h.Truncate() != nil {
		w.fail()
		return
	}
	if w.append(w.head.encode()) && !w.run.IsZero() {
		w.put(Record{Kind: Bytes, Value: w.gen}, latest)
	}
}

// append writes whole records; after a torn one it fills up first. It reports success.
func (w *Writer) append(b []byte) bool {
	if odd := w.size % recordSize; odd != 0 {
		b = append(make([]byte, recordSize-odd), b...)
	}
	n, err := w.h.Append(b)
	w.size += int64(n)
	if err != nil {
		w.fail()
	}
	return err == nil
}

// fail leaves the index alone for a while.
func (w *Writer) fail() { w.wait = time.Now().Add(retryAfter) }

// Bytes notes that bytes which come now will be at a position of the log. Most calls do nothing.
func (w *Writer) Bytes(pos int64, now time.Time) {
	if w == nil {
		return
	}
	if w.last.Kind != 0 {
		if pos < w.last.Offset {
			w.Clear(w.last.Offset)
		} else {
			since := now.Sub(w.last.Time)
			if since < Resolution && since > -jitter || w.size > slack+pos/2 {
				return
			}
		}
	}
	w.put(Record{Kind: Bytes, Offset: pos, Value: w.gen}, now)
}

// Start notes that a run begins at a position.
func (w *Writer) Start(pos int64, now time.Time, gen uint64) {
	if w == nil {
		return
	}
	w.run, w.gen = now, uint32(gen)
	w.put(Record{Kind: Started, Offset: pos, Value: w.gen}, now)
}

// End notes how a run has ended: kind is Exited, Killed or Ended.
func (w *Writer) End(pos int64, now time.Time, kind Kind, value uint32) {
	if w == nil {
		return
	}
	w.put(Record{Kind: kind, Offset: pos, Value: value}, now)
}

func (w *Writer) put(r Record, now time.Time) {
	if !w.wait.IsZero() && now.Before(w.wait) && w.wait.Sub(now) <= retryAfter {
		return
	}
	w.wait = time.Time{}
	if w.size == 0 && !w.append(w.head.encode()) {
		return
	}
	if back := w.last.Time.Sub(now); w.last.Kind != 0 && back > 0 && back < jitter {
		now = w.last.Time
	}
	r.Time, r.Run = now, w.run
	var b [recordSize]byte
	r.encode(b[:])
	if w.append(b[:]) {
		w.last = r
	}
}

// Clear begins anew, for a log that was emptied when it had so many bytes. The run goes on.
func (w *Writer) Clear(had int64) {
	if w != nil {
		w.reset(w.before(had))
	}
}

// Close lets go of the file.
func (w *Writer) Close() {
	if w != nil {
		_ = w.h.Close() // nothing is buffered by us
	}
}

// Moved renames the index of the i-th file of a rotation with it. What is at the new name belongs to a file that is gone.
func Moved(d *logfile.Dir, from, to string) {
	if d.Rename(Name(from), Name(to)) != nil {
		Remove(d, to)
	}
}

// Remove deletes the index of a file.
func Remove(d *logfile.Dir, log string) { _ = d.Remove(Name(log)) }
