package httpapi

import (
	"net/http"
	"os"

	"github.com/upkeep-project/upkeep/client/upkeep"
)

func (a *API) system(w http.ResponseWriter, _ *http.Request) error {
	info, place := a.o.Service.Info(), a.o.Service.Place()
	host, _ := os.Hostname() // empty says that nobody knows
	s := upkeep.System{
		Version: info.Version, PID: info.PID, Manager: info.Manager, UID: place.UID, Host: host, State: info.State.String(),
		Native: place.Native, Passive: place.Passive, Config: place.Config, Programs: place.Programs, Log: place.Log, RolledBack: info.RolledBack,
		Invalid: []string{}, LastEvent: a.o.Service.LastEvent(), Environment: place.Path, ServerURL: place.URL,
	}
	for _, m := range a.o.Service.Invalid() {
		if n := len(s.Invalid); n == 0 || s.Invalid[n-1] != m.File {
			s.Invalid = append(s.Invalid, m.File)
		}
	}
	return reply(w, http.StatusOK, s)
}

func (a *API) whoami(w http.ResponseWriter, r *http.Request) error {
	who := upkeep.Who{UID: -1, User: a.Caller(r), Transport: "unix", Role: "admin"}
	if uid, ok := a.peer(r); ok {
		who.UID = uid
	}
	return reply(w, http.StatusOK, who)
}

func (a *API) describe(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(openAPI)
	return nil
}

func (a *API) stopDaemon(w http.ResponseWriter, r *http.Request) error {
	if err := a.o.Service.Shutdown(r.Context()); err != nil {
		return err
	}
	return reply(w, http.StatusAccepted, struct{}{})
}

// orderDaemon is an order for the daemon as a whole.
func (a *API) orderDaemon(order string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, _ *http.Request) error {
		if err := a.o.Daemon(order); err != nil {
			return &upkeep.Problem{Status: http.StatusTooManyRequests, Code: "rate_limited", Title: err.Error()}
		}
		return reply(w, http.StatusAccepted, struct{}{})
	}
}
