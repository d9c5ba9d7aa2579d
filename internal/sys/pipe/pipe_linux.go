package pipe

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// fionread is FIONREAD, under its other name.
const fionread = unix.TIOCINQ

// New makes a pipe of at least the given capacity if the system allows; a smaller one else. Both ends
// return at once when they are not ready.
func New(capacity int) (r, w int, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return -1, -1, fmt.Errorf("pipe: %w", err)
	}
	if capacity > DefaultCapacity {
		_, _ = SetCapacity(p[0], capacity)
	}
	return p[0], p[1], nil
}

// Null is a descriptor to Splice to what nobody wants.
func Null() (fd int, err error) { return unix.Open("/dev/null", unix.O_WRONLY|unix.O_CLOEXEC, 0) }

// Splice moves up to n bytes from a pipe into a file at position pos, or at the file's own position when
// pos is negative, without their passing through this process: when it dies, what was not moved is
// still in the pipe. ErrAgain when the pipe is empty but may be written to; 0 at its end.
// errors.ErrUnsupported when the file cannot be spliced to (opened for appending, a terminal).
func Splice(from, file int, pos int64, n int) (int, error) {
	off := &pos
	if pos < 0 {
		off = nil
	}
	for {
		m, err := unix.Splice(from, nil, file, off, n, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return 0, ErrAgain
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
			return 0, errors.ErrUnsupported
		default:
			return max(int(m), 0), err
		}
	}
}

// NewBoth makes a pipe that one descriptor is both ends of: what is put in comes out again, nothing ever ends, and
// what is in it lives as long as any duplicate of the descriptor.
func NewBoth(capacity int) (fd int, err error) {
	r, w, err := New(capacity)
	if err != nil {
		return -1, err
	}
	defer unix.Close(r)
	defer unix.Close(w)
	fd, err = unix.Open("/proc/self/fd/"+strconv.Itoa(r), unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open a pipe again: %w", err)
	}
	return fd, nil
}

// Move moves up to n bytes from one pipe to another without copying them: each is in one of the two at any time,
// whoever is killed. ErrAgain when there is nothing, or no room; 0 at the end of the first.
func Move(from, to, n int) (int, error) { return Splice(from, to, -1, n) }

// WaitReadable waits until there is something to read, or the end, or the time has passed: false. The time is
// rounded up to milliseconds.
func WaitReadable(fd int, d time.Duration) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(p, int((d+time.Millisecond-1)/time.Millisecond))
	return err == nil && n > 0
}

// Tee copies up to n bytes from one pipe to another without taking them. ErrAgain when there is nothing
// or no room.
func Tee(from, to, n int) (int, error) {
	for {
		m, err := unix.Tee(from, to, n, unix.SPLICE_F_NONBLOCK)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return 0, ErrAgain
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
			return 0, errors.ErrUnsupported
		default:
			return max(int(m), 0), err
		}
	}
}

// Capacity is the size in bytes of a pipe's buffer.
func Capacity(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_GETPIPE_SZ, 0) }

// SetCapacity changes it and returns the new size, which may be larger than asked for.
func SetCapacity(fd, n int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, n) }

// softLimit is the memory in bytes that an ordinary user's pipes may take at full size.
func softLimit() int64 {
	const fallback = 16384 // pages, the kernel's default
	pages := int64(fallback)
	if b, err := os.ReadFile("/proc/sys/fs/pipe-user-pages-soft"); err == nil {
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 32); err == nil {
			pages = n
		}
	}
	if pages == 0 { // no limit
		pages = fallback
	}
	return pages * int64(os.Getpagesize())
}
