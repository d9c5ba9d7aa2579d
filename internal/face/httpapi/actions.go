package httpapi

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
)

const (
	// keepOperations is how many ended operations are kept, maxOperations how many may be under way.
	keepOperations, maxOperations = 200, 1000
	// longestWait is how long a request may wait for its operation, in seconds.
	longestWait = 3600
	// manyResults is from when on the results of an operation come without what the programs use.
	manyResults = 64
)

// operation is an order under way or done.
type operation struct {
	done chan struct{} // closed when it has ended

	mu sync.Mutex
	v  upkeep.Operation
}

func (o *operation) view() upkeep.Operation {
	o.mu.Lock()
	defer o.mu.Unlock()
	v := o.v
	v.Results = slices.Clone(v.Results)
	return v
}

// act orders something for the program of the path.
func (a *API) act(what string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		order := upkeep.Action{Action: what}
		if err := body(r, &order); err != nil {
			return err
		}
		if order.Action != what || len(order.Select) > 0 || len(order.States) > 0 {
			return badRequest("what to do, and to which program, is said by the path alone")
		}
		st, err := a.one(r)
		if err != nil {
			return err
		}
		return a.order(w, r, order, []model.Status{st}, true)
	}
}

// actions orders something for several programs.
func (a *API) actions(w http.ResponseWriter, r *http.Request) error {
	var order upkeep.Action
	if err := body(r, &order); err != nil {
		return err
	}
	if len(order.Select) == 0 {
		return badRequest("nothing is selected; \"all\" stands for every program")
	}
	list, err := a.selected(r.Context(), order.Select, order.States)
	if err != nil {
		return err
	}
	return a.order(w, r, order, startable(order, list), false)
}

// startable leaves out what is disabled and not meant by its name, where something is to be started; all of it stays where
// nothing else is left.
func startable(order upkeep.Action, list []model.Status) []model.Status {
	if order.Action != "start" && order.Action != "restart" {
		return list
	}
	var out []model.Status
	for i := range list {
		st := &list[i]
		if !st.Program.Disabled || slices.Contains(order.Select, st.ID.String()) || slices.Contains(order.Select, st.ID.Name) {
			out = append(out, *st)
		}
	}
	if len(out) == 0 {
		return list
	}
	return out
}

// order carries out an order. With ?wait= the answer comes when it is done, or after so many seconds; else at once.
func (a *API) order(w http.ResponseWriter, r *http.Request, order upkeep.Action, list []model.Status, single bool) error {
	verb, err := a.verb(order)
	if err != nil {
		return err
	}
	wait, err := number(r, "wait", 0)
	if err != nil {
		return err
	}
	o := &operation{done: make(chan struct{}), v: upkeep.Operation{
		ID: "op_" + strings.ToLower(rand.Text()), Action: order.Action, State: "running", Began: a.o.Now(), By: a.Caller(r),
		Results: make([]upkeep.Result, len(list)),
	}}
	if err := a.keep(o); err != nil {
		return err
	}
	a.work.Go(func() { a.run(o, verb, list) })
	at := "/v1/operations/" + o.v.ID
	w.Header().Set("Location", at)
	if err := o.wait(w, r, wait); err != nil {
		return err // what was ordered goes on
	}
	v := o.view()
	if v.State == "running" {
		return reply(w, http.StatusAccepted, v)
	}
	if single && v.Results[0].Error != nil {
		p := *v.Results[0].Error
		p.Instance = at
		return &p
	}
	return reply(w, http.StatusOK, v)
}

// wait waits so many seconds for the end of an operation.
func (o *operation) wait(w http.ResponseWriter, r *http.Request, seconds int) error {
	if seconds == 0 {
		return nil
	}
	patient(w)
	t := time.NewTimer(time.Duration(min(seconds, longestWait)) * time.Second)
	defer t.Stop()
	select {
	case <-o.done:
	case <-t.C:
	case <-r.Context().Done():
		return r.Context().Err()
	}
	return nil
}

// keep remembers an operation, and forgets old ones.
func (a *API) keep(o *operation) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.ops)-len(a.old) >= maxOperations {
		return &upkeep.Problem{Status: http.StatusTooManyRequests, Code: "rate_limited", Title: "too many orders are under way"}
	}
	a.ops[o.v.ID] = o
	return nil
}

// ended notes that an operation has ended.
func (a *API) ended(o *operation) {
	close(o.done)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.old = append(a.old, o.v.ID)
	if len(a.old) > keepOperations {
		delete(a.ops, a.old[0])
		a.old = a.old[1:]
	}
}

// verb does something to one program.
type verb func(ctx context.Context, id model.ID) error

// verb is what an order does.
func (a *API) verb(order upkeep.Action) (verb, error) {
	s := a.o.Service
	start := func(ctx context.Context, id model.ID) error {
		return only(s.Start(ctx, service.One(id), service.WaitOutcome))
	}
	stop := func(ctx context.Context, id model.ID) error {
		if order.Now {
			_, err := s.Stop(ctx, service.One(id), service.NoWait)
			if service.CodeOf(err) != 0 {
				return err
			}
			_, _ = s.Signal(ctx, service.One(id), "KILL") // it may be gone by now
			return a.untilDown(ctx, id)
		}
		return only(s.Stop(ctx, service.One(id), service.WaitOutcome))
	}
	switch order.Action {
	case "start":
		return start, nil
	case "stop":
		return stop, nil
	case "restart":
		return func(ctx context.Context, id model.ID) error {
			if err := service.Restartable(ctx, s, id); err != nil {
				return err
			}
			if err := stop(ctx, id); err != nil && service.CodeOf(err) != service.CodeNotRunning {
				return err
			}
			return start(ctx, id)
		}, nil
	case "reload":
		return a.reload(), nil
	case "signal":
		if order.Signal == "" {
			return nil, badRequest("no signal is given")
		}
		return func(ctx context.Context, id model.ID) error {
			return only(s.Signal(ctx, service.One(id), order.Signal))
		}, nil
	case "release":
		return func(ctx context.Context, id model.ID) error { return only(s.Release(ctx, service.One(id))) }, nil
	case "clear":
		return func(ctx context.Context, id model.ID) error { return only(s.ClearLogs(ctx, service.One(id))) }, nil
	}
	return nil, badRequest(fmt.Sprintf("there is no action %q: start, stop, restart, reload, signal, release, clear", order.Action))
}

// untilDown waits until a program is down.
func (a *API) untilDown(ctx context.Context, id model.ID) error {
	for {
		at := a.o.Service.LastEvent()
		st, err := a.o.Service.Get(ctx, id)
		if err != nil || st.State.Down() {
			return err
		}
		if err := a.o.Service.WaitEvent(ctx, at); err != nil {
			return err
		}
	}
}

// only is the outcome for a single program.
func only(results []service.Result, err error) error {
	if err == nil && len(results) == 1 {
		err = results[0].Err
	}
	return err
}

// run carries out an operation: programs of one priority together, the lower ones first, as they are to be started; in the
// reverse order to be stopped; one after the other to be reloaded.
func (a *API) run(o *operation, do verb, list []model.Status) {
	defer a.ended(o)
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	sign := 1
	if o.v.Action == "stop" {
		sign = -1
	}
	slices.SortStableFunc(order, func(x, y int) int { return sign * (list[x].Program.Priority - list[y].Program.Priority) })
	for len(order) > 0 {
		n := 1
		for o.v.Action != "reload" && n < len(order) && list[order[n]].Program.Priority == list[order[0]].Program.Priority {
			n++
		}
		var group sync.WaitGroup
		for _, i := range order[:n] {
			group.Go(func() { a.runOne(o, do, i, list[i].ID) })
		}
		group.Wait()
		order = order[n:]
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.v.State = "done"
	for i := range o.v.Results {
		if o.v.Results[i].Error != nil {
			o.v.State = "failed"
		}
	}
}

func (a *API) runOne(o *operation, do verb, i int, id model.ID) {
	began := a.o.Now()
	err := do(model.WithActor(a.ctx, o.v.By), id)
	res := upkeep.Result{ID: id.String(), Done: true, Took: a.o.Now().Sub(began).Seconds()}
	if st, gerr := a.o.Service.Get(a.ctx, id); gerr == nil {
		v := a.views(a.ctx, []model.Status{st}, len(o.v.Results) <= manyResults)[0]
		res.Process = &v
	}
	if err != nil {
		res.Error = a.explained(id, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.v.Results[i] = res
}

// explained is the problem of a failed order, with what is known of its cause.
func (a *API) explained(id model.ID, err error) *upkeep.Problem {
	p := problem(err)
	p.Process = id.String()
	switch service.CodeOf(err) {
	case service.CodeAbnormalTermination, service.CodeSpawnError, service.CodeNoFile, service.CodeNotExecutable:
	default:
		return p
	}
	x, werr := a.o.Service.Why(a.ctx, id)
	if werr != nil {
		return p
	}
	p.Title = id.String() + " cannot be started"
	if st, gerr := a.o.Service.Get(a.ctx, id); gerr == nil && ended(&st) {
		p.Title = id.String() + " does not stay up"
		p.Type, p.Code = problemBase+"start_failed", "start_failed"
	}
	p.Detail, p.Checked = x.Headline, x.Checked
	for _, f := range x.Facts {
		p.Evidence = append(p.Evidence, upkeep.Evidence{Kind: "fact", Lines: []string{f}})
	}
	for _, e := range x.Evidence {
		p.Evidence = append(p.Evidence, upkeep.Evidence(e))
	}
	for _, h := range x.Hints {
		p.Hints = append(p.Hints, upkeep.Hint(h))
	}
	return p
}

func (a *API) operations(w http.ResponseWriter, _ *http.Request) error {
	a.mu.Lock()
	var ops []*operation
	for _, o := range a.ops {
		ops = append(ops, o)
	}
	a.mu.Unlock()
	list := make([]upkeep.Operation, len(ops))
	for i, o := range ops {
		list[i] = o.view()
	}
	slices.SortFunc(list, func(x, y upkeep.Operation) int { return x.Began.Compare(y.Began) })
	return reply(w, http.StatusOK, upkeep.List(list))
}

func (a *API) operation(w http.ResponseWriter, r *http.Request) error {
	a.mu.Lock()
	o := a.ops[r.PathValue("id")]
	a.mu.Unlock()
	if o == nil {
		return &upkeep.Problem{Status: http.StatusNotFound, Code: "not_found", Title: "no such operation"}
	}
	wait, err := number(r, "wait", 0)
	if err != nil {
		return err
	}
	if err := o.wait(w, r, wait); err != nil {
		return err
	}
	return reply(w, http.StatusOK, o.view())
}

// stdin writes the body of the request to the program's standard input.
func (a *API) stdin(w http.ResponseWriter, r *http.Request) error {
	st, err := a.one(r)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if err := a.o.Service.WriteStdin(r.Context(), st.ID, data); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
