package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
)

// TestActions: what each action does and says. Source: spec/supervisor 7.3.
func TestActions(t *testing.T) {
	tests := []struct {
		query   string
		fails   map[string]error
		calls   string
		message string
	}{
		{"action=refresh", nil, "", "Page refreshed at Fri Nov 20 12:00:03 2026"},
		{"action=refresh&processname=nope", nil, "", "Page refreshed at Fri Nov 20 12:00:03 2026"},
		{"action=start&processname=g:a", nil, "start g:a", "Process g:a started"},
		{"action=start&processname=cat", map[string]error{"start cat": code(service.CodeAlreadyStarted)}, "start cat", "ERROR: Process cat: already started"},
		{"action=start&processname=cat", map[string]error{"start cat": code(service.CodeNoFile)}, "start cat", "ERROR: Process cat: no such file"},
		{"action=start&processname=cat", map[string]error{"start cat": code(service.CodeNotExecutable)}, "start cat", "ERROR: Process cat: file not executable"},
		{"action=start&processname=cat", map[string]error{"start cat": code(service.CodeSpawnError)}, "start cat", "ERROR: Process cat: spawn error"},
		{"action=start&processname=cat", map[string]error{"start cat": code(service.CodeAbnormalTermination)}, "start cat", "ERROR: Process cat: abnormal termination"},
		{"action=start&processname=cat", map[string]error{"start": code(service.CodeShuttingDown)}, "start cat", "ERROR: Process cat: unexpected rpc fault [14] FAULT: cat"},
		{"action=stop&processname=cat", nil, "stop cat", "Process cat stopped"},
		{"action=stop&processname=cat:cat", nil, "stop cat", "Process cat:cat stopped"},
		{"action=stop&processname=g:a", map[string]error{"stop g:a": code(service.CodeNotRunning)}, "stop g:a", "unexpected rpc fault [10] FAULT: g:a"},
		{"action=restart&processname=cat", nil, "stop cat; start cat", "Process cat restarted"},
		{"action=restart&processname=g:a", map[string]error{"stop g:a": code(service.CodeNotRunning)}, "stop g:a; start g:a", "Process g:a restarted"},
		{"action=restart&processname=cat", map[string]error{"stop cat": code(service.CodeFailed)}, "stop cat", "unexpected rpc fault [1] FAULT: cat"},
		{"action=restart&processname=cat", map[string]error{"start cat": code(service.CodeSpawnError)}, "stop cat; start cat", "ERROR: Process cat: spawn error"},
		{"action=restart&processname=off", nil, "", "ERROR: Process off: disabled"},
		{"action=clearlog&processname=cat", nil, "clear cat", "Log for cat cleared"},
		{"action=clearlog&processname=cat", map[string]error{"clear cat": code(service.CodeFailed)}, "clear cat", "unexpected rpc fault [1] FAULT: cat"},
		{"action=stopall", nil, "stop all", "All stopped at Fri Nov 20 12:00:03 2026"},
		{"action=stopall", map[string]error{"stop": code(service.CodeShuttingDown)}, "stop all", "unexpected rpc fault [14] FAULT: "},
		{"action=restartall", nil, "stop all; start all", "All restarted at Fri Nov 20 12:00:03 2026"},
		{"action=restartall", map[string]error{"stop": code(service.CodeShuttingDown)}, "stop all", "unexpected rpc fault [14] FAULT: "},
		{"action=restartall", map[string]error{"start": code(service.CodeShuttingDown)}, "stop all; start all", "unexpected rpc fault [14] FAULT: "},
		{
			"action=restartall",
			map[string]error{"start g:a": code(service.CodeSpawnError), "stop cat": code(service.CodeFailed)},
			"stop all; start all",
			"All restarted at Fri Nov 20 12:00:03 2026; ERROR: Process cat: unexpected rpc fault [1] FAULT: cat; ERROR: Process g:a: spawn error",
		},
		{"action=start&processname=nope", nil, "", "No such process named nope"},
		{"action=stop&processname=g", nil, "", "No such process named g"},
		{"action=restart&processname=g:*", nil, "", "No such process named g:*"},
		{"action=clearlog&processname=%0d%0aX:%3Cb%3E", nil, "", "No such process named \r\nX:<b>"},
	}
	for _, tt := range tests {
		for _, where := range []string{"query", "body"} {
			f := newFake()
			off := program("off", "off", model.Running)
			off.Program.Disabled = true
			f.list = append(f.list, off)
			for k, v := range tt.fails {
				f.err[k] = v
			}
			target, body := "/index.html?"+tt.query, ""
			if where == "body" {
				target, body = "/", tt.query
			}
			r := ask(t, site(t, f), http.MethodPost, target, body)
			if got := strings.Join(f.calls, "; "); got != tt.calls {
				t.Errorf("%s: calls %q, want %q", tt.query, got, tt.calls)
			}
			location := r.Header.Get("Location")
			quoted, ok := strings.CutPrefix(location, "./?message=")
			message, err := url.PathUnescape(quoted)
			if r.StatusCode != http.StatusSeeOther || !ok || err != nil || message != tt.message {
				t.Errorf("%s: %d %q, want %q", tt.query, r.StatusCode, message, tt.message)
			}
			if strings.ContainsAny(location, " \r\n<>&#") {
				t.Errorf("%s: %q", tt.query, location)
			}
		}
	}
}

// TestLookingChangesNothing: no GET and no HEAD of any action does anything. Source: spec/reliability S2.
func TestLookingChangesNothing(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		for a := range deeds {
			for _, path := range []string{"/", "/index.html", "/tail.html"} {
				f := newFake()
				r := ask(t, site(t, f), method, path+"?processname=cat&action="+string(a), "action="+string(a)+"&processname=cat")
				if len(f.calls) != 0 || r.StatusCode != 200 {
					t.Errorf("%s %s %s: %d %v", method, path, a, r.StatusCode, f.calls)
				}
			}
		}
	}
	f := newFake()
	if r := ask(t, site(t, f), http.MethodPost, "/tail.html?processname=cat&action=stop", "action=stopall"); r.StatusCode != 200 || len(f.calls) != 0 {
		t.Errorf("the page of a log acts: %v", f.calls)
	}
}

// TestConfirmation: the page that asks has a form that does it, to the very same program.
func TestConfirmation(t *testing.T) {
	for a, d := range deeds {
		f := newFake()
		f.list = append(f.list, program("g", "a b&c=d%41", model.Running))
		s := site(t, f)
		target := "/index.html?action=" + string(a)
		if d.one != nil {
			target += "&processname=g%3Aa%20b%26c%3Dd%2541"
		}
		var action, method, label, question string
		for _, e := range elements(t, text(t, ask(t, s, http.MethodGet, target, ""))) {
			switch e.name {
			case "form":
				action, method = e.attrs["action"], e.attrs["method"]
			case "button":
				label = e.text
			case "p":
				if question == "" {
					question = strings.TrimSpace(e.text)
				}
				if strings.Contains(e.text, "?") {
					question = e.text
				}
			}
		}
		if method != "post" || label != d.label || !strings.Contains(question, "?") || d.one != nil && !strings.Contains(question, "g:a b&c=d%41") {
			t.Errorf("%s: %q %q %q", a, method, label, question)
		}
		if r := ask(t, s, http.MethodPost, "/"+action, ""); r.StatusCode != http.StatusSeeOther || len(f.calls) == 0 || d.one != nil && !strings.HasSuffix(f.calls[0], " g:a b&c=d%41") {
			t.Errorf("%s: %q: %d %v", a, action, r.StatusCode, f.calls)
		}
	}
}

func TestRefusedActions(t *testing.T) {
	for _, query := range []string{"action=foo", "action=foo&processname=cat", "action=start", "action=start&processname=", "action=Stop&processname=cat", "action=%ff"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			f := newFake()
			if r := ask(t, site(t, f), method, "/?"+query, ""); r.StatusCode != 400 || text(t, r) != "error 400" || len(f.calls) != 0 {
				t.Errorf("%s %s: %d %v", method, query, r.StatusCode, f.calls)
			}
		}
	}
}

func TestManyFailuresAreCounted(t *testing.T) {
	f := newFake()
	for _, name := range strings.Split("c d e f g h i", " ") {
		f.list = append(f.list, program("x", name, 0))
	}
	for _, st := range f.list {
		f.err["start "+st.ID.String()] = code(service.CodeSpawnError)
	}
	r := ask(t, site(t, f), http.MethodPost, "/?action=restartall", "")
	message, _ := url.PathUnescape(r.Header.Get("Location"))
	if strings.Count(message, "spawn error") != 5 || !strings.HasSuffix(message, "; and 5 more") {
		t.Error(message)
	}
}

// TestBodyWins: a form decides, not the address it was sent to.
func TestBodyWins(t *testing.T) {
	f := newFake()
	r := httptest.NewRequest(http.MethodPost, "/?action=stop&processname=cat", strings.NewReader("processname=g:a"))
	site(t, f).Handlers()["/"].ServeHTTP(httptest.NewRecorder(), r)
	if d := cmp.Diff([]string{"stop g:a"}, f.calls); d != "" {
		t.Error(d)
	}
}
