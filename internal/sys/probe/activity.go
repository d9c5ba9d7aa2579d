package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// The bounds of a deep look: what is deeper does not count, and of more entries nothing is said.
const (
	maxEntries = 20_000
	maxDepth   = 32
)

// Change is when something was changed last; the zero value is never. It is comparable: one that differs is a later change.
type Change struct {
	Last  time.Time // not later than the look
	Ahead time.Time // in the future of the look: the time of day was set back, or is that of another machine; zero = nothing was
}

// slack is how much the clock of a file system may be ahead.
const slack = time.Second

func (c *Change) add(at, now time.Time) {
	switch {
	case at.After(now.Add(slack)):
		c.Ahead = later(c.Ahead, at)
	default:
		c.Last = later(c.Last, at)
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Ago is how long ago that was by a time of day, as far as it can tell: never less than nothing.
func (c Change) Ago(now time.Time) time.Duration {
	if !c.Ahead.IsZero() {
		return 0
	}
	return max(0, now.Sub(c.Last))
}

// Changed looks when a file or directory was changed last; with deep, everything below a directory counts. now is the time of
// day. Errors: fs.ErrNotExist, those of the system, and that there is too much to look at.
func Changed(ctx context.Context, path string, deep bool, now time.Time) (Change, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Change{}, err
	}
	w := walker{ctx: ctx, now: now}
	w.change.add(info.ModTime(), now)
	if deep && info.IsDir() {
		err = w.walk(path, 0)
	}
	return w.change, err
}

// walker looks for the newest change below a directory.
type walker struct {
	ctx    context.Context
	now    time.Time
	change Change
	seen   int
}

// walk looks at the entries of a directory. What vanishes or may not be read meanwhile does not count, nor what is no
// directory any more: it is not even opened.
func (w *walker) walk(dir string, depth int) error {
	if depth > maxDepth {
		return nil
	}
	flags := onlyDirectory
	if depth > 0 {
		flags |= noLink
	}
	d, err := os.OpenFile(dir, os.O_RDONLY|flags, 0)
	if err != nil {
		if depth > 0 {
			return nil
		}
		return err
	}
	defer d.Close()
	for {
		list, err := d.ReadDir(256)
		for _, e := range list {
			if err := w.entry(dir, e, depth); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || err != nil && depth > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (w *walker) entry(dir string, e fs.DirEntry, depth int) error {
	if err := w.ctx.Err(); err != nil {
		return errors.New("there is too much to look at in the time")
	}
	if w.seen++; w.seen > maxEntries {
		return fmt.Errorf("there are more than %d files below it", maxEntries)
	}
	info, err := e.Info()
	if err != nil {
		return nil
	}
	w.change.add(info.ModTime(), w.now)
	if e.IsDir() {
		return w.walk(filepath.Join(dir, e.Name()), depth+1)
	}
	return nil
}
