//go:build !unix

package statefile

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

const openFlags = 0

const errNotDir = syscall.ENOTDIR

func readOnly(err error) bool { return errors.Is(err, fs.ErrPermission) }

// foreign is always "": access lists keep others out here.
func foreign(os.FileInfo) string { return "" }

// Replace renames the open file from one path over another and returns the file that is open from then on:
// a file cannot be renamed here while it is open. When it fails f is closed and no file is returned.
func Replace(f *os.File, from, to string) (*os.File, error) {
	if err := f.Close(); err != nil {
		return nil, err
	}
	if err := os.Rename(from, to); err != nil {
		return nil, err
	}
	f, _, err := Open(to)
	return f, err
}

// SyncDir does nothing: names last with the files here.
func SyncDir(string) error { return nil }

// Unreadable reports whether the error of an open or a read speaks about the file, so that another try
// gives no better answer.
func Unreadable(err error) bool { return readOnly(err) }
