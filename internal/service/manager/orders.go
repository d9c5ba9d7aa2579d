package manager

import (
	"context"
	"errors"

	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/launch"
	"github.com/upkeep-project/upkeep/internal/engine/streams"
	"github.com/upkeep-project/upkeep/internal/service"
)

// Start starts what is down.
func (m *Manager) Start(ctx context.Context, sel service.Selector, wait service.Wait) ([]service.Result, error) {
	slots, mode, err := m.slots(sel)
	if err != nil {
		return nil, err
	}
	var refused []service.Result
	var able []*core.Slot
	for _, s := range slots {
		if mode == core.Needed && s.Status().State.Up() {
			continue
		}
		if target, _ := s.Target(); target.Disabled { // whatever its command is
			able = append(able, s)
			continue
		}
		if err := m.o.Programs.Check(s.Program()); err != nil {
			refused = append(refused, service.Result{ID: s.Program().ID, Err: commandFailure(err)})
			continue
		}
		able = append(able, s)
	}
	out, err := m.o.Core.Start(ctx, able, mode, bool(wait))
	done, err := results(out, err)
	return append(refused, done...), err
}

// Stop stops what is up.
func (m *Manager) Stop(ctx context.Context, sel service.Selector, wait service.Wait) ([]service.Result, error) {
	slots, mode, err := m.slots(sel)
	if err != nil {
		return nil, err
	}
	return results(m.o.Core.Stop(ctx, slots, mode, bool(wait)))
}

// Signal sends a signal by name or number.
func (m *Manager) Signal(ctx context.Context, sel service.Selector, signal string) ([]service.Result, error) {
	slots, mode, err := m.slots(sel)
	if err != nil {
		return nil, err
	}
	sig, err := units.Signal(signal)
	if err == nil {
		return results(m.o.Core.Signal(ctx, slots, mode, sig))
	}
	var bad []service.Result
	for _, s := range slots {
		if mode == core.Each || s.Status().State.Signallable() {
			bad = append(bad, service.Result{ID: s.Program().ID, Err: &service.Error{Code: service.CodeBadSignal, Text: signal}})
		}
	}
	return bad, nil
}

// WriteStdin queues data for a program's standard input.
func (m *Manager) WriteStdin(ctx context.Context, id model.ID, data []byte) error {
	s, err := m.slot(id)
	if err != nil {
		return err
	}
	err = m.o.Core.WriteStdin(ctx, s, data)
	switch {
	case errors.Is(err, streams.ErrClosed):
		return &service.Error{Code: service.CodeNoFile, Text: id.String()}
	case errors.Is(err, streams.ErrFull):
		return &service.Error{Code: service.CodeFailed, Text: id.String() + " does not read its standard input"}
	}
	return failure(err, id.String())
}

// results are the outcomes of an order, or why there are none, in the service's words.
func results(out []core.Outcome, err error) ([]service.Result, error) {
	rs := make([]service.Result, len(out))
	for i, o := range out {
		id := o.Slot.Program().ID
		rs[i] = service.Result{ID: id, Err: failure(o.Err, id.String())}
	}
	return rs, failure(err, "")
}

// commandFailure translates what package launch says of a command.
func commandFailure(err error) error {
	var c *launch.CommandError
	if !errors.As(err, &c) {
		return failure(err, "")
	}
	code := service.CodeNotExecutable
	if c.Missing {
		code = service.CodeNoFile
	}
	return &service.Error{Code: code, Text: c.Text}
}
