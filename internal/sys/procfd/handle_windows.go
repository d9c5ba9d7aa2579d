package procfd

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/windows"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/reactor"
)

// killedCode is the exit code of what was ended by us, 128 and the number of KILL.
const killedCode = 128 + uint32(syscall.SIGKILL)

// OwnProcess makes the handle of a child of this process out of its process handle and that of the job object that
// holds it and all that it starts (0 = none). Both belong to the handle from now on.
func OwnProcess(process, job windows.Handle, pid int) Handle {
	born, _ := bornAt(process) // 0 = not known
	return &handle{process: process, job: job, id: Identity{PID: pid, StartTicks: born}}
}

// bornAt is when a process was made, in the system's unit of 100 ns since 1601.
func bornAt(process windows.Handle) (uint64, error) {
	var born, ended, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(process, &born, &ended, &kernel, &user); err != nil {
		return 0, os.NewSyscallError("GetProcessTimes", err)
	}
	return uint64(born.HighDateTime)<<32 | uint64(born.LowDateTime), nil
}

// handle is a process. The number of a process is not given to another one as long as a handle of it is open.
type handle struct {
	process, job windows.Handle
	id           Identity

	mu      sync.Mutex
	closed  bool
	reaped  bool // the end was taken notice of by a Wait that was no peek
	killed  bool // by us
	unwatch func()
}

func (h *handle) PID() int { return h.id.PID }

// Identity is the number and when the process was made.
func (h *handle) Identity() Identity { return h.id }

// Signal asks or ends. KILL ends the process, or with a wider reach everything in its job; of a process that was adopted,
// what it and its children have started and whose parents still tell. The other signals that end a
// process by default are one and the same here: CTRL_BREAK for the process group; where that cannot be sent, since we
// and the program have no console in common, it is ended too. There are no other signals: syscall.EWINDOWS.
func (h *handle) Signal(sig int, reach model.Reach) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.reaped:
		return syscall.ESRCH
	case h.closed:
		return os.ErrClosed
	}
	_, over, err := h.look()
	if err != nil {
		return err
	}
	s := syscall.Signal(sig)
	if over && (s != syscall.SIGKILL || reach == model.ReachProcess) { // else what it has left can be ended
		return nil
	}
	switch s {
	case 0:
		return nil
	case syscall.SIGKILL:
		return h.kill(reach)
	case syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP:
		if windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(h.id.PID)) == nil {
			return nil
		}
		return h.kill(reach)
	}
	return syscall.EWINDOWS
}

// kill ends the process, or all that is in its job.
func (h *handle) kill(reach model.Reach) error {
	h.killed = true
	if reach != model.ReachProcess && h.job != 0 {
		return os.NewSyscallError("TerminateJobObject", windows.TerminateJobObject(h.job, killedCode))
	}
	err := windows.TerminateProcess(h.process, killedCode)
	if reach != model.ReachProcess {
		endBelow(h.id)
	}
	if _, over, _ := h.look(); over {
		return nil // it was faster
	}
	return os.NewSyscallError("TerminateProcess", err)
}

// look is how the process has ended, if it has.
func (h *handle) look() (model.Exit, bool, error) {
	switch what, err := windows.WaitForSingleObject(h.process, 0); {
	case what == uint32(windows.WAIT_TIMEOUT):
		return model.Exit{}, false, nil
	case what != windows.WAIT_OBJECT_0:
		return model.Exit{}, false, os.NewSyscallError("WaitForSingleObject", err)
	}
	var code uint32
	if err := windows.GetExitCodeProcess(h.process, &code); err != nil {
		return unknownExit(err.Error()), true, nil
	}
	return exitOfCode(code, h.killed), true, nil
}

// exitOfCode is the end that a code stands for. There are no signals here; KILL is what we have done.
func exitOfCode(code uint32, killed bool) model.Exit {
	e := model.Exit{Known: true, Raw: code, Status: int(code)}
	if killed && code == killedCode {
		e.Status, e.Signal = 0, int(syscall.SIGKILL)
	}
	return e
}

// Wait tells how the process ended. The system keeps that as long as the handle is open, whoever has asked.
func (h *handle) Wait(peek bool) (model.Exit, bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return model.Exit{}, false, os.ErrClosed
	}
	e, over, err := h.look()
	if over && err == nil && !peek {
		h.reaped = true
	}
	return e, over, err
}

// SetExit does nothing: the system tells the end of every process that is held.
func (h *handle) SetExit(uint32) {}

func (h *handle) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	h.closed = true
	if h.unwatch != nil {
		h.unwatch()
	}
	err := windows.CloseHandle(h.process)
	if h.job != 0 {
		err = errors.Join(err, windows.CloseHandle(h.job))
	}
	return err
}

// Watch calls exited once when the process has ended and its status can be read by Wait; at once when it has ended
// already. The function runs on the watcher's goroutine and must return soon: it holds up the others. Closing the handle
// ends the watching.
func (w *Watcher) Watch(h Handle, exited func()) error {
	p, ok := h.(*handle)
	if !ok {
		return fmt.Errorf("process watcher: %T is not a handle of this package", h)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return os.ErrClosed
	}
	var g *reactor.Registration
	g, err := w.r.Register(int(p.process), reactor.Readable, func() {
		p.mu.Lock() // g is set
		if p.closed {
			p.mu.Unlock()
			return
		}
		_, over, err := p.look()
		if !over && err == nil {
			p.mu.Unlock()
			g.Arm()
			return
		}
		g.Close()
		p.unwatch = nil
		p.mu.Unlock()
		exited()
	})
	if err != nil {
		return fmt.Errorf("process watcher: pid %d: %w", p.id.PID, err)
	}
	p.unwatch = g.Close
	return nil
}

// ReapOrphans does nothing: nobody has to collect the processes of this system.
func ReapOrphans(func(pid int) bool, func(pid int, e model.Exit)) {}

// HasOrphans is false on this system.
func HasOrphans(func(pid int) bool) bool { return false }
