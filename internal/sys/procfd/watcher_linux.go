package procfd

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/sys/reactor"
)

// Watch calls exited once when the process has ended and its status can be read by Wait; at once when
// it has ended already. The function runs on the watcher's goroutine and must return soon: it holds up
// the others. Closing the handle ends the watching.
func (w *Watcher) Watch(h Handle, exited func()) error {
	p, ok := h.(*owned)
	if !ok {
		return fmt.Errorf("process watcher: %T is not a handle of this package", h)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return os.ErrClosed
	}
	if p.fd < 0 {
		go func() { // ends with the process
			awaitEnd(p.pid)
			exited()
		}()
		return nil
	}
	var once sync.Once
	g, err := w.r.Register(p.fd, reactor.Readable, func() {
		once.Do(func() {
			p.stopWatching()
			exited()
		})
	})
	if err != nil {
		return fmt.Errorf("process watcher: pid %d: %w", p.pid, err)
	}
	p.unwatch = g.Close
	return nil
}

func (h *owned) stopWatching() {
	h.mu.Lock()
	defer h.mu.Unlock()
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
