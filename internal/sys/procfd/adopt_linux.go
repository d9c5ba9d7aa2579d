package procfd

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// Identify reads what tells a process from every other one, alive or unreaped. ErrGone when there is none
// of that number.
func Identify(pid int) (Identity, error) {
	fd, err := openPidfd(pid)
	if err != nil {
		return Identity{}, err
	}
	h := newHandle(fd, pid, kinOthers)
	defer h.Close()
	id := h.Identity()
	if fd < 0 {
		s, err := procstat.Read(pid)
		if err != nil {
			return Identity{}, goneErr(pid, err)
		}
		id.StartTicks = s.StartTicks
	}
	if id.StartTicks == 0 {
		return Identity{}, fmt.Errorf("pid %d: %w", pid, ErrGone)
	}
	return id, nil
}

// Adopt takes the process of a recorded identity, which need not be our child. The descriptor is opened
// first and the identity compared afterwards, so that no stranger is ever taken. The errors are ErrGone
// and ErrStranger; an identity of another boot is gone without a look.
//
// Without process descriptors (Linux before 5.3) signals go by number right after a check of the start
// time, and the end of the process is seen only by SetExit or when Wait is asked.
func Adopt(id Identity) (Handle, error) {
	if id.PID <= 0 || id.StartTicks == 0 && id.Inode == 0 {
		return nil, fmt.Errorf("pid %d: no start time is recorded: %w", id.PID, ErrStranger)
	}
	if boot, err := procstat.BootID(); err == nil && id.BootID != "" && boot != id.BootID {
		return nil, fmt.Errorf("pid %d of boot %s: %w", id.PID, id.BootID, ErrGone)
	}
	fd, err := openPidfd(id.PID)
	if err != nil {
		return nil, err
	}
	h := newHandle(fd, id.PID, kinOthers)
	now := h.Identity()
	if fd < 0 {
		s, err := procstat.Read(id.PID)
		if err != nil {
			return nil, goneErr(id.PID, err)
		}
		now.StartTicks, h.session = s.StartTicks, s.Session
		h.id = now
	}
	switch {
	case id.Inode != 0 && now.Inode != 0 && id.Inode != now.Inode,
		id.StartTicks != 0 && now.StartTicks != 0 && id.StartTicks != now.StartTicks:
		h.Close()
		return nil, fmt.Errorf("pid %d: %w", id.PID, ErrStranger)
	case now.StartTicks == 0: // reaped before we could read
		h.Close()
		return nil, fmt.Errorf("pid %d: %w", id.PID, ErrGone)
	case id.StartTicks == 0 && now.Inode == 0:
		h.Close()
		return nil, fmt.Errorf("pid %d: nothing to compare: %w", id.PID, ErrStranger)
	}
	return h, nil
}

// FromPidfd makes the handle of a process whose descriptor another process of ours has kept. It may have
// ended long ago, and been reaped. The handle owns pidfd from now on; after an error the caller does.
// ErrStranger: the descriptor is that of another process, or of none.
func FromPidfd(pidfd, pid int) (Handle, error) {
	got, err := pidOf(pidfd)
	if err != nil {
		return nil, fmt.Errorf("descriptor %d for pid %d: %w: %w", pidfd, pid, ErrStranger, err)
	}
	if got != pid && got != -1 { // -1: reaped
		return nil, fmt.Errorf("descriptor %d for pid %d is that of pid %d: %w", pidfd, pid, got, ErrStranger)
	}
	h := newHandle(pidfd, pid, kinKept)
	h.Identity() // while it can be read
	return h, nil
}

// pidOf reads the number of the process of a pidfd; -1 after it was reaped.
func pidOf(pidfd int) (int, error) {
	b, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(pidfd))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(b) {
		if v, ok := bytes.CutPrefix(line, []byte("Pid:")); ok {
			return strconv.Atoi(string(bytes.TrimSpace(v)))
		}
	}
	return 0, errors.New("not a process descriptor")
}

// openPidfd opens a process; -1 and no error where the system has no such descriptors.
func openPidfd(pid int) (int, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	switch {
	case err == nil:
		return fd, nil
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM): // EPERM: a sandbox
		return -1, nil
	case errors.Is(err, unix.ESRCH), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
		// EINVAL and ENOENT: it is the number of a thread now, or none at all.
		return -1, fmt.Errorf("pid %d: %w", pid, ErrGone)
	}
	return -1, os.NewSyscallError("pidfd_open", err)
}

func goneErr(pid int, err error) error {
	if errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("pid %d: %w", pid, ErrGone)
	}
	return err
}

func (h *handle) SetExit(raw uint32) {
	h.mu.Lock()
	if !h.reaped && !h.closed {
		h.told, h.toldRaw = true, raw
	}
	look := h.recheck
	h.mu.Unlock()
	if look != nil {
		look()
	}
}

// otherStatusLocked is the end of a process that is not, or no longer, our child.
func (h *handle) otherStatusLocked() (model.Exit, bool, error) {
	if h.told {
		return exitOf(h.toldRaw), true, nil
	}
	over, reaped := h.overLocked()
	if !over {
		return model.Exit{}, false, nil
	}
	if raw, ok := h.kernelStatusLocked(); ok {
		return exitOf(raw), true, nil
	}
	if !h.glimpsed && !reaped {
		h.glimpsed, h.glimpse = true, h.glimpseLocked()
	}
	switch {
	case reaped && h.glimpse != nil:
		return exitOf(*h.glimpse), true, nil
	case reaped:
		return unknownExit("the exit status was taken by somebody else"), true, nil
	case h.glimpse != nil && h.kin != kinKept:
		return exitOf(*h.glimpse), true, nil // the keeper, were it one, would tell for certain
	}
	now := h.now()
	if h.deadAt.IsZero() {
		h.deadAt = now
	}
	if now.Sub(h.deadAt) < h.patience {
		return model.Exit{}, false, nil
	}
	if h.glimpse != nil {
		return exitOf(*h.glimpse), true, nil
	}
	return unknownExit("its parent has not collected the exit status"), true, nil
}

// overLocked reports whether the process has ended, and whether it has been reaped.
func (h *handle) overLocked() (over, reaped bool) {
	if h.fd >= 0 {
		p := []unix.PollFd{{Fd: int32(h.fd), Events: unix.POLLIN}}
		n, err := unix.Poll(p, 0)
		over = err == nil && n == 1 && p[0].Revents&(unix.POLLIN|unix.POLLHUP) != 0
		return over, over && !held(h.fd)
	}
	if h.kin == kinChild {
		return true, true // it was ours and is not any more
	}
	s, err := procstat.Read(h.pid)
	switch {
	case err == nil && s.StartTicks == h.id.StartTicks:
		return s.Dead(), false
	case err == nil || errors.Is(err, syscall.ESRCH):
		return true, true
	}
	return false, false
}

// kernelStatusLocked asks the kernel, which remembers the status for the holder of a pidfd once the
// process was reaped (Linux 6.15 and later).
func (h *handle) kernelStatusLocked() (uint32, bool) {
	if h.fd < 0 {
		return 0, false
	}
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	if err := unix.IoctlPidfdInfo(h.fd, &info); err != nil || info.Mask&unix.PIDFD_INFO_EXIT == 0 {
		return 0, false
	}
	return uint32(info.Exit_code), true
}

// exitField is the position of the exit code in /proc/PID/stat, counted from the field after the name.
const exitField = 49

// glimpseLocked reads the status of an unreaped process from /proc; nil when it is not to be trusted.
func (h *handle) glimpseLocked() *uint32 {
	id := h.identityLocked()
	dir := "/proc/" + strconv.Itoa(h.pid)
	line, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return nil
	}
	s, err := procstat.Parse(line)
	if err != nil || !s.Dead() || s.StartTicks != id.StartTicks || id.StartTicks == 0 {
		return nil
	}
	f := bytes.Fields(line[bytes.LastIndexByte(line, ')')+1:])
	if len(f) <= exitField {
		return nil
	}
	raw, err := strconv.ParseUint(string(f[exitField]), 10, 32)
	if err != nil {
		return nil
	}
	if raw != 0 {
		out := uint32(raw)
		return &out
	}
	// A zero is also what a reader without the right to know gets (this link needs the same right), and
	// what older kernels show of a process whose first thread had left before the others.
	if _, err := os.Readlink(dir + "/ns/user"); err != nil || h.fd < 0 {
		return nil
	}
	info := unix.PidfdInfo{Mask: 0}
	if err := unix.IoctlPidfdInfo(h.fd, &info); err != nil {
		return nil
	}
	return new(uint32)
}
