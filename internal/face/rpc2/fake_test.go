package rpc2

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
	"github.com/upkeep-project/upkeep/internal/wire/xmlrpc"
)

// fake is a service with a fixed world: groups cat, g (a, b) and off, where off is down.
type fake struct {
	mu    sync.Mutex
	info  service.Info
	list  []model.Status
	err   error    // what every verb fails with
	calls []string // verbs and what they got
	hold  chan struct{}
	log   []byte
	tail  func(off, n int64) ([]byte, int64, bool, error)
	pipe  io.Reader
	panic bool
}

func newFake() *fake {
	start := time.Unix(1795260000, 0)
	st := func(group, name string, s model.State, pid int) model.Status {
		return model.Status{
			ID: model.ID{Group: group, Name: name}, State: s, PID: pid, Start: start,
			StdoutLog: "/l/" + name + ".log", Program: &model.Program{ID: model.ID{Group: group, Name: name}},
		}
	}
	off := st("off", "off", model.Exited, 0)
	off.Stop, off.HasExit, off.Exit = start.Add(time.Minute), true, model.Exit{Known: true, Signal: 15}
	return &fake{
		info: service.Info{Identifier: "super", PID: 77, State: model.DaemonRunning},
		list: []model.Status{st("cat", "cat", model.Running, 100), st("g", "a", model.Running, 101), st("g", "b", model.Running, 102), off},
		log:  []byte("hello log\n"),
	}
}

func (f *fake) note(format string, a ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf(format, a...))
	if f.panic {
		panic("boom\nforged line")
	}
	return f.err
}

func (f *fake) noted() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.calls, "; ")
}

func (f *fake) Info() service.Info {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.info
}

func (f *fake) List(context.Context) ([]model.Status, error) { return f.list, f.note("List") }

func (f *fake) Get(_ context.Context, id model.ID) (model.Status, error) {
	if err := f.note("Get %s", id.Namespec()); err != nil {
		return model.Status{}, err
	}
	for _, st := range f.list {
		if st.ID == id {
			return st, nil
		}
	}
	return model.Status{}, &service.Error{Code: service.CodeNoSuchProgram, Text: "whatever"}
}

func (f *fake) Configured(context.Context) ([]service.Configured, error) {
	p := &model.Program{ID: model.ID{Group: "g", Name: "a"}, Priority: 999}
	p.Command = model.Command{Line: "/bin/cat <x>", UID: -1}
	p.Start = model.StartPolicy{Auto: true, Secs: time.Second, Retries: 3}
	p.Stop = model.StopPolicy{Signal: 15, Wait: 10 * time.Second, KillReach: model.ReachGroup}
	p.Exit.Codes = []int{0, 2}
	p.IO.Stdout = model.Stream{MaxBytes: 4 << 30, Backups: 10, Events: true}
	return []service.Configured{{Program: p, GroupPriority: 5, InUse: true, StdoutLog: "auto"}}, f.note("Configured")
}

// verb is what all verbs on programs share: results for a selector.
func (f *fake) verb(what string, sel service.Selector, member error) ([]service.Result, error) {
	name := "all"
	if sel.Group != "" {
		name = "group " + sel.Group
	} else if !sel.All {
		name = "one " + sel.ID.Namespec()
	}
	if err := f.note("%s %s", what, name); err != nil {
		return nil, err
	}
	if f.hold != nil {
		<-f.hold
		_ = f.note("%s done", what)
	}
	var rs []service.Result
	for _, st := range f.list {
		if sel.All || st.ID.Group == sel.Group || st.ID == sel.ID {
			rs = append(rs, service.Result{ID: st.ID})
		}
	}
	if len(rs) == 0 {
		return nil, &service.Error{Code: service.CodeNoSuchProgram}
	}
	rs[len(rs)-1].Err = member
	return rs, nil
}

func (f *fake) Start(_ context.Context, sel service.Selector, w service.Wait) ([]service.Result, error) {
	return f.verb(fmt.Sprintf("Start(%v)", w), sel, &service.Error{Code: service.CodeSpawnError, Text: "not shown"})
}

func (f *fake) Stop(_ context.Context, sel service.Selector, w service.Wait) ([]service.Result, error) {
	return f.verb(fmt.Sprintf("Stop(%v)", w), sel, nil)
}

func (f *fake) Signal(_ context.Context, sel service.Selector, sig string) ([]service.Result, error) {
	var err error
	if sig == "FOO" {
		err = &service.Error{Code: service.CodeBadSignal, Text: "other words"}
	}
	return f.verb("Signal("+sig+")", sel, err)
}

func (f *fake) WriteStdin(_ context.Context, id model.ID, data []byte) error {
	return f.note("WriteStdin %s %q", id.Namespec(), data)
}

func (f *fake) ReadLog(_ context.Context, l service.LogRef, off, n int64) ([]byte, error) {
	return f.log, f.note("ReadLog %s %d %d", refText(l), off, n)
}

func (f *fake) TailLog(_ context.Context, l service.LogRef, off, n int64) ([]byte, int64, bool, error) {
	err := f.note("TailLog %s %d %d", refText(l), off, n)
	if f.tail != nil {
		return f.tail(off, n)
	}
	return f.log, int64(len(f.log)), true, err
}

// refText names a log.
func refText(l service.LogRef) string {
	if l.Main {
		return "main"
	}
	return l.ID.Namespec() + [...]string{" stdout", " stderr"}[l.Channel]
}

type follower struct {
	ctx context.Context
	io.Reader
	closed func()
}

func (f *follower) Close() error       { f.closed(); return nil }
func (f *follower) ModTime() time.Time { return time.Unix(1795260000, 0) }

func (f *fake) FollowLog(ctx context.Context, l service.LogRef, n int64) (service.Follower, error) {
	if err := f.note("FollowLog %s %d", refText(l), n); err != nil {
		return nil, err
	}
	if l.ID.Name == "nope" || l.ID.Name == "" && !l.Main {
		return nil, &service.Error{Code: service.CodeNoSuchProgram}
	}
	if l.ID.Name == "off" {
		return nil, &service.Error{Code: service.CodeNoFile}
	}
	r := f.pipe
	if r == nil {
		r = io.MultiReader(bytes.NewReader(f.log), untilDone{ctx})
	}
	return &follower{ctx, r, func() { _ = f.note("closed") }}, nil
}

func (f *fake) Logs(context.Context, service.LogQuery) (service.LogReader, error) {
	return nil, f.note("Logs")
}

// untilDone blocks until its context ends.
type untilDone struct{ ctx context.Context }

func (u untilDone) Read([]byte) (int, error) { <-u.ctx.Done(); return 0, u.ctx.Err() }

func (f *fake) ClearLogs(_ context.Context, sel service.Selector) ([]service.Result, error) {
	return f.verb("ClearLogs", sel, nil)
}
func (f *fake) ClearMainLog(context.Context) error { return f.note("ClearMainLog") }

func (f *fake) Reread(context.Context) (service.Changes, error) {
	return service.Changes{Added: []string{"n1", "n2"}, Removed: []string{"r"}}, f.note("Reread")
}

func (f *fake) Adopt(_ context.Context, id model.ID, pid int) (model.Status, error) {
	return model.Status{ID: id, PID: pid, Start: time.Unix(1_700_000_000, 0)}, f.note("Adopt %s %d", id.Namespec(), pid)
}

func (f *fake) AdoptAs(_ context.Context, id model.ID, q service.AdoptQuery) (model.Status, error) {
	return model.Status{ID: id, PID: q.PID}, f.note("AdoptAs %s %d", id.Namespec(), q.PID)
}

func (f *fake) Adoptable(context.Context, service.AdoptQuery) ([]service.Adoptable, error) {
	return nil, f.note("Adoptable")
}

func (f *fake) Release(_ context.Context, sel service.Selector) ([]service.Result, error) {
	return f.verb("Release", sel, nil)
}

func (f *fake) Plan(context.Context) ([]service.Step, error) {
	id := model.ID{Group: "g", Name: "a"}
	return []service.Step{
		{
			ID: id, Action: service.ActionRestart, Reason: "why", Refused: "no",
			Fields: []model.FieldChange{{Program: id, Field: "command", Old: "x", New: "y", Effect: model.EffectRestart}},
		},
		{ID: model.ID{Group: "g"}, Reason: "at once"},
	}, f.note("Plan")
}

func (f *fake) Apply(_ context.Context, names []string) ([]service.Applied, error) {
	return []service.Applied{
		{ID: model.ID{Group: "cat", Name: "cat"}, Action: service.ActionAdd},
		{ID: model.ID{Group: "g", Name: "a"}, Action: service.ActionRestart, Err: &service.Error{Code: service.CodeSpawnError}},
	}, f.note("Apply %q", names)
}

func (f *fake) AddGroup(_ context.Context, n string) error    { return f.note("AddGroup %s", n) }
func (f *fake) RemoveGroup(_ context.Context, n string) error { return f.note("RemoveGroup %s", n) }
func (f *fake) Shutdown(context.Context) error                { return f.note("Shutdown") }
func (f *fake) Restart(context.Context) error                 { return f.note("Restart") }
func (f *fake) Publish(_ context.Context, k, d string) error  { return f.note("Publish %s %s", k, d) }

var _ service.Service = (*fake)(nil)

// lines collects log lines.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) add(level string) func(string) {
	return func(msg string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.all = append(l.all, level+" "+msg)
	}
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

// env is a running server.
type env struct {
	*Server
	svc  *fake
	log  *lines
	addr string
}

// serve runs a server over TCP, or over a unix socket when o.Local.
func serve(t *testing.T, o Options) *env {
	t.Helper()
	e := &env{log: &lines{}}
	if o.Service == nil {
		o.Service = newFake()
	}
	e.svc = o.Service.(*fake)
	if o.Listener == nil {
		network, address := "tcp", "127.0.0.1:0"
		if o.Local {
			network, address = "unix", filepath.Join(t.TempDir(), "s")
		}
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		o.Listener = l
	}
	if o.Section == "" {
		o.Section = "inet_http_server"
	}
	o.Log = Log{Info: e.log.add("INFO"), Error: e.log.add("ERRO"), Critical: e.log.add("CRIT"), Trace: e.log.add("TRAC")}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	e.Server, e.addr = s, s.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return e
}

// raw sends bytes and reads answers until the connection ends or n answers are complete.
func (e *env) raw(t *testing.T, n int, request string) []*answered {
	t.Helper()
	c, err := net.Dial(e.o.Listener.Addr().Network(), e.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	var out []*answered
	br := bufio.NewReader(c)
	for range n {
		method, _, _ := strings.Cut(request, " ")
		resp, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("answer %d to %.60q: %v", len(out), request, err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, &answered{resp, string(body)})
	}
	return out
}

type answered struct {
	*http.Response
	body string
}

// eventually polls until ok is true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func rpcRequest(header, method string, params ...any) string {
	body := xmlrpc.AppendCall(nil, method, params...)
	return fmt.Sprintf("POST /RPC2 HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %d\r\n\r\n%s", header, len(body), body)
}
