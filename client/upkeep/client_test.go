package upkeep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// served is a client of a socket on which a handler answers.
func served(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	dir, err := os.MkdirTemp("", "u")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Serve(l) }()
	c := New(Options{Socket: socket, Username: "ann", Password: "secret"})
	t.Cleanup(func() { c.Close(); _ = s.Close(); <-ended })
	return c
}

// TestRequests: each method asks for what it is documented to ask for.
func TestRequests(t *testing.T) {
	ctx := t.Context()
	at := time.Date(2026, 11, 21, 22, 0, 0, 5, time.UTC)
	for _, c := range []struct {
		want string // method, address, body
		call func(*Client) error
	}{
		{"GET /v1/system", func(c *Client) error { _, err := c.System(ctx); return err }},
		{"GET /v1/whoami", func(c *Client) error { _, err := c.Whoami(ctx); return err }},
		{"GET /v1/processes", func(c *Client) error { _, err := c.Processes(ctx, Filter{}); return err }},
		{"GET /v1/processes?figures=1&select=a&select=g%3A%2A&state=FATAL", func(c *Client) error {
			_, err := c.Processes(ctx, Filter{Select: []string{"a", "g:*"}, States: []string{"FATAL"}, Figures: true})
			return err
		}},
		{"GET /v1/processes?fields=id%2Cstate&figures=few&tree=1", func(c *Client) error {
			_, err := c.Processes(ctx, Filter{Figures: true, Few: true, Tree: true, Fields: []string{"id", "state"}})
			return err
		}},
		{"GET /v1/processes/a%2Fb:c%3F", func(c *Client) error { _, err := c.Process(ctx, "a/b:c?"); return err }},
		{"GET /v1/processes/web?reveal=1", func(c *Client) error { _, err := c.Reveal(ctx, "web"); return err }},
		{"GET /v1/processes/web/why", func(c *Client) error { _, err := c.Why(ctx, "web"); return err }},
		{`POST /v1/actions?wait=2 {"action":"stop","select":["web"],"now":true}`, func(c *Client) error {
			_, err := c.Do(ctx, Action{Action: "stop", Select: []string{"web"}, Now: true}, 1001*time.Millisecond)
			return err
		}},
		{"GET /v1/operations/op_1?wait=0", func(c *Client) error { _, err := c.Operation(ctx, "op_1", 0); return err }},
		{"POST /v1/processes/web/stdin hello", func(c *Client) error { return c.WriteStdin(ctx, "web", []byte("hello")) }},
		{`POST /v1/adopt {"program":"web","pid":9}`, func(c *Client) error { _, err := c.Adopt(ctx, "web", 9); return err }},
		{"GET /v1/adoptable", func(c *Client) error { _, err := c.Adoptable(ctx, Adoption{}); return err }},
		{"GET /v1/adoptable?program=g%3Ap", func(c *Client) error { _, err := c.Adoptable(ctx, Adoption{Program: "g:p"}); return err }},
		{"GET /v1/adoptable?command=a+b&pid=9&pid_file=%2Fp&port=80&start_time=2026-01-02T03%3A04%3A05.5Z&title=x", func(c *Client) error {
			at := time.Date(2026, 1, 2, 3, 4, 5, 5e8, time.UTC)
			_, err := c.Adoptable(ctx, Adoption{PID: 9, StartTime: &at, Port: 80, PIDFile: "/p", Title: "x", Command: "a b"})
			return err
		}},
		{"GET /v1/events?after=7&limit=3&select=web&since=2026-11-21T22%3A00%3A00.000000005Z", func(c *Client) error {
			_, err := c.Events(ctx, EventFilter{Select: []string{"web"}, After: 7, Limit: 3, Since: at})
			return err
		}},
		{"GET /v1/logs?follow=1&grep=x.&run=-1&select=web&stream=stderr&tail=5&until=2026-11-21T22%3A00%3A00.000000005Z", func(c *Client) error {
			return c.Logs(ctx, LogFilter{Select: []string{"web"}, Stream: "stderr", Grep: "x.", Run: -1, Tail: 5, Until: at, Follow: true}, nil)
		}},
		{"GET /v1/logs?tail=0", func(c *Client) error { return c.Logs(ctx, LogFilter{Tail: -1}, nil) }},
		{"GET /v1/programs", func(c *Client) error { _, err := c.Programs(ctx); return err }},
		{"GET /v1/programs/web", func(c *Client) error { _, err := c.Program(ctx, "web"); return err }},
		{"PUT /v1/programs/web [text] If-None-Match *", func(c *Client) error { _, err := c.Define(ctx, "web", []byte("[text]"), ""); return err }},
		{`PUT /v1/programs/web [text] If-Match "tag"`, func(c *Client) error { _, err := c.Define(ctx, "web", []byte("[text]"), "tag"); return err }},
		{"DELETE /v1/programs/web", func(c *Client) error { return c.Forget(ctx, "web") }},
		{"POST /v1/config/diff", func(c *Client) error { _, err := c.Diff(ctx); return err }},
		{`POST /v1/config/apply {"only":["a"]}`, func(c *Client) error { _, err := c.Apply(ctx, "a"); return err }},
		{"GET /v1/notifiers", func(c *Client) error { _, err := c.Notifiers(ctx); return err }},
		{"POST /v1/notifiers/a%2Fb/test", func(c *Client) error { _, err := c.TestNotifier(ctx, "a/b"); return err }},
		{"POST /v1/daemon/stop", func(c *Client) error { return c.Stop(ctx) }},
		{"POST /v1/daemon/upgrade", func(c *Client) error { return c.Daemon(ctx, "upgrade") }},
	} {
		got := ""
		client := served(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			got = strings.TrimSpace(r.Method + " " + r.RequestURI + " " + string(body))
			for _, name := range []string{"If-Match", "If-None-Match"} {
				if v := r.Header.Get(name); v != "" {
					got += " " + name + " " + v
				}
			}
			if name, password, ok := r.BasicAuth(); !ok || name != "ann" || password != "secret" {
				t.Errorf("%s: %s %s", c.want, name, password)
			}
			if !strings.HasPrefix(c.want, "GET /v1/logs") {
				_, _ = io.WriteString(w, "{}")
			}
		})
		if err := c.call(client); err != nil || got != c.want {
			t.Errorf("%s, %v, want %s", got, err, c.want)
		}
	}
}

// TestProblems: what is refused is a *Problem, whatever the answer looks like.
func TestProblems(t *testing.T) {
	for _, c := range []struct {
		form, body string
		want       string
	}{
		{"application/problem+json", `{"status":404,"code":"not_found","title":"no such program","detail":"web","new":[1]}`, "not_found 404 no such program: web"},
		{"application/problem+json", `{"status":404,"code":"not_found","title":"no such program"}`, "not_found 404 no such program"},
		{"text/html", `<h1>`, "internal 404 404 Not Found"},
		{"application/problem+json", `{"status":`, ""},
	} {
		client := served(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", c.form)
			w.WriteHeader(404)
			_, _ = io.WriteString(w, c.body)
		})
		_, err := client.Process(t.Context(), "web")
		var p *Problem
		switch {
		case errors.As(err, &p):
			if got := fmt.Sprint(p.Code, " ", p.Status, " ", p); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		case err == nil || c.want != "":
			t.Errorf("%s: %v", c.body, err)
		}
	}
}

// TestAbsent: that nobody answers is told from that something is wrong.
func TestAbsent(t *testing.T) {
	dir, err := os.MkdirTemp("", "u")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	left := filepath.Join(dir, "left") // by a daemon that was killed
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: left, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	for socket, cause := range map[string]error{filepath.Join(dir, "none"): fs.ErrNotExist, left: syscall.ECONNREFUSED} {
		c := New(Options{Socket: socket})
		_, err := c.System(t.Context())
		var absent *AbsentError
		if !errors.As(err, &absent) || absent.Socket != socket || c.Socket() != socket || !errors.Is(err, cause) || !strings.Contains(err.Error(), socket) {
			t.Errorf("%s: %v", socket, err)
		}
	}
	gone := served(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if _, err := gone.System(t.Context()); err == nil || errors.As(err, new(*AbsentError)) {
		t.Errorf("one that dies at work: %v", err)
	}
}

// TestCancel: a context ends requests and streams.
func TestCancel(t *testing.T) {
	client := served(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/events") || strings.HasSuffix(r.URL.Path, "/logs") {
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
		}
		<-r.Context().Done()
	})
	for name, call := range map[string]func(context.Context) error{
		"system": func(ctx context.Context) error { _, err := client.System(ctx); return err },
		"watch":  func(ctx context.Context) error { return client.Watch(ctx, EventFilter{}, nil) },
		"logs":   func(ctx context.Context) error { return client.Logs(ctx, LogFilter{Follow: true}, nil) },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}

func TestWatch(t *testing.T) {
	const stream = "retry: 2000\n\n: alive\n\nid: 1-x\nevent: event\ndata: {\"seq\":1,\"text\":\"a\"}\n\n" +
		"id: 5-x\nevent: gap\ndata: {\"dropped\":4}\n\nid: 6-x\nevent: event\ndata: {\"seq\":6,\"text\":\"b\"}\n\nid: 7-x\nevent: event\ndata: {\"seq\":7}\n\n"
	client := served(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") != "text/event-stream" {
			t.Error(r.Header)
		}
		_, _ = io.WriteString(w, stream)
	})
	var got []string
	err := client.Watch(t.Context(), EventFilter{}, func(e Event, dropped uint64) error {
		got = append(got, fmt.Sprint(e.Seq, e.Text, dropped))
		return nil
	})
	if d := cmp.Diff([]string{"1a0", "6b4", "70"}, got); d != "" || err != nil {
		t.Error(d, err)
	}
	enough := errors.New("enough")
	if err := client.Watch(t.Context(), EventFilter{}, func(Event, uint64) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("%v", err)
	}
}

// TestLists: no list is null, neither from the daemon nor for who reads it.
func TestLists(t *testing.T) {
	for _, items := range [][]Hint{nil, {}, {{Text: "x"}}} {
		b, err := json.Marshal(List(items))
		var l list[Hint]
		if err != nil || json.Unmarshal(b, &l) != nil || len(l.Items) != len(items) || strings.Contains(string(b), "null") {
			t.Errorf("%s %v", b, err)
		}
	}
}

// FuzzFrames: any stream is read to its end, and a frame comes as it was sent, whatever follows it.
func FuzzFrames(f *testing.F) {
	for _, s := range []string{"", "data: {}\n\n", "event: gap\ndata: x\ndata: y\n\n", ": c\n\nid: 1\n\n", "data: no end"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > maxFrame/2 {
			return
		}
		word := strings.NewReplacer("\r", "", "\n", "").Replace(text) + "."
		n := 0
		err := frames(strings.NewReader("event: "+word+"\ndata: "+word+"\r\ndata: "+word+"\n\n"+text), func(name string, data []byte) error {
			if n++; strings.Contains(name, "\n") || data == nil || n == 1 && (name != word || string(data) != word+word) {
				t.Errorf("%q %q", name, data)
			}
			return nil
		})
		if err != nil || n < 1 || n > 1+strings.Count(text, "data: ") {
			t.Errorf("%d frames of %q: %v", n, text, err)
		}
	})
}
