package reactor

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// epollBackend serves one epoll set by several workers, each taking one event at a time.
type epollBackend struct {
	workers
	fd    int             // epoll
	stop  int             // eventfd, readable when closing
	wake  int             // eventfd, readable while there are kicks
	slots []*Registration // by the low half of the id, less one
	free  []uint32
	gen   uint32
}

func newBackend(o Options, t *timers) (backend, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	b := &epollBackend{fd: ep, stop: -1, wake: -1}
	// Level-triggered and never read: once written to, it wakes every worker.
	if b.stop, err = b.eventfd(unix.EPOLLIN, 0); err == nil {
		b.wake, err = b.eventfd(unix.EPOLLIN|unix.EPOLLONESHOT, wakeTag)
	}
	if err != nil {
		b.closeDescriptors()
		return nil, err
	}
	b.employ(o, t, b.worker)
	return b, nil
}

// wakeTag marks the events of the wake descriptor; the slot half of their id is 0 like that of no
// registration.
const wakeTag = 1

func (b *epollBackend) eventfd(events uint32, tag int32) (int, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return -1, fmt.Errorf("eventfd: %w", err)
	}
	if err := unix.EpollCtl(b.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Pad: tag}); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("epoll_ctl: %w", err)
	}
	return fd, nil
}

func (b *epollBackend) closeDescriptors() {
	for _, fd := range []int{b.fd, b.stop, b.wake} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

func (b *epollBackend) worker() {
	var ev [1]unix.EpollEvent
	for kicks := false; ; kicks = !kicks {
		// Who asked to run at once does not wait behind all descriptors that are ready, nor these behind those.
		if g := b.kicked(kicks); g != nil {
			g.run()
			if b.leave() {
				return
			}
			continue
		}
		n, err := unix.EpollWait(b.fd, ev[:], -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return // only possible when the descriptor is gone
		}
		if n < 1 {
			continue
		}
		g, quit := b.enter(ev[0])
		if quit {
			return
		}
		if g != nil {
			g.run()
		}
		if b.leave() {
			return
		}
	}
}

// enter looks up the event's registration and notes that this worker is busy.
func (b *epollBackend) enter(ev unix.EpollEvent) (g *Registration, quit bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing {
		return nil, true
	}
	if slot := int(ev.Fd); slot >= 1 && slot <= len(b.slots) {
		if c := b.slots[slot-1]; c != nil && uint32(c.id>>32) == uint32(ev.Pad) {
			g = c
		}
	} else if ev.Pad == wakeTag {
		g = b.nextKickLocked()
		_ = unix.EpollCtl(b.fd, unix.EPOLL_CTL_MOD, b.wake, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Pad: wakeTag})
	}
	b.beginLocked()
	return g, false
}

// kicked takes the next kick if there is one and it is its turn.
func (b *epollBackend) kicked(turn bool) (g *Registration) {
	if !turn {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing || len(b.kicks) == 0 {
		return nil
	}
	b.beginLocked()
	return b.nextKickLocked()
}

func (b *epollBackend) nextKickLocked() (g *Registration) {
	g = b.kickLocked()
	if len(b.kicks) == 0 {
		var count [8]byte
		_, _ = unix.Read(b.wake, count[:])
	}
	return g
}

func (b *epollBackend) kick(g *Registration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing {
		return
	}
	b.kicks = append(b.kicks, g) // at most one for each registration: its state is kicked until it runs
	if len(b.kicks) == 1 {
		signal(b.wake)
	}
}

// signal makes an eventfd readable.
func signal(fd int) { _, _ = unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

func (b *epollBackend) event(g *Registration) *unix.EpollEvent {
	ev := &unix.EpollEvent{Events: unix.EPOLLONESHOT, Fd: int32(uint32(g.id)), Pad: int32(uint32(g.id >> 32))}
	if g.ev&Readable != 0 {
		ev.Events |= unix.EPOLLIN
	}
	if g.ev&Writable != 0 {
		ev.Events |= unix.EPOLLOUT
	}
	return ev
}

func (b *epollBackend) add(g *Registration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.free) == 0 {
		b.slots = append(b.slots, nil)
		b.free = append(b.free, uint32(len(b.slots)))
	}
	slot := b.free[len(b.free)-1]
	b.gen++ // tells a late event of a former owner of the slot from ours
	g.id = uint64(b.gen)<<32 | uint64(slot)
	if err := unix.EpollCtl(b.fd, unix.EPOLL_CTL_ADD, int(g.fd), b.event(g)); err != nil {
		return err
	}
	b.free = b.free[:len(b.free)-1]
	b.slots[slot-1] = g
	return nil
}

// arm re-arms, or begins to watch again after a pause. EBADF: the owner has closed the descriptor under us, and nothing is
// left to watch.
func (b *epollBackend) arm(g *Registration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing {
		return nil
	}
	err := unix.EpollCtl(b.fd, unix.EPOLL_CTL_MOD, int(g.fd), b.event(g))
	if errors.Is(err, unix.ENOENT) {
		err = unix.EpollCtl(b.fd, unix.EPOLL_CTL_ADD, int(g.fd), b.event(g))
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.ENOMEM) {
		return err
	}
	return nil
}

// pause stops watching: a disarmed descriptor, too, has every write of a program call on the epoll set, which is a tenth of
// what a short one costs.
func (b *epollBackend) pause(g *Registration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closing {
		_ = unix.EpollCtl(b.fd, unix.EPOLL_CTL_DEL, int(g.fd), nil)
	}
}

func (b *epollBackend) remove(g *Registration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing {
		return
	}
	_ = unix.EpollCtl(b.fd, unix.EPOLL_CTL_DEL, int(g.fd), nil)
	slot := uint32(g.id)
	b.slots[slot-1] = nil
	b.free = append(b.free, slot)
}

func (b *epollBackend) close() {
	b.mu.Lock()
	b.closing = true
	b.mu.Unlock()
	signal(b.stop)
	b.wg.Wait()
	b.closeDescriptors()
}
