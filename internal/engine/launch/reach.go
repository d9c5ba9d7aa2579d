package launch

import (
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/sys/cgroup"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

// sweepPatience is how long the rest of a stopped instance is hunted before what is left of it is named.
// Source: spec/reliability R12.
const sweepPatience = 2 * time.Second

// namedAtMost bounds the processes that one line names.
const namedAtMost = 20

// enclose gives an instance whose stop reaches everything it forked, or that is to be found again when it has sent itself
// away, a control group, where there are any.
func (h *Host) enclose(i core.Instance, p *model.Program, req *spawn.Request) *cgroup.Group {
	if h.o.Cgroups == nil || p.Stop.KillReach != model.ReachTree && p.Attach.Track == model.TrackChild {
		return nil
	}
	g, err := h.o.Cgroups.Create(keyOf(i))
	if err != nil {
		h.o.Log.Logf(activity.Warn, "%s runs without a control group: %v", p.ID, err)
		return nil
	}
	req.CgroupFD = g.FD()
	return g
}

// track tells the census by what the descendants of an instance can be recognised.
func (h *Host) track(inst *instance, id model.ID, pipes [3]uint64, g *cgroup.Group) {
	if h.o.Census == nil {
		return
	}
	m := procfd.Marks{Group: id.Group, Name: id.Name}
	for _, inode := range pipes {
		if inode != 0 {
			m.Pipes = append(m.Pipes, inode)
		}
	}
	if g != nil {
		g.CloseFD()
		m.Cgroup = g
	}
	inst.cgroup = g
	h.o.Census.Track(inst.handle, m)
}

// sweep makes sure, before the end of a stopped instance is reported, that nothing is left of it as far as
// its definition reaches, and names what is. Source: spec/reliability R12.
func (h *Host) sweep(i core.Instance, inst *instance) {
	st := i.Slot.Status()
	if !st.Killing || st.Generation != i.Gen {
		return
	}
	reach := st.Program.Stop.KillReach
	if reach >= model.ReachGroup {
		_ = inst.handle.Signal(int(syscall.SIGKILL), reach)
	}
	if h.o.Census == nil {
		return
	}
	if reach != model.ReachTree {
		h.mu.Lock()
		defer h.mu.Unlock()
		if !h.closed {
			inst.use(1) // the handle stays open as long
			h.working.Go(func() {
				h.name(st.ID, inst)
				inst.use(-1)
			})
		}
		return
	}
	h.endRest(st.ID, inst)
}

// endRest kills what is left of an instance, and says what outlives that.
func (h *Host) endRest(id model.ID, inst *instance) {
	for end := h.Now() + sweepPatience; h.Now() < end; {
		left, err := h.o.Census.Survivors(inst.handle)
		if err != nil || len(sure(left)) == 0 {
			break
		}
		for _, p := range sure(left) {
			_ = p.Signal(int(syscall.SIGKILL))
		}
	}
	h.name(id, inst)
}

// sure are those that certainly belong to the instance.
func sure(list []procfd.Process) []procfd.Process {
	var out []procfd.Process
	for _, p := range list {
		if p.Mark.Sure() {
			out = append(out, p)
		}
	}
	return out
}

// name says which processes have outlived the stop of an instance.
func (h *Host) name(id model.ID, inst *instance) {
	all, err := h.o.Census.Survivors(inst.handle)
	if err != nil {
		h.o.Log.Logf(activity.Debug, "what is left of %s is not known: %v", id, err)
		return
	}
	left := sure(all)
	if len(left) == 0 {
		return
	}
	var names []string
	for _, p := range left[:min(len(left), namedAtMost)] {
		names = append(names, fmt.Sprintf("%d (%s)", p.PID, strings.ToValidUTF8(p.Name, "?")))
	}
	if more := len(left) - namedAtMost; more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	h.o.Log.Logf(activity.Warn, "%s has stopped, but it has left processes running: %s", id, strings.Join(names, ", "))
}
