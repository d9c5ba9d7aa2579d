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
	if inst.cgroup != nil {
		e.OOMKills = oom.Kills(inst.cgroup.Dir())
	}
	if e.OOMKills == 0 && logged(inst.PID(), st.Start) {
		e.OOMKills = 1
	}
	return e
}

// logged reports whether the kernel's log tells of a process.
func logged(pid int, since time.Time) bool {
	killed, _ := oom.Logged(pid, since)
	return killed
}
