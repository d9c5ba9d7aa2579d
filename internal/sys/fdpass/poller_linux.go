package fdpass

import (
	"encoding/binary"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// wakeToken is the token of the poller's own descriptor.
const wakeToken = ^uint64(0)

// Poller waits for many descriptors at once, in one goroutine. Each has a token; the largest number is
// the poller's own. It reports a state, not a change: what is not dealt with is reported again.
type Poller struct {
	epoll, wake int
	events      [64]unix.EpollEvent
	ready       []Ready
}

// NewPoller makes a poller that watches nothing.
func NewPoller() (*Poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epoll)
		return nil, os.NewSyscallError("eventfd", err)
	}
	p := &Poller{epoll: epoll, wake: wake}
	if err := p.Add(wake, wakeToken); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (p *Poller) control(op, fd int, token uint64, events uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(uint32(token)), Pad: int32(uint32(token >> 32))}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.epoll, op, fd, &ev))
}

// Add watches a descriptor for input.
func (p *Poller) Add(fd int, token uint64) error {
	return p.control(unix.EPOLL_CTL_ADD, fd, token, unix.EPOLLIN)
}

// Writable chooses whether a descriptor is watched for room to write too.
func (p *Poller) Writable(fd int, token uint64, on bool) error {
	events := uint32(unix.EPOLLIN)
	if on {
		events |= unix.EPOLLOUT
	}
	return p.control(unix.EPOLL_CTL_MOD, fd, token, events)
}

// Remove watches a descriptor no more. It comes before the descriptor is closed: duplicates of it in
// other processes would keep it watched.
func (p *Poller) Remove(fd int) error { return p.control(unix.EPOLL_CTL_DEL, fd, 0, 0) }

// Wait waits at most so long (negative: for ever) and returns what is ready, nothing after a Wake or a
// signal. The result is valid until the next Wait.
func (p *Poller) Wait(limit time.Duration) ([]Ready, error) {
	ms := -1
	if limit >= 0 {
		ms = milliseconds(limit)
	}
	n, err := unix.EpollWait(p.epoll, p.events[:], ms)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return nil, os.NewSyscallError("epoll_wait", err)
	}
	p.ready = p.ready[:0]
	for i := range max(n, 0) {
		e := &p.events[i]
		token := uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32
		if token == wakeToken {
			var b [8]byte
			_, _ = unix.Read(p.wake, b[:])
			continue
		}
		broken := e.Events&(unix.EPOLLERR|unix.EPOLLHUP) != 0
		p.ready = append(p.ready, Ready{
			Token: token, Readable: broken || e.Events&unix.EPOLLIN != 0, Writable: broken || e.Events&unix.EPOLLOUT != 0,
		})
	}
	return p.ready, nil
}

// Wake makes the present or the next Wait return. It may be called from any goroutine until Close.
func (p *Poller) Wake() {
	_, _ = unix.Write(p.wake, binary.NativeEndian.AppendUint64(nil, 1)) // full means woken
}

// Close ends the poller.
func (p *Poller) Close() {
	_ = unix.Close(p.epoll)
	_ = unix.Close(p.wake)
}
