//go:build unix

package rpc2

import (
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/wire/xmlrpc"
)

// guest is an extension that misbehaves on demand. It returns where it listens, and what lets those go on that hang.
func guest(t *testing.T) (path string, release func()) {
	t.Helper()
	dir, err := os.MkdirTemp("", "x")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path = filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	hang := make(chan struct{})
	release = sync.OnceFunc(func() { close(hang) })
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		name, params, err := xmlrpc.ParseCall(body, xmlrpc.Limits{})
		if err != nil || r.URL.Path != "/RPC2" {
			http.Error(w, "bad", http.StatusBadRequest)
			return
		}
		answer := func(v any) { _, _ = w.Write(xmlrpc.AppendResponse(nil, v)) }
		switch name {
		case "system.listMethods":
			answer([]any{"x.echo", "x.fault", "supervisor.shutdown", "system.evil", "x.echo", 7})
		case "system.methodHelp":
			answer("All about " + params[0].(string))
		case "system.methodSignature":
			answer([]any{"array", "string"})
		case "x.echo":
			answer(params)
		case "x.fault":
			_, _ = w.Write(xmlrpc.AppendFault(nil, 4711, "it is too late"))
		case "x.hang":
			select {
			case <-hang:
			case <-r.Context().Done():
			}
			answer(true)
		case "x.die":
			c, _, _ := w.(http.Hijacker).Hijack()
			c.Close()
		case "x.huge":
			w.Header().Set("Content-Length", fmt.Sprint(maxExtensionAnswer+1))
			_, _ = w.Write([]byte("<"))
		case "x.endless":
			chunk := []byte(strings.Repeat("x", 1<<20))
			for range maxExtensionAnswer>>20 + 1 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		case "x.garbage":
			_, _ = io.WriteString(w, "<methodResponse><params>")
		case "x.web":
			http.Error(w, "no", http.StatusTeapot)
		}
	})}
	go s.Serve(l)
	t.Cleanup(func() {
		release()
		s.Close()
	})
	return path, release
}

func withGuest(path string, timeout time.Duration) func(*Options) {
	return func(o *Options) {
		o.Extensions = []Extension{{Namespace: "x", Socket: path, Timeout: timeout}}
	}
}

func TestExtensionAnswers(t *testing.T) {
	path, _ := guest(t)
	var audits []Audit
	c := direct(t, newFake(), func(o *Options) {
		withGuest(path, time.Minute)(o)
		o.Audit = func(a Audit) { audits = append(audits, a) }
	})
	plain := direct(t, newFake(), nil)
	values := []any{"a", 1, true, 2.5, []any{"n"}, xmlrpc.Struct{{Name: "k", Value: "v"}}}
	for _, tc := range []struct {
		name   string
		method string
		params []any
		want   any
	}{
		{"values pass", "x.echo", values, values},
		{"faults pass", "x.fault", nil, "FAULT 4711 it is too late"},
		{"help", "system.methodHelp", []any{"x.echo"}, "All about x.echo"},
		{"signature", "system.methodSignature", []any{"x.echo"}, []any{"array", "string"}},
		{"help of nobody's", "system.methodHelp", []any{"y.echo"}, "FAULT 4 SIGNATURE_UNSUPPORTED"},
		{"another namespace", "y.echo", nil, "FAULT 1 UNKNOWN_METHOD"},
		{"no namespace", "x", nil, "FAULT 1 UNKNOWN_METHOD"},
		{"ours stay ours", "supervisor.getAPIVersion", nil, "3.0"},
		{"in a multicall", "system.multicall", []any{[]any{
			xmlrpc.Struct{{Name: "methodName", Value: "x.echo"}, {Name: "params", Value: []any{"p"}}},
			xmlrpc.Struct{{Name: "methodName", Value: "supervisor.getAPIVersion"}},
		}}, []any{[]any{"p"}, "3.0"}},
		{"listed", "system.listMethods", nil, append(plain.result(t, "system.listMethods").([]any), "x.echo", "x.fault")},
	} {
		if d := cmp.Diff(tc.want, c.result(t, tc.method, tc.params...)); d != "" {
			t.Errorf("%s:\n%s", tc.name, d)
		}
	}
	if len(audits) != 3 || audits[0].Method != "x.echo" || audits[1].Result != "it is too late" {
		t.Errorf("%+v", audits)
	}
}

// Whatever an extension does is a fault of that call.
func TestExtensionMisbehaves(t *testing.T) {
	path, release := guest(t)
	c := direct(t, newFake(), withGuest(path, time.Minute))
	quick := direct(t, newFake(), withGuest(path, 50*time.Millisecond))
	gone := direct(t, newFake(), withGuest(path+"x", time.Minute))
	for _, tc := range []struct {
		c            *caller
		method, want string
	}{
		{quick, "x.hang", "no answer within 50ms"},
		{c, "x.die", "EOF"},
		{c, "x.huge", "16777217 bytes are more than the limit of 16777216"},
		{c, "x.endless", "more than the limit of 16777216 bytes"},
		{c, "x.garbage", "answer to x.garbage"},
		{c, "x.web", "418"},
		{gone, "x.echo", "no such file or directory"},
	} {
		v, fault := tc.c.call(tc.method, nil)
		if fault == nil || fault.Code != 30 || !strings.HasPrefix(fault.Text, "FAILED: [rpcinterface:x] ") || !strings.Contains(fault.Text, tc.want) {
			t.Errorf("%s: %v, %v, want %s", tc.method, v, fault, tc.want)
		}
	}
	if got := gone.result(t, "system.listMethods"); !cmp.Equal(got, direct(t, newFake(), nil).result(t, "system.listMethods")) {
		t.Error("an extension that is gone changes the list")
	}

	// As many as there is room for hang: one more is refused when its time is over, and others are not touched.
	var hanging sync.WaitGroup
	for range maxExtensionCalls {
		hanging.Go(func() { c.call("x.hang", nil) })
	}
	e := c.extension("x.echo")
	eventually(t, "all hang", func() bool { return len(e.room) == maxExtensionCalls })
	late := *e // with less patience, and the same room
	late.Timeout = 20 * time.Millisecond
	if _, fault := late.call(c.ctx, "x.echo", nil); fault == nil || !strings.Contains(fault.Text, "no answer within 20ms") {
		t.Errorf("beyond the limit: %v", fault)
	}
	if got := c.result(t, "supervisor.getAPIVersion"); got != "3.0" {
		t.Error(got)
	}
	release()
	hanging.Wait()
	if got := c.result(t, "x.echo", "y"); !cmp.Equal(got, any([]any{"y"})) {
		t.Errorf("after all that: %v", got)
	}
}

// TestExtensionBeginsLate: a call that comes before the socket is made waits for it.
func TestExtensionBeginsLate(t *testing.T) {
	path, _ := guest(t)
	c := direct(t, newFake(), withGuest(path+"-late", time.Minute))
	e := c.extension("x.echo")
	e.tries = math.MaxInt // until the minute is over
	answer := make(chan any, 1)
	go func() {
		v, fault := c.call("x.echo", []any{"y"})
		if fault != nil {
			v = fault
		}
		answer <- v
	}()
	eventually(t, "it is called", func() bool { return len(e.room) == 1 })
	if err := os.Symlink(path, path+"-late"); err != nil {
		t.Fatal(err)
	}
	if v := <-answer; !cmp.Equal(v, any([]any{"y"})) {
		t.Errorf("%v", v)
	}
}

func TestExtensionNeedsAllRights(t *testing.T) {
	path, _ := guest(t)
	c := direct(t, newFake(), func(o *Options) {
		withGuest(path, time.Minute)(o)
		o.Allow = LevelOperate
	})
	if got := c.result(t, "x.echo", "y"); got != "FAULT 30 FAILED: this server permits no more than to operate" {
		t.Error(got)
	}
}
