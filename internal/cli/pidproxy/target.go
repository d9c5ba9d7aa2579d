package pidproxy

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
)

// lookEvery is how often the process of the pid file is looked at when all that is waited for is its end
// and the system does not tell it. On a Linux with process descriptors it does.
const lookEvery = 250 * time.Millisecond

// target is the process of the pid file. It is nobody's child here. The methods without effect may be
// called on nil, which stands for no process.
type target struct {
	pid     int
	process *os.Process
	gone    bool

	handle  procfd.Handle // nil where the system has none
	watcher *procfd.Watcher
	told    chan struct{}
}

// openTarget takes the process of a number.
func openTarget(pid int) (*target, error) {
	process, err := os.FindProcess(pid)
	if err != nil {
		return nil, fmt.Errorf("pid %d: %w", pid, err)
	}
	t := &target{pid: pid, process: process, told: make(chan struct{})}
	t.watch()
	return t, nil
}

// watch has the system tell the end of the process, where it can.
func (t *target) watch() {
	id, err := procfd.Identify(t.pid)
	if err != nil {
		return
	}
	if t.handle, err = procfd.Adopt(id); err != nil {
		t.handle = nil
		return
	}
	if t.watcher, err = procfd.NewWatcher(); err != nil {
		t.watcher = nil
		return
	}
	// Without it the ticker of run sees the end.
	_ = t.watcher.Watch(t.handle, func() { close(t.told) })
}

// signal sends a signal to it. Errors: os.ErrProcessDone, and those of the system.
func (t *target) signal(s syscall.Signal) error {
	if t.handle == nil {
		return t.process.Signal(s)
	}
	err := t.handle.Signal(int(s), model.ReachProcess)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// ended is closed when the system tells the end.
func (t *target) ended() <-chan struct{} {
	if t == nil || t.gone {
		return nil
	}
	return t.told
}

// check looks whether it still exists.
func (t *target) check() {
	if t != nil && errors.Is(t.signal(0), os.ErrProcessDone) {
		t.gone = true
	}
}

// over reports whether there is nothing to wait for.
func (t *target) over() bool { return t == nil || t.gone }

func (t *target) close() {
	if t == nil {
		return
	}
	if t.handle != nil {
		_ = t.handle.Close()
	}
	if t.watcher != nil {
		_ = t.watcher.Close()
	}
	_ = t.process.Release()
}
