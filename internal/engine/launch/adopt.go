package launch

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/sys/find"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// The ways in which a process cannot become an instance; an error of Candidate or Take is one of them, with more, or
// one of the system.
var (
	ErrNoProcess    = errors.New("there is no such process")
	ErrNotPermitted = errors.New("this daemon may not signal it")
	ErrKernel       = errors.New("it is a thread of the kernel")
	ErrInit         = errors.New("it is the first process of the system")
	ErrOurselves    = errors.New("it is a process of this daemon")
	ErrTaken        = errors.New("it is an instance of a program already")
	ErrBelow        = errors.New("an instance of a program has started it")
	ErrElsewhere    = errors.New("it is in a pid namespace of its own, as processes of containers are")
)

// candidate is a process that may become an instance. It holds the process, not its number.
type candidate struct {
	host   *Host
	handle procfd.Handle // nil when it was taken
}

// Candidate is a process that may become an instance. Close lets go of one that was not taken.
type Candidate interface {
	core.Candidate
	Close()
}

// Candidate finds the process that has a number at this moment and checks that it can become an instance.
func (h *Host) Candidate(pid int) (Candidate, error) {
	handle, err := procfd.Hold(pid)
	if err != nil {
		return nil, notThere(pid, err)
	}
	if err := h.eligible(handle); err != nil {
		handle.Close()
		return nil, fmt.Errorf("pid %d: %w", pid, err)
	}
	return &candidate{h, handle}, nil
}

// CandidateAt is Candidate of a process that was seen: ErrNoProcess when the number is another's by now.
func (h *Host) CandidateAt(p *find.Process) (Candidate, error) {
	c, err := h.Candidate(p.PID)
	if err == nil && c.(*candidate).handle.Identity().StartTicks != p.StartTicks {
		c.Close()
		return nil, fmt.Errorf("pid %d: %w", p.PID, ErrNoProcess)
	}
	return c, err
}

func notThere(pid int, err error) error {
	if errors.Is(err, procfd.ErrGone) || errors.Is(err, procfd.ErrStranger) { // gone, and the number is another's
		err = ErrNoProcess
	}
	return fmt.Errorf("pid %d: %w", pid, err)
}

// eligible says why a process cannot become an instance.
func (h *Host) eligible(handle procfd.Handle) error {
	s, err := procstat.Read(handle.PID())
	switch {
	case errors.Is(err, syscall.ESRCH):
		return ErrNoProcess
	case err != nil:
		return err
	case s.Kernel:
		return ErrKernel
	case s.Dead() || s.StartTicks != handle.Identity().StartTicks:
		return ErrNoProcess
	case h.Known(s.PID):
		return ErrTaken
	case h.own(s):
		return ErrOurselves
	case s.PID == 1:
		return ErrInit
	case h.below(s):
		return ErrBelow
	case !find.SameSpace(s.PID):
		return ErrElsewhere
	}
	switch err := handle.Signal(0, model.ReachProcess); {
	case errors.Is(err, syscall.EPERM):
		return ErrNotPermitted
	case errors.Is(err, syscall.ESRCH):
		return ErrNoProcess
	default:
		return err
	}
}

// own reports whether a process is this one, its keeper, or a helper that makes processes.
func (h *Host) own(s procstat.Stat) bool {
	switch {
	case s.PID == os.Getpid():
		return true
	case h.o.Store != nil && s.PID == os.Getppid():
		return true
	}
	return helper(s.Comm) && (s.PPID == os.Getpid() || h.o.Store != nil && s.PPID == os.Getppid())
}

// below reports whether a process descends from an instance.
func (h *Host) below(s procstat.Stat) bool {
	for s.PPID > 1 && !h.Known(s.PPID) {
		up, err := procstat.Read(s.PPID)
		if err != nil || up.StartTicks > s.StartTicks { // the number is another's by now
			return false
		}
		s = up
	}
	return s.PPID > 1
}

// helper reports whether a name is that of a process of ours which makes others, or is about to become one.
func helper(comm string) bool { return comm == "upkeep-spawner" || comm == "upkeep-manager" }

// Since is when the process began.
func (c *candidate) Since() time.Duration { return c.host.since(c.handle) }

// Take makes it an instance: known to the journal and the keeper, and watched.
func (c *candidate) Take(i core.Instance) (core.Process, error) {
	h := c.host
	inst, undo, err := c.take(i, &birth{})
	if err != nil {
		return nil, err
	}
	if err := h.o.Watcher.Watch(inst.handle, func() { h.ended(i, inst) }); err != nil {
		undo()
		return nil, fmt.Errorf("pid %d: %w", inst.PID(), err)
	}
	c.handle = nil
	return inst, nil
}

// take makes it an instance that is not watched yet. undo takes that back.
func (c *candidate) take(i core.Instance, b *birth) (inst *instance, undo func(), err error) {
	h, handle, p := c.host, c.handle, i.Slot.Program()
	b.Process = handle.Identity()
	if p.WritesPIDFile() {
		b.PIDFile = p.Attach.PIDFile
	}
	inst = &instance{host: h, handle: handle, birth: b}
	if !h.pids.claim(handle.PID(), inst) {
		return nil, nil, fmt.Errorf("pid %d: %w", handle.PID(), ErrTaken)
	}
	if old := h.let.get(handle.PID()); old != nil {
		inst.in = old.in // closed with it
		old.letGo(false)
	}
	undo = func() {
		h.pids.remove(handle.PID(), inst)
		if inst.key != "" {
			h.keys.remove(inst.key, inst)
			h.unbear(inst.key)
		}
		h.dropPIDFile(b.PIDFile, handle.PID())
	}
	if h.o.Store != nil || h.o.Journal != nil {
		inst.key = keyOf(i)
		h.keys.set(inst.key, inst)
	}
	if h.o.Journal != nil {
		if err := h.record(inst.key, b); err != nil && h.o.Store == nil {
			undo()
			return nil, nil, errors.Join(errUnknown, err)
		}
	}
	if h.o.Store != nil {
		h.holdAnew(inst.key, [3]int{-1, -1, -1}, handle)
	}
	h.track(inst, p.ID, [3]uint64{}, nil)
	if b.PIDFile != "" {
		if err := h.writePIDFile(b.PIDFile, handle.PID(), h.userOf(p)); err != nil {
			h.o.Log.Logf(activity.Warn, "%s (pid %d) runs without its pid file: %v", p.ID, handle.PID(), err)
		}
	}
	h.tellDeaf(p, handle.PID())
	return inst, undo, nil
}

// Close lets go of a process that was not taken.
func (c *candidate) Close() {
	if c.handle != nil {
		c.handle.Close()
	}
}
