package statefile

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Reserve takes storage for the first size bytes of the file without changing its length, so that writing
// them cannot find the disk full. A file system that has no such thing gives no error and no storage.
func Reserve(f *os.File, size int64) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var sys error
	if err := raw.Control(func(fd uintptr) {
		for {
			if sys = unix.Fallocate(int(fd), unix.FALLOC_FL_KEEP_SIZE, 0, size); !errors.Is(sys, unix.EINTR) {
				return
			}
		}
	}); err != nil {
		return err
	}
	if sys == nil || errors.Is(sys, unix.EOPNOTSUPP) || errors.Is(sys, unix.ENOSYS) {
		return nil
	}
	return &os.PathError{Op: "fallocate", Path: f.Name(), Err: sys}
}
