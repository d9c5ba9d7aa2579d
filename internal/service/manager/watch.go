package manager

import (
	"context"
	"strings"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
)

var _ service.Watching = (*Manager)(nil)

// unwell is what the checks of a program hold against it, and which of them cannot look.
func (m *Manager) unwell(ctx context.Context, id model.ID) []string {
	var out []string
	for _, k := range m.Checks(ctx, []model.ID{id})[id] {
		switch {
		case k.Disabled != "":
			out = append(out, "check "+k.Check.Name+" does not look: "+k.Disabled)
		case k.Verdict == model.Failing:
			out = append(out, "check "+k.Check.Name+" fails: "+k.Text)
		case k.Verdict == model.Unjudged && strings.HasPrefix(k.Text, "cannot look"):
			out = append(out, "check "+k.Check.Name+" "+k.Text)
		}
	}
	return out
}

// Checks are the states of the checks of programs that have an instance.
func (m *Manager) Checks(_ context.Context, ids []model.ID) map[model.ID][]model.CheckState {
	if m.o.Checks == nil {
		return nil
	}
	return m.o.Checks.States(ids)
}
