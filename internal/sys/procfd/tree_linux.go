package procfd

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// treeRounds bounds how often a tree is searched for members that appeared meanwhile.
const treeRounds = 16

// signalTree signals the group and every descendant outside it. Everybody is found before the first
// signal goes out: the children of a parent that has died cannot be found by parentage any more.
func (h *handle) signalTree(sig int) error {
	if sig == 0 {
		return h.signalSelf(0)
	}
	h.mu.Lock()
	err := h.usableLocked()
	t := tree{leader: h.pid, led: h.unreaped, trace: h.trace, census: h.census, seen: map[int]member{}, group: map[int]bool{}}
	h.mu.Unlock()
	if err != nil {
		return err
	}
	if sig == int(unix.SIGKILL) {
		if cg := t.cgroup(); cg != nil {
			t.note(cg.Kill())
		}
		// Also what is in no control group of ours. Stopped processes neither fork nor end: search until
		// the tree stands still.
		for range treeRounds {
			if err := h.signalGroup(int(unix.SIGSTOP)); err != nil && !errors.Is(err, syscall.ESRCH) {
				break // not ours to signal: the KILL will tell
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

// tree is what was found of an instance besides its leader.
type tree struct {
	leader int
	led    func() bool // the leader still has its number
	trace  *trace      // nil: nothing is known but the leader
	census *Census     // nil likewise
	seen   map[int]member
	group  map[int]bool // members reached by the signal to the group
	err    error        // the first error other than ESRCH
}

func (t *tree) cgroup() Cgroup {
	if t.trace == nil {
		return nil
	}
	return t.trace.marks.Cgroup
}

// finish signals everybody once: what a program starts in answer (a clean-up, say) is not to be hit.
func (t *tree) finish(h *handle, sig int) error {
	err := h.signalGroup(sig)
	t.send(t.members(), sig)
	if err != nil {
		return err
	}
	return t.err
}

// grow searches the tree again and returns the new members, parents before children.
func (t *tree) grow() []int {
	fresh := append(t.growCgroup(), t.growOrphans()...)
	queue := append([]int{t.leader}, t.members()...)
	for i := 0; i < len(queue); i++ {
		parent := queue[i]
		kids, err := procstat.Children(parent)
		if err != nil {
			t.note(err)
			continue
		}
		var found []member
		for _, pid := range kids {
			if m, err := look(pid); err == nil && m.PPID == parent {
				found = append(found, m)
			}
		}
		if len(found) == 0 || !t.still(parent) {
			continue // the number has changed hands: these are the children of somebody else
		}
		for _, m := range found {
			if t.add(m) {
				fresh = append(fresh, m.PID)
				queue = append(queue, m.PID)
			}
		}
	}
	return fresh
}

// still reports whether a number belongs to the member, or the leader, for which it was taken.
func (t *tree) still(pid int) bool {
	if pid == t.leader {
		return t.led()
	}
	m, err := look(pid)
	return err == nil && m.same(t.seen[pid])
}

// add takes a process in; false when it is known already or has ended.
func (t *tree) add(m member) bool {
	if old, known := t.seen[m.PID]; known && old.same(m) || m.PID == t.leader || m.Dead() {
		return false
	}
	t.group[m.PID] = m.PGRP == t.leader
	t.seen[m.PID] = m
	return true
}

// growCgroup adds the members of the control group.
func (t *tree) growCgroup() []int {
	cg := t.cgroup()
	if cg == nil {
		return nil
	}
	pids, err := cg.Procs()
	t.note(err)
	var fresh []int
	for _, pid := range pids {
		// Looked at first and asked for the membership after: if the number changed hands in between,
		// what was looked at fits nobody any more.
		if m, err := look(pid); err == nil && cg.Has(pid) && t.add(m) {
			fresh = append(fresh, pid)
		}
	}
	return fresh
}

// growOrphans adds descendants whose parents have died, if they can be told for certain.
func (t *tree) growOrphans() []int {
	if t.census == nil || t.trace == nil || t.cgroup() != nil {
		return nil
	}
	var fresh []int
	for _, p := range t.census.orphansOf(t.trace) {
		if t.add(p) {
			fresh = append(fresh, p.PID)
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
		t.note(t.seen[pid].signal(sig))
	}
}

func (t *tree) note(err error) {
	if t.err == nil && err != nil && !errors.Is(err, syscall.ESRCH) {
		t.err = err
	}
}
