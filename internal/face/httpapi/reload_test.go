package httpapi

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
)

// fleet is a service with several programs that notes what it is told.
type fleet struct {
	Service
	list  []model.Status
	fails string // the program that does not come back
	told  []string
}

func (f *fleet) List(context.Context) ([]model.Status, error) { return f.list, nil }

func (f *fleet) Get(_ context.Context, id model.ID) (model.Status, error) {
	for i := range f.list {
		if f.list[i].ID == id {
			return f.list[i], nil
		}
	}
	return model.Status{}, &service.Error{Code: service.CodeNoSuchProgram}
}

func (f *fleet) note(what string, id model.ID) ([]service.Result, error) {
	f.told = append(f.told, what+" "+id.String())
	if what == "start" && id.Name == f.fails {
		return []service.Result{{ID: id, Err: &service.Error{Code: service.CodeSpawnError}}}, nil
	}
	return []service.Result{{ID: id}}, nil
}

func (f *fleet) Start(_ context.Context, sel service.Selector, _ service.Wait) ([]service.Result, error) {
	return f.note("start", sel.ID)
}

func (f *fleet) Stop(_ context.Context, sel service.Selector, _ service.Wait) ([]service.Result, error) {
	return f.note("stop", sel.ID)
}

func (f *fleet) Signal(_ context.Context, sel service.Selector, signal string) ([]service.Result, error) {
	return f.note(signal, sel.ID)
}

func TestReload(t *testing.T) {
	member := func(group, name, section string, signal int, state model.State) model.Status {
		id := model.ID{Group: group, Name: name}
		return model.Status{ID: id, State: state, Program: &model.Program{ID: id, Section: section, Reload: signal}}
	}
	all := []model.Status{
		member("web", "web_0", "web", 0, model.Running), member("web", "web_1", "web", 0, model.Running), member("web", "web_2", "web", 0, model.Stopped),
		member("nginx", "nginx", "nginx", 1, model.Running), member("db", "db", "db", 0, model.Running),
	}
	for _, c := range []struct {
		name, fails string
		told        []string
		codes       string
	}{
		{name: "all is well", told: []string{"stop web:web_0", "start web:web_0", "stop web:web_1", "start web:web_1", "1 nginx"}, codes: "- - NOT_RUNNING - no_reload"},
		{name: "one does not come back", fails: "web_0", told: []string{"stop web:web_0", "start web:web_0", "1 nginx"}, codes: "SPAWN_ERROR reload_ended NOT_RUNNING - no_reload"},
		{name: "the last one does not", fails: "web_1", told: []string{"stop web:web_0", "start web:web_0", "stop web:web_1", "start web:web_1", "1 nginx"}, codes: "- SPAWN_ERROR NOT_RUNNING - no_reload"},
	} {
		f := &fleet{list: all, fails: c.fails}
		do := (&API{o: Options{Service: f}}).reload()
		var codes []string
		for i := range all {
			err := do(t.Context(), all[i].ID)
			var p *upkeep.Problem
			switch {
			case err == nil:
				codes = append(codes, "-")
			case errors.As(err, &p):
				codes = append(codes, p.Code)
			default:
				codes = append(codes, map[service.Code]string{service.CodeNotRunning: "NOT_RUNNING", service.CodeSpawnError: "SPAWN_ERROR"}[service.CodeOf(err)])
			}
		}
		if d := cmp.Diff(c.told, f.told); d != "" {
			t.Errorf("%s: told (-want +got):\n%s", c.name, d)
		}
		if got := strings.Join(codes, " "); got != c.codes {
			t.Errorf("%s: %s, want %s", c.name, got, c.codes)
		}
	}
}

// TestDisabledRunsOn: neither a reload nor a restart ends what could not be started again.
func TestDisabledRunsOn(t *testing.T) {
	f := &fleet{}
	for _, name := range []string{"web_0", "web_1"} {
		id := model.ID{Group: "web", Name: name}
		f.list = append(f.list, model.Status{ID: id, State: model.Running, Program: &model.Program{ID: id, Section: "web", Disabled: true}})
	}
	for _, action := range []string{"reload", "restart"} {
		do, err := (&API{o: Options{Service: f}}).verb(upkeep.Action{Action: action})
		if err != nil {
			t.Fatal(err)
		}
		if err := do(t.Context(), f.list[0].ID); service.CodeOf(err) != service.CodeDisabled || len(f.told) > 0 {
			t.Errorf("%s: %v, told %q", action, err, f.told)
		}
	}
}

// TestReloadHints: what nothing is known for is told how to be given something.
func TestReloadHints(t *testing.T) {
	id := model.ID{Group: "web", Name: "my web"}
	p := noReload(&model.Status{ID: id, Program: &model.Program{ID: id, Section: "web"}})
	want := []string{"upkeep set web reload_signal=HUP", "upkeep restart 'web:my web'"}
	var got []string
	for _, h := range p.Hints {
		got = append(got, h.Command)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
