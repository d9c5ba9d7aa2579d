package manager

import (
	"context"
	"errors"
	"slices"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/domain/plan"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/service"
)

// actions translates the kinds of steps.
var actions = [...]service.Action{
	plan.Remove: service.ActionRemove, plan.Replace: service.ActionRestart,
	plan.Refresh: service.ActionChange, plan.Add: service.ActionAdd,
}

// Plan says what Apply would do.
func (m *Manager) Plan(context.Context) ([]service.Step, error) {
	if err := m.open(); err != nil {
		return nil, err
	}
	c, err := m.reread()
	if err != nil {
		return nil, err
	}
	t := m.o.Core.Table()
	var out []service.Step
	for _, g := range plan.Make(active(t), c).Steps() {
		for _, p := range m.steps(g, t) {
			s := service.Step{ID: p.ID, Action: actions[p.Kind], Fields: p.Fields, Reason: reason(p, states(t)(p.ID))}
			if err := m.refuses(p, states(t)(p.ID)); err != nil {
				s.Refused = err.Text
			}
			out = append(out, s)
		}
	}
	return out, nil
}

// steps is what Apply does to the programs of a group.
func (m *Manager) steps(g plan.Step, t *core.Table) []plan.ProgramStep {
	out := g.Programs(states(t))
	for i := range out {
		if m.o.Gentle && out[i].Kind == plan.Replace {
			out[i].Kind = plan.Refresh
		}
	}
	return out
}

// states tells in which state a program is.
func states(t *core.Table) func(model.ID) model.State {
	return func(id model.ID) model.State {
		if s := t.Slot(id); s != nil {
			return s.Status().State
		}
		return model.Stopped
	}
}

// reason says why a step is what it is.
func reason(p plan.ProgramStep, s model.State) string {
	switch {
	case p.Kind == plan.Remove:
		return "it is not configured any more"
	case p.Kind == plan.Add && p.New.Disabled:
		return "it is new and disabled"
	case p.Kind == plan.Add && p.New.Start.Auto:
		return "it is new and starts by itself"
	case p.Kind == plan.Add:
		return "it is new and does not start by itself"
	case p.Kind == plan.Replace && s == model.Fatal:
		return "it had given up and is tried again"
	case p.Kind == plan.Replace:
		return "a running process cannot take it over"
	case model.EffectOf(p.Fields) != model.EffectRestart:
		return "takes effect at once"
	case p.New.Disabled && s.Up():
		return "it is disabled: what runs goes on, and is not started again"
	case s.Up():
		return "takes effect when it is started again"
	case s == model.Unknown:
		return "it cannot be stopped; takes effect when it is started again"
	}
	return "it is not running; takes effect when it is started"
}

// refuses says why a step must not be done: what runs is not to be stopped for what cannot be started.
func (m *Manager) refuses(p plan.ProgramStep, s model.State) *service.Error {
	if p.Kind != plan.Replace || !s.Up() {
		return nil
	}
	err := m.o.Programs.Check(p.New)
	if err == nil {
		return nil
	}
	out := &service.Error{Code: service.CodeFailed, Text: err.Error()}
	var typed *service.Error
	if errors.As(commandFailure(err), &typed) {
		*out = *typed
	}
	out.Text = p.ID.String() + ": " + out.Text
	return out
}

// Apply makes the configuration the running one, or only the groups named.
func (m *Manager) Apply(ctx context.Context, only []string) ([]service.Applied, error) {
	if err := m.open(); err != nil {
		return nil, err
	}
	out, err := m.apply(ctx, only)
	if service.CodeOf(err) != service.CodeNoSuchProgram { // that says nothing about the configuration
		m.attempted(err)
	}
	return out, err
}

func (m *Manager) apply(ctx context.Context, only []string) ([]service.Applied, error) {
	// The order is carried out to the end, even when nobody waits for the answer any more.
	ctx = context.WithoutCancel(ctx)
	a, logs, err := m.order(ctx, only)
	if err != nil {
		return nil, err
	}
	done, err := a.Wait(ctx)
	if err != nil {
		return nil, failure(err, "")
	}
	m.changed()
	m.sweep(logs)
	out := make([]service.Applied, len(done))
	for i, d := range done {
		out[i] = service.Applied{ID: d.ID, Action: actions[d.Kind], Err: failure(d.Err, d.ID.String())}
	}
	return out, nil
}

// logsOf are log files of a program, of which the automatic ones are to be deleted when nobody uses them.
type logsOf struct {
	p    *model.Program
	logs core.LogPaths
}

// order gives the orders for an Apply. The files returned may be in use no longer when it is done.
func (m *Manager) order(ctx context.Context, only []string) (*core.Application, []logsOf, error) {
	m.change.Lock()
	defer m.change.Unlock()
	c, err := m.load()
	if err != nil {
		return nil, nil, err
	}
	t := m.o.Core.Table()
	for _, name := range only {
		if t.Group(name) == nil && c.Group(name) == nil {
			return nil, nil, &service.Error{Code: service.CodeNoSuchProgram, Text: name}
		}
	}
	var ch core.Change
	var made, used []logsOf
	drop := func() {
		for _, l := range made {
			m.o.Programs.DropLogs(l.p, l.logs)
		}
	}
	for _, g := range plan.Make(active(t), c).Steps() {
		if len(only) > 0 && !slices.Contains(only, g.Name) {
			continue
		}
		used = append(used, usedBy(t.Group(g.Name))...)
		if g.New == nil {
			ch.Remove = append(ch.Remove, g.Name)
			continue
		}
		for _, p := range m.steps(g, t) {
			if err := m.refuses(p, states(t)(p.ID)); err != nil {
				drop()
				return nil, nil, err
			}
		}
		n, fresh, err := m.redefine(g.New, t)
		made = append(made, fresh...)
		if err != nil {
			drop()
			return nil, nil, &service.Error{Code: service.CodeFailed, Text: err.Error()}
		}
		ch.Groups = append(ch.Groups, n)
	}
	if err := m.letGo(ctx, t, ch.Remove); err != nil {
		drop()
		return nil, nil, failure(err, "")
	}
	a, err := m.o.Core.Apply(ctx, ch)
	if err != nil {
		drop()
		return nil, nil, failure(err, "")
	}
	if len(only) == 0 {
		m.told(c)
	}
	return a, append(used, made...), nil
}

// letGo releases what runs of groups that are about to be removed, where that is how it is done. Source: spec/usrsvc US-61.
func (m *Manager) letGo(ctx context.Context, t *core.Table, groups []string) error {
	if !m.o.Gentle {
		return nil
	}
	var slots []*core.Slot
	for _, name := range groups {
		if g := t.Group(name); g != nil {
			slots = append(slots, g.Slots...)
		}
	}
	out, err := m.o.Core.Release(ctx, slots, core.Needed)
	for _, o := range out {
		if o.Err != nil && !errors.Is(o.Err, core.ErrNotRunning) {
			err = errors.Join(err, o.Err)
		}
	}
	return err
}

// usedBy are the log files of an active group.
func usedBy(g *core.GroupEntry) []logsOf {
	if g == nil {
		return nil
	}
	var out []logsOf
	for _, s := range g.Slots {
		out = append(out, logsOf{s.Program(), s.Logs()})
		p, logs := s.Target()
		out = append(out, logsOf{p, logs})
	}
	return out
}

// redefine finds the log files for a new definition of a group: automatic ones that are there are kept,
// others are made. What was made is returned in any case.
func (m *Manager) redefine(g *model.Group, t *core.Table) (n core.NewGroup, made []logsOf, err error) {
	n.Spec = g
	for _, p := range g.Programs {
		var kept [2]string
		if s := t.Slot(p.ID); s != nil {
			old, logs := s.Target()
			kept = [2]string{logs.Stdout, logs.Stderr}
			for k, st := range []model.Stream{old.IO.Stdout, old.IO.Stderr} {
				if st.Log != model.LogAuto {
					kept[k] = ""
				}
			}
		}
		rest := *p // without the channels that have their log
		for k, st := range []*model.Stream{&rest.IO.Stdout, &rest.IO.Stderr} {
			if st.Log != model.LogAuto || k == 1 && p.IO.MergeStderr {
				kept[k] = ""
			}
			if kept[k] != "" {
				st.Log = model.LogNone
			}
		}
		logs, err := m.o.Programs.MakeLogs(&rest)
		if err != nil {
			return n, made, err
		}
		made = append(made, logsOf{&rest, logs})
		if kept[0] != "" {
			logs.Stdout = kept[0]
		}
		if kept[1] != "" {
			logs.Stderr = kept[1]
		}
		n.Logs = append(n.Logs, logs)
	}
	return n, made, nil
}

// sweep deletes those of some automatic logs that no program has any more (F40).
func (m *Manager) sweep(some []logsOf) {
	m.change.Lock() // no change is about to use one of them again
	defer m.change.Unlock()
	used := map[string]bool{}
	for _, s := range m.o.Core.Table().Sorted {
		_, next := s.Target()
		for _, l := range []core.LogPaths{s.Logs(), next} {
			used[l.Stdout], used[l.Stderr] = true, true
		}
	}
	for _, l := range some {
		if used[l.logs.Stdout] {
			l.logs.Stdout = ""
		}
		if used[l.logs.Stderr] {
			l.logs.Stderr = ""
		}
		m.o.Programs.DropLogs(l.p, l.logs)
		used[l.logs.Stdout], used[l.logs.Stderr] = true, true
	}
}
