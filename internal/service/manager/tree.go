package manager

import (
	"context"
	"strings"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// maxBranches is how many processes of one program are told: one that forks without end must not hold up the answer.
const maxBranches = 500

// Tree are the processes of programs, as far as their parents lead to the instance.
func (m *Manager) Tree(ctx context.Context, ids []model.ID) map[model.ID][]service.Branch {
	out := map[model.ID][]service.Branch{}
	t := m.o.Core.Table()
	for _, id := range ids {
		if s := t.Slot(id); s != nil && ctx.Err() == nil {
			if pid := s.Status().PID; pid != 0 {
				out[id] = grow(ctx, nil, pid, 0)
			}
		}
	}
	return out
}

// grow adds a process and what is below it.
func grow(ctx context.Context, list []service.Branch, pid, parent int) []service.Branch {
	for i := range list {
		if list[i].PID == pid { // the number was given anew meanwhile
			return list
		}
	}
	if len(list) == maxBranches || ctx.Err() != nil {
		return list
	}
	b, ok := branch(pid, parent)
	if !ok {
		return list
	}
	list = append(list, b)
	children, _ := procstat.Children(pid) // of a process that is gone there are none
	for _, child := range children {
		list = grow(ctx, list, child, pid)
	}
	return list
}

// branch looks at one process; false when it is gone. Where the system tells nothing, the instance itself is known at least.
func branch(pid, parent int) (service.Branch, bool) {
	b := service.Branch{PID: pid, Parent: parent}
	s, err := procstat.Read(pid)
	if err != nil {
		return b, parent == 0
	}
	b.Ended = s.Dead()
	argv, _ := procstat.Cmdline(pid) // or it has just ended
	if b.Command = strings.Join(argv, " "); strings.TrimSpace(b.Command) == "" {
		b.Command = "[" + s.Comm + "]"
	}
	if u, err := procstat.Usage(pid); err == nil {
		b.Memory, b.CPU = u.Memory, percent(u)
	}
	return b, true
}

// percent is how much of one processor a process has used since it began.
func percent(u procstat.Figures) float64 {
	if u.Age <= 0 {
		return 0
	}
	return 100 * u.CPU.Seconds() / u.Age.Seconds()
}
