package steady

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// writers reports whether somebody has a file open for writing. The system tells by refusing a lease for reading, which is
// given back at once; it gives leases of files of one's own alone, and not on every file system: then it is not known.
func writers(f *os.File) (written, known bool) {
	raw, err := f.SyscallConn()
	if err != nil {
		return false, false
	}
	if err := raw.Control(func(fd uintptr) {
		_, err := unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_RDLCK)
		switch {
		case err == nil:
			_, err = unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_UNLCK)
			known = err == nil
		case errors.Is(err, unix.EAGAIN):
			written, known = true, true
		}
	}); err != nil {
		return false, false
	}
	return written, known
}
