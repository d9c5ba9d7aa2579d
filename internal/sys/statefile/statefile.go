// Package statefile is what the product needs of a system to keep state in files: opening a file without
// falling for what somebody else put in its place, reserving storage for it ahead, replacing it in one
// step, and making a change of a directory last.
package statefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// UnfitError says that what is at a path cannot be a state file of ours, whatever it contains: a link, a
// directory, a device, or a file of somebody else.
type UnfitError struct{ Path, Reason string }

func (e *UnfitError) Error() string { return fmt.Sprintf("%s: %s", e.Path, e.Reason) }

// Open opens an existing file for reading and, when that is allowed, for appending. It follows no link and
// never waits. writable says which of the two it became. *UnfitError: it is no regular file, or its owner
// is neither this user nor root. Any other error is an *os.PathError.
func Open(path string) (f *os.File, writable bool, err error) {
	st, err := os.Lstat(path)
	if err != nil {
		return nil, false, err
	}
	if why := unfit(st); why != "" {
		return nil, false, &UnfitError{path, why}
	}
	f, err = os.OpenFile(path, os.O_RDWR|os.O_APPEND|openFlags, 0)
	writable = err == nil
	if err != nil && readOnly(err) {
		f, err = os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	}
	if err != nil {
		return nil, false, err
	}
	st, err = f.Stat()
	if err != nil {
		f.Close()
		return nil, false, err
	}
	if why := unfit(st); why != "" { // exchanged between the two steps
		f.Close()
		return nil, false, &UnfitError{path, why}
	}
	if writable && st.Mode().Perm()&0o077 != 0 {
		_ = f.Chmod(0o600) // only tidiness: the directory keeps others out
	}
	return f, writable, nil
}

// Create makes a new file of mode 0600 for reading and appending. An error that is fs.ErrExist: there is
// something at the path already.
func Create(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_EXCL|openFlags, 0o600)
}

// MkdirAll makes a directory and the missing ones above it, mode 0700, and makes those that it made last
// through a power cut.
func MkdirAll(dir string) error {
	st, err := os.Stat(dir)
	switch {
	case err == nil && st.IsDir():
		return nil
	case err == nil:
		return &os.PathError{Op: "mkdir", Path: dir, Err: errNotDir}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	parent := filepath.Dir(dir)
	if parent == dir {
		return err
	}
	if err := MkdirAll(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return SyncDir(parent)
}

// At reports whether the path names this open file. That nothing or something else is there is no error.
func At(f *os.File, path string) (bool, error) {
	a, err := f.Stat()
	if err != nil {
		return false, err
	}
	b, err := os.Lstat(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotDir) {
			err = nil
		}
		return false, err
	}
	return os.SameFile(a, b), nil
}

// Move renames without replacing. An error that is fs.ErrExist: the new name is taken. Between the look
// and the step somebody could take it; in a directory of one owner nobody does.
func Move(from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: fs.ErrExist}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(from, to)
}

func unfit(st os.FileInfo) string {
	switch mode := st.Mode(); {
	case mode&os.ModeSymlink != 0:
		return "is a symbolic link"
	case mode.IsDir():
		return "is a directory"
	case !mode.IsRegular():
		return "is not a regular file"
	}
	return foreign(st)
}

// Write puts a text in the place of a file, which is private to its owner then. When it returns without an error the text
// survives a power cut; with one the text before is still there, unless only the last step has failed. One may do it at a time.
func Write(path string, text []byte) error {
	temp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := writeNew(temp, text)
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		_ = os.Remove(temp) // the first error is the one to tell
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// writeNew makes a file whose text is on the disk.
func writeNew(path string, text []byte) error {
	f, err := Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
