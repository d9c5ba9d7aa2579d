package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/wire/xmlrpc"
)

// daemon answers every call with the value that the test put there, and remembers the call.
type daemon struct {
	answer any
	got    string
	header http.Header
	status int
	raw    string
}

func (d *daemon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.header = r.Header
	if d.status != 0 {
		http.Error(w, "no", d.status)
		return
	}
	if r.Method == http.MethodGet {
		d.got = r.URL.EscapedPath()
		_, _ = io.WriteString(w, "stream")
		return
	}
	body, _ := io.ReadAll(r.Body)
	method, params, err := xmlrpc.ParseCall(body, xmlrpc.Limits{})
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	d.got = fmt.Sprintf("%s%v", method, params)
	switch v := d.answer.(type) {
	case *Fault:
		_, _ = w.Write(xmlrpc.AppendFault(nil, v.Code, v.Text))
	default:
		if d.raw != "" {
			_, _ = io.WriteString(w, d.raw)
			return
		}
		_, _ = w.Write(xmlrpc.AppendResponse(nil, v))
	}
}

func start(t *testing.T, d *daemon) (*Client, *httptest.Server) {
	t.Helper()
	s := httptest.NewServer(d)
	t.Cleanup(s.Close)
	c, err := New(Options{URL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, s
}

func TestWrappers(t *testing.T) {
	ctx := context.Background()
	result := []any{Struct{{Name: "name", Value: "n"}, {Name: "group", Value: "g"}, {Name: "status", Value: 80}, {Name: "description", Value: "OK"}}}
	info := Struct{{Name: "name", Value: "n"}, {Name: "group", Value: "g"}, {Name: "start", Value: 1}, {Name: "stop", Value: 2}, {Name: "now", Value: 3}, {Name: "state", Value: 20}, {Name: "statename", Value: "RUNNING"}, {Name: "spawnerr", Value: "e"}, {Name: "exitstatus", Value: -1}, {Name: "logfile", Value: "a"}, {Name: "stdout_logfile", Value: "b"}, {Name: "stderr_logfile", Value: "c"}, {Name: "pid", Value: 9}, {Name: "description", Value: "d"}}
	wantInfo := ProcessInfo{"n", "g", 1, 2, 3, 20, "RUNNING", "e", -1, "a", "b", "c", 9, "d"}
	wantResults := []Result{{"n", "g", 80, "OK"}}
	only := func(err error) (any, error) { return nil, err }
	tests := []struct {
		call   string
		answer any
		do     func(*Client) (any, error)
		want   any
	}{
		{"supervisor.getAPIVersion[]", "3.0", func(c *Client) (any, error) { return c.GetAPIVersion(ctx) }, "3.0"},
		{"supervisor.getSupervisorVersion[]", "4", func(c *Client) (any, error) { return c.GetSupervisorVersion(ctx) }, "4"},
		{"supervisor.getIdentification[]", "i", func(c *Client) (any, error) { return c.GetIdentification(ctx) }, "i"},
		{"supervisor.getState[]", Struct{{Name: "statecode", Value: 1}, {Name: "statename", Value: "RUNNING"}}, func(c *Client) (any, error) { return c.GetState(ctx) }, State{1, "RUNNING"}},
		{"supervisor.getPID[]", 5, func(c *Client) (any, error) { return c.GetPID(ctx) }, 5},
		{"supervisor.readLog[-5 0]", "log", func(c *Client) (any, error) { return c.ReadLog(ctx, -5, 0) }, "log"},
		{"supervisor.clearLog[]", true, func(c *Client) (any, error) { return only(c.ClearLog(ctx)) }, nil},
		{"supervisor.shutdown[]", true, func(c *Client) (any, error) { return only(c.Shutdown(ctx)) }, nil},
		{"supervisor.restart[]", true, func(c *Client) (any, error) { return only(c.Restart(ctx)) }, nil},
		{"supervisor.reloadConfig[]", []any{[]any{[]any{"a"}, []any{}, []any{"r"}}}, func(c *Client) (any, error) { return c.ReloadConfig(ctx) }, Changes{[]string{"a"}, []string{}, []string{"r"}}},
		{"supervisor.addProcessGroup[g]", true, func(c *Client) (any, error) { return only(c.AddProcessGroup(ctx, "g")) }, nil},
		{"supervisor.removeProcessGroup[g]", true, func(c *Client) (any, error) { return only(c.RemoveProcessGroup(ctx, "g")) }, nil},
		{"supervisor.startProcess[n true]", true, func(c *Client) (any, error) { return only(c.StartProcess(ctx, "n", true)) }, nil},
		{"supervisor.startProcessGroup[g false]", result, func(c *Client) (any, error) { return c.StartProcessGroup(ctx, "g", false) }, wantResults},
		{"supervisor.startAllProcesses[true]", result, func(c *Client) (any, error) { return c.StartAllProcesses(ctx, true) }, wantResults},
		{"supervisor.stopProcess[n true]", true, func(c *Client) (any, error) { return only(c.StopProcess(ctx, "n", true)) }, nil},
		{"supervisor.stopProcessGroup[g true]", result, func(c *Client) (any, error) { return c.StopProcessGroup(ctx, "g", true) }, wantResults},
		{"supervisor.stopAllProcesses[true]", result, func(c *Client) (any, error) { return c.StopAllProcesses(ctx, true) }, wantResults},
		{"supervisor.signalProcess[n HUP]", true, func(c *Client) (any, error) { return only(c.SignalProcess(ctx, "n", "HUP")) }, nil},
		{"supervisor.signalProcessGroup[g HUP]", result, func(c *Client) (any, error) { return c.SignalProcessGroup(ctx, "g", "HUP") }, wantResults},
		{"supervisor.signalAllProcesses[HUP]", result, func(c *Client) (any, error) { return c.SignalAllProcesses(ctx, "HUP") }, wantResults},
		{"supervisor.getProcessInfo[n]", info, func(c *Client) (any, error) { return c.GetProcessInfo(ctx, "n") }, wantInfo},
		{"supervisor.getAllProcessInfo[]", []any{info}, func(c *Client) (any, error) { return c.GetAllProcessInfo(ctx) }, []ProcessInfo{wantInfo}},
		{"supervisor.getAllConfigInfo[]", []any{Struct{{Name: "name", Value: "x"}}}, func(c *Client) (any, error) { return c.GetAllConfigInfo(ctx) }, []Struct{{{Name: "name", Value: "x"}}}},
		{"supervisor.readProcessStdoutLog[n 1 2]", "l", func(c *Client) (any, error) { return c.ReadProcessStdoutLog(ctx, "n", 1, 2) }, "l"},
		{"supervisor.readProcessStderrLog[n 1 2]", "l", func(c *Client) (any, error) { return c.ReadProcessStderrLog(ctx, "n", 1, 2) }, "l"},
		{"supervisor.tailProcessStdoutLog[n 1 2]", []any{"l", 7, true}, func(c *Client) (any, error) { return c.TailProcessStdoutLog(ctx, "n", 1, 2) }, Tail{"l", 7, true}},
		{"supervisor.tailProcessStderrLog[n 1 2]", []any{"l", 7, false}, func(c *Client) (any, error) { return c.TailProcessStderrLog(ctx, "n", 1, 2) }, Tail{"l", 7, false}},
		{"supervisor.clearProcessLogs[n]", true, func(c *Client) (any, error) { return only(c.ClearProcessLogs(ctx, "n")) }, nil},
		{"supervisor.clearAllProcessLogs[]", result, func(c *Client) (any, error) { return c.ClearAllProcessLogs(ctx) }, wantResults},
		{"supervisor.sendProcessStdin[n x]", true, func(c *Client) (any, error) { return only(c.SendProcessStdin(ctx, "n", "x")) }, nil},
		{"supervisor.sendRemoteCommEvent[t d]", true, func(c *Client) (any, error) { return only(c.SendRemoteCommEvent(ctx, "t", "d")) }, nil},
		{
			"upkeep.adopt[n 7]",
			Struct{{Name: "name", Value: "n"}, {Name: "group", Value: "g"}, {Name: "pid", Value: 7}, {Name: "start", Value: 8}, {Name: "output", Value: false}},
			func(c *Client) (any, error) { return c.Adopt(ctx, "n", 7) },
			Adopted{"g", "n", 7, 8, false},
		},
		{"upkeep.release[n]", true, func(c *Client) (any, error) { return only(c.Release(ctx, "n")) }, nil},
		{
			"upkeep.plan[]",
			[]any{Struct{
				{Name: "group", Value: "g"},
				{Name: "name", Value: "n"},
				{Name: "action", Value: "change"},
				{Name: "reason", Value: "r"},
				{Name: "refused", Value: "no"},
				{Name: "fields", Value: []any{Struct{{Name: "field", Value: "f"}, {Name: "old", Value: "1"}, {Name: "new", Value: "2"}, {Name: "effect", Value: "live"}}}},
			}},
			func(c *Client) (any, error) { return c.Plan(ctx) },
			[]Step{{"g", "n", "change", "r", "no", []FieldChange{{"f", "1", "2", "live"}}}},
		},
		{
			"upkeep.apply[[g h]]",
			[]any{append(Struct{{Name: "action", Value: "add"}}, result[0].(Struct)...)},
			func(c *Client) (any, error) { return c.Apply(ctx, "g", "h") },
			[]Applied{{wantResults[0], "add"}},
		},
		{"upkeep.apply[[]]", []any{}, func(c *Client) (any, error) { return c.Apply(ctx) }, []Applied{}},
		{"system.listMethods[]", []any{"a", "b"}, func(c *Client) (any, error) { return c.ListMethods(ctx) }, []string{"a", "b"}},
		{"system.methodHelp[m]", "h", func(c *Client) (any, error) { return c.MethodHelp(ctx, "m") }, "h"},
		{"system.methodSignature[m]", []any{"int"}, func(c *Client) (any, error) { return c.MethodSignature(ctx, "m") }, []string{"int"}},
		{
			"system.multicall[[[{methodName a} {params []}] [{methodName b} {params [1]}]]]",
			[]any{1, Struct{{Name: "faultCode", Value: 10}, {Name: "faultString", Value: "x"}}},
			func(c *Client) (any, error) {
				return c.Multicall(ctx, MethodCall{Method: "a"}, MethodCall{Method: "b", Params: []any{1}})
			},
			[]any{1, &Fault{Code: 10, Text: "x"}},
		},
	}
	d := &daemon{}
	c, _ := start(t, d)
	for _, tt := range tests {
		t.Run(tt.call, func(t *testing.T) {
			d.answer = tt.answer
			got, err := tt.do(c)
			if err != nil || d.got != tt.call || !cmp.Equal(got, tt.want) {
				t.Errorf("called %s, got %v %v", d.got, got, err)
			}
			d.answer = &Fault{Code: 6, Text: "SHUTDOWN_STATE"}
			var f *Fault
			if _, err := tt.do(c); !errors.As(err, &f) || f.Code != 6 {
				t.Errorf("fault became %v", err)
			}
			d.answer = 1.5
			var te *TypeError
			if _, err := tt.do(c); !errors.As(err, &te) || !strings.Contains(err.Error(), "float64") {
				t.Errorf("another type became %v", err)
			}
		})
	}
	for _, odd := range []any{[]any{1}, []any{Struct{}}, []any{Struct{{Name: "fields", Value: []any{1}}}}} {
		d.answer = odd
		if _, err := c.Plan(ctx); err == nil {
			t.Errorf("%v is accepted", odd)
		}
	}
	for _, odd := range []any{[]any{}, []any{[]any{}}, []any{[]any{1, 2, 3}}, []any{[]any{[]any{1}, []any{}, []any{}}}} {
		d.answer = odd
		if _, err := c.ReloadConfig(ctx); err == nil {
			t.Errorf("%v is accepted", odd)
		}
	}
}

func TestErrors(t *testing.T) {
	ctx := context.Background()
	d := &daemon{status: http.StatusUnauthorized}
	c, s := start(t, d)
	var pe *ProtocolError
	_, err := c.Call(ctx, "m")
	if host := strings.TrimPrefix(s.URL, "http://"); !errors.As(err, &pe) || *pe != (ProtocolError{host + "/RPC2", 401, "Unauthorized"}) {
		t.Errorf("%v", err)
	}
	if _, err := c.Stream(ctx, MainLogPath); !errors.As(err, &pe) || pe.Code != 401 || !strings.HasSuffix(err.Error(), "/mainlogtail: 401 Unauthorized") {
		t.Errorf("%v", err)
	}
	d.status, d.raw = 0, "<html>"
	var se *xmlrpc.SyntaxError
	if _, err := c.Call(ctx, "m"); !errors.As(err, &se) {
		t.Errorf("%v", err)
	}
	s.Close()
	if _, err := c.Call(ctx, "m"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v", err)
	}
	path := filepath.Join(t.TempDir(), "s")
	local, err := New(Options{URL: "unix://" + path})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := local.Call(ctx, "m"); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("%v", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = l.Close()
	if _, err := local.Call(ctx, "m"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v", err)
	}
	if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	silent, err := New(Options{URL: "http://" + l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	cctx, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := silent.Call(cctx, "m"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestHeaders(t *testing.T) {
	d := &daemon{answer: 1}
	_, s := start(t, d)
	host := strings.TrimPrefix(s.URL, "http://")
	tests := []struct {
		o    Options
		auth string
	}{
		{Options{URL: s.URL}, ""},
		{Options{URL: s.URL, Username: "u", Password: "p"}, "Basic dTpw"},
		{Options{URL: "http://u:p@" + host}, "Basic dTpw"},
		{Options{URL: s.URL + "/", UserAgent: "x"}, ""},
	}
	for _, tt := range tests {
		c, err := New(tt.o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Call(context.Background(), "m"); err != nil {
			t.Error(err)
		}
		agent := tt.o.UserAgent
		if agent == "" {
			agent = "upkeep"
		}
		if d.header.Get("Authorization") != tt.auth || d.header.Get("User-Agent") != agent || d.header.Get("Content-Type") != "text/xml" {
			t.Errorf("%v", d.header)
		}
		c.SetCredentials("v", "q")
		if _, err := c.Call(context.Background(), "m"); err != nil || d.header.Get("Authorization") != "Basic djpx" {
			t.Errorf("%v %v", d.header, err)
		}
		c.Close()
	}
}

func TestNoRedirectWithCredentials(t *testing.T) {
	d := &daemon{answer: 1}
	_, target := start(t, d)
	s := httptest.NewServer(http.RedirectHandler(target.URL, http.StatusTemporaryRedirect))
	defer s.Close()
	c, err := New(Options{URL: s.URL, Username: "u", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	var pe *ProtocolError
	if _, err := c.Call(context.Background(), "m"); !errors.As(err, &pe) || pe.Code != 307 || d.header != nil {
		t.Errorf("%v %v", err, d.header)
	}
}

func TestStream(t *testing.T) {
	d := &daemon{}
	c, _ := start(t, d)
	for path, want := range map[string]string{
		MainLogPath: "/mainlogtail", LogPath("g:a b/c%", "stderr"): "/logtail/g:a%20b%2Fc%25/stderr",
	} {
		r, err := c.Stream(context.Background(), path)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r); err != nil || string(b) != "stream" || d.got != want {
			t.Errorf("%q %v from %s", b, err, d.got)
		}
		_ = r.Close()
	}
}

func TestBadURLs(t *testing.T) {
	for _, u := range []string{"unix://", "foo", "ftp://x", "http://", "http://[", "://", "http:///x"} {
		var ue *URLError
		if _, err := New(Options{URL: u}); !errors.As(err, &ue) || ue.URL != u {
			t.Errorf("%q: %v", u, err)
		}
	}
	c, err := New(Options{})
	if err != nil || c.base != DefaultURL {
		t.Errorf("%v %v", c, err)
	}
}
