package rpc2

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
	"github.com/upkeep-project/upkeep/internal/wire/xmlrpc"
)

// direct makes a caller without HTTP.
func direct(t *testing.T, f *fake, change func(*Options)) *caller {
	t.Helper()
	o := Options{Service: f, Listener: noListener{}, Section: "s", Namespace: true, Now: func() time.Time { return time.Unix(1795260009, 0).UTC() }}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return &caller{Server: s, ctx: context.Background(), remote: "local"}
}

// result calls a method and takes the answer through XML.
func (c *caller) result(t *testing.T, method string, params ...any) any {
	t.Helper()
	v, fault := c.call(method, params)
	if fault != nil {
		return fmt.Sprintf("FAULT %d %s", fault.Code, fault.Text)
	}
	out, err := xmlrpc.ParseResponse(xmlrpc.AppendResponse(nil, v), xmlrpc.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	return out
}

func serr(code service.Code, text string) error { return &service.Error{Code: code, Text: text} }

func status(group, name string, code int, text string) xmlrpc.Struct {
	return xmlrpc.Struct{{Name: "name", Value: name}, {Name: "group", Value: group}, {Name: "status", Value: code}, {Name: "description", Value: text}}
}

func TestMethods(t *testing.T) {
	all := []any{status("cat", "cat", 80, "OK"), status("g", "a", 80, "OK"), status("g", "b", 80, "OK"), status("off", "off", 80, "OK")}
	g := []any{status("g", "a", 80, "OK"), status("g", "b", 80, "OK")}
	failed := func(rs []any, code int, text string) []any {
		rs = slices.Clone(rs)
		s := slices.Clone(rs[len(rs)-1].(xmlrpc.Struct))
		s[2].Value, s[3].Value = code, text
		rs[len(rs)-1] = s
		return rs
	}
	tests := []struct {
		method string
		params []any
		err    error // of the service
		want   any
		calls  string
	}{
		{"getVersion", nil, nil, "3.0", ""},
		{"getAPIVersion", nil, nil, "3.0", ""},
		{"getSupervisorVersion", nil, nil, "4.3.0", ""},
		{"getIdentification", nil, nil, "super", ""},
		{"getPID", nil, nil, 77, ""},
		{"getState", nil, nil, xmlrpc.Struct{{Name: "statecode", Value: 1}, {Name: "statename", Value: "RUNNING"}}, ""},
		{"shutdown", nil, nil, true, "Shutdown"},
		{"restart", nil, nil, true, "Restart"},
		{"restart", nil, serr(service.CodeCannotReread, "line 3"), "FAULT 92 CANT_REREAD: line 3", "Restart"},
		{"reloadConfig", nil, nil, []any{[]any{[]any{"n1", "n2"}, []any{}, []any{"r"}}}, "Reread"},
		{"reloadConfig", nil, serr(service.CodeCannotReread, "x\n\ty"), "FAULT 92 CANT_REREAD: x\n\ty", "Reread"},
		{"addProcessGroup", []any{"g"}, nil, true, "AddGroup g"},
		{"addProcessGroup", []any{"g"}, serr(service.CodeAlreadyAdded, "t"), "FAULT 90 ALREADY_ADDED: g", "AddGroup g"},
		{"addProcessGroup", []any{5}, nil, "FAULT 2 INCORRECT_PARAMETERS", ""},
		{"removeProcessGroup", []any{"g"}, serr(service.CodeStillRunning, "t"), "FAULT 91 STILL_RUNNING: g", "RemoveGroup g"},
		{"removeProcessGroup", []any{""}, serr(service.CodeNoSuchProgram, "t"), "FAULT 10 BAD_NAME: ", "RemoveGroup "},
		{"startProcess", []any{"cat"}, nil, "FAULT 50 SPAWN_ERROR: cat", "Start(true) one cat:cat"},
		{"startProcess", []any{"g:a", false}, serr(service.CodeAlreadyStarted, ""), "FAULT 60 ALREADY_STARTED: g:a", "Start(false) one g:a"},
		{"startProcess", []any{"g:*"}, nil, failed(g, 50, "SPAWN_ERROR: g:b"), "Start(true) group g"},
		{"startProcess", []any{"nope:*"}, nil, "FAULT 10 BAD_NAME: nope:*", "Start(true) group nope"},
		{"startProcess", []any{"cat"}, serr(service.CodeNoFile, "can't find command 'x'"), "FAULT 20 NO_FILE: can't find command 'x'", "Start(true) one cat:cat"},
		{"startProcess", []any{"cat"}, serr(service.CodeNotExecutable, "x"), "FAULT 21 NOT_EXECUTABLE: x", "Start(true) one cat:cat"},
		{"startProcess", []any{"cat"}, serr(service.CodeAbnormalTermination, "x"), "FAULT 40 ABNORMAL_TERMINATION: cat", "Start(true) one cat:cat"},
		{"startProcess", []any{"cat"}, serr(service.CodeFailed, "cat is in an unknown process state"), "FAULT 30 FAILED: cat is in an unknown process state", "Start(true) one cat:cat"},
		{"startProcess", []any{"cat"}, errors.New("other"), "FAULT 30 FAILED: other", "Start(true) one cat:cat"},
		{"startProcess", []any{"cat", 0}, serr(service.CodeNotRunning, ""), "FAULT 70 NOT_RUNNING: cat", "Start(false) one cat:cat"},
		{"startProcess", []any{"a:b:c", "x"}, nil, "FAULT 10 BAD_NAME: a:b:c", "Start(true) one a:b:c"},
		{"startProcess", []any{5}, nil, "FAULT 2 INCORRECT_PARAMETERS", ""},
		{"startProcess", nil, nil, "FAULT 2 INCORRECT_PARAMETERS", ""},
		{"startProcess", []any{"a", true, 1}, nil, "FAULT 2 INCORRECT_PARAMETERS", ""},
		{"startProcessGroup", []any{"g", []any{}}, nil, failed(g, 50, "SPAWN_ERROR: g:b"), "Start(false) group g"},
		{"startProcessGroup", []any{"g:*"}, nil, "FAULT 10 BAD_NAME: g:*", "Start(true) group g:*"},
		{"startAllProcesses", nil, nil, failed(all, 50, "SPAWN_ERROR: off"), "Start(true) all"},
		{"stopProcess", []any{"cat", nil}, nil, true, "Stop(false) one cat:cat"},
		{"stopProcess", []any{"g:"}, nil, g, "Stop(true) group g"},
		{"stopProcessGroup", []any{"g", false}, nil, g, "Stop(false) group g"},
		{"stopAllProcesses", []any{false}, nil, all, "Stop(false) all"},
		{"stopAllProcesses", []any{1, 2}, nil, "FAULT 2 INCORRECT_PARAMETERS", ""},
		{"signalProcess", []any{"cat", "HUP"}, nil, true, "Signal(HUP) one cat:cat"},
		{"signalProcess", []any{"cat", 1}, nil, true, "Signal(1) one cat:cat"},
		{"signalProcess", []any{"cat", 1.5}, nil, true, "Signal(1) one cat:cat"},
		{"signalProcess", []any{"cat", []any{}}, nil, "FAULT 2 INCORRECT_PARAMETERS", ""},
		{"signalProcess", []any{"cat", "FOO"}, nil, "FAULT 11 BAD_SIGNAL: FOO", "Signal(FOO) one cat:cat"},
		{"signalProcess", []any{"g:*", "FOO"}, nil, failed(g, 11, "BAD_SIGNAL: FOO"), "Signal(FOO) group g"},
		{"signalProcess", []any{"nope", "HUP"}, nil, "FAULT 10 BAD_NAME: nope", "Signal(HUP) one nope:nope"},
		{"signalProcessGroup", []any{"g", "HUP"}, nil, g, "Signal(HUP) group g"},
		{"signalAllProcesses", []any{"HUP"}, nil, all, "Signal(HUP) all"},
		{"signalAllProcesses", []any{"99"}, serr(service.CodeBadSignal, "x"), "FAULT 11 BAD_SIGNAL: 99", "Signal(99) all"},
		{"sendProcessStdin", []any{"cat", "é\n"}, nil, true, `WriteStdin cat:cat "é\n"`},
		{"sendProcessStdin", []any{"cat", []byte("x")}, nil, true, `WriteStdin cat:cat "x"`},
		{"sendProcessStdin", []any{"nope", 5}, nil, "FAULT 2 INCORRECT_PARAMETERS: 5", ""},
		{"sendProcessStdin", []any{"cat", true}, nil, "FAULT 2 INCORRECT_PARAMETERS: True", ""},
		{"sendProcessStdin", []any{"cat", []any{1, "a", nil, 1.0}}, nil, "FAULT 2 INCORRECT_PARAMETERS: [1, 'a', None, 1.0]", ""},
		{"sendProcessStdin", []any{"g:*", "x"}, nil, "FAULT 10 BAD_NAME: g:*", ""},
		{"sendProcessStdin", []any{"cat", "x"}, serr(service.CodeNoFile, "its stdin is closed"), "FAULT 20 NO_FILE: cat", `WriteStdin cat:cat "x"`},
		{"sendProcessStdin", []any{"cat", "x"}, serr(service.CodeFailed, "queue full"), "FAULT 30 FAILED: queue full", `WriteStdin cat:cat "x"`},
		{"sendRemoteCommEvent", []any{"a", "b"}, nil, true, "Publish a b"},
		{"sendRemoteCommEvent", []any{5, xmlrpc.Struct{{Name: "k", Value: 1}}}, nil, true, "Publish 5 {'k': 1}"},
		{"sendRemoteCommEvent", []any{"a"}, nil, "FAULT 2 INCORRECT_PARAMETERS", ""},
		{"getProcessInfo", []any{"nope"}, nil, "FAULT 10 BAD_NAME: nope", "Get nope:nope"},
		{"getProcessInfo", []any{"g:*"}, nil, "FAULT 10 BAD_NAME: g:*", ""},
		{"getProcessInfo", []any{5}, nil, "FAULT 2 INCORRECT_PARAMETERS", ""},
		{"readLog", []any{0, 0}, nil, "hello log\n", "ReadLog main 0 16777216"},
		{"readMainLog", []any{"-5", false}, nil, "hello log\n", "ReadLog main -5 0"},
		{"readLog", []any{"a", 0}, nil, "FAULT 2 INCORRECT_PARAMETERS", ""},
		{"readLog", []any{0}, nil, "FAULT 2 INCORRECT_PARAMETERS", ""},
		{"readLog", []any{-1, 1}, serr(service.CodeBadArguments, "x"), "FAULT 3 BAD_ARGUMENTS", "ReadLog main -1 1"},
		{"readLog", []any{1, 1}, serr(service.CodeNoFile, "/l/x"), "FAULT 20 NO_FILE: /l/x", "ReadLog main 1 1"},
		{"readLog", []any{1, 1}, serr(service.CodeFailed, ""), "FAULT 30 FAILED", "ReadLog main 1 1"},
		{"readProcessLog", []any{"g:a", 2, 3}, nil, "hello log\n", "ReadLog g:a stdout 2 3"},
		{"readProcessStdoutLog", []any{"g:a", -1 << 40, 0}, nil, "hello log\n", "ReadLog g:a stdout -16777216 0"},
		{"readProcessStderrLog", []any{"a", 2, 3}, serr(service.CodeNoFile, ""), "FAULT 20 NO_FILE", "ReadLog a:a stderr 2 3"},
		{"readProcessLog", []any{"g:*", 2, 3}, nil, "FAULT 10 BAD_NAME: g:*", ""},
		{"tailProcessLog", []any{"a", 2, 3}, nil, []any{"hello log\n", 10, true}, "TailLog a:a stdout 2 3"},
		{"tailProcessStdoutLog", []any{"a", 2, 3}, serr(service.CodeNoFile, "x"), []any{"", 0, false}, "TailLog a:a stdout 2 3"},
		{"tailProcessStderrLog", []any{"a", 2, 3}, serr(service.CodeNoSuchProgram, "x"), "FAULT 10 BAD_NAME: a", "TailLog a:a stderr 2 3"},
		{"tailProcessLog", []any{"a", 2, "x"}, nil, "FAULT 2 INCORRECT_PARAMETERS", ""},
		{"clearLog", nil, nil, true, "ClearMainLog"},
		{"clearLog", nil, serr(service.CodeNoFile, "/x"), "FAULT 20 NO_FILE", "ClearMainLog"},
		{"clearProcessLog", []any{"cat"}, nil, true, "ClearLogs one cat:cat"},
		{"clearProcessLogs", []any{"g:a"}, serr(service.CodeFailed, "why"), "FAULT 30 FAILED: g:a", "ClearLogs one g:a"},
		{"clearProcessLogs", []any{"g:*"}, nil, "FAULT 10 BAD_NAME: g:*", ""},
		{"clearProcessLogs", []any{"nope"}, nil, "FAULT 10 BAD_NAME: nope", "ClearLogs one nope:nope"},
		{"clearAllProcessLogs", nil, nil, all, "ClearLogs all"},
		{"nope", nil, nil, "FAULT 1 UNKNOWN_METHOD", ""},
		{"_update", []any{"x"}, nil, "FAULT 1 UNKNOWN_METHOD", ""},
		{"getPID", nil, serr(service.CodeShuttingDown, ""), 77, ""},
		{"getAllProcessInfo", nil, serr(service.CodeShuttingDown, ""), "FAULT 6 SHUTDOWN_STATE", "List"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s%v", tt.method, tt.params), func(t *testing.T) {
			f := newFake()
			f.err = tt.err
			got := direct(t, f, nil).result(t, "supervisor."+tt.method, tt.params...)
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
			calls := f.noted()
			if calls != tt.calls {
				t.Errorf("calls %q, want %q", calls, tt.calls)
			}
		})
	}
}

func TestShutdownState(t *testing.T) {
	for _, st := range []model.DaemonState{model.DaemonShutdown, model.DaemonRestarting} {
		f := newFake()
		f.info.State = st
		c := direct(t, f, nil)
		for name, m := range c.methods {
			params := make([]any, len(m.signature)-1)
			for i := range params {
				params[i] = "x"
			}
			got := c.result(t, name, params...)
			free := strings.HasPrefix(name, "system.") || name == "supervisor.sendRemoteCommEvent"
			if fault := got == "FAULT 6 SHUTDOWN_STATE"; fault == free {
				t.Errorf("%v %s: %v", st, name, got)
			}
		}
		if got := c.result(t, "supervisor.getVersion", 1); got != "FAULT 2 INCORRECT_PARAMETERS" {
			t.Errorf("the number of parameters counts first: %v", got)
		}
		if len(f.calls) != 1 { // Publish
			t.Errorf("calls: %v", f.calls)
		}
	}
}

func TestSignatures(t *testing.T) {
	want := map[string]string{
		"[array]":                  "clearAllProcessLogs getAllConfigInfo getAllProcessInfo reloadConfig system.listMethods upkeep.plan",
		"[boolean]":                "clearLog restart shutdown",
		"[string]":                 "getAPIVersion getIdentification getSupervisorVersion getVersion",
		"[int]":                    "getPID",
		"[struct]":                 "getState upkeep.getInfo",
		"[struct string]":          "getProcessInfo",
		"[boolean string]":         "addProcessGroup removeProcessGroup clearProcessLog clearProcessLogs upkeep.release",
		"[string int int]":         "readLog readMainLog",
		"[string string int int]":  "readProcessLog readProcessStdoutLog readProcessStderrLog",
		"[array string int int]":   "tailProcessLog tailProcessStdoutLog tailProcessStderrLog",
		"[boolean string string]":  "sendProcessStdin sendRemoteCommEvent signalProcess",
		"[array string]":           "signalAllProcesses system.methodSignature",
		"[array string string]":    "signalProcessGroup",
		"[boolean string boolean]": "startProcess stopProcess",
		"[array string boolean]":   "startProcessGroup stopProcessGroup",
		"[array boolean]":          "startAllProcesses stopAllProcesses",
		"[string string]":          "system.methodHelp",
		"[array array]":            "system.multicall upkeep.apply",
		"[struct string int]":      "upkeep.adopt",
	}
	c := direct(t, newFake(), nil)
	seen := 0
	for sig, names := range want {
		for _, name := range strings.Fields(names) {
			seen++
			if !strings.Contains(name, ".") {
				name = "supervisor." + name
			}
			if got := fmt.Sprint(c.result(t, "system.methodSignature", name)); got != sig {
				t.Errorf("%s: %s, want %s", name, got, sig)
			}
			help := c.result(t, "system.methodHelp", name).(string)
			if summary, rest, ok := strings.Cut(help, "\n\n"); !ok || summary == "" || !strings.Contains(rest, "@return ") {
				t.Errorf("%s: help %q", name, help)
			}
		}
	}
	names := c.result(t, "system.listMethods").([]any)
	if len(names) != seen {
		t.Errorf("%d methods, %d in the table", len(names), seen)
	}
	if !slices.IsSortedFunc(names, func(a, b any) int { return strings.Compare(a.(string), b.(string)) }) {
		t.Error("not sorted")
	}
	for _, params := range [][]any{{"nope"}, {5}} {
		if got := c.result(t, "system.methodHelp", params...); got != "FAULT 4 SIGNATURE_UNSUPPORTED" {
			t.Errorf("%v: %v", params, got)
		}
	}
}

func TestLevels(t *testing.T) {
	for _, allow := range []Level{LevelObserve, LevelOperate, LevelAdminister} {
		c := direct(t, newFake(), func(o *Options) { o.Allow = allow })
		for name, m := range c.methods {
			if m.level == LevelNone {
				t.Errorf("%s has no level", name)
			}
			if name == "system.multicall" {
				continue
			}
			params := make([]any, len(m.signature)-1)
			for i := range params {
				params[i] = "1"
			}
			refused := strings.HasPrefix(fmt.Sprint(c.result(t, name, params...)), "FAULT 30 FAILED: this server permits")
			if refused != (m.level > allow) {
				t.Errorf("%s at %s: refused %v", name, allow, refused)
			}
			entry := xmlrpc.Struct{{Name: "methodName", Value: name}, {Name: "params", Value: params}}
			inner := fmt.Sprint(c.result(t, "system.multicall", []any{entry}))
			if strings.Contains(inner, "this server permits") != refused {
				t.Errorf("%s at %s through multicall: %s", name, allow, inner)
			}
		}
	}
}

func TestClosedTable(t *testing.T) {
	c := direct(t, newFake(), func(o *Options) { o.Namespace = false })
	if got := fmt.Sprint(c.result(t, "system.listMethods")); got != "[system.listMethods system.methodHelp system.methodSignature system.multicall]" {
		t.Error(got)
	}
	c = direct(t, newFake(), nil)
	for _, name := range []string{
		"", ".", "a", "a.b.c", "supervisor", "supervisor.", ".getPID", "supervisor.getPID.x", "supervisor.getpid", "Supervisor.getPID",
		"supervisor.getPID ", " supervisor.getPID", "supervisor.getPID\x00", "supervisor..getPID", "supervisor.supervisord.options", "system.__class__", "getPID",
	} {
		if got := c.result(t, name); got != "FAULT 1 UNKNOWN_METHOD" {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func TestMulticall(t *testing.T) {
	call := func(name any, params ...any) xmlrpc.Struct {
		return xmlrpc.Struct{{Name: "methodName", Value: name}, {Name: "params", Value: append([]any{}, params...)}}
	}
	fault := func(code int, text string) xmlrpc.Struct {
		return xmlrpc.Struct{{Name: "faultCode", Value: code}, {Name: "faultString", Value: text}}
	}
	c := direct(t, newFake(), nil)
	got := c.result(t, "system.multicall", []any{
		call("supervisor.getAPIVersion"), call("supervisor.getProcessInfo", "nope"),
		xmlrpc.Struct{{Name: "methodName", Value: "supervisor.getPID"}},
		xmlrpc.Struct{},
		call("system.multicall", []any{}), call(5), 7, call("nope"),
		xmlrpc.Struct{{Name: "methodName", Value: "supervisor.getPID"}, {Name: "params", Value: 5}},
		call("supervisor.getPID", 1),
	})
	want := []any{
		"3.0", fault(10, "BAD_NAME: nope"), 77, fault(2, "INCORRECT_PARAMETERS: No methodName"),
		fault(2, "INCORRECT_PARAMETERS: Recursive system.multicall forbidden"), fault(2, "INCORRECT_PARAMETERS"), fault(2, "INCORRECT_PARAMETERS"),
		fault(1, "UNKNOWN_METHOD"), fault(2, "INCORRECT_PARAMETERS"), fault(2, "INCORRECT_PARAMETERS"),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for n, ok := range map[int]bool{maxCalls: true, maxCalls + 1: false} {
		many := make([]any, n)
		for i := range many {
			many[i] = call("supervisor.getPID")
		}
		_, isList := c.result(t, "system.multicall", many).([]any)
		if isList != ok {
			t.Errorf("%d calls: %v", n, isList)
		}
	}
	if got := c.result(t, "system.multicall", 5); got != "FAULT 2 INCORRECT_PARAMETERS" {
		t.Error(got)
	}
	f := newFake()
	f.log = make([]byte, 9<<20)
	c = direct(t, f, nil)
	many := make([]any, 20)
	for i := range many {
		many[i] = call("supervisor.readLog", 0, 0)
	}
	v, _ := c.call("system.multicall", []any{many})
	if n := len(xmlrpc.AppendValue(nil, v)); n > 2*maxAnswer {
		t.Errorf("an answer of %d bytes", n)
	}
	f = newFake()
	f.panic = true
	c = direct(t, f, nil)
	if got := fmt.Sprint(c.result(t, "system.multicall", []any{call("supervisor.shutdown"), call("supervisor.getPID")})); got != "[[{faultCode 30} {faultString FAILED: internal error}] 77]" {
		t.Error(got)
	}
}

func TestProcessInfo(t *testing.T) {
	c := direct(t, newFake(), nil)
	got := c.result(t, "supervisor.getProcessInfo", "off")
	want := xmlrpc.Struct{
		{Name: "name", Value: "off"},
		{Name: "group", Value: "off"},
		{Name: "start", Value: 1795260000},
		{Name: "stop", Value: 1795260060},
		{Name: "now", Value: 1795260009},
		{Name: "state", Value: 100},
		{Name: "statename", Value: "EXITED"},
		{Name: "spawnerr", Value: ""},
		{Name: "exitstatus", Value: -1},
		{Name: "logfile", Value: "/l/off.log"},
		{Name: "stdout_logfile", Value: "/l/off.log"},
		{Name: "stderr_logfile", Value: ""},
		{Name: "pid", Value: 0},
		{Name: "description", Value: "Nov 21 11:21 AM"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	all := c.result(t, "supervisor.getAllProcessInfo").([]any)
	if len(all) != 4 || all[0].(xmlrpc.Struct).Str("description") != "pid 100, uptime 0:00:09" || !cmp.Equal(all[3], got) {
		t.Errorf("%v", all)
	}
}

func TestConfigInfo(t *testing.T) {
	got := direct(t, newFake(), nil).result(t, "supervisor.getAllConfigInfo")
	var shown []string
	for _, m := range got.([]any)[0].(xmlrpc.Struct) {
		shown = append(shown, fmt.Sprintf("%s=%v", m.Name, m.Value))
	}
	want := "autostart=true autorestart=unexpected directory=none uid=none command=/bin/cat <x> exitcodes=[0 2] group=g group_prio=5 inuse=true " +
		"killasgroup=true name=a process_prio=999 redirect_stderr=false startretries=3 startsecs=1 stdout_capture_maxbytes=0 stdout_events_enabled=true " +
		"stdout_logfile=auto stdout_logfile_backups=10 stdout_logfile_maxbytes=2147483647 stdout_syslog=false stopsignal=15 stopwaitsecs=10 " +
		"stderr_capture_maxbytes=0 stderr_events_enabled=false stderr_logfile=none stderr_logfile_backups=0 stderr_logfile_maxbytes=0 stderr_syslog=false serverurl=none"
	if d := cmp.Diff(strings.Fields(want), strings.Fields(strings.Join(shown, " "))); d != "" {
		t.Error(d)
	}
}

func TestAudit(t *testing.T) {
	var got []string
	c := direct(t, newFake(), func(o *Options) {
		o.Audit = func(a Audit) { got = append(got, fmt.Sprintf("%s %s %q %s", a.Remote, a.Method, a.Subject, a.Result)) }
	})
	c.result(t, "supervisor.stopProcess", "cat")
	c.result(t, "supervisor.getPID")
	c.result(t, "supervisor.sendProcessStdin", "cat", "secret")
	c.result(t, "supervisor.startProcess", "nope")
	c.result(t, "system.multicall", []any{xmlrpc.Struct{{Name: "methodName", Value: "supervisor.shutdown"}}})
	want := []string{
		`local supervisor.stopProcess "cat" ok`, `local supervisor.sendProcessStdin "cat" ok`,
		`local supervisor.startProcess "nope" BAD_NAME: nope`, `local supervisor.shutdown "" ok`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func BenchmarkProcessInfos(b *testing.B) {
	base := newFake().list[0]
	list := make([]model.Status, 1000)
	for i := range list {
		list[i] = base
		list[i].ID.Name = fmt.Sprintf("worker_%04d", i)
		list[i].StdoutLog, list[i].StderrLog = "/var/log/supervisor/worker-stdout.log", "/var/log/supervisor/worker-stderr.log"
	}
	b.ReportAllocs()
	for b.Loop() {
		b.SetBytes(int64(len(xmlrpc.AppendResponse(nil, &processInfos{list: list, now: time.Unix(1795260009, 0)}))))
	}
}
