package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/face/httpapi/apitest"
)

func isAbsent(err error) bool {
	var absent *upkeep.AbsentError
	return errors.As(err, &absent)
}

// step is one request of the walk and what must come of it.
type step struct {
	operation string // as it is described
	path      string // empty = that of the operation
	body      string
	header    string
	status    int
	code      string // of the problem
	has       string // in the body
}

// walk carries out steps, and holds every answer against the description.
type walk struct {
	*daemon
	doc    *apitest.Document
	called map[string]bool
}

func (w *walk) do(s step) answer {
	w.t.Helper()
	method, path, _ := strings.Cut(s.operation, " ")
	if s.path != "" {
		path = s.path
	}
	var headers []string
	if s.header != "" {
		headers = strings.Split(s.header, "\n")
	}
	a := w.request(method, path, s.body, headers...)
	name := method + " " + path
	if _, described := w.doc.Operations()[s.operation]; described {
		w.called[s.operation] = true
		for _, wrong := range w.doc.Answer(s.operation, a.status, a.header.Get("Content-Type"), []byte(a.body)) {
			w.t.Errorf("%s: %s", name, wrong)
		}
	}
	if s.operation == "GET /v1/processes" && a.status == 200 && !strings.Contains(path, "fields=") {
		for _, wrong := range w.doc.Check("Processes", a.body) {
			w.t.Errorf("%s: %s", name, wrong)
		}
	}
	if a.status != s.status || !strings.Contains(a.body, s.has) {
		w.t.Errorf("%s: %d %s, want %d and %q", name, a.status, a.body, s.status, s.has)
	}
	for _, h := range []string{"Upkeep-Version", "Upkeep-Request-Id", "Cache-Control", "X-Content-Type-Options"} {
		if a.header.Get(h) == "" {
			w.t.Errorf("%s: no %s", name, h)
		}
	}
	if a.status >= 400 {
		for _, wrong := range w.doc.Check("Problem", a.body) {
			w.t.Errorf("%s: %s", name, wrong)
		}
		var p upkeep.Problem
		if err := json.Unmarshal([]byte(a.body), &p); err != nil || p.Code != s.code || p.Status != a.status ||
			p.RequestID != a.header.Get("Upkeep-Request-Id") || !strings.HasSuffix(p.Type, "/"+p.Code) || p.Title == "" {
			w.t.Errorf("%s: %s, want the code %q (%v)", name, a.body, s.code, err)
		}
		if got := a.header.Get("Content-Type"); got != "application/problem+json" {
			w.t.Errorf("%s: %s", name, got)
		}
	}
	return a
}

// TestWalk calls every route of a real daemon with real programs, well and badly.
func TestWalk(t *testing.T) {
	d := native(t, shortDir(t), 0)
	doc, err := apitest.Parse([]byte(d.request("GET", "/v1/openapi.yaml", "").body))
	if err != nil {
		t.Fatal(err)
	}
	w := &walk{d, doc, map[string]bool{}}
	large := strings.Repeat(" ", 1<<20) + "{}"
	const (
		web     = "[program:web]\ncommand=/bin/sh -c 'echo up; exec sleep 1000'\nstartsecs=0\n"
		bad     = "[program:bad]\ncommand=/bin/sh -c 'echo no database >&2; exit 3'\nautostart=false\nstartsecs=30\nstartretries=0\n"
		cat     = "[program:cat]\ncommand=/bin/cat\nstartsecs=0\n"
		sse     = "Accept: text/event-stream"
		isNew   = "If-None-Match: *"
		program = "/v1/programs/{name}"
		process = "/v1/processes/{id}"
	)
	for _, s := range []step{
		{operation: "GET /v1/system", status: 200, has: `"native":true`},
		{operation: "GET /v1/system", path: "/v1/system?x=1", status: 400, code: "bad_request"},
		{operation: "GET /v1/system", path: "/v1/system?%zz", status: 400, code: "bad_request"},
		{operation: "GET /v1/whoami", status: 200, has: `"user":"root"`},
		{operation: "GET /v1/openapi.yaml", status: 200, has: "openapi: 3.1"},
		{operation: "GET /v1/processes", status: 200, has: `"items":[]`},
		{operation: "GET /v1/logs", status: 200},
		{operation: "GET /v1/programs", status: 200, has: `"items":[]`},
		{operation: "GET /v1/operations", status: 200, has: `"items":[]`},
		{operation: "POST /v1/actions", body: `{"action":"start","select":["all"]}`, path: "/v1/actions?wait=30", status: 200, has: `"results":[]`},

		{operation: "PUT " + program, path: "/v1/programs/web", body: web, status: 428, code: "precondition_required"},
		{operation: "PUT " + program, path: "/v1/programs/web", body: web, header: isNew, status: 200, has: `"action":"add"`},
		{operation: "PUT " + program, path: "/v1/programs/web", body: web, header: isNew, status: 409, code: "name_taken"},
		{operation: "PUT " + program, path: "/v1/programs/web", body: web, header: `If-Match: "nope"`, status: 412, code: "precondition_failed"},
		{operation: "PUT " + program, path: "/v1/programs/x", body: "[program:x]\ncomand=/bin/cat\n", header: isNew, status: 422, code: "invalid_config", has: `"suggestion"`},
		{operation: "PUT " + program, path: "/v1/programs/x%2Fy", body: web, header: isNew, status: 400, code: "bad_request"},
		{operation: "PUT " + program, path: "/v1/programs/x", body: large, header: isNew, status: 413, code: "too_large"},
		{operation: "PUT " + program, path: "/v1/programs/bad", body: bad, header: isNew, status: 200},
		{operation: "PUT " + program, path: "/v1/programs/cat", body: cat, header: isNew, status: 200},
		{operation: "POST /v1/config/diff", status: 200, has: `"id":"cat"`},
		{operation: "POST /v1/config/apply", body: `{"olny":["web"]}`, status: 400, code: "bad_request", has: `"suggestion":"only"`},
		{operation: "POST /v1/config/apply", body: `{"only":["nope"]}`, status: 404, code: "not_found"},
		{operation: "POST /v1/config/apply", body: `{"only":["web"]}`, status: 200, has: `"applied":true`},
		{operation: "POST /v1/config/apply", status: 200, has: `"id":"bad"`},
		{operation: "GET /v1/programs", status: 200, has: `"name":"web"`},
		{operation: "GET " + program, path: "/v1/programs/web", status: 200, has: `"managed":true`},
		{operation: "GET " + program, path: "/v1/programs/nope", status: 404, code: "not_found"},

		{operation: "GET /v1/processes", path: "/v1/processes?figures=1&select=web&select=c*", status: 200, has: `"memory_bytes":`},
		{operation: "GET /v1/processes", path: "/v1/processes?tree=1&state=running,FATAL", status: 200, has: `"id":"web"`},
		{operation: "GET /v1/processes", path: "/v1/processes?fields=id,state&fields=last_exit&select=web", status: 200, has: `{"items":[{"id":"web","state":"RUNNING"}]}`},
		{operation: "GET /v1/processes", path: "/v1/processes?fields=id,stat", status: 400, code: "bad_request", has: `"suggestion":"state"`},
		{operation: "GET /v1/processes", path: "/v1/processes?state=RUNING", status: 400, code: "bad_request", has: `"suggestion":"RUNNING"`},
		{operation: "GET /v1/processes", path: "/v1/processes?selct=web", status: 400, code: "bad_request", has: `"suggestion":"select"`},
		{operation: "GET /v1/processes", path: "/v1/processes?select=wbe", status: 404, code: "not_found", has: "Close: web"},
		{operation: "GET " + process, path: "/v1/processes/web", status: 200, has: `"state":"RUNNING"`},
		{operation: "GET " + process, path: "/v1/processes/web:web", status: 200, has: `"id":"web"`},
		{operation: "GET " + process, path: "/v1/processes/web?reveal=1", status: 200, has: `"environment":[`},
		{operation: "GET " + process, path: "/v1/processes/w*", status: 404, code: "not_found"},
		{operation: "GET " + process + "/why", path: "/v1/processes/web/why", status: 200, has: `"headline"`},
		{operation: "GET " + process + "/why", path: "/v1/processes/nope/why", status: 404, code: "not_found"},

		{operation: "GET " + process + "/checks", path: "/v1/processes/web/checks", status: 200, has: `"items":[`},
		{operation: "GET " + process + "/checks", path: "/v1/processes/nope/checks", status: 404, code: "not_found"},

		{operation: "POST " + process + "/start", path: "/v1/processes/web/start?wait=30", status: 409, code: "already_running", has: `"instance":"/v1/operations/op_`},
		{operation: "POST " + process + "/stop", path: "/v1/processes/web/stop?wait=30", body: `{"now":true}`, status: 200, has: `"state":"STOPPED"`},
		{operation: "POST " + process + "/stop", path: "/v1/processes/web/stop?wait=30", status: 409, code: "not_running"},
		{operation: "POST " + process + "/stop", path: "/v1/processes/nope/stop", status: 404, code: "not_found"},
		{operation: "POST " + process + "/start", path: "/v1/processes/web/start?wait=-1", status: 400, code: "bad_request"},
		{operation: "POST " + process + "/start", path: "/v1/processes/web/start?wait=30", status: 200, has: `"state":"done"`},
		{operation: "POST " + process + "/start", path: "/v1/processes/web/start", body: `{"action":"stop"}`, status: 400, code: "bad_request"},
		{operation: "POST " + process + "/start", path: "/v1/processes/bad/start?wait=30", status: 409, code: "start_failed", has: "no database"},
		{operation: "GET " + process + "/why", path: "/v1/processes/bad/why", status: 200, has: `"failed":true`},
		{operation: "GET " + process, path: "/v1/processes/bad", status: 200, has: `"code":3`},
		{operation: "POST " + process + "/restart", path: "/v1/processes/web/restart?wait=30", status: 200, has: `"action":"restart"`},
		{operation: "POST " + process + "/reload", path: "/v1/processes/web/reload?wait=30", status: 409, code: "no_reload", has: "upkeep set web reload_signal=HUP"},
		{operation: "POST " + process + "/signal", path: "/v1/processes/web/signal?wait=30", status: 400, code: "bad_request"},
		{operation: "POST " + process + "/signal", path: "/v1/processes/web/signal?wait=30", body: `{"signal":"NOPE"}`, status: 400, code: "bad_signal"},
		{operation: "POST " + process + "/signal", path: "/v1/processes/web/signal?wait=30", body: `{"signal":"WINCH"}`, status: 200},
		{operation: "POST " + process + "/signal", path: "/v1/processes/bad/signal?wait=30", body: `{"signal":"WINCH"}`, status: 409, code: "not_running"},
		{operation: "POST " + process + "/stdin", path: "/v1/processes/cat/stdin", body: "hello\n", status: 204},
		{operation: "POST " + process + "/stdin", path: "/v1/processes/bad/stdin", body: "hello\n", status: 409, code: "not_running"},
		{operation: "POST " + process + "/stdin", path: "/v1/processes/cat/stdin", body: large, status: 413, code: "too_large"},

		{operation: "GET /v1/logs", status: 200, has: "up\n"},
		{operation: "GET /v1/logs", path: "/v1/logs?daemon=1&tail=5", header: "Accept: application/x-ndjson", status: 200},
		{operation: "GET /v1/logs", path: "/v1/logs?select=bad&stream=stderr", header: "Accept: application/x-ndjson", status: 200, has: `"text":"no database"`},
		{operation: "GET /v1/logs", path: "/v1/logs?select=bad", header: sse, status: 200, has: "event: log\n"},
		{operation: "GET /v1/logs", path: "/v1/logs?select=nope", status: 404, code: "not_found"},
		{operation: "GET " + process + "/logs", path: "/v1/processes/web/logs?tail=1&grep=u.", status: 200, has: "up\n"},
		{operation: "GET " + process + "/logs", path: "/v1/processes/web/logs?grep=(", status: 400, code: "bad_request"},
		{operation: "GET " + process + "/logs", path: "/v1/processes/web/logs?tail=-1", status: 400, code: "bad_request"},
		{operation: "GET " + process + "/logs", path: "/v1/processes/web/logs?stream=x", status: 400, code: "bad_request"},
		{operation: "GET " + process + "/logs", path: "/v1/processes/web/logs?run=1", status: 400, code: "bad_request"},
		{operation: "GET " + process + "/logs", path: "/v1/processes/web/logs?run=-1&follow=1", status: 400, code: "bad_request"},
		{operation: "GET " + process + "/logs", path: "/v1/processes/web/logs?since=yesterday", status: 400, code: "bad_request"},
		{operation: "GET " + process + "/logs", path: "/v1/processes/web/logs?until=NaN", status: 400, code: "bad_request"},
		{operation: "GET " + process + "/logs", path: "/v1/processes/web/logs?since=1e9&until=2000-01-01T00:00:00Z", status: 200},
		{operation: "DELETE " + process + "/logs", path: "/v1/processes/bad/logs?wait=30", status: 200, has: `"action":"clear"`},

		{operation: "POST /v1/actions", body: `{"action":"restart","select":["cat","web"]}`, path: "/v1/actions?wait=30", status: 200, has: `"state":"done"`},
		{operation: "POST /v1/actions", body: `{"action":"start","select":["all"],"states":["FATAL"]}`, path: "/v1/actions?wait=30", status: 200, has: `"state":"failed"`},
		{operation: "POST /v1/actions", body: `{"action":"restart"}`, status: 400, code: "bad_request"},
		{operation: "POST /v1/actions", body: `{"action":"explode","select":["all"]}`, status: 400, code: "bad_request"},
		{operation: "POST /v1/actions", body: `{"acton":"start","select":["all"]}`, status: 400, code: "bad_request", has: `"suggestion":"action"`},
		{operation: "POST /v1/actions", body: `{"action":"start","select":["all"]} {}`, status: 400, code: "bad_request"},
		{operation: "POST /v1/actions", body: `{"action":"start","select":["all"]}}`, status: 400, code: "bad_request"},
		{operation: "POST /v1/actions", body: `{"action":1}`, status: 400, code: "bad_request"},
		{operation: "POST /v1/actions", body: large, status: 413, code: "too_large"},
		{operation: "GET /v1/operations", status: 200, has: `"started_by":"root"`},
		{operation: "GET /v1/operations/{id}", path: "/v1/operations/op_x", status: 404, code: "not_found"},

		{operation: "GET /v1/events", status: 200, has: `"type":"PROCESS_STATE_FATAL"`},
		{operation: "GET /v1/events", path: "/v1/events?select=bad&limit=1", status: 200, has: `"text":"given up"`},
		{operation: "GET /v1/events", path: "/v1/events?after=x", status: 400, code: "bad_request"},
		{operation: "GET /v1/events", path: "/v1/events?since=x", status: 400, code: "bad_request"},
		{operation: "GET /v1/events", path: "/v1/events", header: sse + "\nLast-Event-ID: -5", status: 400, code: "bad_request"},

		{operation: "POST /v1/adopt", body: `{"program":"web"}`, status: 400, code: "bad_request"},
		{operation: "POST /v1/adopt", body: `{"program":"bad","pid":4194399}`, status: 404, code: "no_process"},
		{operation: "POST /v1/adopt", body: `{"program":"bad","pid":1}`, status: 409, code: "not_adoptable"},
		{operation: "POST /v1/adopt", body: `{"program":"nope","pid":1}`, status: 404, code: "not_found"},
		{operation: "PATCH /v1/system", status: 405, code: "method_not_allowed"},
		{operation: "GET /v1/actions", status: 405, code: "method_not_allowed"},
		{operation: "GET /v1/", status: 404, code: "not_found"},
		{operation: "GET /v1/nothing/here", status: 404, code: "not_found"},
	} {
		w.do(s)
	}
	w.orders()
	w.adopts()
	w.do(step{operation: "DELETE " + program, path: "/v1/programs/web", status: 204})
	w.do(step{operation: "DELETE " + program, path: "/v1/programs/web", status: 404, code: "not_found"})
	w.do(step{operation: "GET " + process, path: "/v1/processes/web", status: 404, code: "not_found"})
	w.do(step{operation: "GET /v1/notifiers", status: 200, has: `"items":[]`})
	w.do(step{operation: "POST /v1/notifiers/{name}/test", path: "/v1/notifiers/ops/test", status: 404, code: "not_found", has: "no notifier is named ops"})
	w.do(step{operation: "POST /v1/daemon/reopen-logs", status: 202})
	w.upgrades()
	w.do(step{operation: "POST /v1/daemon/stop", status: 202})
	<-w.ended
	if _, err := w.api.System(t.Context()); !isAbsent(err) {
		t.Errorf("%v", err)
	}
	for op := range doc.Operations() {
		if !w.called[op] {
			t.Errorf("%s was not called", op)
		}
	}
}

// orders: what is not waited for is answered at once, with the place of the operation.
func (w *walk) orders() {
	w.t.Helper()
	a := w.do(step{operation: "POST /v1/processes/{id}/start", path: "/v1/processes/bad/start", status: 202, has: `"state":"running"`})
	at := a.header.Get("Location")
	w.do(step{operation: "GET /v1/operations/{id}", path: at + "?wait=30", status: 200, has: `"state":"failed"`})
	w.do(step{operation: "GET /v1/operations/{id}", path: at, status: 200, has: `"code":"start_failed"`})
	if got := w.request("PUT", "/v1/system", "").header.Get("Allow"); got != "GET" {
		w.t.Errorf("Allow: %s", got)
	}
	tag := w.request("GET", "/v1/programs/cat", "").header.Get("ETag")
	text := "[program:cat]\ncommand=/bin/cat\nstartsecs=0\npriority=5\n"
	w.do(step{operation: "PUT /v1/programs/{name}", path: "/v1/programs/cat", body: text, header: "If-Match: " + tag, status: 200, has: `"priority"`})
}

// adopts: a process that runs becomes the instance.
func (w *walk) adopts() {
	w.t.Helper()
	sleep := exec.Command("sleep", "1000")
	if err := sleep.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = sleep.Process.Kill(); _ = sleep.Wait() })
	w.do(step{
		operation: "POST /v1/adopt", body: fmt.Sprintf(`{"program":"bad","pid":%d}`, sleep.Process.Pid), status: 200,
		has: fmt.Sprintf(`"pid":%d`, sleep.Process.Pid),
	})
	w.do(step{operation: "GET /v1/adoptable", status: 200, has: `"items":[`})
	w.do(step{operation: "GET /v1/adoptable", path: "/v1/adoptable?port=x", status: 400, code: "bad_request"})
	w.do(step{operation: "GET /v1/adoptable", path: "/v1/adoptable?title=(", status: 400, code: "bad_request"})
	// It is let go of again, and lives.
	const release = "POST /v1/processes/{id}/release"
	w.do(step{operation: release, path: "/v1/processes/bad/release?wait=30", status: 200, has: `"state":"STOPPED"`})
	w.do(step{operation: release, path: "/v1/processes/bad/release?wait=30", status: 409, code: "not_running"})
	if err := sleep.Process.Signal(syscall.Signal(0)); err != nil {
		w.t.Error(err)
	}
}

// upgrades: another process answers, the programs are the same.
func (w *walk) upgrades() {
	w.t.Helper()
	before, err := w.api.System(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	pid := *w.process("cat").PID
	w.do(step{operation: "POST /v1/daemon/upgrade", status: 202})
	until(w.t, "the next manager", func() bool {
		s, err := w.api.System(w.t.Context())
		return err == nil && s.Manager != before.Manager
	})
	if p := w.process("cat"); p.PID == nil || *p.PID != pid {
		w.t.Errorf("%+v", p)
	}
}
