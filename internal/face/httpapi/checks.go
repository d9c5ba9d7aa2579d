package httpapi

import (
	"context"
	"net/http"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
)

// health adds to a program what its checks have found out.
func health(v *upkeep.Process, list []model.CheckState) {
	v.Health, v.HealthText = service.HealthOf(list)
	if text := service.Condition(list); text != "" && v.State == model.Running.String() {
		v.Summary = text
	}
}

// healthy adds it to several.
func (a *API) healthy(ctx context.Context, list []model.Status, views []upkeep.Process) {
	found := a.o.Service.Checks(ctx, ids(list))
	for i := range views {
		health(&views[i], found[list[i].ID])
	}
}

// checks are the checks of a program's instance; none when it has no instance.
func (a *API) checks(w http.ResponseWriter, r *http.Request) error {
	st, err := a.one(r)
	if err != nil {
		return err
	}
	out := []upkeep.Check{}
	for _, k := range a.o.Service.Checks(r.Context(), []model.ID{st.ID})[st.ID] {
		out = append(out, check(&k))
	}
	return reply(w, http.StatusOK, upkeep.List(out))
}

// check is a check as clients see it.
func check(k *model.CheckState) upkeep.Check {
	v := upkeep.Check{
		Name: k.Check.Name, Kind: k.Check.Kind.String(), Stage: k.Check.Stage.String(), Definition: k.Check.String(),
		Verdict: k.Verdict.String(), Text: k.Text, Took: k.Took.Seconds(), Looks: k.Looks, Failed: k.Failed, Acted: k.Acted,
		Disabled: k.Disabled,
	}
	if k.Check.Stage == model.StageLive {
		v.Action = k.Check.Action.String()
	}
	if !k.At.IsZero() {
		v.Time = &k.At
	}
	return v
}
