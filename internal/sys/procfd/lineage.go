//go:build unix

package procfd

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// lineageRounds bounds how often a tree is searched for members that appeared meanwhile.
const lineageRounds = 16

// sendTreeLocked signals the group and every descendant that can be found. Everybody is found before the first signal
// goes out: the children of a parent that has died cannot be found by parentage any more.
func (h *numbered) sendTreeLocked(sig int) error {
	found, err := h.growLocked()
	if err != nil {
		return h.sendGroupLocked(sig)
	}
	if sig == int(unix.SIGKILL) {
		// Stopped processes neither fork nor end: search until the tree stands still.
		for range lineageRounds {
			_ = h.sendGroupLocked(int(unix.SIGSTOP))
			h.sendEachLocked(found, int(unix.SIGSTOP))
			more, err := h.growLocked()
			if err != nil || len(more) == len(found) {
				break
			}
			found = more
		}
	}
	first := h.sendGroupLocked(sig)
	if err := h.sendEachLocked(found, sig); first == nil {
		first = err
	}
	return first
}

// sendEachLocked signals those that the signal to the group does not reach. A second KILL does no harm, and one that has
// just left the group must not get away.
func (h *numbered) sendEachLocked(list []relative, sig int) (first error) {
	for _, r := range list {
		if r.PGRP == h.pid && sig != int(unix.SIGKILL) {
			continue
		}
		err := h.see.signal(r.PID, r.StartTicks, sig)
		if err != nil && !errors.Is(err, syscall.ESRCH) && first == nil {
			first = err
		}
	}
	return first
}

// relative is a descendant of an instance, and how that is known.
type relative struct {
	procstat.Sight
	mark Mark
}

// growLocked finds the living descendants and remembers them: one that has left the group is recognised when its parent
// has died.
func (h *numbered) growLocked() ([]relative, error) {
	all, err := h.see.everybody()
	if err != nil {
		return nil, err
	}
	found := lineage(all, h.identityLocked(), h.seen, h.known)
	h.seen = make(map[int]procstart, len(found))
	for _, r := range found {
		h.seen[r.PID] = r.StartTicks
	}
	return found, nil
}

// lineage finds the certain descendants of an instance in a look at everybody, without itself: its group and its
// session, who was recognised before, and what is below it and them. Known processes, with what is below them, belong
// to somebody else.
func lineage(all []procstat.Sight, leader Identity, seen map[int]procstart, known func(int) bool) []relative {
	below := map[int][]procstat.Sight{}
	led := true // the leader's number means the leader, or nobody
	var queue []relative
	for _, p := range all {
		below[p.PPID] = append(below[p.PPID], p)
		if p.PID == leader.PID && p.StartTicks != leader.StartTicks {
			led = false
		}
	}
	for _, p := range all {
		switch {
		case p.PID == leader.PID && led:
			queue = append(queue, relative{p, MarkParent})
		case seen[p.PID] == p.StartTicks && p.StartTicks != 0:
			queue = append(queue, relative{p, MarkParent})
		case led && (p.PGRP == leader.PID || p.Session == leader.PID) && p.StartTicks >= leader.StartTicks:
			queue = append(queue, relative{p, MarkGroup})
		}
	}
	var out []relative
	had := map[int]bool{}
	for i := 0; i < len(queue); i++ {
		r := queue[i]
		self := r.PID == leader.PID
		if had[r.PID] || !self && known != nil && known(r.PID) || r.PID <= 1 || r.Kernel {
			continue
		}
		had[r.PID] = true
		if !self && !r.Dead() {
			out = append(out, r)
		}
		for _, kid := range below[r.PID] {
			if kid.StartTicks >= r.StartTicks {
				queue = append(queue, relative{kid, MarkParent})
			}
		}
	}
	slices.SortFunc(out, func(a, b relative) int { return cmp.Compare(a.PID, b.PID) })
	return out
}

// survivors are the descendants that live, and guesses: processes whose parent has died, began since the instance did
// and have its variables. Another daemon may have a program of this name.
func (h *numbered) survivors() ([]Process, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.marks == nil {
		return nil, nil
	}
	all, err := h.see.everybody()
	if err != nil {
		return nil, err
	}
	leader := h.identityLocked()
	var out []Process
	sure := map[int]bool{}
	for _, r := range lineage(all, leader, h.seen, h.known) {
		sure[r.PID] = true
		out = append(out, named(r.Sight, r.mark))
	}
	for _, p := range all {
		if p.PPID != 1 || p.StartTicks < leader.StartTicks || leader.StartTicks == 0 || p.PID == h.pid || sure[p.PID] ||
			p.Dead() || p.Kernel || h.known != nil && h.known(p.PID) {
			continue
		}
		if group, name, _, ok := h.see.program(p.PID); ok && group == h.marks.Group && name == h.marks.Name {
			out = append(out, named(p, MarkOrphan))
		}
	}
	return out, nil
}

func named(s procstat.Sight, mark Mark) Process {
	return Process{PID: s.PID, Name: s.Comm, StartTicks: s.StartTicks, Mark: mark}
}

// program reads the variables that mark a program's processes. Source: spec/supervisor 2.5.
func (s *seer) program(pid int) (group, name, server string, ok bool) {
	env, err := s.environ(pid)
	if err != nil {
		return "", "", "", false
	}
	var g, n bool
	for _, kv := range slices.Backward(env) { // the first assignment of a variable wins
		switch key, value, _ := strings.Cut(kv, "="); key {
		case "SUPERVISOR_GROUP_NAME":
			group, g = value, true
		case "SUPERVISOR_PROCESS_NAME":
			name, n = value, true
		case "SUPERVISOR_SERVER_URL":
			server = value
		}
	}
	return group, name, server, g && n
}
