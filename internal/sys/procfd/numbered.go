//go:build unix

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

// A numbered process is held by its number and its start time, on systems that have no descriptors for processes. The
// number of a child stays with it until we reap it, and a group keeps the number of its leader from being given away.
// Of other processes the start time is compared immediately before a signal.

// seer is what is asked about processes.
type seer struct {
	look      func(pid int) (procstat.Sight, error) // alive or unreaped; syscall.ESRCH = there is none
	everybody func() ([]procstat.Sight, error)
	environ   func(pid int) ([]string, error)
}

// lingers is how long the status of an ended process that is not our child is waited for.
const lingers = time.Second

type numbered struct {
	pid   int
	child bool // ours
	see   *seer
	now   func() time.Time

	mu       sync.Mutex
	closed   bool
	reaped   bool
	over     bool // it has ended; the system may not show that yet
	told     bool // its status is known:
	raw      uint32
	exit     model.Exit // when reaped
	overSeen time.Time
	id       Identity
	unwatch  func() // set by a watch: stop
	recheck  func() // set by a watch: look again soon

	marks *Marks            // set by Census.Track
	known func(int) bool    // likewise
	seen  map[int]procstart // descendants that were found
}

// procstart is a start time in the unit of procstat.
type procstart = uint64

func newNumbered(pid int, child bool, see *seer) *numbered {
	return &numbered{pid: pid, child: child, see: see, now: time.Now, seen: map[int]procstart{}}
}

// adoptNumbered takes the process of an identity; the errors are those of Adopt.
func adoptNumbered(id Identity, boot string, see *seer) (*numbered, error) {
	if id.PID <= 0 || id.StartTicks == 0 {
		return nil, ErrStranger
	}
	if boot != "" && id.BootID != "" && boot != id.BootID {
		return nil, ErrGone
	}
	s, err := see.look(id.PID)
	switch {
	case errors.Is(err, syscall.ESRCH):
		return nil, ErrGone
	case err != nil:
		return nil, err
	case s.StartTicks != id.StartTicks:
		return nil, ErrStranger
	}
	h := newNumbered(id.PID, s.PPID == os.Getpid(), see)
	h.id = Identity{BootID: boot, PID: id.PID, StartTicks: s.StartTicks}
	return h, nil
}

func (h *numbered) PID() int { return h.pid }

func (h *numbered) Identity() Identity {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.identityLocked()
}

func (h *numbered) identityLocked() Identity {
	if h.id.StartTicks == 0 && !h.reaped && !h.closed {
		h.id.PID = h.pid
		h.id.BootID, _ = procstat.BootID() // an unreadable one stays unknown
		if s, err := h.see.look(h.pid); err == nil {
			h.id.StartTicks = s.StartTicks
		}
	}
	return h.id
}

func (h *numbered) Signal(sig int, reach model.Reach) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.reaped:
		return syscall.ESRCH
	case h.closed:
		return os.ErrClosed
	case sig == 0 || reach == model.ReachProcess:
		return h.sendLocked(sig)
	case reach == model.ReachGroup:
		return h.sendGroupLocked(sig)
	}
	return h.sendTreeLocked(sig)
}

// sendLocked signals the process alone.
func (h *numbered) sendLocked(sig int) error {
	if h.child {
		return unix.Kill(h.pid, syscall.Signal(sig))
	}
	return h.see.signal(h.pid, h.identityLocked().StartTicks, sig)
}

// signal signals a process if it still began at that time; syscall.ESRCH otherwise.
func (s *seer) signal(pid int, start procstart, sig int) error {
	now, err := s.look(pid)
	if err != nil {
		return err
	}
	if now.StartTicks != start || start == 0 {
		return syscall.ESRCH
	}
	return unix.Kill(pid, syscall.Signal(sig))
}

// sendGroupLocked signals the group that the process leads, or the process alone when it has left it.
func (h *numbered) sendGroupLocked(sig int) error {
	if h.child {
		err := unix.Kill(-h.pid, syscall.Signal(sig))
		if errors.Is(err, syscall.ESRCH) || errors.Is(err, syscall.EPERM) { // EPERM is also said of a group of the dead
			return h.sendLocked(sig)
		}
		return err
	}
	all, err := h.see.everybody()
	if err != nil {
		return err
	}
	first := h.sendLocked(sig)
	for _, p := range h.groupOf(all) {
		err := h.see.signal(p.PID, p.StartTicks, sig)
		if !errors.Is(err, syscall.ESRCH) && (first == nil || errors.Is(first, syscall.ESRCH)) {
			first = err
		}
	}
	return first
}

// groupOf are the living members of the group that the process leads or has led, without itself.
func (h *numbered) groupOf(all []procstat.Sight) []procstat.Sight {
	leader := h.identityLocked()
	var out []procstat.Sight
	for _, p := range all {
		switch {
		case p.PID == h.pid && p.StartTicks != leader.StartTicks:
			return nil // another process has the number: it can only have got it when the group was empty
		case p.PID != h.pid && p.PGRP == h.pid && p.StartTicks >= leader.StartTicks && !p.Dead():
			out = append(out, p)
		}
	}
	return out
}

func (h *numbered) Wait(peek bool) (model.Exit, bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reaped {
		return h.exit, true, nil
	}
	if h.closed {
		return model.Exit{}, false, os.ErrClosed
	}
	e, done, err := h.endLocked()
	if err != nil || !done || peek {
		return e, done, err
	}
	if h.unwatch != nil { // before the number is free
		h.unwatch()
		h.unwatch, h.recheck = nil, nil
	}
	if h.child {
		if raw, err := reap(h.pid); err == nil {
			e = exitOf(raw)
		}
	}
	h.identityLocked()
	h.exit, h.reaped = e, true
	return e, true, nil
}

// reap collects the status of a child that has ended, or is doing so at this moment.
func reap(pid int) (uint32, error) {
	for {
		var ws unix.WaitStatus
		got, err := unix.Wait4(pid, &ws, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, err
		case got == pid:
			return uint32(ws), nil
		}
	}
}

// endLocked tells whether the process has ended, and how.
func (h *numbered) endLocked() (model.Exit, bool, error) {
	if h.told {
		return exitOf(h.raw), true, nil
	}
	s, err := h.see.look(h.pid)
	gone := errors.Is(err, syscall.ESRCH)
	switch {
	case gone && h.child && !errors.Is(unix.Kill(h.pid, 0), syscall.ESRCH):
		return model.Exit{}, false, nil // it is between two lists of the kernel
	case gone, err == nil && !h.child && s.StartTicks != h.id.StartTicks:
		return unknownExit("the exit status was taken by somebody else"), true, nil
	case err != nil:
		return model.Exit{}, false, err
	case s.Dead():
		h.told, h.raw = true, s.Raw
		return exitOf(h.raw), true, nil
	case h.over && !h.child && h.now().Sub(h.overSeen) >= lingers:
		return unknownExit("its parent has not collected the exit status"), true, nil
	}
	return model.Exit{}, false, nil
}

// ended notes that the kernel has told of the end, with the status where it does.
func (h *numbered) ended(known bool, raw uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.over {
		h.over, h.overSeen = true, h.now()
	}
	if known && !h.told {
		h.told, h.raw = true, raw
	}
}

func (h *numbered) SetExit(raw uint32) {
	h.mu.Lock()
	if !h.reaped && !h.closed && !h.child {
		h.told, h.raw = true, raw
	}
	look := h.recheck
	h.mu.Unlock()
	if look != nil {
		look()
	}
}

func (h *numbered) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.unwatch != nil {
		h.unwatch()
		h.unwatch, h.recheck = nil, nil
	}
	return nil
}
