// Package logfile is the descriptor level of log files: opening them without being led astray by links
// that a less privileged user could place, appending, moving bytes out of a pipe into them, and the
// renames of a rotation.
//
// A directory is untrusted when somebody other than root and the caller could put entries into it: the
// owner is somebody else, or others, or a group that is neither root's nor the caller's own, may write;
// and everything below such a directory, unless the sticky bit protects an entry that is ours. In an
// untrusted directory a log must be a regular file with one link; links, FIFOs and devices there are
// refused with an *UnsafeError, except those that are ours under the sticky bit. In trusted ones symbolic
// links are followed. Source: spec/reliability S16. Systems other than Linux do not make this difference.
package logfile

import (
	"errors"
	"io/fs"
	"os"
)

// UnsafeError refuses a file that would be reached through a directory that others can write.
type UnsafeError struct {
	Path   string // as asked for
	At     string // the entry that is refused
	Reason string
}

// Error is one line for a person.
func (e *UnsafeError) Error() string {
	return e.Path + ": refused, " + e.At + " " + e.Reason + " in a directory that others can write"
}

// ErrAgain: the file takes nothing at the moment (a FIFO that nobody reads).
var ErrAgain = errors.New("logfile: not ready")

// Mode says what Open does with what it finds.
type Mode uint8

// The modes.
const (
	Create   Mode = iota // open, or make when missing
	Existing             // fs.ErrNotExist when missing
)

// Info is what is known of an open file.
type Info struct {
	Size  int64
	Links uint64 // 0: deleted
	Dev   uint64 // the device it is on
	Ino   uint64
}

// InfoOf is what a look at a file by other means has told. Where that has no identity of the file, as on Windows, Ino is 0:
// InfoOfFile has it.
func InfoOf(fi fs.FileInfo) Info { return infoOf(fi) }

// Same reports whether two are the same file.
func (a Info) Same(b Info) bool { return a.Dev == b.Dev && a.Ino == b.Ino }

// autoPerm is the mode of files whose mode the caller leaves open.
const autoPerm os.FileMode = 0o666

var errNotRegular = errors.New("not a regular file")
