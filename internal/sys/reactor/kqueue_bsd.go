//go:build darwin || freebsd

package reactor

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

func newBackend(o Options, t *timers) (backend, error) {
	p, err := newKqueue()
	if err != nil {
		return nil, err
	}
	return newCrew(p, o, t), nil
}

// kqueue is the poller of these systems. Its events are dispatched: one that was given out is disabled until it is
// enabled again.
type kqueue int

func newKqueue() (kqueue, error) {
	fd, err := unix.Kqueue()
	if err != nil {
		return -1, fmt.Errorf("kqueue: %w", err)
	}
	unix.CloseOnExec(fd)
	k := kqueue(fd)
	// EV_CLEAR: each trigger is given to one of those who wait.
	if err := k.change(unix.Kevent_t{Ident: wakeIdent, Filter: unix.EVFILT_USER, Flags: unix.EV_ADD | unix.EV_CLEAR}); err != nil {
		k.close()
		return -1, fmt.Errorf("kqueue: %w", err)
	}
	return k, nil
}

// wakeIdent names the event of wake; names of that filter have nothing to do with descriptors.
const wakeIdent = 0

// change makes one change and takes no event.
func (k kqueue) change(ev unix.Kevent_t) error {
	for {
		_, err := unix.Kevent(int(k), []unix.Kevent_t{ev}, nil, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// each makes a change for all filters of a descriptor.
func (k kqueue) each(fd int32, ev Events, flags int) error {
	var first error
	for _, f := range filters(ev) {
		var e unix.Kevent_t
		unix.SetKevent(&e, int(fd), f, flags)
		if err := k.change(e); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func filters(ev Events) []int {
	var out []int
	if ev&Readable != 0 {
		out = append(out, unix.EVFILT_READ)
	}
	if ev&Writable != 0 {
		out = append(out, unix.EVFILT_WRITE)
	}
	return out
}

func (k kqueue) add(fd int32, ev Events) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(fd), &st); err != nil {
		return err
	}
	if t := st.Mode & unix.S_IFMT; t == unix.S_IFREG || t == unix.S_IFDIR {
		return unix.EPERM // as Linux says; here one would wait for what is not meant
	}
	err := k.each(fd, ev, unix.EV_ADD|unix.EV_ENABLE|unix.EV_DISPATCH)
	if err != nil {
		k.remove(fd, ev)
	}
	return err
}

// arm can fail only when the owner has closed the descriptor under us, and then there is nothing left to watch.
func (k kqueue) arm(fd int32, ev Events) { _ = k.each(fd, ev, unix.EV_ENABLE|unix.EV_DISPATCH) }

func (k kqueue) remove(fd int32, ev Events) { _ = k.each(fd, ev, unix.EV_DELETE) }

func (k kqueue) wait() (int32, error) {
	var ev [1]unix.Kevent_t
	for {
		n, err := unix.Kevent(int(k), nil, ev[:], nil)
		switch {
		case errors.Is(err, unix.EINTR) || err == nil && n < 1:
		case err != nil:
			return 0, err
		case ev[0].Filter == unix.EVFILT_USER:
			return woken, nil
		default:
			return int32(ev[0].Ident), nil
		}
	}
}

// wake cannot fail as long as the queue is open.
func (k kqueue) wake() {
	_ = k.change(unix.Kevent_t{Ident: wakeIdent, Filter: unix.EVFILT_USER, Fflags: unix.NOTE_TRIGGER})
}

func (k kqueue) close() { unix.Close(int(k)) }
