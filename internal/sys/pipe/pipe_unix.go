//go:build unix

package pipe

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Available is the number of bytes that wait in a pipe; end is true when there are none and every writer
// is gone.
func Available(fd int) (n int, end bool, err error) {
	n, err = unix.IoctlGetInt(fd, fionread)
	if err != nil || n > 0 {
		return n, false, err
	}
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if _, err := unix.Poll(p, 0); err != nil && !errors.Is(err, unix.EINTR) {
		return 0, false, err
	}
	switch {
	case p[0].Revents&unix.POLLNVAL != 0:
		return 0, false, unix.EBADF
	case p[0].Revents&unix.POLLIN != 0: // written meanwhile
		n, err = unix.IoctlGetInt(fd, fionread)
		return n, n == 0 && err == nil, err
	}
	return 0, p[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0, nil
}

// Read takes bytes that Available has seen; the caller is the only reader.
func Read(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Read(fd, b)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return 0, ErrAgain
		default:
			return max(n, 0), err
		}
	}
}

// Write puts bytes into a pipe made ready by SetNonblock: as many as fit, ErrAgain for none, ErrBroken
// when nobody reads.
func Write(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Write(fd, b)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return 0, ErrAgain
		case errors.Is(err, unix.EPIPE):
			return 0, ErrBroken
		default:
			return max(n, 0), err
		}
	}
}

// SetNonblock makes writing to fd return at once. It changes the open file, so it is for descriptors
// that no other process writes to.
func SetNonblock(fd int) error { return unix.SetNonblock(fd, true) }

// Writer writes to our end of a pipe without waiting for who reads. It is not safe for concurrent use.
type Writer struct{ fd int }

// NewWriter makes the writer of a descriptor, which stays the caller's to close, after Stop. It does what SetNonblock does.
func NewWriter(fd int) (Writer, error) { return Writer{fd}, SetNonblock(fd) }

// Ready is the descriptor that a reactor finds writable when there is room again after ErrAgain.
func (w *Writer) Ready() int { return w.fd }

// Write puts in as many bytes as fit: ErrAgain for none, ErrBroken when nobody reads.
func (w *Writer) Write(b []byte) (int, error) { return Write(w.fd, b) }

// Stop ends the writing.
func (w *Writer) Stop() {}

// Close closes a descriptor.
func Close(fd int) error { return unix.Close(fd) }

// IsPipe reports whether fd is a pipe.
func IsPipe(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO
}
