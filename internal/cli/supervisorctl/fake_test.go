package supervisorctl

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/client/supervisor"
	"github.com/upkeep-project/upkeep/internal/cli/supervisorctl/ctltest"
	"github.com/upkeep-project/upkeep/internal/wire/xmlrpc"
)

// fakeServer answers calls with what a test says and notes them.
type fakeServer struct {
	mu      sync.Mutex
	answers map[string][]any // by method without "supervisor."; the last one repeats
	calls   []string
	streams map[string]string // by path
	before  func(method string)
	hold    bool   // streams stay open
	user    string // credentials that are needed: user:secret
}

// fault is an answer of a fakeServer.
func fault(code int, text string) *supervisor.Fault { return &supervisor.Fault{Code: code, Text: text} }

// httpError is an answer of a fakeServer that is no answer.
type httpError int

// newFake serves on a unix socket, and returns its URL. answers are those besides getVersion.
func newFake(t testing.TB, answers map[string][]any) (*fakeServer, string) {
	t.Helper()
	f := &fakeServer{answers: answers}
	if f.answers == nil {
		f.answers = map[string][]any{}
	}
	if f.answers["getVersion"] == nil {
		f.answers["getVersion"] = []any{"3.0"}
	}
	dir, err := os.MkdirTemp("", "ctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: f}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return f, "unix://" + path
}

func (f *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	needed := f.user
	f.mu.Unlock()
	if needed != "" {
		if user, secret, _ := r.BasicAuth(); user+":"+secret != needed {
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
	}
	if r.Method == http.MethodGet {
		text, ok := f.streams[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		for _, piece := range strings.Split(text, "|") {
			io.WriteString(w, piece)
			w.(http.Flusher).Flush()
		}
		if f.hold {
			<-r.Context().Done()
		}
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	method, params, err := xmlrpc.ParseCall(body, xmlrpc.Limits{})
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	short := strings.TrimPrefix(method, "supervisor.")
	if f.before != nil {
		f.before(short)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	call := short
	for _, p := range params {
		call += fmt.Sprintf(" %v", p)
	}
	// The original leaves out that it waits, which is the default.
	f.calls = append(f.calls, strings.TrimSuffix(call, " true"))
	list := f.answers[short]
	var answer any = fault(1, "UNKNOWN_METHOD")
	if len(list) > 0 {
		answer = list[0]
		if len(list) > 1 {
			f.answers[short] = list[1:]
		}
	}
	w.Header().Set("Content-Type", "text/xml")
	switch a := answer.(type) {
	case []byte: // a whole document
		w.Write(a)
	case httpError:
		http.Error(w, http.StatusText(int(a)), int(a))
	case *supervisor.Fault:
		w.Write(xmlrpc.AppendFault(nil, a.Code, a.Text))
	default:
		w.Write(xmlrpc.AppendResponse(nil, answer))
	}
}

// lock makes the server ask for credentials, "user:secret".
func (f *fakeServer) lock(credentials string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.user = credentials
}

func (f *fakeServer) noted() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func (f *fakeServer) taken() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.calls = nil
	return calls
}

// program is an entry of getAllProcessInfo.
func program(group, name string, state int, stateName string, pid int, description string) supervisor.Struct {
	return supervisor.Struct{
		{Name: "name", Value: name},
		{Name: "group", Value: group},
		{Name: "start", Value: 0},
		{Name: "stop", Value: 0},
		{Name: "now", Value: 0},
		{Name: "state", Value: state},
		{Name: "statename", Value: stateName},
		{Name: "spawnerr", Value: ""},
		{Name: "exitstatus", Value: 0},
		{Name: "logfile", Value: ""},
		{Name: "stdout_logfile", Value: ""},
		{Name: "stderr_logfile", Value: ""},
		{Name: "pid", Value: pid},
		{Name: "description", Value: description},
	}
}

// result is an entry of the answer to a call on many.
func result(group, name string, status int, description string) supervisor.Struct {
	return supervisor.Struct{
		{Name: "name", Value: name},
		{Name: "group", Value: group},
		{Name: "status", Value: status},
		{Name: "description", Value: description},
	}
}

// hard are conditions that are hard to bring about in a real daemon. What is expected is what the original
// does, unless ours is given; ours alone is looked at when the original is not installed.
type hard struct {
	args    string
	answers map[string][]any
	ours    string   // our output when it differs
	status  int      // and our status
	calls   []string // and our calls, when they differ
}

func hardCases() []hard {
	on := func(kv ...any) map[string][]any {
		m := map[string][]any{}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i].(string)] = append(m[kv[i].(string)], kv[i+1])
		}
		return m
	}
	infos := []any{
		program("x", "x", 20, "RUNNING", 7, "pid 7, uptime 0:00:07"),
		program("g", "slow", 10, "STARTING", 8, ""),
		program("g", "ends", 40, "STOPPING", 9, ""),
		program("odd", "odd", 1000, "UNKNOWN", 0, ""),
	}
	shutting, failed := fault(6, "SHUTDOWN_STATE"), fault(30, "FAILED: x does not want to")
	changes := []any{[]any{[]any{"new"}, []any{"ch"}, []any{"old"}}}
	removed := []any{[]any{[]any{}, []any{}, []any{"old", "older"}}}
	generic := func(text string) string { return "error: " + text + "\n" }
	return []hard{
		{args: "status", answers: on("getVersion", "2.0")},
		{args: "stop x", answers: on("getVersion", "4.0")},
		{args: "status", answers: on("getVersion", fault(1, "UNKNOWN_METHOD"))},
		{args: "stop x", answers: on("getVersion", fault(1, "UNKNOWN_METHOD"))},
		{args: "status", answers: on("getVersion", shutting), ours: generic("SHUTDOWN_STATE (fault 6)"), status: 1},
		{args: "version", answers: on("getVersion", httpError(500)), ours: generic("{url} answered 500 Internal Server Error"), status: 1},
		{args: "status", answers: on("getVersion", httpError(401)), ours: "Server requires authentication\n", status: 1, calls: []string{"getVersion"}},
		{args: "reread", answers: on("reloadConfig", httpError(401)), ours: "Server requires authentication\n", status: 1, calls: []string{"reloadConfig"}},
		{args: "status", answers: on("getAllProcessInfo", infos)},
		{args: "status g:*", answers: on("getAllProcessInfo", infos)},
		{args: "status odd", answers: on("getAllProcessInfo", infos)},
		{args: "status", answers: on("getAllProcessInfo", []any{})},
		{args: "status", answers: on("getAllProcessInfo", failed), ours: generic("FAILED: x does not want to (fault 30)"), status: 1},

		{args: "start x", answers: on("startProcess", failed), ours: generic("Unknown result code 30 for x"), status: 1},
		{args: "start x y", answers: on("startProcess", shutting), ours: generic("Unknown result code 6 for x"), status: 1},
		{args: "start x", answers: on("startProcess", httpError(500)), ours: generic("{url} answered 500 Internal Server Error"), status: 1},
		{args: "start x y z", answers: on("startProcess", fault(50, "SPAWN_ERROR: x"), "startProcess", fault(40, "ABNORMAL_TERMINATION: y"), "startProcess", true)},
		{args: "start g:x", answers: on("startProcess", fault(21, "NOT_EXECUTABLE"))},
		{args: "start x", answers: on("startProcess", fault(20, "NO_FILE"))},
		{args: "start g:*", answers: on("startProcessGroup", []any{result("g", "g", 80, "OK"), result("g", "b", 60, "ALREADY_STARTED"), result("g", "c", 50, "SPAWN_ERROR")})},
		{args: "start g:*", answers: on("startProcessGroup", []any{result("g", "a", 6, "SHUTDOWN_STATE"), result("g", "b", 80, "OK")}), ours: generic("Unknown result code 6 for g:a"), status: 1},
		{args: "start g:*", answers: on("startProcessGroup", shutting), ours: generic("SHUTDOWN_STATE (fault 6)"), status: 1},
		{args: "start all", answers: on("startAllProcesses", []any{result("g", "a", 40, "x"), result("b", "b", 80, "OK")})},
		{args: "start all", answers: on("startAllProcesses", shutting), ours: generic("SHUTDOWN_STATE (fault 6)"), status: 1},
		{args: "stop x y", answers: on("stopProcess", failed, "stopProcess", true)},
		{args: "stop x y", answers: on("stopProcess", shutting), ours: generic("Unknown result code 6 for x"), status: 1},
		{args: "stop all", answers: on("stopAllProcesses", []any{result("g", "a", 30, "FAILED: a"), result("g", "b", 70, "NOT_RUNNING"), result("g", "c", 10, "BAD_NAME"), result("g", "d", 80, "OK")})},
		{args: "signal hup x", answers: on("signalProcess", failed), ours: generic("Unknown result code 30 for x"), status: 1},
		{args: "signal 9 g:*", answers: on("signalProcessGroup", []any{result("g", "a", 70, ""), result("g", "b", 11, ""), result("g", "c", 10, ""), result("g", "d", 80, "")})},
		{args: "signal usr1 all", answers: on("signalAllProcesses", []any{result("g", "a", 80, "OK")})},
		{args: "restart x", answers: on("stopProcess", true, "startProcess", true), calls: []string{"getVersion", "stopProcess x", "startProcess x"}, ours: "x: stopped\nx: started\n"},
		{args: "clear x", answers: on("clearProcessLogs", fault(30, "FAILED: x"))},
		{args: "clear x", answers: on("clearProcessLogs", fault(20, "NO_FILE")), ours: generic("Unknown result code 20 for x"), status: 1},
		{args: "clear all", answers: on("clearAllProcessLogs", []any{result("g", "a", 30, ""), result("b", "b", 80, "OK")})},
		{args: "clear g:*", answers: on("getAllProcessInfo", infos, "clearProcessLogs", true, "clearProcessLogs", fault(30, "")), ours: "g:slow: cleared\ng:ends: ERROR (failed)\n", status: 1, calls: []string{"getVersion", "getAllProcessInfo", "clearProcessLogs g:slow", "clearProcessLogs g:ends"}},

		{args: "pid", answers: on("getPID", 42)},
		{args: "pid", answers: on("getPID", shutting), ours: generic("SHUTDOWN_STATE (fault 6)"), status: 1},
		{args: "pid x", answers: on("getProcessInfo", shutting), ours: generic("SHUTDOWN_STATE (fault 6)"), status: 1},
		{args: "pid all", answers: on("getAllProcessInfo", infos)},

		{args: "tail x", answers: on("readProcessStdoutLog", failed)},
		{args: "tail x", answers: on("readProcessStdoutLog", fault(20, "NO_FILE: /x"))},
		{args: "tail -7 x stderr", answers: on("readProcessStderrLog", "a\tb\nc")},
		{args: "tail x", answers: on("readProcessStdoutLog", shutting), ours: generic("SHUTDOWN_STATE (fault 6)"), status: 1},
		{args: "maintail", answers: on("readLog", failed)},
		{args: "maintail", answers: on("readLog", fault(20, "NO_FILE: /x"))},
		{args: "maintail", answers: on("readLog", shutting), ours: generic("SHUTDOWN_STATE (fault 6)"), status: 1},
		{args: "maintail -12", answers: on("readLog", "text")},

		{args: "reread", answers: on("reloadConfig", shutting)},
		{args: "reread", answers: on("reloadConfig", fault(92, "CANT_REREAD: bad"))},
		{args: "reread", answers: on("reloadConfig", failed), ours: generic("FAILED: x does not want to (fault 30)"), status: 1},
		{args: "reread", answers: on("reloadConfig", changes)},
		{args: "update", answers: on("reloadConfig", shutting)},
		{args: "update", answers: on("reloadConfig", fault(92, "CANT_REREAD: bad")), ours: "ERROR: CANT_REREAD: bad\n", status: 1},
		{args: "update", answers: on("reloadConfig", changes, "stopProcessGroup", []any{}, "removeProcessGroup", true, "addProcessGroup", true)},
		{args: "update ch", answers: on("reloadConfig", changes, "getAllProcessInfo", []any{program("ch", "ch", 20, "RUNNING", 1, "")}, "stopProcessGroup", []any{}, "removeProcessGroup", true, "addProcessGroup", true)},
		{args: "update new nope", answers: on("reloadConfig", changes, "getAllProcessInfo", infos, "addProcessGroup", true)},
		{args: "update", answers: on("reloadConfig", removed, "stopProcessGroup", []any{result("old", "a", 80, "OK"), result("old", "b", 30, "FAILED")}, "stopProcessGroup", []any{}, "removeProcessGroup", true)},
		{args: "update", answers: on("reloadConfig", changes, "stopProcessGroup", []any{}, "removeProcessGroup", fault(91, "STILL_RUNNING: old")), ours: "old: stopped\n" + generic("STILL_RUNNING: old (fault 91)"), status: 1},
		{args: "add x y", answers: on("addProcessGroup", shutting, "addProcessGroup", true)},
		{args: "add x y", answers: on("addProcessGroup", fault(90, "ALREADY_ADDED: x"), "addProcessGroup", fault(10, "BAD_NAME: y"))},
		{args: "add x y", answers: on("addProcessGroup", failed), ours: generic("FAILED: x does not want to (fault 30)"), status: 1},
		{args: "remove x y", answers: on("removeProcessGroup", fault(91, "STILL_RUNNING: x"), "removeProcessGroup", fault(10, "BAD_NAME"))},
		{args: "remove x", answers: on("removeProcessGroup", shutting), ours: generic("SHUTDOWN_STATE (fault 6)"), status: 1},
		{args: "avail", answers: on("getAllConfigInfo", shutting)},
		{args: "version", answers: on("getSupervisorVersion", "4.3.0")},
		{args: "shutdown", answers: on("shutdown", shutting)},
		{args: "shutdown", answers: on("shutdown", failed), ours: generic("FAILED: x does not want to (fault 30)"), status: 1},
		{args: "shutdown", answers: on("shutdown", true)},
		{args: "reload", answers: on("restart", shutting)},
		{args: "reload", answers: on("restart", true)},
		{args: "reload", answers: on("restart", fault(92, "CANT_REREAD: bad")), ours: "ERROR: CANT_REREAD: bad\n", status: 1},
		{args: "fg x", answers: on("getProcessInfo", program("x", "x", 100, "EXITED", 0, ""))},
		{args: "fg x", answers: on("getProcessInfo", fault(10, "BAD_NAME"))},
		{args: "fg x", answers: on("getProcessInfo", shutting), ours: "ERROR: SHUTDOWN_STATE (fault 6)\n", status: 1},
	}
}

// TestHardConditions compares output, status and requests with the original's, against the same server.
func TestHardConditions(t *testing.T) {
	original, missing := ctltest.Original(t, originalCtl)
	for i, c := range hardCases() {
		t.Run(fmt.Sprintf("%02d %s", i, c.args), func(t *testing.T) {
			run := func(r ctltest.Runner) (ctltest.Result, []string) {
				answers := map[string][]any{}
				for k, v := range c.answers {
					answers[k] = v
				}
				f, url := newFake(t, answers)
				got := r([]string{"-s", url, c.args}, "")
				got.Stdout = strings.ReplaceAll(got.Stdout, url, "{url}")
				return got, f.taken()
			}
			got, calls := run(inProcess)
			want, wantCalls := ctltest.Result{}, calls
			switch {
			case missing == nil:
				want, wantCalls = run(original)
			case c.ours == "":
				t.Skip(missing)
			}
			if c.ours != "" {
				if want.Stdout == got.Stdout && slices.Equal(wantCalls, calls) {
					t.Errorf("no difference from the original is left")
				}
				want = ctltest.Result{Stdout: c.ours, Status: c.status}
			}
			if c.calls != nil {
				wantCalls = c.calls
			}
			if diff := cmp.Diff(want.String(), got.String()); diff != "" {
				t.Errorf("output (wanted -, got +):\n%s", diff)
			}
			if diff := cmp.Diff(wantCalls, calls); diff != "" {
				t.Errorf("calls (wanted -, got +):\n%s", diff)
			}
		})
	}
}
