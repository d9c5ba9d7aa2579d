package launch

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/streams"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// Resume takes back an instance that an earlier process launched. What is left of earlier instances of the program
// comes before it in the logs.
func (h *Host) Resume(i core.Instance, whichever bool) core.Resumed {
	slot, id := i.Slot, i.Slot.Program().ID
	r := h.estate.take(i, whichever)
	if whichever {
		i.Gen = r.gen // it keeps its own
	}
	// Of a program that is added later an end is no news.
	ended := func(o *remains) bool { return (h.estate.settled || !whichever && o.gen < i.Gen) && !o.alive() }
	for _, o := range h.estate.takeIf(id, func(o *remains) bool { return o.held.Key != "" && (o.held.PID == 0 || ended(o)) }) {
		h.lateOutput(o, slot)
	}
	if h.estate.settled && !r.alive() {
		h.lateOutput(r, slot)
		return core.Resumed{}
	}
	handle := r.process()
	found, lost := h.estate.lost[id]
	if handle == nil && lost && whichever {
		handle, _ = procfd.Adopt(found)
	}
	if handle == nil {
		heir, ok := h.inherited(slot.Program(), r.birth)
		if !ok {
			return h.departed(r, slot)
		}
		handle, r.birth.Process, r.birth.Moved, r.born = heir, heir.Identity(), true, false
	}
	if r.handle = h.foreign(handle); !h.begun(r.birth, r.handle) {
		// It never became the program: its manager died before it could let it go on.
		_ = r.handle.Signal(int(syscall.SIGKILL), model.ReachProcess)
		h.dropPIDFile(r.birth.PIDFile, r.birth.Process.PID)
		h.bury(r)
		return core.Resumed{}
	}
	r.tell()
	handle = r.handle
	if lost && r.birth.Pipes == [3]uint64{} {
		r.birth.Pipes = pipesOf(handle.PID())
	}
	inst := h.takeBack(i, r)
	out := core.Resumed{Process: inst, Gen: i.Gen, Since: h.since(handle), Found: r.birth.Found}
	if exit, over, err := handle.Wait(true); err == nil && over {
		streams.Drain(inst.out...)
		if h.follow(i, inst) {
			return out
		}
		h.dropPIDFile(inst.birth.PIDFile, inst.PID())
		h.sweep(i, inst)
		h.runEnds(slot, exit)
		out.Exit = &exit
		return out
	}
	if err := h.o.Watcher.Watch(handle, func() { h.ended(i, inst) }); err != nil {
		h.o.Log.Logf(activity.Critical, "cannot watch %s (pid %d): %v", id, inst.PID(), err)
	}
	return out
}

// departed gives up an instance whose process is gone.
func (h *Host) departed(r *remains, s *core.Slot) core.Resumed {
	out := core.Resumed{Gone: h.letGo(r.birth), PID: r.birth.Process.PID}
	h.dropPIDFile(r.birth.PIDFile, r.birth.Process.PID)
	if out.Gone {
		h.lateOutput(r, s)
		h.runEnds(s, model.Exit{})
	} else {
		h.bury(r) // at once: it may be launched again under the same key
	}
	return out
}

// since is when a process began, on the host's clock; 0 = that is not known.
func (h *Host) since(handle procfd.Handle) time.Duration {
	age, err := procstat.Age(handle.Identity().StartTicks)
	if err != nil {
		return 0
	}
	return max(h.Now()-age, 1)
}

// foreign is the handle of a process that is neither our child nor the keeper's, as after the death of an
// earlier keeper: nobody tells its status, so that it is taken from the kernel as soon as possible.
func (h *Host) foreign(handle procfd.Handle) procfd.Handle {
	s, err := procstat.Read(handle.PID())
	if err != nil || s.PPID == os.Getpid() || s.PPID == os.Getppid() {
		return handle
	}
	other, err := procfd.Adopt(handle.Identity())
	if err != nil {
		return handle
	}
	handle.Close()
	return other
}

// gateStatus is the exit status of a process that was never let go. Source: package spawn.
const gateStatus = 253

// How long a process may stand at its gate after the death of who keeps it, and how often it is looked at. It sees at
// once whether it was let go, but on a busy machine it may be a while until it runs.
const (
	gatePatience = 10 * time.Second
	gateLook     = time.Millisecond
)

// begun reports whether a process has become its program. While it bears our own name it has not found out yet.
func (h *Host) begun(b birth, handle procfd.Handle) bool {
	patience := time.NewTimer(gatePatience)
	defer patience.Stop()
	for {
		e, over, err := handle.Wait(true)
		over = over && err == nil
		marked := b.Mark.Tag != 0 && h.o.Marks != nil
		switch {
		case marked && h.o.Marks.Passed(b.Mark):
			return true
		case marked && over:
			return false
		case over:
			return !e.Known || e.Signal != 0 || e.Status != gateStatus
		}
		s, err := procstat.Read(handle.PID())
		if err != nil { // it has ended since, and is reaped
			return !marked || h.o.Marks.Passed(b.Mark)
		}
		if !helper(s.Comm) {
			return true
		}
		look := time.NewTimer(gateLook)
		select {
		case <-look.C:
		case <-patience.C:
			look.Stop()
			return false
		}
	}
}

// takeBack connects an instance as after its start.
func (h *Host) takeBack(i core.Instance, r *remains) *instance {
	p, key, b, handle := i.Slot.Program(), r.key, r.birth, r.handle
	fds := [3]int{r.held.fd(roleStdin), r.held.fd(roleStdout), r.held.fd(roleStderr)}
	for k := range fds {
		if fds[k] < 0 && b.Pipes[k] != 0 {
			fds[k] = h.reopen(handle.PID(), k, b.Pipes[k])
		}
	}
	if b.Process.PID == 0 {
		b.Process = handle.Identity()
	}
	inst := &instance{host: h, handle: handle, key: key, birth: &b}
	h.know(inst)
	group := h.reopenGroup(b)
	h.track(inst, p.ID, b.Pipes, group)
	switch {
	case h.o.Store == nil:
	case r.held.Key == "":
		h.holdAnew(key, fds, handle)
	case b.Moved && r.held.PID != handle.PID(): // we were killed before the keeper was told
		_ = h.o.Store.Bind(key, handle.PID(), procfd.Descriptor(handle))
	}
	if h.o.Journal != nil && !r.born {
		_ = h.record(key, &b) // the journal reports its own trouble
	}
	out, err := h.outputs(i.Slot)
	if err != nil {
		h.o.Log.Logf(activity.Error, "the output of %s (pid %d) goes nowhere: %v", p.ID.Name, handle.PID(), err)
		out = &outputs{}
	}
	h.speak(inst, i, inst.PID(), out)
	inst.connect(fds, out)
	return inst
}

// pipesOf are the pipes that a process has as stdin, stdout and stderr; 0 = none. Its stdout alone when both
// outputs are the same.
func pipesOf(pid int) [3]uint64 {
	var out [3]uint64
	for k := range out {
		target, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, k))
		if err != nil {
			continue
		}
		if _, err := fmt.Sscanf(target, "pipe:[%d]", &out[k]); err != nil {
			out[k] = 0
		}
	}
	if out[2] == out[1] {
		out[2] = 0
	}
	return out
}

// reopen opens a pipe again that only the program has left; -1 when it has closed or exchanged it.
func (h *Host) reopen(pid, k int, inode uint64) int {
	fd, err := procfd.ReopenPipe(pid, k, inode)
	if err != nil {
		return -1
	}
	return fd
}

// holdAnew gives the store what it did not have.
func (h *Host) holdAnew(key string, fds [3]int, handle procfd.Handle) {
	var roles strings.Builder
	var have []int
	for k, role := range []rune{roleStdin, roleStdout, roleStderr} {
		if fds[k] >= 0 {
			roles.WriteRune(role)
			have = append(have, fds[k])
		}
	}
	_ = h.o.Store.Hold(key, roles.String(), have)
	_ = h.o.Store.Bind(key, handle.PID(), procfd.Descriptor(handle))
}
