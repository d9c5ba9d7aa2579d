package manager

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"

	"github.com/upkeep-project/upkeep/internal/conf/managed"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/definitions"
	"github.com/upkeep-project/upkeep/internal/service"
)

var _ service.Definitions = (*Manager)(nil)

// Definition is the definition of a program section.
func (m *Manager) Definition(_ context.Context, name string) (service.Definition, error) {
	if m.o.Definitions != nil {
		d, err := m.o.Definitions.Read(name)
		if err == nil {
			return m.definition(d), nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return service.Definition{}, defining(err)
		}
	}
	p := m.sectionOf(name)
	if p == nil {
		return service.Definition{}, &service.Error{Code: service.CodeNoSuchProgram, Text: name}
	}
	return service.Definition{Name: name, Origin: p.Origin, Values: m.values(p)}, nil
}

// sectionOf is a program of a section, or of that name; nil when there is none.
func (m *Manager) sectionOf(name string) *model.Program {
	id, _ := model.SplitNamespec(name)
	var found *model.Program
	for _, g := range m.read().Groups {
		for _, p := range g.Programs {
			if p.Section == name || p.ID == id {
				return p
			}
			if p.ID.Name == name {
				found = p
			}
		}
	}
	return found
}

func (m *Manager) definition(d definitions.Definition) service.Definition {
	out := service.Definition{
		Name: d.Name, Managed: true, Text: []byte(d.Text), ETag: d.ETag,
		Origin: model.Origin{File: d.Path, Line: 1},
	}
	if p := m.sectionOf(d.Name); p != nil {
		out.Origin, out.Values = p.Origin, m.values(p)
	}
	return out
}

func (m *Manager) values(p *model.Program) []service.Value {
	if m.o.Values == nil {
		return nil
	}
	return m.o.Values(p)
}

// Define stores the text of a managed definition. Nothing is stored while the configuration as a whole cannot be read:
// it could not be applied.
func (m *Manager) Define(ctx context.Context, name string, text []byte, match string) (service.Definition, []service.Step, error) {
	if err := m.managed(name); err != nil {
		return service.Definition{}, nil, err
	}
	if _, err := m.Plan(ctx); err != nil {
		return service.Definition{}, nil, err
	}
	c := definitions.Condition{IfMatch: match, Absent: match == ""}
	if match == "*" {
		c.IfMatch = ""
	}
	d, err := m.o.Definitions.Write(name, string(text), c)
	if err != nil {
		return service.Definition{}, nil, defining(err)
	}
	steps, err := m.Plan(ctx)
	if err != nil {
		return service.Definition{}, nil, err
	}
	return m.definition(d), slices.DeleteFunc(steps, func(s service.Step) bool { return s.ID.Group != name }), nil
}

// managed fails when a name is not for managed definitions: none are kept, or a file of the user's own has it.
func (m *Manager) managed(name string) error {
	if m.o.Definitions == nil {
		return &service.Error{Code: service.CodeNotManaged, Text: "this instance runs " + m.o.Place.Config + ", which is yours to edit"}
	}
	if p := m.sectionOf(name); p != nil && p.Origin.File != m.o.Definitions.Path(p.Section) {
		return &service.Error{
			Code: service.CodeNotManaged,
			Text: name + " is defined in a file of yours: " + p.Origin.File + ":" + strconv.Itoa(p.Origin.Line),
		}
	}
	return nil
}

// Forget deletes a managed definition, and stops and removes what runs by it.
func (m *Manager) Forget(ctx context.Context, name string) error {
	if err := m.managed(name); err != nil {
		return err
	}
	if err := m.o.Definitions.Remove(name, definitions.Condition{}); err != nil {
		return defining(err)
	}
	if m.o.Core.Table().Group(name) == nil {
		return nil
	}
	done, err := m.Apply(ctx, []string{name})
	for _, d := range done {
		err = errors.Join(err, d.Err)
	}
	return err
}

// Invalid are the mistakes in files of definitions.
func (m *Manager) Invalid() []service.Mistake {
	if m.o.Invalid == nil {
		return nil
	}
	return m.o.Invalid()
}

// defining translates the errors of the definitions' directory.
func defining(err error) error {
	var conflict *definitions.ConflictError
	var exists *definitions.ExistsError
	var missing *definitions.NotFoundError
	var name *definitions.NameError
	var invalid *definitions.InvalidError
	switch {
	case errors.As(err, &conflict):
		return &service.Error{Code: service.CodeConflict, Text: err.Error()}
	case errors.As(err, &exists):
		return &service.Error{Code: service.CodeAlreadyAdded, Text: err.Error()}
	case errors.As(err, &missing):
		return &service.Error{Code: service.CodeNoSuchProgram, Text: missing.Name}
	case errors.As(err, &name):
		return &service.Error{Code: service.CodeBadArguments, Text: err.Error()}
	case errors.As(err, &invalid):
		e := &service.Error{Code: service.CodeInvalid}
		for _, p := range invalid.Problems {
			e.Mistakes = append(e.Mistakes, mistake(p))
		}
		return e
	}
	return &service.Error{Code: service.CodeFailed, Text: err.Error()}
}

func mistake(p managed.Problem) service.Mistake {
	return service.Mistake{File: p.File, Line: p.Line, Key: p.Key, Message: p.Message, Suggestion: p.Suggestion}
}
