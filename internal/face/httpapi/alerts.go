package httpapi

import (
	"net/http"

	"github.com/upkeep-project/upkeep/client/upkeep"
)

// notifiers lists who is told of what.
func (a *API) notifiers(w http.ResponseWriter, r *http.Request) error {
	list, err := a.o.Service.Notifiers(r.Context())
	if err != nil {
		return err
	}
	out := make([]upkeep.Notifier, len(list))
	for i, n := range list {
		v := upkeep.Notifier{
			Name: n.Name, To: some(n.To), Via: n.Via, On: []string{}, Groups: some(n.Groups),
			Sent: n.Sent, Failed: n.Failed, Waiting: n.Waiting, LastError: n.LastError,
		}
		for _, t := range n.On {
			v.On = append(v.On, t.String())
		}
		if !n.LastTime.IsZero() {
			v.LastTime = &list[i].LastTime
		}
		out[i] = v
	}
	return reply(w, http.StatusOK, upkeep.List(out))
}

// testNotifier sends a test; what becomes of it is the answer.
func (a *API) testNotifier(w http.ResponseWriter, r *http.Request) error {
	patient(w)
	list, err := a.o.Service.TestNotifier(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	out := make([]upkeep.Delivery, len(list))
	for i, d := range list {
		out[i] = upkeep.Delivery{To: d.To, Error: d.Error, Transcript: some(d.Transcript)}
	}
	return reply(w, http.StatusOK, upkeep.List(out))
}
