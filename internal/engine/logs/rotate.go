package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/upkeep-project/upkeep/internal/engine/timeindex"
	"github.com/upkeep-project/upkeep/internal/sys/logfile"
)

// rotateRetry is after how many further bytes a failed rotation is tried again.
const rotateRetry = 64 << 10

// rotateIfFull rotates when the limit is reached. A failure does not stop logging: the file grows on, the
// problem is kept for Problem, and it is tried again later.
func (f *File) rotateIfFull() {
	limit := f.limit()
	if limit == 0 || f.pos < limit {
		return
	}
	if err := f.rotate(); err != nil {
		if f.retryAt == 0 {
			f.problem = fmt.Errorf("rotate %s: %w", f.path, err)
		}
		f.retryAt = f.pos + rotateRetry
		return
	}
	f.retryAt = 0
}

// rotate moves F to F.1, F.1 to F.2 and so on, and begins a new F. Each rename is whole, so dying between
// two of them leaves a gap in the numbers, which the next rotation closes before it gives up the oldest
// file. Source: spec/supervisor 3.3.
func (f *File) rotate() error {
	if f.o.Backups <= 0 {
		if err := f.h.Truncate(); err != nil {
			return err
		}
		f.times.Clear(f.pos)
		f.pos = 0
		return nil
	}
	d, err := logfile.OpenDir(f.path)
	if err != nil {
		return err
	}
	defer d.Close()
	if ours, err := f.isAt(d); err != nil || !ours {
		// Somebody else has moved our file away: that was the rotation.
		return errors.Join(err, f.begin(d))
	}
	if err := shift(d, f.o.Backups, f.o.Times); err != nil {
		return err
	}
	f.moved = true
	return f.begin(d)
}

// isAt reports whether the path still leads to the file that is open.
func (f *File) isAt(d *logfile.Dir) (bool, error) {
	at, err := d.Stat(d.Name())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	info, err := f.h.Stat()
	return err == nil && at.Same(info), err
}

// begin opens the file at the path.
func (f *File) begin(d *logfile.Dir) error {
	h, err := d.Open(f.o.Perm, logfile.Create)
	if err != nil {
		return err
	}
	return f.replace(h)
}

// shift renames F.(g-1) … F.1 and F one up, g being the first free number or the last one.
func shift(d *logfile.Dir, backups int, times bool) error {
	g := 1
	for ; g < backups; g++ {
		if _, err := d.Stat(backup(d.Name(), g)); errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	for i := g - 1; i >= 0; i-- {
		from, to := backup(d.Name(), i), backup(d.Name(), i+1)
		if err := d.Rename(from, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if times {
			timeindex.Moved(d, from, to)
		}
	}
	return nil
}

// backup is the name of the i-th backup; 0 is the log itself.
func backup(name string, i int) string {
	if i == 0 {
		return name
	}
	return name + "." + strconv.Itoa(i)
}

// FreeOldest deletes the oldest backup of this log to make room on a full disk; false when there is none.
// Source: spec/reliability R18.
func (f *File) FreeOldest() bool {
	f.acquire()
	defer f.release()
	if f.wake() != nil || f.limit() == 0 {
		return false
	}
	d, err := logfile.OpenDir(f.path)
	if err != nil {
		return false
	}
	defer d.Close()
	for i := f.o.Backups; i >= 1; i-- {
		if d.Remove(backup(d.Name(), i)) == nil {
			timeindex.Remove(d, backup(d.Name(), i))
			return true
		}
	}
	return false
}

// Remove deletes a log and its backups; what is missing already is no error.
func Remove(path string, backups int) error {
	d, err := logfile.OpenDir(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	defer d.Close()
	var errs []error
	for i := 0; i <= backups; i++ {
		if err := d.Remove(backup(d.Name(), i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		timeindex.Remove(d, backup(d.Name(), i))
	}
	return errors.Join(errs...)
}
