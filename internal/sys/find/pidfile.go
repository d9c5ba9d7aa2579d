package find

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// PIDFile is what a pid file says. It is no order: the process is looked at before anything is done.
type PIDFile struct {
	PID     int       // above 1
	Owner   int       // of the file; -1 = that is not told
	Written time.Time // its last change
}

// maxPIDFile is the most that a pid file may have, in bytes: some programs write more lines behind the number.
const maxPIDFile = 4 << 10

// Unfit says that a pid file is not believed.
type Unfit struct{ Path, Reason string }

func (e *Unfit) Error() string { return fmt.Sprintf("pid file %s %s", e.Path, e.Reason) }

// ReadPIDFile reads a pid file as something that anybody may have put there: a regular file, reached without a link at its
// name and without waiting, of no more than 4 KiB, whose first line is a decimal number above 1. An error that is
// fs.ErrNotExist: there is none. *Unfit: it is not believed. Source: spec/reliability S17.
func ReadPIDFile(path string) (PIDFile, error) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return PIDFile{}, &Unfit{path, "is no regular file"} // a device must not even be opened
	}
	f, err := os.OpenFile(path, openFlags, 0)
	if isLink(err) {
		return PIDFile{}, &Unfit{path, "is no regular file"}
	}
	if err != nil {
		return PIDFile{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return PIDFile{}, err
	case !info.Mode().IsRegular():
		return PIDFile{}, &Unfit{path, "is no regular file"}
	case info.Size() > maxPIDFile:
		return PIDFile{}, &Unfit{path, "is too large"}
	}
	b, err := io.ReadAll(io.LimitReader(f, maxPIDFile+1))
	if err != nil {
		return PIDFile{}, err
	}
	pid, err := ParsePID(b)
	if err != nil {
		return PIDFile{}, &Unfit{path, err.Error()}
	}
	return PIDFile{PID: pid, Owner: ownerOf(info), Written: info.ModTime()}, nil
}

// The ways in which the text of a pid file is none.
var (
	errNotNumber = errors.New("has no process number in its first line")
	errEmptyFile = errors.New("is empty")
	errTooSmall  = errors.New("names no process that a program can be")
)

// maxPID is the highest number that a process can have on any system.
const maxPID = 1 << 30

// ParsePID reads the text of a pid file: a decimal number above 1 alone in the first line, with spaces around it at most.
func ParsePID(b []byte) (int, error) {
	if len(b) > maxPIDFile {
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

// Believe says why a pid file's word for a process is not taken, as *Unfit; nil when it is. The file must be root's, ours or
// the program's user's; the process the program's user's, unless we are root and the file is root's or that process's
// user's. UIDs below 0 are not told and do not count.
func (f PIDFile) Believe(path string, p *Process, us, program int) error {
	if f.Owner >= 0 && f.Owner != 0 && f.Owner != us && f.Owner != program && (us != 0 || f.Owner != p.UID) {
		return &Unfit{path, fmt.Sprintf("belongs to another user (uid %d)", f.Owner)}
	}
	if p.UID < 0 || p.Of(program) {
		return nil
	}
	if us == 0 && (f.Owner == 0 || f.Owner == p.UID) {
		return nil
	}
	return &Unfit{path, fmt.Sprintf("names pid %d, which is another user's (uid %d)", f.PID, p.UID)}
}
