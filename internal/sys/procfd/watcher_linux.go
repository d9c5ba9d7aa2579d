package procfd

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/sys/reactor"
)

// The pauses between looks for the status of a process that has ended and whose status is not there yet:
// it is for its parent to collect it. They double from the first to the longest.
const (
	firstPause   = 5 * time.Millisecond
	longestPause = 250 * time.Millisecond
)

// Watch calls exited once when the process has ended and its status can be read by Wait; at once when
// it has ended already. The function runs on the watcher's goroutine and must return soon: it holds up
// the others. Closing the handle ends the watching.
//
// Without a process descriptor it runs on a goroutine that ends with the process, or, when the process
// is not our child, inside SetExit, which alone can tell the end then.
func (w *Watcher) Watch(h Handle, exited func()) error {
	p, ok := h.(*handle)
	if !ok {
		return fmt.Errorf("process watcher: %T is not a handle of this package", h)
	}
	var once sync.Once
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return os.ErrClosed
	}
	if p.fd < 0 {
		if p.kin == kinChild {
			go func() { // ends with the process
				awaitEnd(p.pid)
				exited()
			}()
			p.mu.Unlock()
			return nil
		}
		p.recheck = func() { once.Do(exited) }
		told := p.told
		p.mu.Unlock()
		if told {
			once.Do(exited)
		}
		return nil
	}
	defer p.mu.Unlock()
	var g *reactor.Registration
	pause := firstPause
	g, err := w.r.Register(p.fd, reactor.Readable, func() {
		if _, done, err := p.Wait(true); !done && err == nil {
			g.RunAfter(min(pause, longestPause)) // g is set: Wait needs the lock that Watch holds
			pause *= 2
			return
		}
		once.Do(func() {
			p.stopWatching()
			exited()
		})
	})
	if err != nil {
		return fmt.Errorf("process watcher: pid %d: %w", p.pid, err)
	}
	p.unwatch = g.Close
	p.recheck = func() { g.RunAfter(0) }
	if p.told {
		g.RunAfter(0)
	}
	return nil
}

func (h *handle) stopWatching() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.recheck = nil
	if h.unwatch != nil {
		h.unwatch()
		h.unwatch = nil
	}
}

// awaitEnd blocks until a child has ended and leaves its status unread. Kernels before 5.4.
func awaitEnd(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
