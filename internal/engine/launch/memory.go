package launch

import (
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/sys/oom"
)

// wasKilled adds to an end by SIGKILL that nobody here has ordered whether the kernel did that for lack of memory. It is
// asked at once: its log forgets, and the control group goes with the instance.
func (h *Host) wasKilled(i core.Instance, inst *instance, e model.Exit) model.Exit {
	if !e.Known || e.Signal != int(syscall.SIGKILL) {
		return e
	}
	st := i.Slot.Status()
	if st.Killing || st.Past.Signal == e.Signal || st.Generation != i.Gen {
		return e
	}
	dir := ""
	if inst.cgroup != nil {
		dir = inst.cgroup.Dir()
	}
	e.OOMKills = killsOf(dir, inst.PID(), st.Start)
	return e
}

// killsOf is how many processes of an instance the kernel has killed for lack of memory: as its own control group has counted,
// else one, if the kernel's log tells of the instance itself.
func killsOf(cgroup string, pid int, since time.Time) int {
	if n := oom.Kills(cgroup); n > 0 {
		return n
	}
	if killed, _ := oom.Logged(pid, since); killed {
		return 1
	}
	return 0
}
