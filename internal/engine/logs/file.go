package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/upkeep-project/upkeep/internal/engine/timeindex"
	"github.com/upkeep-project/upkeep/internal/sys/logfile"
	"github.com/upkeep-project/upkeep/internal/sys/pipe"
)

// longLine is the length in bytes from which on a line may be cut by a rotation.
const longLine = 64 << 10

// ErrPartial: what is left is the beginning of a line that a rotation would cut; more should come.
var ErrPartial = errors.New("logs: incomplete line at a rotation")

// File is one open log. Its methods are safe for concurrent use. Writing blocks as long as the disk does.
type File struct {
	store *Store
	path  string
	refs  int                     // guarded by store.mu
	next  atomic.Pointer[Options] // to take effect at the next write
	dev   atomic.Uint64
	spot  int // in the store's list of open ones, from 1; guarded by its lock
	last  atomic.Int64

	lock   chan struct{} // holds one token while the fields below are in use
	o      Options
	h      *logfile.File // nil after the last Close, and while it is rested
	closed bool
	pos    int64 // the end of a regular file as we left it
	times  *timeindex.Writer
	// foreign: somebody else appends to the file too, so that only appending writes are safe.
	foreign bool
	// moved: the file was renamed by a rotation and the new one could not be opened yet.
	moved   bool
	retryAt int64 // size at which a failed rotation is tried again
	problem error // of rotation, not yet taken
}

// Path is the absolute path of the log.
func (f *File) Path() string { return f.path }

// Device identifies the disk that the log is on; 0 when it is not a regular file.
func (f *File) Device() uint64 { return f.dev.Load() }

func (f *File) acquire() { f.lock <- struct{}{} }
func (f *File) release() { <-f.lock }

// acquireSoon gives up after some patience.
func (f *File) acquireSoon() error {
	select {
	case f.lock <- struct{}{}:
		return nil
	default:
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case f.lock <- struct{}{}:
		return nil
	case <-t.C:
		return fmt.Errorf("%s: %w", f.path, ErrBusy)
	}
}

// adopt makes h the open file, to be continued at its end.
func (f *File) adopt(h *logfile.File) error {
	var info logfile.Info
	if h.Regular() {
		var err error
		if info, err = h.Stat(); err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
	}
	f.h, f.pos, f.foreign, f.moved = h, info.Size, false, false
	f.dev.Store(info.Dev)
	f.forgetTimes()
	if h.Regular() {
		f.store.open.add(f)
		if f.o.Times {
			f.times = timeindex.Open(f.path, f.o.Perm, info)
		}
	}
	return nil
}

// replace adopts h and closes the old one.
func (f *File) replace(h *logfile.File) error {
	old := f.h
	if err := f.adopt(h); err != nil {
		return errors.Join(err, h.Close())
	}
	if old == nil {
		return nil
	}
	return old.Close()
}

// wake opens a file that was rested.
func (f *File) wake() error {
	if f.closed {
		return fmt.Errorf("%s: closed", f.path)
	}
	if o := f.next.Swap(nil); o != nil {
		f.o = *o
	}
	if f.h != nil {
		return nil
	}
	h, err := f.store.open.make(f.path, f.o.Perm)
	if err != nil {
		return err
	}
	return f.replace(h)
}

// prepare finds the position for the next bytes: outsiders may have cut, extended or removed the file.
func (f *File) prepare() (logfile.Info, error) {
	if err := f.wake(); err != nil {
		return logfile.Info{}, err
	}
	if !f.h.Regular() {
		return logfile.Info{}, nil
	}
	f.last.Store(time.Now().UnixNano())
	info, err := f.h.Stat()
	if err != nil {
		return info, fmt.Errorf("%s: %w", f.path, err)
	}
	if info.Links == 0 || f.moved {
		// When there can be no new file now, what has been opened still takes the bytes.
		if h, err := f.store.open.make(f.path, f.o.Perm); err == nil {
			if err := f.replace(h); err != nil || !h.Regular() {
				return logfile.Info{}, err
			}
			return f.h.Stat()
		}
	}
	if info.Size > f.pos {
		f.foreign = true
	}
	f.pos = info.Size
	return info, nil
}

// limit is the size at which the file is to be rotated; 0 = never. Files without a position are not
// rotated (F11).
func (f *File) limit() int64 {
	if f.o.MaxBytes <= 0 || !f.h.Regular() {
		return 0
	}
	return max(f.o.MaxBytes, f.retryAt)
}

// Write appends p, rotating after the write that reaches the limit; within p that is the first line end
// at or past it. It returns how many bytes are in the log. Errors wrap the system's (ENOSPC …), or are
// logfile.ErrAgain. A failed rotation is not an error of the write: see Problem.
func (f *File) Write(p []byte) (int, error) { return f.WriteLines(p, true) }

// WriteLines is Write for a piece of a stream: unless final, the beginning of a line that would have to be
// cut by a rotation is not written, and the error is ErrPartial.
func (f *File) WriteLines(p []byte, final bool) (int, error) { return f.WriteNoted(p, final, nil) }

// Place is where in which file something is to be written. The zero value stands for what has no places.
type Place struct {
	Dev, Ino uint64
	Pos      int64
}

// WriteNoted is WriteLines for somebody who may be killed meanwhile: before anything of p[from:from+n] is written
// note is told where to; what was before it is in the log then. See Find.
func (f *File) WriteNoted(p []byte, final bool, note func(at Place, from, n int)) (int, error) {
	f.acquire()
	defer f.release()
	done := 0
	for done < len(p) {
		info, err := f.prepare()
		if err != nil {
			return done, err
		}
		m := len(p) - done
		if limit := f.limit(); limit > 0 {
			if m = cut(p[done:], limit-f.pos, final); m == 0 {
				return done, ErrPartial
			}
		}
		if note != nil {
			note(Place{Dev: info.Dev, Ino: info.Ino, Pos: f.pos}, done, m)
		}
		f.stamp()
		n, err := f.h.Append(p[done : done+m])
		done += n
		f.pos += int64(n)
		if err != nil {
			return done, f.wrap(err)
		}
		f.rotateIfFull()
	}
	return done, nil
}

// Find says how many of the bytes p, which somebody may have begun to write at a place before he was killed, are
// in the log: at that place, or a little behind it when others write to the same file. 0 also when the file is
// no more known as this log or one of its backups.
func (f *File) Find(at Place, p []byte) int {
	if at.Ino == 0 || len(p) == 0 {
		return 0
	}
	f.acquire()
	defer f.release()
	d, err := logfile.OpenDir(f.path)
	if err != nil {
		return 0
	}
	defer d.Close()
	for i := 0; i <= max(f.o.Backups, 0); i++ {
		info, err := d.Stat(backup(d.Name(), i))
		if errors.Is(err, fs.ErrNotExist) && i > 0 {
			break
		}
		if err == nil && info.Same(logfile.Info{Dev: at.Dev, Ino: at.Ino}) {
			return found(backup(f.path, i), at.Pos, p)
		}
	}
	return 0
}

// found is Find in one file.
func found(path string, pos int64, p []byte) int {
	r, err := logfile.OpenReader(path)
	if err != nil {
		return 0
	}
	defer r.Close()
	b := make([]byte, len(p)+foreignLook)
	n, _ := r.ReadAt(b, pos)
	b = b[:n]
	same := 0
	for same < min(len(p), n) && b[same] == p[same] {
		same++
	}
	switch {
	case same == len(p) || same == n: // all of it, or as far as the file goes
		return same
	case bytes.Contains(b, p):
		return len(p)
	}
	return 0
}

// foreignLook is how many bytes of others are looked through for ours.
const foreignLook = 256 << 10

// cut is how much of p to write in one piece into a file that has room bytes left before its rotation.
func cut(p []byte, room int64, final bool) int {
	room = max(room, 1)
	if int64(len(p)) < room {
		return len(p)
	}
	before := int(room - 1)
	if i := bytes.IndexByte(p[before:], '\n'); i >= 0 {
		return before + i + 1
	}
	if final || len(p)-before >= longLine {
		return len(p)
	}
	return bytes.LastIndexByte(p[:before], '\n') + 1
}

// Splice moves up to n bytes, which are there, out of a pipe into the file inside the kernel. A rotation on
// the way is made at a line end: newline is asked for the index of the first one among the next limit
// bytes of the pipe, -1 for none, and how many bytes it has looked at. Unless final, the beginning of a
// line that a rotation would cut is left in the pipe (ErrPartial). errors.ErrUnsupported: this file takes
// Write only, at least for now. Other errors are as those of Write; nothing is lost by any of them.
func (f *File) Splice(from, n int, newline func(limit int) (at, seen int), final bool) (int, error) {
	f.acquire()
	defer f.release()
	done := 0
	for done < n {
		if _, err := f.prepare(); err != nil {
			return done, err
		}
		if f.foreign {
			return done, errors.ErrUnsupported
		}
		if !f.h.Regular() {
			return f.pass(from, n)
		}
		m := n - done
		if limit := f.limit(); limit > 0 {
			if m = f.piece(m, max(limit-f.pos, 1), newline, final); m == 0 {
				return done, ErrPartial
			}
		}
		f.stamp()
		k, err := f.h.Splice(from, f.pos, m)
		done += k
		f.pos += int64(k)
		if err != nil {
			return done, f.wrap(err)
		}
		if k == 0 {
			break
		}
		f.rotateIfFull()
	}
	return done, nil
}

// pass moves bytes into something that has no positions: a FIFO, our own standard output.
func (f *File) pass(from, n int) (int, error) {
	done := 0
	for done < n {
		k, err := f.h.Splice(from, -1, n-done)
		done += k
		if errors.Is(err, pipe.ErrAgain) {
			err = logfile.ErrAgain // the bytes are there, so it is their way out that is full
		}
		if err != nil {
			return done, f.wrap(err)
		}
		if k == 0 {
			break
		}
	}
	return done, nil
}

// piece is how much to move at once: all that stays below the limit, and then the rest of that line.
func (f *File) piece(n int, room int64, newline func(int) (int, int), final bool) int {
	switch {
	case int64(n) < room:
		return n
	case room > 1:
		return int(room - 1)
	}
	at, seen := newline(min(n, longLine))
	switch {
	case at >= 0:
		return at + 1
	case final || seen >= longLine:
		return max(seen, 1)
	}
	return 0
}

func (f *File) wrap(err error) error {
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, logfile.ErrAgain) {
		return err
	}
	return fmt.Errorf("%s: %w", f.path, err)
}

// EndsLine reports whether the log is empty or ends with a line end; true also when nobody can tell.
func (f *File) EndsLine() bool {
	f.acquire()
	defer f.release()
	if _, err := f.prepare(); err != nil || !f.h.Regular() || f.pos == 0 {
		return true
	}
	var b [1]byte
	n, _ := f.h.ReadAt(b[:], f.pos-1)
	return n != 1 || b[0] == '\n'
}

// Reopen opens the path again and lets go of the file that was open. Devices and our own descriptors stay.
// When the path cannot be opened the old file stays in use.
func (f *File) Reopen() error {
	if err := f.acquireSoon(); err != nil {
		return err
	}
	defer f.release()
	if f.closed || f.h != nil && !f.h.Regular() {
		return nil
	}
	h, err := f.store.open.make(f.path, f.o.Perm)
	if err != nil {
		return err
	}
	return f.replace(h)
}

// Clear empties a regular file in place, and whatever regular file is at the path by now; a missing one is
// made anew. Others are left alone (F12).
func (f *File) Clear() error {
	if err := f.acquireSoon(); err != nil {
		return err
	}
	defer f.release()
	defer f.store.noteClear(f.path)()
	if f.closed || f.h != nil && !f.h.Regular() {
		return nil
	}
	h, err := f.store.open.make(f.path, f.o.Perm)
	if err != nil {
		return err
	}
	if !h.Regular() { // replaced by something else: stay where we are
		if f.h == nil {
			return h.Close()
		}
		return errors.Join(f.h.Truncate(), h.Close())
	}
	if err := f.replace(h); err != nil {
		return err
	}
	if err := f.h.Truncate(); err != nil {
		return fmt.Errorf("clear %s: %w", f.path, err)
	}
	f.times.Clear(f.pos)
	f.pos = 0
	return nil
}

// Problem returns what has gone wrong with rotation since it was asked last; nil for nothing.
func (f *File) Problem() error {
	f.acquire()
	defer f.release()
	err := f.problem
	f.problem = nil
	return err
}

// Close lets go of the file; the last of those that have opened it closes it.
func (f *File) Close() error {
	f.store.mu.Lock()
	f.refs--
	last := f.refs == 0
	if last {
		delete(f.store.files, f.path)
	}
	f.store.mu.Unlock()
	if !last {
		return nil
	}
	f.acquire()
	defer f.release()
	f.store.open.remove(f)
	h := f.h
	f.h, f.closed = nil, true
	f.forgetTimes()
	if h == nil {
		return nil
	}
	return h.Close()
}
