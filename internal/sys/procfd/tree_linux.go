package procfd

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// treeRounds bounds how often a tree is searched for members that appeared meanwhile.
const treeRounds = 16

// signalTree signals the group and every descendant outside it. Everybody is found before the first
// signal goes out: the children of a parent that has died cannot be found any more.
func (h *owned) signalTree(sig int) error {
	if sig == 0 {
		return h.signalSelf(0)
	}
	t := tree{leader: h.pid, seen: map[int]uint64{}, group: map[int]bool{}}
	if sig == int(unix.SIGKILL) {
		// Stopped processes neither fork nor end: search until the tree stands still.
		for range treeRounds {
			if err := h.signalGroup(int(unix.SIGSTOP)); err != nil {
				break // gone, or not ours to signal: the KILL will tell
			}
			fresh := t.grow()
			if len(fresh) == 0 {
				break
			}
			t.send(fresh, int(unix.SIGSTOP))
		}
		return t.finish(h, sig)
	}
	for range treeRounds {
		if len(t.grow()) == 0 {
			break
		}
	}
	return t.finish(h, sig)
}

// tree is what was found below a leader.
type tree struct {
	leader int
	seen   map[int]uint64 // pid → start ticks
	group  map[int]bool   // members reached by the signal to the group
	err    error          // the first error other than ESRCH
}

// finish signals everybody once: what a program starts in answer (a clean-up, say) is not to be hit.
func (t *tree) finish(h *owned, sig int) error {
	err := h.signalGroup(sig)
	t.send(t.members(), sig)
	if err != nil {
		return err
	}
	return t.err
}

// grow searches the tree again and returns the new members, parents before children.
func (t *tree) grow() []int {
	var fresh []int
	queue := append([]int{t.leader}, t.members()...)
	for i := 0; i < len(queue); i++ {
		parent := queue[i]
		kids, err := procstat.Children(parent)
		if err != nil {
			t.note(err)
			continue
		}
		for _, pid := range kids {
			if _, known := t.seen[pid]; known || pid == t.leader {
				continue
			}
			s, err := procstat.Read(pid)
			if err != nil || s.PPID != parent || s.Dead() {
				continue
			}
			if s.PGRP == t.leader {
				t.group[pid] = true
			}
			t.seen[pid] = s.StartTicks
			fresh = append(fresh, pid)
			queue = append(queue, pid)
		}
	}
	return fresh
}

func (t *tree) members() []int {
	out := make([]int, 0, len(t.seen))
	for pid := range t.seen {
		out = append(out, pid)
	}
	return out
}

// send signals those of the given members that the signal to the group does not reach. A second KILL
// does no harm, and one that has just left the group must not get away.
func (t *tree) send(pids []int, sig int) {
	for _, pid := range pids {
		if t.group[pid] && sig != int(unix.SIGKILL) {
			continue
		}
		if err := signalVerified(pid, t.seen[pid], sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.note(err)
		}
	}
}

func (t *tree) note(err error) {
	if t.err == nil {
		t.err = err
	}
}

// signalVerified signals a process that is not our child: the pidfd is taken first and the start time
// is compared after, so that the signal reaches the process that was meant or nobody.
func signalVerified(pid int, startTicks uint64, sig int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ENOSYS) {
		return signalByNumber(pid, startTicks, sig)
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	s, err := procstat.Read(pid)
	if err != nil {
		return err
	}
	if s.StartTicks != startTicks {
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

// ReapOrphans is the duty of PID 1 and of a child subreaper: it reaps ended children that are not ours
// (left behind by programs that died) and reports each. known tells which pids are ours; these are left
// alone whatever their state. It only looks at children that exist when it is called: call it on SIGCHLD.
//
// A child that was forked but whose pid known does not know yet would be taken for an orphan: the caller
// excludes forks meanwhile. HasOrphans tells beforehand whether that is worth it.
func ReapOrphans(known func(pid int) bool, reaped func(pid int, e model.Exit)) {
	kids, err := procstat.Children(unix.Getpid())
	if err != nil {
		return
	}
	for _, pid := range kids {
		if known(pid) {
			continue
		}
		// Look before reaping: between the look and the reaping nobody else can take an unknown child,
		// and a living one must not be touched.
		if _, done, err := waitid(unix.P_PID, pid, true); err != nil || !done {
			continue
		}
		if e, done, err := waitid(unix.P_PID, pid, false); err == nil && done {
			reaped(pid, e)
		}
	}
}

// HasOrphans reports whether ReapOrphans would find anything. It changes nothing and needs no exclusion
// of forks: a false alarm is harmless.
func HasOrphans(known func(pid int) bool) bool {
	kids, err := procstat.Children(unix.Getpid())
	if err != nil {
		return false
	}
	for _, pid := range kids {
		if known(pid) {
			continue
		}
		if _, done, err := waitid(unix.P_PID, pid, true); err == nil && done {
			return true
		}
	}
	return false
}
