package manager

import (
	"context"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
)

var _ service.Watching = (*Manager)(nil)

// Checks are the states of the checks of programs that have an instance.
func (m *Manager) Checks(_ context.Context, ids []model.ID) map[model.ID][]model.CheckState {
	if m.o.Checks == nil {
		return nil
	}
	return m.o.Checks.States(ids)
}
