//go:build unix

package reactor

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// unixWaiter waits through the Go runtime's poller on a duplicate of the descriptor.
type unixWaiter struct {
	f  *os.File
	rc syscall.RawConn
	ev Events

	poked atomic.Bool
}

func openUnixWaiter(fd int, ev Events) (waiter, error) {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(dup, true); err != nil { // else the runtime would not poll it
		unix.Close(dup)
		return nil, err
	}
	f := os.NewFile(uintptr(dup), "watched")
	rc, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &unixWaiter{f: f, rc: rc, ev: ev}, nil
}

func (w *unixWaiter) wait() bool {
	wait := w.rc.Read
	if w.ev == Writable {
		wait = w.rc.Write
	}
	for {
		err := wait(func(fd uintptr) bool { return w.poked.Swap(false) || readyNow(fd, w.ev) })
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err == nil
		}
		_ = w.f.SetDeadline(time.Time{})
	}
}

func (w *unixWaiter) interrupt() {
	w.poked.Store(true)
	_ = w.f.SetDeadline(time.Unix(1, 0)) // ends a wait
}

func readyNow(fd uintptr, ev Events) bool {
	p := []unix.PollFd{{Fd: int32(fd)}}
	if ev&Readable != 0 {
		p[0].Events |= unix.POLLIN
	}
	if ev&Writable != 0 {
		p[0].Events |= unix.POLLOUT
	}
	n, err := unix.Poll(p, 0)
	return err == nil && n > 0
}

func (w *unixWaiter) close() { w.f.Close() }
