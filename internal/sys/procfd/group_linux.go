package procfd

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// signalProcessGroup makes pidfd_send_signal reach the group that the process leads or has led: the
// kernel follows the process, not its number, so it is exact even after the leader was reaped.
// Linux 6.9 and later.
const signalProcessGroup = 1 << 2

// signalGroup signals the group that the process leads.
func (h *handle) signalGroup(sig int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.usableLocked(); err != nil {
		return err
	}
	err := h.sendGroupLocked(sig)
	if errors.Is(err, syscall.ESRCH) {
		return h.sendLocked(sig) // it moved to another group and nobody is left in its own
	}
	return err
}

func (h *handle) sendGroupLocked(sig int) error {
	if h.fd >= 0 && !h.oldKernel {
		err := unix.PidfdSendSignal(h.fd, syscall.Signal(sig), nil, signalProcessGroup)
		switch {
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM):
			// An older kernel; or a sandbox, if it is not a member that may not be signalled.
		default:
			return err
		}
	}
	if h.kin == kinChild || h.numberKeptLocked() {
		return unix.Kill(-h.pid, syscall.Signal(sig))
	}
	return h.sendMembersLocked(sig)
}

// numberKeptLocked reports whether the number stays with the process until we or our keeper let go: it is
// unreaped, and the child of one of the two.
func (h *handle) numberKeptLocked() bool {
	if h.kin != kinKept {
		return false
	}
	s, err := procstat.Read(h.pid)
	if err != nil || s.StartTicks == 0 || s.StartTicks != h.identityLocked().StartTicks {
		return false
	}
	return s.PPID == os.Getppid() || s.PPID == os.Getpid()
}

// groupRounds bounds how often members that appeared meanwhile are looked for.
const groupRounds = 16

// sendMembersLocked signals the leader and then the other members of its group one by one, each by a
// descriptor of its own. A group that another process of the leader's number has founded since is left
// alone: the founder is there to be seen, or its members are in another session.
func (h *handle) sendMembersLocked(sig int) error {
	if h.identityLocked().StartTicks == 0 {
		return syscall.ESRCH
	}
	first := h.sendLocked(sig)
	reached := first == nil
	if errors.Is(first, syscall.ESRCH) {
		first = nil
	}
	seen := map[int]bool{h.pid: true}
	for range groupRounds {
		pids, err := procstat.PIDs()
		if err != nil {
			return err
		}
		fresh := false
		for _, pid := range pids {
			if seen[pid] || !h.memberLocked(pid) {
				continue
			}
			seen[pid], fresh = true, true
			err := signalIf(pid, sig, func(int) bool { return h.memberLocked(pid) && !h.refoundedLocked() })
			switch {
			case err == nil:
				reached = true
			case !errors.Is(err, syscall.ESRCH) && first == nil:
				first = err
			}
		}
		if !fresh {
			break
		}
	}
	if first == nil && !reached {
		return syscall.ESRCH
	}
	return first
}

// memberLocked reports whether a process is in the group that the leader has founded, as far as can be seen.
func (h *handle) memberLocked(pid int) bool {
	s, err := procstat.Read(pid)
	if err != nil || s.PGRP != h.pid || s.Dead() {
		return false
	}
	// A leader that founds a session does so in its own group: then the session has its number too.
	return s.StartTicks >= h.id.StartTicks && (s.Session == h.session || s.Session == h.pid)
}

// unreaped reports whether the process has its number still.
func (h *handle) unreaped() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.reaped || h.closed:
		return false
	case h.fd >= 0:
		return held(h.fd)
	case h.kin == kinChild:
		return true
	}
	s, err := procstat.Read(h.pid)
	return err == nil && s.StartTicks == h.identityLocked().StartTicks
}

// refoundedLocked reports whether another process has the leader's number.
func (h *handle) refoundedLocked() bool {
	m, err := look(h.pid)
	if err != nil {
		return false
	}
	return m.StartTicks != h.id.StartTicks || m.inode != 0 && h.id.Inode != 0 && m.inode != h.id.Inode
}

// member is a process that was seen, with what it takes to recognise it.
type member struct {
	procstat.Stat
	inode uint64 // in pidfs; 0 = unknown
}

// look reads a process. The number may have changed hands between the two readings; then they fit
// nobody, and a signal that is sent on their ground reaches nobody.
func look(pid int) (member, error) {
	var m member
	fd, err := unix.PidfdOpen(pid, 0)
	if err == nil {
		m.inode = pidfsInode(fd)
		defer unix.Close(fd)
	}
	m.Stat, err = procstat.Read(pid)
	return m, err
}

// same reports whether two looks met the same process.
func (m member) same(o member) bool {
	return m.PID == o.PID && m.StartTicks == o.StartTicks && (m.inode == o.inode || m.inode == 0 || o.inode == 0)
}

// signal signals a process that was seen: the pidfd is opened first and compared after, so that the
// signal reaches the process that was meant or nobody.
func (m member) signal(sig int) error {
	return signalIf(m.PID, sig, func(fd int) bool {
		if fd >= 0 && m.inode != 0 {
			return pidfsInode(fd) == m.inode
		}
		s, err := procstat.Read(m.PID)
		return err == nil && s.StartTicks == m.StartTicks
	})
}

// SignalIf signals a process that is not our child if right says so once its descriptor is open: then the
// number belongs to the process that right was asked about, or the signal reaches nobody.
// syscall.ESRCH: it is gone, or not the right one.
func SignalIf(pid, sig int, right func() bool) error {
	return signalIf(pid, sig, func(int) bool { return right() })
}

// signalIf signals a process if it is the right one when its descriptor is open. On kernels without
// descriptors (before 5.3) the descriptor is -1 and the check immediately precedes the signal.
func signalIf(pid, sig int, right func(fd int) bool) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		if !right(-1) {
			return syscall.ESRCH
		}
		return unix.Kill(pid, syscall.Signal(sig))
	}
	if err != nil {
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			return syscall.ESRCH // the number of a thread
		}
		return err
	}
	defer unix.Close(fd)
	if !right(fd) {
		return syscall.ESRCH
	}
	return unix.PidfdSendSignal(fd, syscall.Signal(sig), nil, 0)
}

// signalByNumber is what kernels before 5.3 offer: the check immediately precedes the signal.
func signalByNumber(pid int, startTicks uint64, sig int) error {
	s, err := procstat.Read(pid)
	if err != nil {
		return err
	}
	if s.StartTicks != startTicks {
		return syscall.ESRCH
	}
	return unix.Kill(pid, syscall.Signal(sig))
}

// Signal signals the process if it is still the one that was seen; syscall.ESRCH otherwise.
func (p Process) Signal(sig int) error {
	return member{Stat: procstat.Stat{PID: p.PID, StartTicks: p.StartTicks}, inode: p.Inode}.signal(sig)
}
