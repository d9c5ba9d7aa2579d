// Package metrics shows what is counted and sampled of an instance as Prometheus reads it: GET /metrics, text format 0.0.4.
//
// Nothing is sampled until somebody asks. A page is written while it is made, so that ten thousand programs take no memory.
//
// Source: interfaces 4.6.
package metrics

import (
	"io"
	"net/http"

	"github.com/upkeep-project/upkeep/internal/service"
)

// Type is the media type of a page.
const Type = "text/plain; version=0.0.4; charset=utf-8"

// Family is one metric with all its labels.
type Family struct {
	Name   string
	Kind   string // gauge, counter, histogram
	Labels []string
	Help   string

	write func(*page, *service.Measures)
	told  bool
}

// Options of a Handler.
type Options struct {
	Service  service.Measuring
	Requests *Requests // nil = requests are not counted
	// NodeSupervisord adds the names of node_exporter's supervisord collector.
	NodeSupervisord bool
	Revision        string // of the source; empty = not known
}

// Handler serves the page.
type Handler struct{ o Options }

// New makes a handler.
func New(o Options) *Handler { return &Handler{o} }

// ServeHTTP answers GET and HEAD; 405 for other methods, 503 when there are no figures.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", Type)
	w.Header().Set("Cache-Control", "no-store")
	if r.Method == http.MethodHead {
		return
	}
	m, err := h.o.Service.Measures(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_ = h.write(w, &m) // the client is gone
}

// write writes all families.
func (h *Handler) write(w io.Writer, m *service.Measures) error {
	p := &page{to: w, b: make([]byte, 0, flushAt+4096)}
	for _, f := range h.families() {
		p.begin(&f)
		if f.write != nil {
			f.write(p, m)
		}
	}
	p.flush()
	return p.err
}

// Families are all that a page can have, in its order.
func Families() []Family {
	return New(Options{Requests: NewRequests(), NodeSupervisord: true}).families()
}
