package launch

import (
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/logs"
)

// Tune makes the logs of a living instance follow a changed definition: from the next write on they are
// rotated as it says.
func (n *instance) Tune(p *model.Program) {
	for k, s := range n.out { // stdout, and stderr unless it goes there too
		s.SetLogOptions(n.host.logOptions([2]*model.Stream{&p.IO.Stdout, &p.IO.Stderr}[k]))
	}
}

// logOptions are how a channel's log is kept.
func (h *Host) logOptions(st *model.Stream) logs.Options {
	o := logs.Options{MaxBytes: st.MaxBytes, Backups: st.Backups, Perm: logPerm, Times: h.o.LogTimes}
	if st.Log == model.LogAuto {
		o.Perm = autoPerm
	}
	return o
}
