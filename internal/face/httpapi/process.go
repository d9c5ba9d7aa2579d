package httpapi

import (
	"context"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
)

// processes lists the programs that the parameters select: select (several, see service.Select), state (several);
// figures=1 adds what they use, figures=few that of no more than a few programs; tree=1 adds the processes of each;
// fields names the members that are wanted.
func (a *API) processes(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	wanted, err := a.shape.only(q["fields"])
	if err != nil {
		return err
	}
	list, err := a.selected(r.Context(), q["select"], q["state"])
	if err != nil {
		return err
	}
	var used map[model.ID]service.Figures
	if set(r, "figures") && (q.Get("figures") != "few" || len(list) <= fewPrograms) {
		used = a.o.Service.Figures(r.Context(), ids(list))
	}
	var trees map[model.ID][]service.Branch
	if set(r, "tree") {
		trees = a.o.Service.Tree(r.Context(), ids(list))
	}
	found := a.o.Service.Checks(r.Context(), ids(list))
	place, now := a.o.Service.Place(), a.o.Now()
	var v upkeep.Process
	return replyEach(w, wanted, len(list), func(i int) *upkeep.Process {
		v = view(&list[i], place, now)
		if f, ok := used[list[i].ID]; ok {
			figures(&v, &f)
		}
		v.Tree = branches(trees[list[i].ID])
		health(&v, found[list[i].ID])
		return &v
	})
}

// fewPrograms is up to when figures are not worth a thought: of more, they take longer than all else.
const fewPrograms = 500

func ids(list []model.Status) []model.ID {
	out := make([]model.ID, len(list))
	for i := range list {
		out[i] = list[i].ID
	}
	return out
}

func figures(v *upkeep.Process, f *service.Figures) {
	v.CPU, v.Memory, v.Listen = &f.CPU, &f.Memory, f.Listen
	v.Usage, v.TreeUsage = usage(f.Own), usage(f.Tree)
}

// usage is what is used, as clients see it.
func usage(u *service.Usage) *upkeep.Usage {
	if u == nil {
		return nil
	}
	out := &upkeep.Usage{
		CPUUser: u.User.Seconds(), CPUSystem: u.System.Seconds(), Memory: u.Memory, Threads: u.Threads, Processes: u.Processes,
	}
	if u.Files >= 0 {
		out.Files = &u.Files
	}
	if u.Read >= 0 && u.Written >= 0 {
		out.Read, out.Written = &u.Read, &u.Written
	}
	return out
}

// branches are the processes of a program.
func branches(list []service.Branch) []upkeep.Branch {
	var out []upkeep.Branch
	for _, b := range list {
		out = append(out, upkeep.Branch{PID: b.PID, Parent: b.Parent, Command: b.Command, Ended: b.Ended, CPU: b.CPU, Memory: b.Memory})
	}
	return out
}

// selected are the programs that selectors stand for; without any, all.
func (a *API) selected(ctx context.Context, selectors, states []string) ([]model.Status, error) {
	all, err := a.o.Service.List(ctx)
	if err != nil {
		return nil, err
	}
	found, missing := all, []string(nil)
	if len(selectors) > 0 {
		found, missing = service.Select(all, selectors)
	}
	if len(missing) > 0 {
		return nil, a.unknown(missing, all)
	}
	if len(states) == 0 {
		return found, nil
	}
	want := map[string]bool{}
	for _, text := range states {
		for _, s := range strings.Split(text, ",") {
			s = strings.ToUpper(s)
			if names := stateNames(); !slices.Contains(names, s) {
				return nil, slip("state", s, names)
			}
			want[s] = true
		}
	}
	return slices.DeleteFunc(found, func(st model.Status) bool { return !want[st.State.String()] }), nil
}

// stateNames are the names of all states.
func stateNames() []string {
	var names []string
	for s := model.Stopped; s <= model.Unknown; s++ {
		names = append(names, s.String())
	}
	return names
}

// unknown is the error for names that nothing has.
func (a *API) unknown(names []string, all []model.Status) error {
	var known []string
	for i := range all {
		known = append(known, all[i].ID.String())
	}
	p := &upkeep.Problem{Status: http.StatusNotFound, Code: "not_found"}
	for _, name := range names {
		text := "no program named " + words.Quote(name) + "."
		if several := service.Named(all, name); len(several) > 1 {
			text = "several programs are named " + words.Quote(name) + ":"
			for _, st := range several {
				text += " " + st.ID.String()
			}
			text += "."
		} else if close := words.Close(name, known, 3); len(close) > 0 {
			text += " Close: " + strings.Join(close, ", ") + "."
		}
		if p.Title != "" {
			p.Title += " "
		}
		p.Title += text
	}
	if len(known) > 0 {
		p.Hints = []upkeep.Hint{{Text: "All names:", Command: "upkeep status -q"}}
	}
	return p
}

// one finds the program that a request is about.
func (a *API) one(r *http.Request) (model.Status, error) {
	name := r.PathValue("id")
	id, single := model.SplitNamespec(name)
	if single {
		st, err := a.o.Service.Get(r.Context(), id)
		if service.CodeOf(err) != service.CodeNoSuchProgram {
			return st, err
		}
	}
	all, err := a.o.Service.List(r.Context())
	if err != nil {
		return model.Status{}, err
	}
	if found := service.Named(all, name); len(found) == 1 {
		return found[0], nil
	}
	return model.Status{}, a.unknown([]string{name}, all)
}

func (a *API) process(w http.ResponseWriter, r *http.Request) error {
	st, err := a.one(r)
	if err != nil {
		return err
	}
	v := a.views(r.Context(), []model.Status{st}, true)[0]
	if r.URL.Query().Get("reveal") == "1" {
		if v.Surroundings, err = a.reveal(r, st.Program); err != nil {
			return err
		}
	}
	return reply(w, http.StatusOK, v)
}

// reveal tells the surroundings in which a program is executed, to the user of the instance and to root alone: values of
// variables are secrets.
func (a *API) reveal(r *http.Request, p *model.Program) (*upkeep.Surroundings, error) {
	uid, known := a.peer(r)
	if a.o.Environ == nil || !known || uid != 0 && uid != a.o.Service.Place().UID {
		return nil, &upkeep.Problem{
			Status: http.StatusForbidden, Code: "forbidden", Title: "only the user of this instance and root may see the values of variables",
		}
	}
	s := &upkeep.Surroundings{Dir: p.Command.Dir, Env: a.o.Environ(p)}
	if p.Command.UID >= 0 {
		s.UID = &p.Command.UID
	}
	if p.Command.Umask >= 0 {
		s.Umask = &p.Command.Umask
	}
	return s, nil
}

// views are statuses as clients see them.
func (a *API) views(ctx context.Context, list []model.Status, withFigures bool) []upkeep.Process {
	place, now := a.o.Service.Place(), a.o.Now()
	out := make([]upkeep.Process, len(list))
	for i := range list {
		out[i] = view(&list[i], place, now)
	}
	a.healthy(ctx, list, out)
	if !withFigures {
		return out
	}
	used := a.o.Service.Figures(ctx, ids(list))
	for i := range out {
		if f, ok := used[list[i].ID]; ok {
			figures(&out[i], &f)
		}
	}
	return out
}

// view is a status as clients see it.
func view(st *model.Status, place service.Place, now time.Time) upkeep.Process {
	p := st.Program
	v := upkeep.Process{
		ID: st.ID.String(), Group: st.ID.Group, Name: st.ID.Name, Program: p.Section,
		State: st.State.String(), StateCode: st.State.Code(), Run: st.Generation, Tries: st.Tries, Retries: retries(p),
		Boot: p.Start.Auto && !p.Disabled, Adopted: st.PID != 0 && st.Past.Adopted, Command: p.Command.Line, Dir: p.Command.Dir, Stdout: st.StdoutLog, Stderr: st.StderrLog,
		Origin: origin(p.Origin, place), Summary: summary(st, now), Listen: []string{},
	}
	if p.Reload != 0 {
		v.Reload = strings.TrimPrefix(units.SignalName(p.Reload), "SIG")
	}
	if st.PID != 0 {
		v.PID = &st.PID
	}
	since := st.Start
	if st.PID == 0 && st.Stop.After(since) {
		since = st.Stop
	}
	if !since.IsZero() {
		v.Since = &since
	}
	if t := model.NextTry(*st); !t.IsZero() {
		v.NextTry = &t
	}
	if ended(st) {
		v.LastExit = exit(st)
	}
	return v
}

// retries is the number of further attempts, -1 when they never end.
func retries(p *model.Program) int {
	if p.Start.Retries == model.Endless {
		return -1
	}
	return p.Start.Retries
}

// ended reports whether the last attempt was a process that has ended.
func ended(st *model.Status) bool {
	return st.PID == 0 && st.Past.Released == 0 && !st.Stop.IsZero() && !st.Stop.Before(st.Start)
}

func exit(st *model.Status) *upkeep.Exit {
	e := &upkeep.Exit{After: max(0, st.Stop.Sub(st.Start)).Seconds(), Expected: st.Program.Exit.Expected(st.Exit.Code()), Core: st.Exit.Core}
	switch {
	case !st.Exit.Known:
		e.Unknown = st.Exit.Reason
		if e.Unknown == "" {
			e.Unknown = "nobody could tell"
		}
	case st.Exit.Signal != 0:
		name := units.SignalName(st.Exit.Signal)
		e.Signal = &name
	default:
		e.Code = &st.Exit.Status
	}
	return e
}

func origin(o model.Origin, place service.Place) upkeep.Origin {
	return upkeep.Origin{File: o.File, Line: o.Line, Managed: place.Programs != "" && filepath.Dir(o.File) == place.Programs}
}

// summary is what is remarkable about a program, in a few words; empty when nothing is.
func summary(st *model.Status, now time.Time) string {
	how := ""
	if ended(st) {
		how = end(st).Short()
		if st.Exit.OOMKills > 0 {
			how += " for lack of memory"
		}
	}
	after := ""
	if how != "" {
		after = how + " after " + words.Duration(st.Stop.Sub(st.Start))
	}
	switch st.State {
	case model.Backoff:
		text := after
		if text == "" {
			text = st.SpawnErr
		}
		next := "about to be tried again"
		if wait := model.NextTry(*st).Sub(now); wait > 0 {
			next = "next try " + words.Duration(wait)
		}
		if text == "" {
			return next
		}
		return text + ", " + next
	case model.Fatal:
		if how == "" {
			return st.SpawnErr
		}
		if st.Tries == 0 {
			return after + ", gave up"
		}
		return after + ", gave up after " + words.Count(st.Tries, "try", "tries")
	case model.Exited:
		if how != "" {
			return how + ", " + words.Duration(now.Sub(st.Stop)) + " ago"
		}
	case model.Stopped:
		if st.Program.Disabled {
			return "disabled"
		}
		if st.Start.IsZero() || st.Stop.IsZero() {
			return "not started"
		}
		ago := words.Duration(now.Sub(st.Stop)) + " ago"
		if st.Past.Released != 0 {
			return "let go of " + ago
		}
		if by := st.Past.StopBy; by != "" {
			return "by " + by + ", " + ago
		}
		return ago
	case model.Starting:
		if st.Waiting != "" {
			return "waiting for " + st.Waiting
		}
		if st.PID != 0 && st.Program.Staged(model.StageStartup) {
			return "startup checks have not passed"
		}
	case model.Running:
		if !st.Ready && st.Program.Staged(model.StageReady) {
			return "not ready"
		}
		if st.Past.Adopted {
			return "adopted"
		}
		return restarts(st)
	case model.Stopping:
		return "asked to end"
	}
	return ""
}

// restarts says that a program has been started anew by itself, and how the instance before this one ended.
func restarts(st *model.Status) string {
	n := st.Past.Restarts
	if n == 0 {
		return ""
	}
	text := words.Count(n, "restart", "restarts")
	if st.Past.Ended != 0 && st.Past.Ended+1 == st.Generation {
		text += ", last: " + end(st).Short()
	}
	return text
}

// end is how the last instance that has ended did so.
func end(st *model.Status) words.End {
	e := st.Exit
	return words.End{Known: e.Known, Code: e.Status, Signal: e.Signal, Core: e.Core, Reason: e.Reason}
}

func (a *API) why(w http.ResponseWriter, r *http.Request) error {
	st, err := a.one(r)
	if err != nil {
		return err
	}
	x, err := a.o.Service.Why(r.Context(), st.ID)
	if err != nil {
		return err
	}
	out := explanation(&st, x)
	all, _, err := a.o.Service.Events(r.Context(), 0, 0)
	if err != nil {
		return err
	}
	for i := len(all) - 1; i >= 0 && len(out.Timeline) < timeline; i-- {
		if e := event(&all[i]); all[i].ID == st.ID && e != nil {
			out.Timeline = append(out.Timeline, *e)
		}
	}
	slices.Reverse(out.Timeline)
	return reply(w, http.StatusOK, out)
}

// timeline is how many events go with an explanation.
const timeline = 8

func explanation(st *model.Status, x service.Explanation) upkeep.Explanation {
	out := upkeep.Explanation{
		ID: st.ID.String(), State: st.State.String(), Headline: x.Headline, Cause: x.Cause, Failed: x.Failed,
		Facts: some(x.Facts), Checked: some(x.Checked), Evidence: []upkeep.Evidence{}, Hints: []upkeep.Hint{}, Timeline: []upkeep.Event{},
	}
	for _, e := range x.Evidence {
		out.Evidence = append(out.Evidence, upkeep.Evidence(e))
	}
	for _, h := range x.Hints {
		out.Hints = append(out.Hints, upkeep.Hint(h))
	}
	return out
}

// some is a list that is never null in JSON.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
