package manager

import (
	"context"
	"errors"
	"fmt"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/launch"
	"github.com/upkeep-project/upkeep/internal/service"
	"github.com/upkeep-project/upkeep/internal/sys/find"
)

// unfit are the reasons why a process is not adopted.
var unfit = []struct {
	err  error
	code service.Code
}{
	{launch.ErrNoProcess, service.CodeNoProcess},
	{launch.ErrNotPermitted, service.CodeNotPermitted},
	{launch.ErrKernel, service.CodeNotAdoptable},
	{launch.ErrInit, service.CodeNotAdoptable},
	{launch.ErrOurselves, service.CodeNotAdoptable},
	{launch.ErrTaken, service.CodeTaken},
	{launch.ErrBelow, service.CodeTaken},
	{launch.ErrElsewhere, service.CodeNotAdoptable},
	{core.ErrNotDurable, service.CodeFailed},
	{find.ErrUnsupported, service.CodeFailed},
}

// Adopt takes a process that somebody else has started as the instance of a program.
func (m *Manager) Adopt(ctx context.Context, id model.ID, pid int) (model.Status, error) {
	s, err := m.slot(id)
	if err != nil {
		return model.Status{}, err
	}
	if pid <= 0 {
		return model.Status{}, &service.Error{Code: service.CodeBadArguments, Text: fmt.Sprintf("%d is no process number", pid)}
	}
	c, err := m.o.Programs.Candidate(pid)
	if err != nil {
		return model.Status{}, notAdopted(err, id)
	}
	return m.adopt(ctx, s, c)
}

// adopt makes a candidate the instance of a program, or lets go of it.
func (m *Manager) adopt(ctx context.Context, s *core.Slot, c launch.Candidate) (model.Status, error) {
	defer c.Close()
	// What has begun is carried out, even when nobody waits for the answer any more.
	if err := m.o.Core.Adopt(context.WithoutCancel(ctx), s, c); err != nil {
		return model.Status{}, notAdopted(err, s.Program().ID)
	}
	return s.Status(), nil
}

func notAdopted(err error, id model.ID) error {
	for _, u := range unfit {
		if errors.Is(err, u.err) {
			return &service.Error{Code: u.code, Text: err.Error()}
		}
	}
	return failure(err, id.String())
}
