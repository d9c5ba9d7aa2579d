package procfd

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// Own makes the handle of a child of this process. The handle owns pidfd and closes it; -1 where the
// kernel has none (before 5.4), then the pid is used, which is safe as long as nobody else reaps.
func Own(pidfd, pid int) Handle { return newHandle(pidfd, pid, kinChild) }

func newHandle(pidfd, pid int, k kin) *handle {
	return &handle{pid: pid, fd: pidfd, kin: k, patience: statusPatience, now: time.Now}
}

// statusPatience is how long the status of an ended process that is not our child is waited for.
const statusPatience = time.Second

// kin is what is known about the parent of a process. It decides about numbers only: whatever has a
// descriptor is reached by that.
type kin uint8

const (
	kinChild  kin = iota // our child: the number is ours until we reap
	kinKept              // handed over by our keeper, which keeps the number if it is the parent
	kinOthers            // anybody's: the number may be given away at any moment
)

// handle is a process. The mutex makes "not reaped yet" and "signal by number" one step.
type handle struct {
	pid      int
	patience time.Duration
	now      func() time.Time
	mu       sync.Mutex
	// There are ten thousands of these: the small ones are together.
	kin       kin
	closed    bool
	reaped    bool   // the end was consumed by Wait: the pid is not ours any more
	told      bool   // by SetExit:
	toldRaw   uint32 // the status
	glimpsed  bool   // /proc was asked for the status after the end
	oldKernel bool   // keeps from asking the kernel for a signal to a group by descriptor

	fd      int        // -1 = none
	exit    model.Exit // when reaped
	id      Identity   // when id.PID is set
	glimpse *uint32
	deadAt  time.Time // when the end was first seen without a status; zero = not yet

	unwatch func() // set by a Watcher: stop
	recheck func() // set by a Watcher: look again soon

	census  *Census // set by Census.Track:
	trace   *trace
	session int // of the process, once it was looked at
}

func (h *handle) PID() int { return h.pid }

func (h *handle) Identity() Identity {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.identityLocked()
}

func (h *handle) identityLocked() Identity {
	if h.id.PID != 0 {
		return h.id
	}
	id := Identity{PID: h.pid}
	id.BootID, _ = procstat.BootID() // an unreadable one stays unknown
	if h.fd >= 0 {
		id.Inode = pidfsInode(h.fd)
	}
	if !h.reaped && !h.closed {
		// A child is unreaped and we hold the lock: the number cannot belong to anybody else while we
		// read. Of others that is certain when the process still has its number afterwards.
		if s, err := procstat.Read(h.pid); err == nil && (h.kin == kinChild || held(h.fd)) {
			id.StartTicks, h.session = s.StartTicks, s.Session
		}
		h.id = id
	}
	return id
}

// pidfsInode is the inode of a pidfd where it tells processes apart; 0 on kernels on which all pidfds
// share one anonymous inode.
func pidfsInode(fd int) uint64 {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil || int64(fs.Type) != unix.PID_FS_MAGIC {
		return 0
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0
	}
	return st.Ino
}

// held reports whether the process of a pidfd has not been reaped: it still has its number.
func held(fd int) bool {
	err := unix.PidfdSendSignal(fd, 0, nil, 0)
	return err == nil || errors.Is(err, unix.EPERM)
}

func (h *handle) Signal(sig int, reach model.Reach) error {
	switch reach {
	case model.ReachGroup:
		return h.signalGroup(sig)
	case model.ReachTree:
		return h.signalTree(sig)
	}
	return h.signalSelf(sig)
}

func (h *handle) signalSelf(sig int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sendLocked(sig)
}

// usableLocked is the error of a handle through which nothing can be signalled.
func (h *handle) usableLocked() error {
	if h.reaped {
		return syscall.ESRCH
	}
	if h.closed {
		return os.ErrClosed
	}
	return nil
}

// sendLocked signals the process alone.
func (h *handle) sendLocked(sig int) error {
	if err := h.usableLocked(); err != nil {
		return err
	}
	if h.fd < 0 {
		return h.sendByNumberLocked(sig)
	}
	err := unix.PidfdSendSignal(h.fd, syscall.Signal(sig), nil, 0)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		// Some sandboxes refuse system calls that they do not know with EPERM.
		return h.sendByNumberLocked(sig)
	}
	return err
}

// sendByNumberLocked is for systems without signals by descriptor. A child is unreaped, so its number is
// as good; of others the identity is checked first.
func (h *handle) sendByNumberLocked(sig int) error {
	if h.kin == kinChild {
		return unix.Kill(h.pid, syscall.Signal(sig))
	}
	return signalByNumber(h.pid, h.identityLocked().StartTicks, sig)
}

func (h *handle) Wait(peek bool) (model.Exit, bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reaped {
		return h.exit, true, nil
	}
	if h.closed {
		return model.Exit{}, false, os.ErrClosed
	}
	e, done, err := h.childStatusLocked(peek)
	if errors.Is(err, unix.ECHILD) {
		e, done, err = h.otherStatusLocked()
	}
	if err != nil {
		return model.Exit{}, false, err
	}
	if done && !peek {
		h.exit, h.reaped = e, true // from here on the pid may belong to a stranger
	}
	return e, done, nil
}

// childStatusLocked asks as a parent; ECHILD: we are none.
func (h *handle) childStatusLocked(peek bool) (model.Exit, bool, error) {
	idType, id := unix.P_PID, h.pid
	if h.fd >= 0 {
		idType, id = unix.P_PIDFD, h.fd
	} else if h.kin != kinChild {
		return model.Exit{}, false, unix.ECHILD // the number may belong to another child of ours
	}
	e, done, err := waitid(idType, id, peek)
	if errors.Is(err, unix.EINVAL) && idType == unix.P_PIDFD {
		if h.kin != kinChild {
			return model.Exit{}, false, unix.ECHILD
		}
		e, done, err = waitid(unix.P_PID, h.pid, peek)
	}
	if err != nil && !errors.Is(err, unix.ECHILD) {
		err = os.NewSyscallError("waitid", err)
	}
	return e, done, err
}

func (h *handle) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	h.closed = true
	h.recheck = nil
	if h.census != nil {
		h.census.forget(h.trace)
	}
	if h.unwatch != nil {
		h.unwatch()
		h.unwatch = nil
	}
	if h.fd < 0 {
		return nil
	}
	fd := h.fd
	h.fd = -1
	return os.NewSyscallError("close", unix.Close(fd))
}
