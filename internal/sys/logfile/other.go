//go:build !linux

package logfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// File is an open log. Its methods are not safe for concurrent use, except ReadAt and Stat.
type File struct {
	f       *os.File
	regular bool
}

// Open opens path for writing at its end. New files get perm less the umask (0: 0666). /dev/stdout and
// /dev/stderr are this process's own.
func Open(path string, perm os.FileMode, mode Mode) (*File, error) {
	switch path {
	case "/dev/stdout":
		return &File{f: os.Stdout}, nil
	case "/dev/stderr":
		return &File{f: os.Stderr}, nil
	}
	d, err := OpenDir(path)
	if err != nil {
		return nil, err
	}
	return d.Open(perm, mode)
}

// Regular reports whether it is a regular file, which can be rotated and cleared.
func (f *File) Regular() bool { return f.regular }

// Append writes p at the end of the file and returns how much was written.
func (f *File) Append(p []byte) (int, error) { return appendTo(f.f, p) }

// Splice is not there.
func (f *File) Splice(int, int64, int) (int, error) { return 0, errors.ErrUnsupported }

// Stat says what the open file is now.
func (f *File) Stat() (Info, error) {
	return InfoOfFile(f.f)
}

// Truncate empties a regular file.
func (f *File) Truncate() error { return f.f.Truncate(0) }

// Own sets the mode of the file and, where they are not negative, its owner and group.
func (f *File) Own(perm os.FileMode, uid, gid int) error {
	if uid >= 0 || gid >= 0 {
		if err := f.f.Chown(uid, gid); err != nil {
			return err
		}
	}
	return f.f.Chmod(perm)
}

// Handout is a descriptor for a program that writes to the file itself; it is the caller's.
func (f *File) Handout() (*os.File, error) { return duplicate(f.f) }

// ReadAt reads at a position, as io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) { return f.f.ReadAt(p, off) }

// Close closes it; our own standard output stays open.
func (f *File) Close() error {
	if f.f == os.Stdout || f.f == os.Stderr {
		return nil
	}
	return f.f.Close()
}

// Dir is the directory of a log.
type Dir struct{ path, dir, name string }

// OpenDir names the directory that holds the file.
func OpenDir(path string) (*Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	return &Dir{path: abs, dir: filepath.Dir(abs), name: filepath.Base(abs)}, nil
}

// Name is the name of the file in the directory.
func (d *Dir) Name() string { return d.name }

// Untrusted is not known here.
func (d *Dir) Untrusted() bool { return false }

// Open opens the file as the function Open does.
func (d *Dir) Open(perm os.FileMode, mode Mode) (*File, error) {
	if perm == 0 {
		perm = autoPerm
	}
	f, err := openLog(d.path, perm, mode)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &File{f: f, regular: fi.Mode().IsRegular()}, nil
}

// OpenOther opens another file of the directory as Open does.
func (d *Dir) OpenOther(name string, perm os.FileMode, mode Mode) (*File, error) {
	return d.other(name).Open(perm, mode)
}

// ReadOther opens another file of the directory for reading, as OpenReader does.
func (d *Dir) ReadOther(name string) (*os.File, error) { return OpenReader(d.other(name).path) }

func (d *Dir) other(name string) *Dir {
	return &Dir{path: filepath.Join(d.dir, name), dir: d.dir, name: name}
}

// Stat looks at an entry of the directory without following it.
func (d *Dir) Stat(name string) (Info, error) {
	return infoOfPath(filepath.Join(d.dir, name))
}

// Rename moves an entry of the directory over another one.
func (d *Dir) Rename(from, to string) error {
	return rename(filepath.Join(d.dir, from), filepath.Join(d.dir, to))
}

// Remove deletes an entry that is no directory.
func (d *Dir) Remove(name string) error {
	path := filepath.Join(d.dir, name)
	if err := unlink(path); err != nil {
		return &os.PathError{Op: "remove", Path: path, Err: err}
	}
	return nil
}

// Close lets go of the directory.
func (d *Dir) Close() error { return nil }

var _ io.ReaderAt = (*File)(nil)

// OpenReader opens a log for reading. Only regular files are read: a FIFO would give its bytes to us
// instead of to whom they are meant for.
func OpenReader(path string) (*os.File, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, &os.PathError{Op: "open", Path: path, Err: errNotRegular}
	}
	return openReader(path)
}
