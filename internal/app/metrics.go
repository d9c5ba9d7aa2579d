package app

import (
	"maps"
	"net/http"
	"runtime/debug"

	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/tally"
	"github.com/upkeep-project/upkeep/internal/face/metrics"
	"github.com/upkeep-project/upkeep/internal/service/manager"
)

// measure gives the service what is counted.
func (a *App) measure(o *manager.Options) { o.Tally, o.Waiting = a.tally, a.pools.Waiting }

// newTally is a count that knows programs by the table of the core, which is there before the first event.
func (a *App) newTally() *tally.Tally {
	return tally.New(func(id model.ID) (model.Status, bool) {
		if s := a.core.Table().Slot(id); s != nil {
			return s.Status(), true
		}
		return model.Status{}, false
	})
}

// happened is told of every event inside its step.
func (a *App) happened(e model.Event) {
	a.tally.Happened(e)
	a.pools.Happened(e)
	if !a.passive() {
		a.alerts.Happened(e)
	}
}

// withMetrics adds the page of figures to those of a server. All servers show the same.
func (a *App) withMetrics(pages map[string]http.Handler) map[string]http.Handler {
	pages = maps.Clone(pages)
	pages["/metrics"] = metrics.New(metrics.Options{
		Service: a.manager, Requests: a.requests, Revision: revision(),
		NodeSupervisord: a.o.Config.MetricsCompat == supervisord.MetricsNodeSupervisord,
	})
	return pages
}

// revision is that of the source that the program was built from, as far as the build knows it.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}
