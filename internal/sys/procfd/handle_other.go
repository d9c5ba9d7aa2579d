//go:build unix && !linux

package procfd

import (
	"errors"
	"os"
	"sync"
	"syscall"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Own makes the handle of a child of this process. pidfd is not used on this system. A goroutine that
// lives as long as the process waits for it, so the pid is free again as soon as the process has ended:
// signals are refused from then on, in the weaker form that os.Process gives.
func Own(_, pid int) Handle {
	p, err := os.FindProcess(pid)
	if err != nil { // only possible where processes are opened, as on Windows: it is gone
		h := &handle{pid: pid, ended: make(chan struct{}), exit: unknownExit(err.Error()), reaped: true}
		close(h.ended)
		return h
	}
	return OwnProcess(p)
}

// OwnProcess is Own for a process that os has started.
func OwnProcess(p *os.Process) Handle {
	h := &handle{pid: p.Pid, proc: p, ended: make(chan struct{})}
	go h.await()
	return h
}

type handle struct {
	pid  int
	proc *os.Process

	ended chan struct{} // closed when exit is set
	exit  model.Exit

	mu     sync.Mutex
	closed bool
	reaped bool
}

func (h *handle) await() {
	st, err := h.proc.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.exit = unknownExit(err.Error())
	} else {
		h.exit = exitOfState(st)
	}
	h.reaped = true
	close(h.ended)
}

func (h *handle) PID() int { return h.pid }

// Identity is the pid alone.
func (h *handle) Identity() Identity { return Identity{PID: h.pid} }

func (h *handle) Signal(sig int, reach model.Reach) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reaped {
		return syscall.ESRCH
	}
	if h.closed {
		return os.ErrClosed
	}
	err := signal(h.proc, sig, reach)
	if errors.Is(err, os.ErrProcessDone) {
		return syscall.ESRCH
	}
	return err
}

// Wait tells how the process ended. The status has been consumed by then, also for a peek.
func (h *handle) Wait(bool) (model.Exit, bool, error) {
	select {
	case <-h.ended:
		return h.exit, true, nil
	default:
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return model.Exit{}, false, os.ErrClosed
	}
	return model.Exit{}, false, nil
}

func (h *handle) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	return nil
}

// Watch calls exited once when the process has ended and its status can be read by Wait; at once when
// it has ended already. The function runs on a goroutine of its own that ends with the process.
func (w *Watcher) Watch(h Handle, exited func()) error {
	p, ok := h.(*handle)
	if !ok {
		return errors.New("process watcher: not a handle of this package")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return os.ErrClosed
	}
	go func() {
		<-p.ended
		p.mu.Lock()
		quiet := p.closed
		p.mu.Unlock()
		if !quiet {
			exited()
		}
	}()
	return nil
}

// ReapOrphans does nothing: this system hands orphans to its own first process.
func ReapOrphans(func(pid int) bool, func(pid int, e model.Exit)) {}

// HasOrphans is false on this system.
func HasOrphans(func(pid int) bool) bool { return false }
