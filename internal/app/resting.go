package app

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/conf/managed"
	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/definitions"
	"github.com/upkeep-project/upkeep/internal/service"
)

// Resting is a native instance that does not run: what its programs are can be seen and edited, by the same rules and with
// the same refusals (*upkeep.Problem) as in one that runs. Its methods are those of the client of a running one.
type Resting struct {
	conf  *supervisord.Config
	env   supervisord.Environ
	judge definitions.Judge
	store *definitions.Store
}

// Rest makes a Resting of the configuration of a native instance. Programs would inherit environ.
func Rest(c *supervisord.Config, env supervisord.Environ, environ []string) *Resting {
	judge := definitions.Judge{In: managed.Surroundings{Environ: env, Shared: c.Shared}, Environ: environ}
	return &Resting{conf: c, env: env, judge: judge, store: definitions.New(c.Native.Programs, judge.Problems)}
}

// Mistakes are what is wrong with the files of definitions: what cannot be read, and what could not be started.
func (r *Resting) Mistakes() ([]upkeep.Mistake, error) {
	var out []upkeep.Mistake
	bad := map[string]bool{}
	for _, in := range r.conf.Invalid {
		bad[in.File] = true
		for _, e := range in.Problems {
			out = append(out, upkeep.Mistake{File: in.File, Line: e.Line, Key: e.Key, Message: e.Text, Suggestion: e.Suggestion})
		}
	}
	list, err := r.store.List()
	for i := range list {
		d := &list[i]
		switch {
		case bad[d.Path]:
		case d.Err != nil:
			out = append(out, upkeep.Mistake{File: d.Path, Message: d.Err.Error()})
		default:
			out = append(out, mistakes(r.judge.Problems(d.Path, d.Text))...)
		}
	}
	return out, err
}

// Judge is what one definition makes: the part of a configuration with what was said about it, and what is wrong with it.
func (r *Resting) Judge(file string, text []byte) (*supervisord.Config, []upkeep.Mistake) {
	groups, messages, _ := r.conf.Shared.ReadProgramFile(file, text, r.env) // its problems are among those of the judge
	c := &supervisord.Config{Files: []string{file}, Model: &model.Config{Groups: groups}, Messages: messages}
	return c, mistakes(r.judge.Problems(file, string(text)))
}

func mistakes(problems []managed.Problem) []upkeep.Mistake {
	var out []upkeep.Mistake
	for _, m := range problems {
		out = append(out, upkeep.Mistake{File: m.File, Line: m.Line, Key: m.Key, Message: m.Message, Suggestion: m.Suggestion})
	}
	return out
}

// Config is the configuration as it was read.
func (r *Resting) Config() *supervisord.Config { return r.conf }

// Values are those in force of a program; with reveal, values of environment variables are in them.
func (r *Resting) Values(p *model.Program, reveal bool) ([]supervisord.Value, error) {
	return supervisord.EffectiveNative(*r.conf.Native, r.env, p, reveal)
}

// Close does nothing.
func (r *Resting) Close() {}

// Processes are the programs that would be there: all of them stopped.
func (r *Resting) Processes(_ context.Context, f upkeep.Filter) ([]upkeep.Process, error) {
	var all []model.Status
	for _, g := range r.conf.Model.Groups {
		for _, p := range g.Programs {
			all = append(all, model.Status{ID: p.ID, Program: p})
		}
	}
	selectors := f.Select
	if len(selectors) == 0 {
		selectors = []string{service.SelectAll}
	}
	found, missing := service.Select(all, selectors)
	if len(missing) > 0 && !slices.Equal(selectors, []string{service.SelectAll}) {
		return nil, absentProgram(missing[0])
	}
	slices.SortStableFunc(found, func(a, b model.Status) int {
		return cmp.Or(cmp.Compare(a.ID.Group, b.ID.Group), cmp.Compare(a.ID.Name, b.ID.Name))
	})
	var out []upkeep.Process
	for i := range found {
		p := found[i].Program
		out = append(out, upkeep.Process{
			ID: p.ID.String(), Group: p.ID.Group, Name: p.ID.Name, Program: p.Section, State: model.Stopped.String(),
			Boot: p.Start.Auto, Command: p.Command.Line, Dir: p.Command.Dir, Origin: r.origin(p.Origin),
			Stdout: p.IO.Stdout.Path, Stderr: p.IO.Stderr.Path,
		})
	}
	return out, nil
}

func (r *Resting) origin(o model.Origin) upkeep.Origin {
	in := slices.ContainsFunc(r.conf.Invalid, func(v supervisord.Invalid) bool { return v.File == o.File })
	return upkeep.Origin{File: o.File, Line: o.Line, Managed: in || filepath.Dir(o.File) == r.conf.Native.Programs}
}

// Program is one definition.
func (r *Resting) Program(_ context.Context, name string) (upkeep.Definition, error) {
	d, err := r.store.Read(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return upkeep.Definition{}, refused(name, err)
	}
	out := upkeep.Definition{Name: name, Text: d.Text, ETag: d.ETag, Origin: upkeep.Origin{File: d.Path, Line: 1, Managed: true}}
	p := r.program(name)
	if p == nil && err != nil {
		return upkeep.Definition{}, absentProgram(name)
	}
	if p == nil {
		return out, nil
	}
	out.Origin = r.origin(p.Origin)
	values, err := r.Values(p, false)
	for i := range values {
		out.Values = append(out.Values, upkeep.Value{Key: values[i].Key, Value: values[i].Text, Source: values[i].Source()})
	}
	return out, err
}

// program is the program of a section, or of that name; nil when there is none.
func (r *Resting) program(name string) *model.Program {
	id, _ := model.SplitNamespec(name)
	for _, g := range r.conf.Model.Groups {
		for _, p := range g.Programs {
			if p.Section == name || p.ID == id || p.ID.Name == name {
				return p
			}
		}
	}
	return nil
}

// mine fails when a file of the user's own defines a name.
func (r *Resting) mine(name string) error {
	if p := r.program(name); p != nil && !r.origin(p.Origin).Managed {
		return &upkeep.Problem{
			Status: 409, Code: "not_managed", Title: "not a managed definition",
			Detail: name + " is defined in a file of yours: " + p.Origin.File + ":" + strconv.Itoa(p.Origin.Line),
		}
	}
	return nil
}

// Define stores the text of a managed definition; see upkeep.Client.
func (r *Resting) Define(_ context.Context, name string, text []byte, etag string) (upkeep.Edited, error) {
	if err := r.mine(name); err != nil {
		return upkeep.Edited{}, err
	}
	d, err := r.store.Write(name, string(text), definitions.Condition{IfMatch: etag, Absent: etag == ""})
	if err != nil {
		return upkeep.Edited{}, refused(name, err)
	}
	return upkeep.Edited{Name: name, File: d.Path, Steps: []upkeep.Step{}}, nil
}

// Forget deletes a managed definition.
func (r *Resting) Forget(_ context.Context, name string) error {
	if err := r.mine(name); err != nil {
		return err
	}
	if err := r.store.Remove(name, definitions.Condition{}); err != nil {
		return refused(name, err)
	}
	return nil
}

// Diff is empty: nothing runs.
func (r *Resting) Diff(context.Context) (upkeep.Plan, error) { return upkeep.Plan{}, nil }

// Apply does nothing: nothing runs.
func (r *Resting) Apply(context.Context, ...string) (upkeep.Plan, error) { return upkeep.Plan{}, nil }

func absentProgram(name string) error {
	return &upkeep.Problem{Status: 404, Code: "not_found", Title: "no program named " + strconv.Quote(name) + "."}
}

// refused is an error of the store as a running instance answers it.
func refused(name string, err error) error {
	var conflict *definitions.ConflictError
	var exists *definitions.ExistsError
	var missing *definitions.NotFoundError
	var bad *definitions.NameError
	var invalid *definitions.InvalidError
	switch {
	case errors.As(err, &conflict):
		return &upkeep.Problem{Status: 412, Code: "precondition_failed", Title: "changed meanwhile", Detail: err.Error()}
	case errors.As(err, &exists):
		return &upkeep.Problem{Status: 409, Code: "name_taken", Title: "already added", Detail: err.Error()}
	case errors.As(err, &missing):
		return absentProgram(name)
	case errors.As(err, &bad):
		return &upkeep.Problem{Status: 400, Code: "bad_request", Title: "bad arguments", Detail: err.Error()}
	case errors.As(err, &invalid):
		return &upkeep.Problem{Status: 422, Code: "invalid_config", Title: "invalid definition", Errors: mistakes(invalid.Problems)}
	}
	return err
}
