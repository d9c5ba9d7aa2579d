package spawn

import (
	"errors"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// reopen opens the pipe of a writing end for reading and writing; -1 where there is no /proc.
func reopen(end int) (int, error) {
	again, err := unix.Open("/proc/self/fd/"+strconv.Itoa(end), unix.O_RDWR|unix.O_CLOEXEC, 0)
	switch {
	case err == nil:
		return again, nil
	case errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM):
		return -1, err
	}
	return -1, nil
}

// mark locks the program's end of a pipe.
func mark(end int) error { return syscall.Flock(end, syscall.LOCK_EX|syscall.LOCK_NB) }
