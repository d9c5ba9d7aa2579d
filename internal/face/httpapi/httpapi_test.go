package httpapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
)

var now = time.Date(2026, 11, 21, 22, 0, 0, 0, time.UTC)

// fake is a service with one program. What a test does not need is missing: to call it is a mistake.
type fake struct {
	Service
	mu     sync.Mutex
	events []model.Event
	first  uint64 // the number of the oldest event that is held
	hold   chan struct{}
	err    error
	checks map[model.ID][]model.CheckState
}

func (f *fake) Info() service.Info   { return service.Info{Version: "1"} }
func (f *fake) Place() service.Place { return service.Place{Programs: "/p", UID: 7} }
func (f *fake) status() model.Status {
	id := model.ID{Group: "web", Name: "web"}
	return model.Status{ID: id, State: model.Stopped, Program: &model.Program{ID: id}}
}

func (f *fake) List(context.Context) ([]model.Status, error) { return []model.Status{f.status()}, nil }

func (f *fake) Get(_ context.Context, id model.ID) (model.Status, error) {
	if id.Name != "web" {
		return model.Status{}, &service.Error{Code: service.CodeNoSuchProgram}
	}
	return f.status(), nil
}

func (f *fake) Figures(context.Context, []model.ID) map[model.ID]service.Figures { return nil }

func (f *fake) Checks(context.Context, []model.ID) map[model.ID][]model.CheckState { return f.checks }

func (f *fake) Stop(ctx context.Context, sel service.Selector, _ service.Wait) ([]service.Result, error) {
	if f.hold != nil {
		select {
		case <-f.hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return []service.Result{{ID: sel.ID, Err: f.err}}, nil
}

func (f *fake) LastEvent() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.first + uint64(len(f.events)) - 1
}

func (f *fake) Events(_ context.Context, after uint64, limit int) (out []model.Event, lost uint64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if after+1 < f.first {
		lost = f.first - after - 1
	}
	for _, e := range f.events {
		if e.Seq > after && (limit <= 0 || len(out) < limit) {
			out = append(out, e)
		}
	}
	return out, lost, nil
}

func (f *fake) WaitEvent(ctx context.Context, _ uint64) error {
	<-ctx.Done()
	return ctx.Err()
}

// serve is an interface over a fake.
func serve(t *testing.T, f *fake) *httptest.Server {
	t.Helper()
	a := New(Options{Service: f, Now: func() time.Time { return now }})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 { // as the server of the product limits the reading of a body and the writing of an answer
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		}
		a.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { s.CloseClientConnections(); a.Close(); s.Close() })
	return s
}

// TestWaitsAreNotCutOff: the time limits of requests do not end the waiting for what was ordered, nor the answer after it.
func TestWaitsAreNotCutOff(t *testing.T) {
	f := &fake{hold: make(chan struct{})}
	s := serve(t, f)
	release := time.AfterFunc(400*time.Millisecond, func() { close(f.hold) })
	defer release.Stop()
	resp, err := http.Post(s.URL+"/v1/actions?wait=30", "application/json", strings.NewReader(`{"action":"stop","select":["web"]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || !strings.Contains(string(body), `"state":"done"`) {
		t.Errorf("%d %s %v", resp.StatusCode, body, err)
	}
}

// TestTimeIsOver: an operation that takes longer than the client waits is told as under way.
func TestTimeIsOver(t *testing.T) {
	f := &fake{hold: make(chan struct{})}
	s := serve(t, f)
	resp, err := http.Post(s.URL+"/v1/processes/web/stop?wait=1", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	at := resp.Header.Get("Location")
	if resp.StatusCode != 202 || !strings.HasPrefix(at, "/v1/operations/op_") {
		t.Errorf("%d %q", resp.StatusCode, at)
	}
	close(f.hold)
	if resp, err = http.Get(s.URL + at + "?wait=30"); err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), `"state":"done"`) {
		t.Errorf("%s %v", body, err)
	}
}

// TestTooManyOrders: the orders under way are bounded, those that have ended are forgotten in turn.
func TestTooManyOrders(t *testing.T) {
	f := &fake{hold: make(chan struct{})}
	a := New(Options{Service: f})
	post := func() int {
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequest("POST", "/v1/processes/web/stop", nil))
		return w.Code
	}
	for i := range maxOperations {
		if code := post(); code != 202 {
			t.Fatalf("order %d: %d", i, code)
		}
	}
	if code := post(); code != 429 {
		t.Errorf("one more: %d", code)
	}
	close(f.hold)
	a.work.Wait()
	if n := len(a.ops); n != keepOperations {
		t.Errorf("%d are remembered", n)
	}
	if code := post(); code != 202 && code != 200 {
		t.Errorf("afterwards: %d", code)
	}
	a.Close()
}

// TestLateReader: what is no longer held is announced as a gap, and the stream goes on behind it.
func TestLateReader(t *testing.T) {
	f := &fake{first: 11}
	for i := range 3 {
		f.events = append(f.events, model.Event{Seq: 11 + uint64(i), Time: now, Type: model.EventDaemonRunning})
	}
	s := serve(t, f)
	r, err := http.NewRequest("GET", s.URL+"/v1/events?after=4", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got []string
	for in := bufio.NewScanner(resp.Body); len(got) < 4 && in.Scan(); {
		if data, ok := strings.CutPrefix(in.Text(), "data: "); ok {
			got = append(got, data)
		}
	}
	if len(got) != 4 || got[0] != `{"dropped":6}` || !strings.Contains(got[1], `"seq":11,`) || !strings.Contains(got[3], `"seq":13,`) {
		t.Errorf("%q", got)
	}
}

// TestStuckReader: one that takes nothing holds no more than what is on its way to it.
func TestStuckReader(t *testing.T) {
	f := &fake{first: 1}
	for i := range 20000 {
		f.events = append(f.events, model.Event{Seq: 1 + uint64(i), Time: now, Type: model.EventRemote, Kind: strings.Repeat("x", 200)})
	}
	s := serve(t, f)
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "GET /v1/events?after=1 HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
	// Others are served meanwhile.
	resp, err := http.Get(s.URL + "/v1/processes/web")
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v %v", resp, err)
	}
	resp.Body.Close()
	c.Close()
}

// TestErrorsOfOrders: the error of the service is the problem of the request, also when it is none of the service's kind.
func TestErrorsOfOrders(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{&service.Error{Code: service.CodeNotRunning}, 409, "not_running"},
		{&service.Error{Code: service.CodeShuttingDown}, 503, "unavailable"},
		{&service.Error{Code: service.CodeFailed, Text: "x"}, 500, "internal"},
		{errors.New("other"), 500, "internal"},
		{context.Canceled, 503, "unavailable"},
		{&upkeep.Problem{Status: 418, Code: "forbidden"}, 418, "forbidden"},
	} {
		p := problem(c.err)
		if p.Status != c.status || p.Code != c.code || p.Type != problemBase+c.code {
			t.Errorf("%v: %+v", c.err, p)
		}
	}
	for code := service.CodeFailed; code <= service.CodeDependency; code++ {
		if k := kinds[code]; k.status < 400 || k.code == "" {
			t.Errorf("no problem for the code %d", code)
		}
	}
}

func TestSummary(t *testing.T) {
	at := func(s int) time.Time { return now.Add(time.Duration(s) * time.Second) }
	exit := func(code int) model.Exit { return model.Exit{Known: true, Status: code} }
	for _, c := range []struct {
		st   model.Status
		want string
	}{
		{model.Status{State: model.Running, PID: 5, Start: at(-9)}, ""},
		{model.Status{State: model.Running, Generation: 4, Exit: exit(3), Past: model.Past{Restarts: 3, Ended: 3}}, "3 restarts, last: exit 3"},
		{model.Status{State: model.Running, Generation: 4, Exit: exit(3), Past: model.Past{Restarts: 1, Ended: 2}}, "1 restart"},
		{model.Status{State: model.Stopped, Start: at(-9), Stop: at(-5), Past: model.Past{StopBy: "ann"}}, "by ann, 5.0s ago"},
		{model.Status{State: model.Exited, Start: at(-9), Stop: at(-5), Exit: model.Exit{Known: true, Signal: 9, OOMKills: 1}}, "SIGKILL for lack of memory, 5.0s ago"},
		{model.Status{State: model.Running, Past: model.Past{Adopted: true}}, "adopted"},
		{model.Status{State: model.Stopped}, "not started"},
		{model.Status{State: model.Stopped, Start: at(-9), Stop: at(-5), Exit: exit(0)}, "5.0s ago"},
		{model.Status{State: model.Stopped, Start: at(-9), Stop: at(-5), Past: model.Past{Released: 9}}, "let go of 5.0s ago"},
		{model.Status{State: model.Exited, Start: at(-9), Stop: at(-5), Exit: exit(0)}, "exit 0, 5.0s ago"},
		{model.Status{State: model.Exited}, ""},
		{model.Status{State: model.Fatal, SpawnErr: "no such file"}, "no such file"},
		{model.Status{State: model.Fatal, Start: at(-9), Stop: at(-5), Exit: exit(3), Tries: 4}, "exit 3 after 4.0s, gave up after 4 tries"},
		{model.Status{State: model.Fatal, Start: at(-9), Stop: at(-5), Exit: exit(3)}, "exit 3 after 4.0s, gave up"},
		{model.Status{State: model.Stopping, PID: 5, Start: at(-9)}, "asked to end"},
		{model.Status{State: model.Backoff}, "about to be tried again"},
	} {
		c.st.Program = &model.Program{}
		if got := summary(&c.st, now); got != c.want {
			t.Errorf("%s: %q, want %q", c.st.State, got, c.want)
		}
	}
}

func TestEventTexts(t *testing.T) {
	id := model.ID{Group: "g", Name: "web"}
	for _, c := range []struct {
		e    model.Event
		want string
	}{
		{model.Event{Type: model.EventProcessStarting, ID: id}, "g:web starting"},
		{model.Event{Type: model.EventProcessStarting, ID: id, Tries: 1}, "g:web starting, 1 attempt failed before"},
		{model.Event{Type: model.EventProcessRunning, ID: id, PID: 9}, "g:web running, pid 9"},
		{model.Event{Type: model.EventProcessRunning, ID: id, PID: 9, Adopted: true}, "g:web running, pid 9, adopted"},
		{model.Event{Type: model.EventProcessExited, ID: id, Expected: true}, "g:web ended as expected"},
		{model.Event{Type: model.EventProcessExited, ID: id}, "g:web ended unexpectedly"},
		{model.Event{Type: model.EventProcessBackoff, ID: id, Tries: 2}, "g:web did not stay up, attempt 2"},
		{model.Event{Type: model.EventProcessBackoff, ID: id}, "g:web waits for its restart_delay"},
		{model.Event{Type: model.EventProcessFatal, ID: id}, "g:web given up"},
		{model.Event{Type: model.EventProcessStopping, ID: id}, "g:web asked to end"},
		{model.Event{Type: model.EventProcessStopped, ID: id}, "g:web stopped"},
		{model.Event{Type: model.EventGroupAdded, ID: model.ID{Group: "g"}}, " added"},
		{model.Event{Type: model.EventGroupRemoved, ID: model.ID{Group: "g"}}, " removed"},
		{model.Event{Type: model.EventDaemonRunning}, " the daemon runs"},
		{model.Event{Type: model.EventDaemonStopping}, " the daemon ends"},
		{model.Event{Type: "TICK_5"}, ""},
		{model.Event{Type: "PROCESS_LOG_STDOUT", ID: id}, ""},
	} {
		got := ""
		if v := event(&c.e); v != nil {
			got = v.ID + " " + v.Text
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.e.Type, got, c.want)
		}
	}
}

// TestWho: what the system says of the caller counts for more than what the caller says.
func TestWho(t *testing.T) {
	r := httptest.NewRequest("GET", "/v1/whoami", nil)
	for _, c := range []struct {
		known bool
		basic string
		want  string
	}{{true, "mallory", "root"}, {true, "", "root"}, {false, "ann", "ann"}, {false, "", "somebody"}} {
		a := New(Options{Service: &fake{}, Peer: func(*http.Request) (int, bool) { return 0, c.known }})
		q := r.Clone(t.Context())
		if c.basic != "" {
			q.SetBasicAuth(c.basic, "x")
		}
		if got := a.Caller(q); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}
