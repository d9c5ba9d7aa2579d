package metrics

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	prom "github.com/prometheus/common/model"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
)

// parse reads a page as Prometheus does.
func parse(t *testing.T, text []byte) map[string]*dto.MetricFamily {
	t.Helper()
	p := expfmt.NewTextParser(prom.LegacyValidation)
	found, err := p.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("Prometheus cannot read it: %v\n%s", err, text)
	}
	return found
}

// labels are those of a sample.
func labels(m *dto.Metric) map[string]string {
	out := map[string]string{}
	for _, l := range m.GetLabel() {
		out[l.GetName()] = l.GetValue()
	}
	return out
}

// value finds the sample of a family that has these labels, name and value in turn.
func value(t *testing.T, found map[string]*dto.MetricFamily, name string, want ...string) float64 {
	t.Helper()
next:
	for _, m := range found[name].GetMetric() {
		got := labels(m)
		for i := 0; i < len(want); i += 2 {
			if got[want[i]] != want[i+1] {
				continue next
			}
		}
		switch {
		case m.Gauge != nil:
			return m.GetGauge().GetValue()
		case m.Counter != nil:
			return m.GetCounter().GetValue()
		}
		return float64(m.GetHistogram().GetSampleCount())
	}
	t.Errorf("there is no %s%v", name, want)
	return math.NaN()
}

// full is an instance of which everything is known.
func full() *service.Measures {
	at := time.Unix(1_700_000_000, 500_000_000)
	p := &model.Program{
		ID:     model.ID{Group: "shop", Name: "web"},
		Checks: []model.Check{{Name: "m", Kind: model.CheckMemory, Limit: 9 << 20}, {Name: "n", Kind: model.CheckMemory, Limit: 8 << 20}},
	}
	q := &model.Program{ID: model.ID{Group: "shop", Name: "worker"}, IO: model.IOSpec{MergeStderr: true}}
	var times model.Times
	times.Add(2 * time.Millisecond)
	times.Add(time.Hour)
	requests := model.Counts{StartFailures: 2, Written: [2]uint64{100, 5}, Dropped: [2]uint64{1, 0}}
	requests.Restarts[model.RestartCheck], requests.Exits[model.ExitSignal] = 3, 4
	return &service.Measures{
		Version: "1.2", Started: at,
		Programs: []service.Measured{
			{
				Status: model.Status{
					Program: p, ID: p.ID, State: model.Running, PID: 7, Start: at, Ready: true, HasExit: false,
					Past: model.Past{Ended: 1, Adopted: true}, Exit: model.Exit{Known: true, Signal: 9},
				},
				Counts: requests, Live: true,
				Usage: service.Usage{
					User: 3 * time.Second, System: time.Second / 2, Memory: 1 << 20, Threads: 4, Processes: 3, Files: 9, Read: 10, Written: 20,
				},
				Checks: []model.CheckState{{Check: p.Checks[0], Verdict: model.Failing, Failed: 2, Times: times}, {Check: p.Checks[1], Verdict: model.Unjudged}},
			},
			{
				Status:  model.Status{Program: q, ID: q.ID, State: model.Backoff, Stop: at, HasExit: true, Past: model.Past{Ended: 1}, Exit: model.Exit{Known: true, Status: 3}},
				NextTry: at.Add(2 * time.Second), Usage: service.Usage{Files: -1, Read: -1, Written: -1},
			},
		},
		Events:    map[model.EventType]uint64{model.EventTick5: 3},
		Pools:     []service.PoolLoad{{Name: "p", Events: 4}, {Name: "b", Events: 1}},
		Applied:   service.Attempt{OK: true, At: at},
		Notifiers: []service.NotifierState{{Name: "ops", Sent: 5, Failed: 1, Waiting: 2}},
		Self:      service.Usage{User: time.Second, Memory: 5 << 20, Threads: 8, Processes: 1, Files: 12},
	}
}

// source is a service that has these figures.
type source struct {
	m   *service.Measures
	err error
}

func (s source) Measures(context.Context) (service.Measures, error) { return *s.m, s.err }

// handler is one with everything, and requests that were counted.
func handler(m *service.Measures) *Handler {
	r := NewRequests()
	r.Served("/v1/processes/web", "GET", 200, 3*time.Millisecond)
	r.Served("/v1/processes", "GET", 200, time.Millisecond)
	r.Served("/nowhere", "GET", 404, 0)
	return New(Options{Service: source{m: m}, Requests: r, NodeSupervisord: true, Revision: "abc"})
}

func ask(t *testing.T, h http.Handler, method string) *http.Response {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, "/metrics", nil))
	return w.Result()
}

// TestAbsent: what is not known or does not hold is not on the page, or is 0.
func TestAbsent(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	program := func(name string, st model.Status) service.Measured {
		p := &model.Program{ID: model.ID{Group: "g", Name: name}, Checks: []model.Check{{Name: "m", Kind: model.CheckMemory, Limit: 8}, {Name: "n", Kind: model.CheckMemory, Limit: 9}}}
		st.Program, st.ID = p, p.ID
		return service.Measured{Status: st, Usage: service.Usage{Files: -1, Read: -1, Written: -1}}
	}
	unready := program("unready", model.Status{State: model.Running, PID: 7, Start: at})
	unready.Live = true
	gone := program("gone", model.Status{State: model.Exited, Start: at, Stop: at, Past: model.Past{Adopted: true, Ended: 1}}) // nobody knows how
	gone.NextTry = at
	never := program("never", model.Status{State: model.Stopped, Exit: model.Exit{Known: true}})
	res := ask(t, handler(&service.Measures{Programs: []service.Measured{unready, gone, never}}), "GET")
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	found := parse(t, text)
	for _, name := range []string{"unready", "gone", "never"} {
		for _, family := range []string{"upkeep_process_ready", "upkeep_process_adopted"} {
			if got := value(t, found, family, "process", name); got != 0 {
				t.Errorf("%s of %s: %v", family, name, got)
			}
		}
		if got := value(t, found, "upkeep_process_memory_limit_bytes", "process", name); got != 8 {
			t.Errorf("limit of %s: %v", name, got)
		}
	}
	for family, programs := range map[string]int{
		"upkeep_process_healthy": 0, "upkeep_process_start_time_seconds": 1, "upkeep_process_backoff_seconds": 0, "upkeep_process_last_exit_code": 0,
		"upkeep_process_open_fds": 0, "upkeep_process_io_bytes_total": 0, "upkeep_config_last_apply_successful": 0, "upkeep_start_time_seconds": 0,
	} {
		if got := found[family].GetMetric(); len(got) != programs {
			t.Errorf("%s: %v", family, got)
		}
	}
}

// pieces counts what comes at once.
type pieces struct{ most, all int }

func (p *pieces) Write(b []byte) (int, error) {
	p.most, p.all = max(p.most, len(b)), p.all+len(b)
	return len(b), nil
}

// TestPieces: a page of very many programs is sent while it is made.
func TestPieces(t *testing.T) {
	m := full()
	for range 12 {
		m.Programs = append(m.Programs, m.Programs...)
	}
	var p pieces
	if err := handler(m).write(&p, m); err != nil || p.most > flushAt+4096 || p.all < 10*flushAt {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestHead: who asks for the head alone has nothing sampled.
func TestHead(t *testing.T) {
	w := httptest.NewRecorder()
	New(Options{Service: source{err: errors.New("asked"), m: full()}}).ServeHTTP(w, httptest.NewRequest("HEAD", "/metrics", nil))
	if w.Code != 200 || w.Body.Len() > 0 || w.Header().Get("Content-Type") != Type {
		t.Errorf("%d, %q, %v", w.Code, w.Body, w.Header())
	}
}

// TestPage: what is known of an instance is on the page, under the right names and labels.
func TestPage(t *testing.T) {
	res := ask(t, handler(full()), "GET")
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 || res.Header.Get("Content-Type") != Type {
		t.Fatal(res.Status, err, res.Header)
	}
	found := parse(t, text)
	web, worker := []string{"group", "shop", "process", "web"}, []string{"group", "shop", "process", "worker"}
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"upkeep_build_info", []string{"version", "1.2", "revision", "abc"}, 1},
		{"upkeep_up", nil, 1},
		{"upkeep_start_time_seconds", nil, 1_700_000_000.5},
		{"upkeep_processes", []string{"group", "shop", "state", "RUNNING"}, 1},
		{"upkeep_processes", []string{"group", "shop", "state", "BACKOFF"}, 1},
		{"upkeep_process_up", web, 1},
		{"upkeep_process_up", worker, 0},
		{"upkeep_process_state", web, 20},
		{"upkeep_process_state", worker, 30},
		{"upkeep_process_ready", web, 1},
		{"upkeep_process_healthy", web, 0},
		{"upkeep_process_adopted", web, 1},
		{"upkeep_process_start_time_seconds", web, 1_700_000_000.5},
		{"upkeep_process_backoff_seconds", worker, 2},
		{"upkeep_process_last_exit_code", web, -9},
		{"upkeep_process_last_exit_code", worker, 3},
		{"upkeep_process_restarts_total", append([]string{"reason", "check"}, web...), 3},
		{"upkeep_process_restarts_total", append([]string{"reason", "exit"}, web...), 0},
		{"upkeep_process_exits_total", append([]string{"kind", "signal"}, web...), 4},
		{"upkeep_process_start_failures_total", web, 2},
		{"upkeep_log_bytes_total", append([]string{"stream", "stderr"}, web...), 5},
		{"upkeep_log_dropped_bytes_total", append([]string{"stream", "stdout"}, web...), 1},
		{"upkeep_process_cpu_seconds_total", append([]string{"mode", "user"}, web...), 3},
		{"upkeep_process_cpu_seconds_total", append([]string{"mode", "system"}, web...), 0.5},
		{"upkeep_process_resident_memory_bytes", web, 1 << 20},
		{"upkeep_process_memory_limit_bytes", web, 8 << 20},
		{"upkeep_process_threads", web, 4},
		{"upkeep_process_children", web, 2},
		{"upkeep_process_open_fds", web, 9},
		{"upkeep_process_io_bytes_total", append([]string{"direction", "write"}, web...), 20},
		{"upkeep_health_check_passing", append([]string{"check", "m"}, web...), 0},
		{"upkeep_health_check_failures_total", append([]string{"check", "m"}, web...), 2},
		{"upkeep_health_check_duration_seconds", append([]string{"check", "m"}, web...), 2},
		{"upkeep_events_total", []string{"type", "TICK_5"}, 3},
		{"upkeep_event_listener_queue", []string{"pool", "b"}, 1},
		{"upkeep_config_last_apply_successful", nil, 1},
		{"upkeep_config_last_apply_timestamp_seconds", nil, 1_700_000_000.5},
		{"upkeep_notifications_total", []string{"notifier", "ops", "outcome", "delivered"}, 5},
		{"upkeep_notifications_waiting", []string{"notifier", "ops"}, 2},
		{"upkeep_http_requests_total", []string{"route", "/v1/processes", "method", "GET", "code", "200"}, 2},
		{"upkeep_http_requests_total", []string{"route", "other"}, 1},
		{"upkeep_http_request_duration_seconds", []string{"route", "/v1/processes"}, 2},
		{"process_open_fds", nil, 12},
		{"go_threads", nil, 8},
		{"node_supervisord_up", []string{"name", "worker"}, 0},
		{"node_supervisord_state", []string{"name", "web"}, 20},
		{"node_supervisord_exit_status", []string{"name", "worker"}, 3},
		{"node_supervisord_start_time_seconds", []string{"name", "web"}, 1_700_000_000},
	} {
		if got := value(t, found, c.name, c.labels...); got != c.want {
			t.Errorf("%s%v is %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	for name, n := range map[string]int{ // what is not known is not there
		"upkeep_process_healthy": 1, "upkeep_process_start_time_seconds": 1, "upkeep_process_resident_memory_bytes": 1,
		"upkeep_process_open_fds": 1, "upkeep_process_io_bytes_total": 2, "upkeep_process_memory_limit_bytes": 1,
		"upkeep_health_check_passing": 1, "upkeep_log_bytes_total": 3, "node_supervisord_start_time_seconds": 1,
	} {
		if got := len(found[name].GetMetric()); got != n {
			t.Errorf("%d samples of %s, want %d", got, name, n)
		}
	}
	for _, m := range found["upkeep_health_check_duration_seconds"].GetMetric() {
		if h := m.GetHistogram(); labels(m)["check"] == "m" && (h.GetSampleSum() != 3600.002 || h.GetBucket()[1].GetCumulativeCount() != 1) {
			t.Errorf("%v", h)
		}
	}
}

// TestFamilies: the table has what the page has, with kinds, labels and helps.
func TestFamilies(t *testing.T) {
	var text bytes.Buffer
	if err := handler(full()).write(&text, full()); err != nil {
		t.Fatal(err)
	}
	found := parse(t, text.Bytes())
	seen := map[string]bool{}
	for _, f := range Families() {
		got := found[f.Name]
		seen[f.Name] = true
		if got == nil {
			t.Errorf("%s is not on a page of everything", f.Name)
			continue
		}
		if kind := strings.ToLower(got.GetType().String()); kind != f.Kind || got.GetHelp() != f.Help || f.Help == "" {
			t.Errorf("%s is a %s: %q", f.Name, kind, got.GetHelp())
		}
		if strings.HasSuffix(f.Name, "_total") != (f.Kind == counter) && f.Name != nodeStart {
			t.Errorf("%s is a %s", f.Name, f.Kind)
		}
		for _, m := range got.GetMetric() {
			if have := labels(m); len(have) != len(f.Labels) {
				t.Errorf("%s has the labels %v, the table says %v", f.Name, have, f.Labels)
			} else {
				for _, l := range f.Labels {
					if _, ok := have[l]; !ok {
						t.Errorf("%s has no label %s: %v", f.Name, l, have)
					}
				}
			}
		}
	}
	for name := range found {
		if !seen[name] {
			t.Errorf("%s is not in the table", name)
		}
	}
	plain := New(Options{}).families()
	for _, f := range plain {
		if strings.HasPrefix(f.Name, "node_") {
			t.Errorf("%s is there although nobody asked", f.Name)
		}
	}
}

// TestNothingKnown: an instance without programs, on a system that tells nothing, has a page.
func TestNothingKnown(t *testing.T) {
	var text bytes.Buffer
	if err := New(Options{}).write(&text, &service.Measures{}); err != nil {
		t.Fatal(err)
	}
	found := parse(t, text.Bytes())
	for _, name := range []string{"upkeep_start_time_seconds", "process_open_fds", "upkeep_config_last_apply_successful", "upkeep_process_up"} {
		if found[name] != nil {
			t.Errorf("%s is there", name)
		}
	}
}

// TestAnswers: other methods are refused, HEAD has no text, and who has no figures says so.
func TestAnswers(t *testing.T) {
	h := handler(full())
	if res := ask(t, h, "POST"); res.StatusCode != 405 || res.Header.Get("Allow") != "GET, HEAD" {
		t.Error(res.Status)
	}
	if res := ask(t, h, "HEAD"); res.StatusCode != 200 || res.ContentLength > 0 {
		t.Error(res.Status, res.ContentLength)
	}
	h = New(Options{Service: source{m: full(), err: errors.New("it ends")}})
	if res := ask(t, h, "GET"); res.StatusCode != 503 {
		t.Error(res.Status)
	}
	if err := handler(full()).write(broken{}, full()); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

// broken is a client that is gone.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestValues: numbers are written so that they are read as what they are.
func TestValues(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 1: "1", -3: "-3", 0.5: "0.5", 1e15: "1000000000000000", 1e300: "1e+300",
		math.Inf(1): "+Inf", math.Inf(-1): "-Inf", 1 << 53: "9.007199254740992e+15",
	} {
		if got := string(appendValue(nil, v)); got != want {
			t.Errorf("%v is written %s", v, got)
		}
	}
	if got := string(appendValue(nil, math.NaN())); got != "NaN" {
		t.Error(got)
	}
}

// TestRoutes: nobody can make endless series.
func TestRoutes(t *testing.T) {
	r := NewRequests()
	for i := range 1000 {
		name := strings.Repeat("a", i%40) + string(rune('a'+i%26))
		r.Served("/v1/"+name, "GET", 404, 0)
		r.Served("/v1/"+name, "GET", 401, 0)
		r.Served("/"+name, name, 404, 0)
		r.Served("/RPC2", "POST", 200, time.Millisecond)
	}
	if len(r.count) > 6 || len(r.times) > 4 {
		t.Errorf("%d series: %v", len(r.count), r.count)
	}
	for path, want := range map[string]string{
		"/": "/", "/index.html": "/", "/metrics": "/metrics", "/logtail/x": "/logtail", "/v1/why": "/v1/why",
		"/v1/processes/x/why": "/v1/processes", "/v1/UPPER": "/v1", "/v1/": "/v1", "/mainlogtail": "/mainlogtail",
	} {
		if got := route(path, 200); got != want {
			t.Errorf("%s is %s", path, got)
		}
	}
}

// FuzzLabels: whatever a group, a program, a check or a notifier is called, Prometheus reads the page, and reads that name.
func FuzzLabels(f *testing.F) {
	for _, s := range []string{"web", `a"b\c`, "two\nlines", "\xff", "", "ä{x=\"y\"} 1", "# HELP", "}", "\r", "\x00"} {
		f.Add(s, s+"x")
	}
	f.Fuzz(func(t *testing.T, group, name string) {
		if len(group)+len(name) > 4096 {
			t.Skip("each stands on the page a hundred times")
		}
		m := full()
		p := &m.Programs[0]
		p.Status.ID = model.ID{Group: group, Name: name}
		p.Checks[0].Check.Name = name
		m.Notifiers[0].Name, m.Pools[0].Name, m.Version = group, group, name
		m.Pools, m.Programs = m.Pools[:1], m.Programs[:1]
		m.Events[model.EventType(name)] = 1
		var text bytes.Buffer
		if err := handler(m).write(&text, m); err != nil {
			t.Fatal(err)
		}
		found := parse(t, text.Bytes())
		shown := func(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
		if got := labels(found["upkeep_process_up"].GetMetric()[0]); got["group"] != shown(group) || got["process"] != shown(name) {
			t.Errorf("%q and %q are read as %q", group, name, got)
		}
		if got := labels(found["upkeep_notifications_waiting"].GetMetric()[0]); got["notifier"] != shown(group) {
			t.Errorf("%q is read as %q", group, got)
		}
	})
}

// BenchmarkPage writes ten thousand programs.
func BenchmarkPage(b *testing.B) {
	m := full()
	one := m.Programs[0]
	m.Programs = nil
	for range 10_000 {
		m.Programs = append(m.Programs, one)
	}
	h := handler(m)
	b.ReportAllocs()
	for range b.N {
		n := counting(0)
		if err := h.write(&n, m); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(n))
	}
}

type counting int

func (c *counting) Write(p []byte) (int, error) { *c += counting(len(p)); return len(p), nil }
