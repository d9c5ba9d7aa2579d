package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/words"
)

// Activity is a file or directory that is to change.
type Activity struct {
	Path      string
	Age       time.Duration // at least that often
	MissingOK bool
	Deep      bool // everything below a directory counts
}

// The bounds of a deep look: what is beyond them does not count.
const (
	maxEntries = 20_000
	maxDepth   = 32
)

// errEnough ends a walk.
var errEnough = errors.New("enough")

// Changed looks when something was changed last, by the time of day that it is.
func Changed(ctx context.Context, a Activity, now time.Time) (Result, error) {
	info, err := os.Stat(a.Path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		if a.MissingOK {
			return Result{true, "is not there, which is all right"}, nil
		}
		return Result{Text: a.Path + " is not there"}, nil
	}
	if err != nil {
		return Result{}, err
	}
	last := info.ModTime()
	if a.Deep && info.IsDir() {
		w := walker{ctx: ctx, last: last, enough: now.Add(-a.Age)}
		if err := w.walk(a.Path, 0); err != nil && !errors.Is(err, errEnough) {
			return Result{}, err
		}
		last = w.last
	}
	age := now.Sub(last)
	return Result{age <= a.Age, fmt.Sprintf("last change %s ago, limit %s", words.Duration(age), words.Limit(a.Age))}, nil
}

// walker looks for the newest change below a directory.
type walker struct {
	ctx    context.Context
	last   time.Time
	enough time.Time // a change after it ends the walk
	seen   int
}

// walk looks at the entries of a directory. What vanishes or may not be read meanwhile does not count.
func (w *walker) walk(dir string, depth int) error {
	if depth > maxDepth {
		return nil
	}
	d, err := os.Open(dir)
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
	if info.ModTime().After(w.last) {
		w.last = info.ModTime()
	}
	if w.last.After(w.enough) {
		return errEnough
	}
	if e.IsDir() {
		return w.walk(filepath.Join(dir, e.Name()), depth+1)
	}
	return nil
}
