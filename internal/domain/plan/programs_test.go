package plan

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

func TestForProgram(t *testing.T) {
	fields := func(e model.Effect) []model.FieldChange { return []model.FieldChange{{Field: "x", Effect: e}} }
	for s := range model.State(model.NumStates) {
		for _, e := range []model.Effect{model.EffectNone, model.EffectLive, model.EffectRestart} {
			want := Refresh
			if e == model.EffectRestart && strings.Contains("STARTING RUNNING BACKOFF FATAL", s.String()) {
				want = Replace
			}
			if got := ForProgram(fields(e), &model.Program{}, s); got != want {
				t.Errorf("%s while %s: %s, want %s", e, s, got, want)
			}
			if got := ForProgram(fields(e), &model.Program{Disabled: true}, s); got != Refresh {
				t.Errorf("%s while %s, and disabled: %s", e, s, got)
			}
		}
	}
}

func TestPrograms(t *testing.T) {
	set := func(g *model.Group, change func(*model.Group)) *model.Group {
		change(g)
		return g
	}
	stopped := func(id model.ID) model.State {
		if id.Name == "b" {
			return model.Stopped
		}
		return model.Running
	}
	for _, c := range []struct {
		name      string
		old, next *model.Group
		want      string
	}{
		{"nothing", group("g", "1"), group("g", "1"), ""},
		{"moved", at(1, group("g", "1")), at(2, group("g", "1")), ""},
		{"a group comes", nil, group("g", "1", "2"), "add g:a, add g:b"},
		{"a group goes", group("g", "1", "2"), nil, "remove g:a, remove g:b"},
		{"restart where it runs", group("g", "1", "1", "1"), group("g", "2", "2", "1"), "replace g:a command, refresh g:b command"},
		{"live", group("g", "1", "1"), set(group("g", "1", "1"), func(g *model.Group) { g.Programs[0].Stop.Signal = 9 }), "refresh g:a stopsignal"},
		{"more", group("g", "1"), group("g", "1", "1", "1"), "add g:b, add g:c"},
		{"fewer", group("g", "1", "1", "1"), group("g", "1"), "remove g:b, remove g:c"},
		{"the group alone", group("g", "1"), set(group("g", "1"), func(g *model.Group) { g.Priority = 1 }), "refresh g: priority"},
		{
			"the order", group("g", "1", "1"),
			set(group("g", "1", "1"), func(g *model.Group) { g.Programs[0], g.Programs[1] = g.Programs[1], g.Programs[0] }), "refresh g: programs",
		},
		{
			"the group asks for a restart", group("g", "1", "1"),
			set(group("g", "1", "1"), func(g *model.Group) { g.Kind = model.KindFastCGI }), "replace g:a type, refresh g:b type",
		},
	} {
		var active []*model.Group
		if c.old != nil {
			active = append(active, c.old)
		}
		next := config()
		if c.next != nil {
			next = config(c.next)
		}
		var out []string
		for _, s := range Make(active, next).Steps() {
			for _, p := range s.Programs(stopped) {
				line := p.Kind.String() + " " + p.ID.Namespec()
				for _, f := range p.Fields {
					line += " " + f.Field
				}
				if (p.Old == nil) != (p.Kind == Add || p.ID.Name == "") || (p.New == nil) != (p.Kind == Remove || p.ID.Name == "") {
					t.Errorf("%s: %s: old %v, new %v", c.name, line, p.Old, p.New)
				}
				out = append(out, line)
			}
		}
		if d := cmp.Diff(c.want, strings.Join(out, ", ")); d != "" {
			t.Errorf("%s:\n%s", c.name, d)
		}
	}
}

// A program is in the steps exactly when something about it makes a difference.
func TestProgramsIsComplete(t *testing.T) {
	old := group("g", "1", "1", "1")
	for i := range old.Programs {
		for _, f := range []func(*model.Program){
			func(p *model.Program) { p.Command.Line = "2" },
			func(p *model.Program) { p.IO.Stdout.MaxBytes++ },
			func(p *model.Program) { p.Start.Auto = !p.Start.Auto },
		} {
			next := group("g", "1", "1", "1")
			f(next.Programs[i])
			steps := Change{Name: "g", Old: old, New: next, Fields: model.DiffGroup(old, next)}.Programs(func(model.ID) model.State { return model.Running })
			if len(steps) != 1 || steps[0].ID != old.Programs[i].ID {
				t.Errorf("%d: %s", i, fmt.Sprint(steps))
			}
		}
	}
}
