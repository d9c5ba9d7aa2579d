//go:build darwin || freebsd

package procfd

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// errForeign: this system has nothing of the kind.
var errForeign = fmt.Errorf("descriptors of others: %w", errors.ErrUnsupported)

// kernel is how the system is asked.
func kernel() *seer {
	return &seer{look: procstat.Look, everybody: procstat.Everybody, environ: procstat.Environ}
}

// Own makes the handle of a child of this process. pidfd is not used on this system.
func Own(_, pid int) Handle { return newNumbered(pid, true, kernel()) }

// Identify reads what tells a process from every other one, alive or unreaped. ErrGone when there is none of that number.
func Identify(pid int) (Identity, error) {
	s, err := procstat.Look(pid)
	if errors.Is(err, syscall.ESRCH) {
		return Identity{}, fmt.Errorf("pid %d: %w", pid, ErrGone)
	}
	if err != nil {
		return Identity{}, err
	}
	id := Identity{PID: pid, StartTicks: s.StartTicks}
	id.BootID, _ = procstat.BootID() // an unreadable one stays unknown
	return id, nil
}

// Adopt takes the process of a recorded identity, which need not be our child. The errors are ErrGone and ErrStranger.
// Its end is seen as that of a child is. How it ended is known on FreeBSD, and on macOS if it is our child, as after an
// upgrade, or if its parent takes its time to collect it.
func Adopt(id Identity) (Handle, error) {
	boot, _ := procstat.BootID() // an unreadable one stays unknown
	h, err := adoptNumbered(id, boot, kernel())
	if err != nil {
		return nil, fmt.Errorf("pid %d: %w", id.PID, err)
	}
	return h, nil
}

// FromPidfd makes the handle of a process whose descriptor another process has kept. Unsupported on this system, which
// has no such descriptors.
func FromPidfd(int, int) (Handle, error) { return nil, errForeign }

// Signal signals the process if it is still the one that was seen; syscall.ESRCH otherwise.
func (p Process) Signal(sig int) error { return kernel().signal(p.PID, p.StartTicks, sig) }

// SignalIf signals a process that is not our child if right says so immediately before. syscall.ESRCH: it is gone, or
// not the right one.
func SignalIf(pid, sig int, right func() bool) error {
	if !right() {
		return syscall.ESRCH
	}
	return unix.Kill(pid, syscall.Signal(sig))
}

// CensusOptions say where a Census looks. On this system Known alone is used.
type CensusOptions struct {
	Reapers func() []int
	Known   func(pid int) bool
	Age     time.Duration
	Now     func() time.Time
	After   func(time.Duration) <-chan time.Time
}

// Census finds descendants of instances, above all those that outlived them.
type Census struct{ known func(int) bool }

// NewCensus makes a census.
func NewCensus(o CensusOptions) *Census { return &Census{o.Known} }

// Track tells what an instance hands down to its descendants. From then on ReachTree of the handle leaves alone what is
// known to belong to another instance, and Survivors can be asked. Call it while the process is unreaped.
func (c *Census) Track(h Handle, m Marks) {
	p, ok := h.(*numbered)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.marks, p.known = &m, c.known
	p.identityLocked()
}

// Survivors lists the descendants of an instance that are alive, without the instance itself: its group and its session,
// those that were found when its tree was signalled, and what is below them. Those with MarkOrphan are guesses: they have
// its variables and belong to nobody.
func (c *Census) Survivors(h Handle) ([]Process, error) {
	p, ok := h.(*numbered)
	if !ok {
		return nil, nil
	}
	return p.survivors()
}

// FindInstances finds the living instances of programs of which no record is left: processes without a parent that lead
// their group and have the program's variables, the daemon's address among them. Of several it is the oldest. A program
// without an address is not looked for: whose it is would be a guess. The environment of others is hidden from an
// ordinary user.
func FindInstances(wanted []Wanted) (map[Wanted]Identity, error) {
	all, err := procstat.Everybody()
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b procstat.Sight) int { return cmp.Compare(a.StartTicks, b.StartTicks) })
	boot, _ := procstat.BootID()
	out := map[Wanted]Identity{}
	for _, p := range all {
		if p.PPID != 1 || p.PGRP != p.PID || p.Dead() || p.Kernel {
			continue
		}
		group, name, server, ok := kernel().program(p.PID)
		for _, w := range wanted {
			if _, had := out[w]; ok && !had && server != "" && w.Group == group && w.Name == name && w.Server == server {
				out[w] = Identity{BootID: boot, PID: p.PID, StartTicks: p.StartTicks}
			}
		}
	}
	return out, nil
}

// Remains lists the living processes that have the variables of a program of this daemon in their environment and began
// after a moment: its instance, and what that has started. w.Server must not be empty. The newest is the last.
func Remains(w Wanted, after time.Time) ([]int, error) {
	if w.Server == "" {
		return nil, nil
	}
	all, err := procstat.Everybody()
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b procstat.Sight) int { return cmp.Compare(a.StartTicks, b.StartTicks) })
	var out []int
	for _, p := range all {
		if age, err := procstat.Age(p.StartTicks); err != nil || p.Dead() || p.Kernel || time.Since(after) < age {
			continue
		}
		if group, name, server, ok := kernel().program(p.PID); ok && group == w.Group && name == w.Name && server == w.Server {
			out = append(out, p.PID)
		}
	}
	return out, nil
}

// ReopenPipe opens the pipe of another process. Unsupported on this system.
func ReopenPipe(int, int, uint64) (int, error) { return -1, errForeign }

// PipeInode is the number of a pipe. Unsupported on this system, where it would lead to nothing.
func PipeInode(int) (uint64, error) { return 0, errForeign }

// ReapOrphans does nothing: this system hands orphans to its own first process.
func ReapOrphans(func(pid int) bool, func(pid int, e model.Exit)) {}

// HasOrphans is false on this system.
func HasOrphans(func(pid int) bool) bool { return false }
