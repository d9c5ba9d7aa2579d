package httpapi

import (
	"net/http"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
)

// adopt takes a running process as the instance of a program.
func (a *API) adopt(w http.ResponseWriter, r *http.Request) error {
	var q upkeep.Adoption
	if err := body(r, &q); err != nil {
		return err
	}
	id, single := model.SplitNamespec(q.Program)
	if !single || q.PID < 0 || q.Port < 0 {
		return badRequest("one program, and the process that is meant, are required")
	}
	query := service.AdoptQuery{PID: q.PID, Port: q.Port, PIDFile: q.PIDFile, Title: q.Title, Command: q.Command}
	if q.StartTime != nil {
		query.Start = *q.StartTime
	}
	if query == (service.AdoptQuery{}) {
		return badRequest("one program, and the process that is meant, are required")
	}
	patient(w)
	st, err := a.o.Service.AdoptAs(r.Context(), id, query)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, a.views(r.Context(), []model.Status{st}, true)[0])
}

// adoptable lists processes that could be adopted.
func (a *API) adoptable(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	query := service.AdoptQuery{PIDFile: q.Get("pid_file"), Title: q.Get("title"), Command: q.Get("command")}
	var err error
	for _, n := range []struct {
		name string
		to   *int
	}{{"pid", &query.PID}, {"port", &query.Port}} {
		if *n.to, err = number(r, n.name, 0); err != nil {
			return err
		}
	}
	if query.Start, err = moment(r, "start_time"); err != nil {
		return err
	}
	if name := q.Get("program"); name != "" {
		var single bool
		if query.Program, single = model.SplitNamespec(name); !single {
			return badRequest("program is the name of one program")
		}
	}
	list, err := a.o.Service.Adoptable(r.Context(), query)
	if err != nil {
		return err
	}
	out := make([]upkeep.Adoptable, len(list))
	for i, p := range list {
		out[i] = upkeep.Adoptable{
			PID: p.PID, Parent: p.Parent, User: p.User, UID: p.UID, CPU: p.CPU, Memory: p.Memory, Listen: some(p.Listen), Args: some(p.Args),
			Directory: p.Dir, Name: p.Name, Ignores: some(p.Ignores),
		}
		if !p.Start.IsZero() {
			out[i].StartTime = &list[i].Start
		}
	}
	return reply(w, http.StatusOK, upkeep.List(out))
}
