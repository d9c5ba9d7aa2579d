package httpapi

import (
	"context"
	"net/http"
	"strconv"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
)

// section names a section of a group: what defines several processes alike.
type section struct{ group, name string }

func sectionOf(st *model.Status) section { return section{st.ID.Group, st.Program.Section} }

// reload has programs take over what has changed outside of their definitions: by the signal that they have for it, else,
// where a section has several processes, by a restart of one after the other, so that there are always some that serve. One
// that does not come back ends that for its section. It is called for one program at a time. Source: interfaces 2.2.
func (a *API) reload() verb {
	stuck := map[section]model.ID{}
	return func(ctx context.Context, id model.ID) error {
		st, err := a.o.Service.Get(ctx, id)
		if err != nil {
			return err
		}
		if st.Program.Reload != 0 {
			return only(a.o.Service.Signal(ctx, service.One(id), strconv.Itoa(st.Program.Reload)))
		}
		of := sectionOf(&st)
		switch several, err := a.several(ctx, of); {
		case err != nil:
			return err
		case !several:
			return noReload(&st)
		case !st.State.Up():
			return &service.Error{Code: service.CodeNotRunning, Text: id.String()}
		case st.Program.Disabled: // it could not be started again
			return &service.Error{Code: service.CodeDisabled, Text: id.String()}
		}
		if first, ok := stuck[of]; ok {
			return &upkeep.Problem{
				Status: http.StatusConflict, Code: "reload_ended",
				Title: id.String() + " runs on as it was, since " + first.String() + " has not come back",
			}
		}
		err = only(a.o.Service.Stop(ctx, service.One(id), service.WaitOutcome))
		if err == nil || service.CodeOf(err) == service.CodeNotRunning {
			err = only(a.o.Service.Start(ctx, service.One(id), service.WaitOutcome))
		}
		if err != nil {
			stuck[of] = id
		}
		return err
	}
}

// several reports whether a section has more than one process.
func (a *API) several(ctx context.Context, of section) (bool, error) {
	list, err := a.o.Service.List(ctx)
	n := 0
	for i := range list {
		if sectionOf(&list[i]) == of {
			n++
		}
	}
	return n > 1, err
}

// noReload is the problem of a program that nothing is known for but a restart.
func noReload(st *model.Status) *upkeep.Problem {
	hup, _ := units.Signal("HUP") // every system has it, or it is no advice there
	p := &upkeep.Problem{
		Status: http.StatusConflict, Code: "no_reload",
		Title: st.ID.String() + " cannot be told to reload: it has no reload_signal",
	}
	if hup != 0 {
		p.Hints = append(p.Hints, upkeep.Hint{
			Text: "If a signal has it read its configuration anew:", Command: "upkeep set " + words.Quote(st.Program.Section) + " reload_signal=HUP",
		})
	}
	p.Hints = append(p.Hints, upkeep.Hint{Text: "Otherwise:", Command: "upkeep restart " + words.Quote(st.ID.String())})
	return p
}
