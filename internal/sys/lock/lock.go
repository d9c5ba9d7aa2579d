// Package lock is the lock file of an instance: whoever holds it is the only one. The lock belongs to the
// open file and ends with its holder however that ends, so a stale file locks nothing.
package lock

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// HeldError says that somebody else holds the lock.
type HeldError struct {
	Path string
	PID  int // of the holder as it wrote it, 0 = unknown
}

func (e *HeldError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s is locked by another process", e.Path)
	}
	return fmt.Sprintf("%s is locked by process %d", e.Path, e.PID)
}

// Lock is a held lock.
type Lock struct{ f *os.File }

// attempts bounds how often a lock file that was replaced under us is opened again.
const attempts = 16

// errBusy is the system's answer that somebody else has the lock.
var errBusy = errors.New("locked")

// Descriptor is what holds the lock, and stays the lock's: a duplicate of it holds the lock too.
func (l *Lock) Descriptor() int { return int(l.f.Fd()) }

// Acquire takes the lock without waiting and writes our pid into the file, creating it when there is
// none. *HeldError: somebody else holds it. The file is readable by its owner alone, because whoever can
// open it can lock it. A symbolic link is not followed.
func Acquire(path string) (*Lock, error) {
	for range attempts {
		f, err := open(path)
		if err != nil {
			return nil, fmt.Errorf("lock file: %w", err)
		}
		if err := take(f); err != nil {
			defer f.Close()
			if errors.Is(err, errBusy) {
				pid, _ := read(f)
				return nil, &HeldError{Path: path, PID: pid}
			}
			return nil, fmt.Errorf("lock file %s: %w", path, err)
		}
		if !current(f, path) { // somebody removed or replaced it between the two steps
			f.Close()
			continue
		}
		l := &Lock{f}
		if err := l.write(); err != nil {
			f.Close()
			return nil, fmt.Errorf("lock file %s: %w", path, err)
		}
		return l, nil
	}
	return nil, fmt.Errorf("lock file %s: it is being replaced all the time", path)
}

// Close releases the lock and empties the file, which stays: removing it would let two processes lock
// two files of the same name.
func (l *Lock) Close() error {
	return errors.Join(l.f.Truncate(0), l.f.Close())
}

// Holder is the pid that the file names, 0 for none. Only Acquire tells whether that process still
// holds the lock: one that was killed leaves its pid behind.
func Holder(path string) (int, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return read(f)
}

func (l *Lock) write() error {
	if err := l.f.Truncate(0); err != nil {
		return err
	}
	_, err := l.f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// read takes the pid out of the file; anything else in it is no pid.
func read(f *os.File) (int, error) {
	b := make([]byte, 32)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil || pid < 0 {
		return 0, nil
	}
	return pid, nil
}

// current reports whether the path still names the open file.
func current(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Lstat(path)
	return err == nil && os.SameFile(a, b)
}
