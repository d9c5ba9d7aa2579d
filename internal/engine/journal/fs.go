package journal

import (
	"os"

	"github.com/upkeep-project/upkeep/internal/sys/statefile"
)

// FS is what a store does to a disk. Paths are absolute. The system's is used where Options has none; tests
// have others.
type FS interface {
	// MkdirAll makes the directory and the missing ones above it, lasting.
	MkdirAll(dir string) error
	// Open opens an existing file, to append when that is allowed, else only to read. *statefile.UnfitError:
	// what is there can be no file of ours. fs.ErrNotExist: there is nothing.
	Open(path string) (f File, writable bool, err error)
	// Create makes a new file. fs.ErrExist: there is something.
	Create(path string) (File, error)
	// Replace renames the open file from one path over another. The file to use from then on is returned;
	// after an error f is as good as closed.
	Replace(f File, from, to string) (File, error)
	// Link gives a file a second name. fs.ErrExist: the name is taken.
	Link(from, to string) error
	// Move renames anything, replacing nothing. fs.ErrExist: the name is taken.
	Move(from, to string) error
	// Remove removes a file.
	Remove(path string) error
	// SyncDir makes the names in the directory last.
	SyncDir(dir string) error
	// Unreadable reports whether an error of Open or ReadAt speaks about the file rather than about a
	// shortage, so that trying again gives no better answer.
	Unreadable(err error) bool
}

// File is an open file.
type File interface {
	ReadAt(b []byte, off int64) (int, error)
	Size() (int64, error)
	// Write appends. An n below len(b) comes with an error.
	Write(b []byte) (n int, err error)
	Truncate(size int64) error
	// Sync makes the content last.
	Sync() error
	// Reserve takes storage for the first size bytes where the system can.
	Reserve(size int64) error
	// At reports whether the path names this file.
	At(path string) (bool, error)
	Close() error
}

// system is the real disk.
type system struct{}

type file struct{ f *os.File }

func (system) MkdirAll(dir string) error { return statefile.MkdirAll(dir) }

func (system) Open(path string) (File, bool, error) {
	f, writable, err := statefile.Open(path)
	if err != nil {
		return nil, false, err
	}
	return file{f}, writable, nil
}

func (system) Create(path string) (File, error) {
	f, err := statefile.Create(path)
	if err != nil {
		return nil, err
	}
	return file{f}, nil
}

func (system) Replace(f File, from, to string) (File, error) {
	got, err := statefile.Replace(f.(file).f, from, to)
	if err != nil {
		return nil, err
	}
	return file{got}, nil
}

func (system) Link(from, to string) error { return os.Link(from, to) }

func (system) Move(from, to string) error { return statefile.Move(from, to) }

func (system) Remove(path string) error { return os.Remove(path) }

func (system) SyncDir(dir string) error { return statefile.SyncDir(dir) }

func (system) Unreadable(err error) bool { return statefile.Unreadable(err) }

func (f file) ReadAt(b []byte, off int64) (int, error) { return f.f.ReadAt(b, off) }

func (f file) Size() (int64, error) {
	st, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (f file) Write(b []byte) (int, error) { return f.f.Write(b) }

func (f file) Truncate(size int64) error { return f.f.Truncate(size) }

func (f file) Sync() error { return f.f.Sync() }

func (f file) Reserve(size int64) error { return statefile.Reserve(f.f, size) }

func (f file) At(path string) (bool, error) { return statefile.At(f.f, path) }

func (f file) Close() error { return f.f.Close() }
