package logs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/logfile"
)

// followEvery is how often a followed log is looked at while nothing comes. Source: spec/supervisor 5.11.
const followEvery = 100 * time.Millisecond

// truncated is what a follower is told when the file has shrunk. Source: spec/supervisor 5.11 (F13).
const truncated = "==> File truncated <==\n"

// lastBytes is how many of the bytes given out are kept to recognise the file.
const lastBytes = 64

// maxHops bounds the search for a rotated file among the backups, maxGap the missing numbers in a row.
const (
	maxHops = 1000
	maxGap  = 3
)

// Follower reads a log from near its end and goes on with what is appended, across rotation (the unread end
// of the old file comes first), clearing and truncation, which is announced by a line. Read is for one
// goroutine; Close may come from another. While nobody reads, nothing is looked at.
type Follower struct {
	ctx    context.Context
	path   string
	began  time.Time
	closed chan struct{}
	once   sync.Once

	mu   sync.Mutex // held by a Read
	file *os.File
	info os.FileInfo
	off  int64
	last []byte // the bytes before off, as they were given out: a file that has others there was rewritten
	note string // to be given out first
	mute bool   // nothing is to be given out that is not in a file
	// clears is how often the log had been cleared at the last look, cleared how often by now; nil = never.
	clears  int
	cleared func() clears
	// leaving: the path leads to another file by now; this one gets no more bytes once it is at its end.
	leaving bool
}

// Follow begins with the last backlog bytes of the log at path. Errors: fs.ErrNotExist and those of the
// system. The caller closes the follower.
func Follow(ctx context.Context, path string, backlog int64) (*Follower, error) {
	f := &Follower{ctx: ctx, path: path, closed: make(chan struct{})}
	if err := f.open(path); err != nil {
		return nil, err
	}
	f.off = max(f.info.Size()-max(backlog, 0), 0)
	f.began = f.info.ModTime()
	return f, nil
}

func (f *Follower) open(path string) error {
	file, err := logfile.OpenReader(path)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	if f.file != nil {
		f.file.Close()
	}
	f.file, f.info, f.off, f.last, f.leaving = file, info, 0, f.last[:0], false
	return nil
}

// ModTime is when the log was last written to before the following began.
func (f *Follower) ModTime() time.Time { return f.began }

// Read blocks until there is something. Its error is that of the context, io.EOF after Close, or the
// system's.
func (f *Follower) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var tick *time.Timer
	for {
		if err := f.over(); err != nil {
			return 0, err
		}
		n, err := f.next(p)
		if n > 0 || err != nil {
			return n, err
		}
		if tick == nil {
			tick = time.NewTimer(followEvery)
			defer tick.Stop()
		} else {
			tick.Reset(followEvery)
		}
		select {
		case <-tick.C:
		case <-f.ctx.Done():
		case <-f.closed:
		}
	}
}

// Next is Read for those who come by themselves from time to time: it gives out what there is now, 0 for nothing, and says
// nothing of truncation. A follower is read by either.
func (f *Follower) Next(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.over(); err != nil {
		return 0, err
	}
	f.mute = true
	return f.next(p)
}

// over is the error with which reading has ended, if it has.
func (f *Follower) over() error {
	select {
	case <-f.closed:
		return io.EOF
	default:
		return f.ctx.Err()
	}
}

// next gives out what there is now, moving on to the next file at the end of a rotated one; 0 for nothing.
func (f *Follower) next(p []byte) (int, error) {
	for range maxHops {
		if f.note != "" {
			n := copy(p, f.note)
			f.note = f.note[n:]
			return n, nil
		}
		if f.acrossClear() {
			return 0, nil
		}
		if f.rewritten() && !f.clearing() {
			f.off, f.last = 0, f.last[:0]
			if !f.mute {
				f.note = truncated
			}
			continue
		}
		n, err := f.file.ReadAt(p, f.off)
		if f.clearing() {
			continue // it may be of either side
		}
		if n > 0 {
			f.off += int64(n)
			f.last = append(f.last, p[max(0, n-lastBytes):n]...)
			f.last = append(f.last[:0], f.last[max(0, len(f.last)-lastBytes):]...)
			return n, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		switch {
		case f.leaving:
			if !f.advance() {
				return 0, nil
			}
		case f.replaced():
			f.leaving = true // and look once more for what was written before it was replaced
		default:
			return 0, nil
		}
	}
	return 0, nil
}

// clearing reports whether the log has been cleared on purpose since the last look, or is about to be.
func (f *Follower) clearing() bool {
	if f.cleared == nil {
		return false
	}
	c := f.cleared()
	return c.underWay > 0 || c.done != f.clears
}

// acrossClear goes to the start of a log that has been cleared since the last look, as nothing in the file
// tells one that was filled again with the same text. What was rotated before is read to its end first.
// It reports whether the clear has to be waited for.
func (f *Follower) acrossClear() (wait bool) {
	if !f.clearing() {
		return false
	}
	c := f.cleared()
	if c.underWay > 0 {
		return true
	}
	if !f.leaving && f.number() == 0 && f.open(f.path) != nil {
		return true // gone for the moment
	}
	f.clears = c.done
	return false
}

// rewritten reports whether the file has shrunk, or was emptied and filled again since the last look.
func (f *Follower) rewritten() bool {
	if len(f.last) == 0 {
		info, err := f.file.Stat()
		return err == nil && info.Size() < f.off
	}
	var now [lastBytes]byte
	n, err := f.file.ReadAt(now[:len(f.last)], f.off-int64(len(f.last)))
	if n == len(f.last) {
		return !bytes.Equal(now[:n], f.last)
	}
	return errors.Is(err, io.EOF)
}

// replaced reports whether there are bytes in files after this one. While the next one is empty this one is
// kept: a writer that has not noticed an outside rename still writes to it.
func (f *Follower) replaced() bool {
	now, err := os.Stat(f.path)
	return err == nil && !os.SameFile(now, f.info) && (now.Size() > 0 || f.number() > 1)
}

// advance opens the file that comes after this one: the next lower number that there is when this one is
// found among the backups, else the log itself. False: there is none at the moment.
func (f *Follower) advance() bool {
	k := f.number()
	before, old, end := f.file, f.info, f.off
	f.file = nil // kept open until it is clear that the names have not moved on
	next := k - 1
	for ; next > 0; next-- { // numbers may be missing in the middle of a rotation, or since a crash in one
		if f.open(f.numbered(next)) == nil {
			break
		}
	}
	if next <= 0 && f.open(f.path) != nil {
		f.file = before
		return false
	}
	if k > 0 && !isFile(f.numbered(k), old) {
		f.file.Close()
		f.file, f.info, f.leaving = before, old, true
		f.off = end
		return true // again, with the new numbers
	}
	before.Close()
	f.leaving = next > 0
	return true
}

// number finds this file among the backups; 0 when it is not there. Rotation moves files upwards only, so
// looking upwards does not miss one, if a gap does not end the search.
func (f *Follower) number() int {
	missing := 0
	for k := 1; k <= maxHops && missing < maxGap; k++ {
		info, err := os.Lstat(f.numbered(k))
		if err != nil {
			missing++
			continue
		}
		if os.SameFile(info, f.info) {
			return k
		}
		missing = 0
	}
	return 0
}

func (f *Follower) numbered(k int) string { return f.path + "." + strconv.Itoa(k) }

func isFile(path string, info os.FileInfo) bool {
	now, err := os.Lstat(path)
	return err == nil && os.SameFile(now, info)
}

// Close ends the following; a Read that is under way returns io.EOF.
func (f *Follower) Close() error {
	f.once.Do(func() {
		close(f.closed)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.file.Close()
	})
	return nil
}
