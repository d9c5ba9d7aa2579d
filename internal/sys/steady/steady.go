// Package steady reads files that others write: a text is whole when nobody writes to its file and the file is the same
// before and after the reading.
//
// Whether somebody has it open for writing is asked of the system where it can tell (Linux, of files of one's own); else a
// file counts as settled when it has not changed for a moment. A writer that puts a new file in the place of the old one is
// never waited for. Source: spec/reliability R24.
package steady

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// BusyError says that a file was being written as long as it was waited for.
type BusyError struct{ Path string }

func (e *BusyError) Error() string { return e.Path + " is being written" }

// The times of a Reader.
const (
	// Patience is how long is waited for a writer.
	Patience = 300 * time.Millisecond
	// look is the time between two looks, and how long a file must be as it is where the system does not tell of writers.
	look = 20 * time.Millisecond
)

// Read reads a file whose text is whole, waiting for at most patience until it is. What is no regular file is read as it
// comes. Errors: *BusyError, and those of opening and reading.
func Read(path string, patience time.Duration) ([]byte, error) {
	var last fs.FileInfo
	for over := time.Now().Add(patience); ; {
		text, settled, err := try(path, &last)
		switch {
		case err != nil || settled:
			return text, err
		case time.Now().After(over):
			return nil, &BusyError{path}
		}
		<-time.After(look)
	}
}

// try reads a file once and reports whether its text is whole. last is what the look before has seen, nil = there was none.
func try(path string, last *fs.FileInfo) (text []byte, settled bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	if !before.Mode().IsRegular() {
		text, err = io.ReadAll(f)
		return text, true, err
	}
	if written, known := writers(f); known && written {
		return nil, false, nil
	}
	if text, err = io.ReadAll(f); err != nil {
		return nil, false, err
	}
	after, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	now, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, err
	}
	if err != nil || !os.SameFile(before, now) || !same(before, after) || int64(len(text)) != after.Size() {
		return nil, false, nil
	}
	written, known := writers(f)
	if !known {
		written = !quiet(*last, after)
	}
	*last = after
	return text, !written, nil
}

// quiet reports whether a file has not changed for a moment. One that was changed later than now was so by another clock, or before
// this one was set back: then it must be as the look before has seen it.
func quiet(last, now fs.FileInfo) bool {
	age := time.Since(now.ModTime())
	return age >= look || age < 0 && last != nil && os.SameFile(last, now) && same(last, now)
}

// same reports whether a file has not changed between two looks.
func same(a, b fs.FileInfo) bool { return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) }
