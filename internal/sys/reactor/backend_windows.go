package reactor

import (
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// peekEvery is how often an armed anonymous pipe is looked at: Windows has nothing to wait on for them.
const peekEvery = 20 * time.Millisecond

func newBackend(Options, *timers) (backend, error) {
	peek := windows.NewLazySystemDLL("kernel32.dll").NewProc("PeekNamedPipe")
	if err := peek.Find(); err != nil {
		return nil, err
	}
	return newGoBackend(func(fd int, ev Events) (waiter, error) {
		return &peekWaiter{h: windows.Handle(fd), ev: ev, peek: peek, quit: make(chan struct{}), poke: make(chan struct{}, 1)}, nil
	}), nil
}

type peekWaiter struct {
	h    windows.Handle
	ev   Events
	peek *windows.LazyProc
	quit chan struct{}
	poke chan struct{}
}

func (w *peekWaiter) wait() bool {
	if w.ev == Writable {
		return true
	}
	tick := time.NewTicker(peekEvery)
	defer tick.Stop()
	for {
		var avail uint32
		ok, _, _ := w.peek.Call(uintptr(w.h), 0, 0, 0, uintptr(unsafe.Pointer(&avail)), 0)
		if ok == 0 || avail > 0 { // an error is the end of the pipe: readable
			return true
		}
		select {
		case <-w.quit:
			return false
		case <-w.poke:
			return true
		case <-tick.C:
		}
	}
}

func (w *peekWaiter) interrupt() {
	select {
	case w.poke <- struct{}{}:
	default:
	}
}

func (w *peekWaiter) close() { close(w.quit) }
