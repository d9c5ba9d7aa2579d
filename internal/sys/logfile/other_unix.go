//go:build unix && !linux

package logfile

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// openLog opens a log to append to it and to read it.
func openLog(path string, perm os.FileMode, mode Mode) (*os.File, error) {
	flags := os.O_RDWR | os.O_APPEND
	if mode == Create {
		flags |= os.O_CREATE
	}
	return os.OpenFile(path, flags, perm)
}

func openReader(path string) (*os.File, error) { return os.Open(path) }

func appendTo(f *os.File, p []byte) (int, error) { return f.Write(p) }

func unlink(path string) error { return syscall.Unlink(path) }

func rename(from, to string) error { return os.Rename(from, to) }

func infoOfPath(path string) (Info, error) {
	fi, err := os.Lstat(path)
	if err != nil {
		return Info{}, err
	}
	return infoOf(fi), nil
}

// duplicate is the same opening under another descriptor.
func duplicate(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}
