package procfd

import (
	"errors"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// Own makes the handle of a child of this process. The handle owns pidfd and closes it; -1 where the
// kernel has none (before 5.4), then the pid is used, which is safe as long as nobody else reaps.
func Own(pidfd, pid int) Handle { return &owned{pid: pid, fd: pidfd} }

// owned is a child. The mutex makes "not reaped yet" and "signal by number" one step.
type owned struct {
	pid int

	mu      sync.Mutex
	fd      int // -1 = none
	closed  bool
	reaped  bool
	exit    model.Exit // when reaped
	id      Identity   // when id.PID is set
	unwatch func()     // set by a Watcher
}

func (h *owned) PID() int { return h.pid }

func (h *owned) Identity() Identity {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.id.PID != 0 {
		return h.id
	}
	id := Identity{PID: h.pid}
	id.BootID, _ = procstat.BootID() // an unreadable one stays unknown
	if h.fd >= 0 {
		id.Inode = pidfsInode(h.fd)
	}
	if !h.reaped && !h.closed {
		// Unreaped and locked: the number cannot belong to anybody else while we read.
		if s, err := procstat.Read(h.pid); err == nil {
			id.StartTicks = s.StartTicks
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

func (h *owned) Signal(sig int, reach model.Reach) error {
	switch reach {
	case model.ReachGroup:
		return h.signalGroup(sig)
	case model.ReachTree:
		return h.signalTree(sig)
	}
	return h.signalSelf(sig)
}

func (h *owned) signalSelf(sig int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sendLocked(sig)
}

// sendLocked signals the process alone.
func (h *owned) sendLocked(sig int) error {
	if h.reaped {
		return syscall.ESRCH
	}
	if h.closed {
		return os.ErrClosed
	}
	if h.fd < 0 {
		return unix.Kill(h.pid, syscall.Signal(sig))
	}
	err := unix.PidfdSendSignal(h.fd, syscall.Signal(sig), nil, 0)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		// Some sandboxes refuse system calls that they do not know with EPERM. The process is unreaped,
		// so its number is as good.
		return unix.Kill(h.pid, syscall.Signal(sig))
	}
	return err
}

// signalGroup signals the group that the process leads. The leader is unreaped while we hold the lock,
// so its number names no other group.
func (h *owned) signalGroup(sig int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reaped {
		return syscall.ESRCH
	}
	if h.closed {
		return os.ErrClosed
	}
	err := unix.Kill(-h.pid, syscall.Signal(sig))
	if errors.Is(err, syscall.ESRCH) {
		return h.sendLocked(sig) // it moved to another group and nobody is left in its own
	}
	return err
}

func (h *owned) Wait(peek bool) (model.Exit, bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reaped {
		return h.exit, true, nil
	}
	if h.closed {
		return model.Exit{}, false, os.ErrClosed
	}
	idType, id := unix.P_PID, h.pid
	if h.fd >= 0 {
		idType, id = unix.P_PIDFD, h.fd
	}
	e, done, err := waitid(idType, id, peek)
	if errors.Is(err, unix.EINVAL) && idType == unix.P_PIDFD {
		e, done, err = waitid(unix.P_PID, h.pid, peek)
	}
	switch {
	case errors.Is(err, unix.ECHILD):
		if !h.goneLocked() {
			return model.Exit{}, false, nil
		}
		h.exit, h.reaped = h.takenLocked(), true
		return h.exit, true, nil
	case err != nil:
		return model.Exit{}, false, os.NewSyscallError("waitid", err)
	case !done:
		return model.Exit{}, false, nil
	}
	if !peek {
		h.exit, h.reaped = e, true // from here on the pid may belong to a stranger
	}
	return e, true, nil
}

// goneLocked reports whether a process that is not (or no longer) our child has ended.
func (h *owned) goneLocked() bool {
	if h.fd < 0 {
		return true
	}
	p := []unix.PollFd{{Fd: int32(h.fd), Events: unix.POLLIN}}
	n, err := unix.Poll(p, 0)
	return err == nil && n == 1 && p[0].Revents&(unix.POLLIN|unix.POLLHUP) != 0
}

// takenLocked is the exit of a process that somebody else reaped: the kernel remembers it for the
// holder of a pidfd since Linux 6.15.
func (h *owned) takenLocked() model.Exit {
	if h.fd >= 0 {
		info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
		if err := unix.IoctlPidfdInfo(h.fd, &info); err == nil && info.Mask&unix.PIDFD_INFO_EXIT != 0 {
			return exitOf(uint32(info.Exit_code))
		}
	}
	return unknownExit("the exit status was taken by somebody else")
}

func (h *owned) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	h.closed = true
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
