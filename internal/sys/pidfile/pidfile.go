// Package pidfile reads and writes pid files. What is read was put there by anybody, and is no order; what is written
// goes to a fresh file that is moved into place, never through a link.
//
// Source: spec/reliability S17, spec/usrsvc US-40, US-48.
package pidfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// File is what a pid file says. It is no order: the process is looked at before anything is done.
type File struct {
	PID     int       // above 1
	Owner   int       // of the file; -1 = that is not told
	Written time.Time // its last change
}

// maxFile is the most that a pid file may have, in bytes: some programs write more lines behind the number.
const maxFile = 4 << 10

// UnfitError says that a pid file is not believed.
type UnfitError struct{ Path, Reason string }

func (e *UnfitError) Error() string { return fmt.Sprintf("pid file %s %s", e.Path, e.Reason) }

// Read reads a pid file as something that anybody may have put there: a regular file, reached without a link at its
// name and without waiting, of no more than 4 KiB, whose first line is a decimal number above 1. An error that is
// fs.ErrNotExist: there is none. *UnfitError: it is not believed. Source: spec/reliability S17.
func Read(path string) (File, error) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return File{}, &UnfitError{path, "is no regular file"} // a device must not even be opened
	}
	f, err := os.OpenFile(path, openFlags, 0)
	if isLink(err) {
		return File{}, &UnfitError{path, "is no regular file"}
	}
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return File{}, err
	case !info.Mode().IsRegular():
		return File{}, &UnfitError{path, "is no regular file"}
	case info.Size() > maxFile:
		return File{}, &UnfitError{path, "is too large"}
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return File{}, err
	}
	pid, err := Parse(b)
	if err != nil {
		return File{}, &UnfitError{path, err.Error()}
	}
	return File{PID: pid, Owner: ownerOf(info), Written: info.ModTime()}, nil
}

// The ways in which the text of a pid file is none.
var (
	errNotNumber = errors.New("has no process number in its first line")
	errEmptyFile = errors.New("is empty")
	errTooSmall  = errors.New("names no process that a program can be")
)

// maxPID is the highest number that a process can have on any system.
const maxPID = 1 << 30

// Parse reads the text of a pid file: a decimal number above 1 alone in the first line, with spaces around it at most.
func Parse(b []byte) (int, error) {
	if len(b) > maxFile {
		return 0, errNotNumber
	}
	line, _, _ := strings.Cut(string(b), "\n")
	line = strings.Trim(line, " \t\r")
	if line == "" {
		if len(b) == 0 {
			return 0, errEmptyFile
		}
		return 0, errNotNumber
	}
	for _, c := range []byte(line) {
		if c < '0' || c > '9' {
			return 0, errNotNumber
		}
	}
	n, err := strconv.ParseUint(line, 10, 31)
	switch {
	case err != nil || n > maxPID:
		return 0, errNotNumber
	case n <= 1:
		return 0, errTooSmall
	}
	return int(n), nil
}

// Believe says why a pid file's word for a process is not taken, as *UnfitError; nil when it is. The file must be root's, ours or
// that of the program's user, and the process that user's; when we are root, the file may also be root's or that of the
// process's user, whose process it may be then. uid and euid are those of the process; what is below 0 is not told and
// does not count.
func (f File) Believe(path string, uid, euid, us, program int) error {
	if f.Owner >= 0 && f.Owner != 0 && f.Owner != us && f.Owner != program && (us != 0 || f.Owner != uid) {
		return &UnfitError{path, fmt.Sprintf("belongs to another user (uid %d)", f.Owner)}
	}
	if uid < 0 || uid == program && euid == program || us == 0 && (f.Owner == 0 || f.Owner == uid) {
		return nil
	}
	return &UnfitError{path, fmt.Sprintf("names pid %d, which is another user's (uid %d)", f.PID, uid)}
}
