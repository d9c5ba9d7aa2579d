//go:build darwin || freebsd

package procfd

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/sys/reactor"
)

// Watcher tells when processes end, with one kqueue for all of them.
type Watcher struct {
	r    *reactor.Reactor
	q    endQueue
	roll *roll
}

// NewWatcher starts a watcher.
func NewWatcher() (*Watcher, error) {
	q, err := newEndQueue()
	if err != nil {
		return nil, fmt.Errorf("process watcher: %w", err)
	}
	// One worker: the functions run one after the other.
	r, err := reactor.New(reactor.Options{Workers: 1, MaxWorkers: 1})
	if err != nil {
		q.close()
		return nil, fmt.Errorf("process watcher: %w", err)
	}
	w := &Watcher{r: r, q: q}
	ready := make(chan *reactor.Registration, 1) // Register may call the function before it returns
	run := func() {
		g := <-ready
		ready <- g
		g.Arm() // when this returns, unless run kicks
		w.roll.run()
	}
	w.roll = newRoll(q, nil)
	g, err := r.Register(int(q), reactor.Readable, run)
	if err != nil {
		r.Close()
		q.close()
		return nil, fmt.Errorf("process watcher: %w", err)
	}
	w.roll.kick = g.RunAfter
	ready <- g
	return w, nil
}

// Watch calls exited once when the process has ended and its status can be read by Wait; at once when it has ended
// already. The function runs on the watcher's goroutine and must return soon: it holds up the others. Closing the handle
// ends the watching.
func (w *Watcher) Watch(h Handle, exited func()) error {
	p, ok := h.(*numbered)
	if !ok {
		return fmt.Errorf("process watcher: %T is not a handle of this package", h)
	}
	if err := w.roll.watch(p, exited); err != nil {
		return fmt.Errorf("process watcher: pid %d: %w", p.pid, err)
	}
	return nil
}

// Close ends the watching. No function runs after it returned. It must not be called from an exited function.
func (w *Watcher) Close() error {
	err := w.r.Close()
	w.q.close()
	return err
}

// endQueue is a kqueue of the ends of processes.
type endQueue int

func newEndQueue() (endQueue, error) {
	fd, err := unix.Kqueue()
	if err != nil {
		return -1, fmt.Errorf("kqueue: %w", err)
	}
	unix.CloseOnExec(fd)
	return endQueue(fd), nil
}

func (q endQueue) close() { unix.Close(int(q)) }

// change makes one change and takes no event.
func (q endQueue) change(pid, flags int, notes uint32) error {
	var e unix.Kevent_t
	unix.SetKevent(&e, pid, unix.EVFILT_PROC, flags)
	e.Fflags = notes
	for {
		_, err := unix.Kevent(int(q), []unix.Kevent_t{e}, nil, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (q endQueue) add(pid int, child bool) error {
	const once = unix.EV_ADD | unix.EV_ENABLE | unix.EV_ONESHOT
	if child {
		// macOS tells the status to the parent alone, and to nobody while a debugger is the parent.
		if err := q.change(pid, once, unix.NOTE_EXIT|withStatus); !errors.Is(err, unix.EACCES) {
			return err
		}
	}
	return q.change(pid, once, unix.NOTE_EXIT)
}

func (q endQueue) remove(pid int) { _ = q.change(pid, unix.EV_DELETE, 0) } // it may have been given out

func (q endQueue) take() (out []ending) {
	var evs [64]unix.Kevent_t
	var now unix.Timespec // zero: without waiting
	for {
		n, err := unix.Kevent(int(q), nil, evs[:], &now)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		for _, e := range evs[:max(n, 0)] {
			if e.Filter == unix.EVFILT_PROC && e.Fflags&unix.NOTE_EXIT != 0 {
				out = append(out, ending{pid: int(e.Ident), known: tellsStatus(&e), raw: uint32(e.Data) & 0xffff})
			}
		}
		if n < len(evs) {
			return out
		}
	}
}

// AwaitEnd blocks until a child has ended, or is about to, and leaves it to be reaped.
func AwaitEnd(pid int) {
	q, err := newEndQueue()
	if err != nil {
		return
	}
	defer q.close()
	if q.add(pid, false) != nil {
		return
	}
	var ev [1]unix.Kevent_t
	for {
		if _, err := unix.Kevent(int(q), nil, ev[:], nil); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
