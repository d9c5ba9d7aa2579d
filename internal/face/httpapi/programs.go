package httpapi

import (
	"io"
	"net/http"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/service"
)

// programs lists the sections that define programs, with their origins.
func (a *API) programs(w http.ResponseWriter, r *http.Request) error {
	list, err := a.o.Service.Configured(r.Context())
	if err != nil {
		return err
	}
	place := a.o.Service.Place()
	var out []upkeep.Definition
	seen := map[string]bool{}
	for _, c := range list {
		if name := c.Program.Section; !seen[name] {
			seen[name] = true
			out = append(out, upkeep.Definition{Name: name, Origin: origin(c.Program.Origin, place)})
		}
	}
	for _, m := range a.o.Service.Invalid() {
		out = append(out, upkeep.Definition{Origin: upkeep.Origin{File: m.File, Line: m.Line, Managed: true}, Invalid: m.Message})
	}
	return reply(w, http.StatusOK, upkeep.List(out))
}

func (a *API) program(w http.ResponseWriter, r *http.Request) error {
	d, err := a.o.Service.Definition(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return a.replyDefinition(w, http.StatusOK, d)
}

func (a *API) definition(d service.Definition) upkeep.Definition {
	v := upkeep.Definition{Name: d.Name, Origin: origin(d.Origin, a.o.Service.Place()), Text: string(d.Text), ETag: d.ETag}
	for _, x := range d.Values {
		v.Values = append(v.Values, upkeep.Value(x))
	}
	return v
}

func (a *API) replyDefinition(w http.ResponseWriter, status int, d service.Definition) error {
	if d.ETag != "" {
		w.Header().Set("ETag", `"`+d.ETag+`"`)
	}
	return reply(w, status, a.definition(d))
}

// putProgram stores the text of the request as a definition. If-None-Match: * wants a new one; If-Match: "…" replaces the
// text of that tag. The answer says what applying it would do.
func (a *API) putProgram(w http.ResponseWriter, r *http.Request) error {
	match := unquote(r.Header.Get("If-Match"))
	if r.Header.Get("If-None-Match") != "*" && match == "" {
		return &upkeep.Problem{
			Status: http.StatusPreconditionRequired, Code: "precondition_required",
			Title: "say what is replaced: If-Match with the tag of the text, or If-None-Match: *",
		}
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	d, steps, err := a.o.Service.Define(r.Context(), r.PathValue("name"), text, match)
	if err != nil {
		return err
	}
	out := upkeep.Edited{Name: d.Name, File: d.Origin.File, Steps: []upkeep.Step{}}
	for _, s := range steps {
		out.Steps = append(out.Steps, step(s))
	}
	w.Header().Set("ETag", `"`+d.ETag+`"`)
	return reply(w, http.StatusOK, out)
}

func unquote(tag string) string {
	if len(tag) >= 2 && tag[0] == '"' && tag[len(tag)-1] == '"' {
		return tag[1 : len(tag)-1]
	}
	return tag
}

// deleteProgram stops what a definition runs, and deletes it.
func (a *API) deleteProgram(w http.ResponseWriter, r *http.Request) error {
	patient(w)
	if err := a.o.Service.Forget(r.Context(), r.PathValue("name")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func step(s service.Step) upkeep.Step {
	v := upkeep.Step{ID: s.ID.String(), Action: s.Action.String(), Reason: s.Reason, Refused: s.Refused, Fields: []upkeep.Change{}}
	for _, f := range s.Fields {
		v.Fields = append(v.Fields, upkeep.Change{Key: f.Field, Old: f.Old, New: f.New, Effect: f.Effect.String()})
	}
	return v
}

func (a *API) plan(r *http.Request) (upkeep.Plan, error) {
	steps, err := a.o.Service.Plan(r.Context())
	p := upkeep.Plan{Steps: []upkeep.Step{}, Problems: []upkeep.Mistake{}}
	for _, s := range steps {
		p.Steps = append(p.Steps, step(s))
	}
	for _, m := range a.o.Service.Invalid() {
		p.Problems = append(p.Problems, mistake(m))
	}
	return p, err
}

// diff says what apply would do.
func (a *API) diff(w http.ResponseWriter, r *http.Request) error {
	p, err := a.plan(r)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, p)
}

// apply makes the configuration the running one, or that of the groups named: {"only": ["web"]}.
func (a *API) apply(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Only []string `json:"only"`
	}
	if err := body(r, &q); err != nil {
		return err
	}
	p, err := a.plan(r)
	if err != nil {
		return err
	}
	patient(w)
	done, err := a.o.Service.Apply(r.Context(), q.Only)
	if err != nil {
		return err
	}
	before := map[string]upkeep.Step{}
	for _, s := range p.Steps {
		before[s.ID] = s
	}
	p.Steps, p.Applied = []upkeep.Step{}, true
	for _, d := range done {
		s := before[d.ID.String()]
		s.ID, s.Action, s.Fields = d.ID.String(), d.Action.String(), some(s.Fields)
		if d.Err != nil {
			s.Error = a.explained(d.ID, d.Err)
		}
		p.Steps = append(p.Steps, s)
	}
	return reply(w, http.StatusOK, p)
}
