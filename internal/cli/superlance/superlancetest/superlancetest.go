// Package superlancetest drives the commands of superlance in tests: over pipes, with a daemon that answers
// their calls, and with a mail command that keeps what it is given.
package superlancetest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/client/listener/listenertest"
	"github.com/upkeep-project/upkeep/internal/cli/superlance"
	"github.com/upkeep-project/upkeep/internal/wire/xmlrpc"
)

// Session is a command that runs.
type Session struct {
	*listenertest.Daemon

	mu     sync.Mutex
	out    bytes.Buffer
	err    bytes.Buffer
	status int
}

// Now is the time for the commands that are tested.
func Now() time.Time { return time.Date(2026, 2, 3, 4, 5, 6, 789e6, time.UTC) }

// Start runs a command as a listener of the daemon at url; "" is none.
func Start(t *testing.T, url string, run func(*superlance.Env) int) *Session {
	t.Helper()
	s := &Session{}
	s.Daemon = listenertest.Start(t, func(in io.Reader, out io.Writer) {
		env := &superlance.Env{In: in, Out: out, Err: locked{s, &s.err}, Now: Now, Getenv: getenv(url)}
		status := run(env)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.status = status
	})
	return s
}

// Once runs a command that ends by itself and returns its exit status and what it says.
func Once(url string, run func(*superlance.Env) int) (status int, out, err string) {
	s := &Session{}
	env := &superlance.Env{In: strings.NewReader(""), Out: &s.out, Err: &s.err, Now: Now, Getenv: getenv(url)}
	status = run(env)
	return status, s.out.String(), s.err.String()
}

func getenv(url string) func(string) string {
	return func(name string) string {
		if name == "SUPERVISOR_SERVER_URL" {
			return url
		}
		return ""
	}
}

// Said is what the command has written to standard error since the last call.
func (s *Session) Said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.err.Reset()
	return s.err.String()
}

// Status ends the command and returns its exit status.
func (s *Session) Status() int {
	s.Leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

type locked struct {
	s *Session
	w io.Writer
}

func (l locked) Write(p []byte) (int, error) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	return l.w.Write(p)
}

// Program is a program of the daemon.
type Program struct {
	Group, Name string
	PID, State  int
}

// Daemon answers the calls that the commands make. Programs may be changed between two events.
type Daemon struct {
	Programs []Program
	// Faults answer a call, "stopProcess web:a".
	Faults map[string]xmlrpc.Fault

	URL string

	mu    sync.Mutex
	calls []string
}

// Start makes it reachable until the test ends.
func (d *Daemon) Start(t *testing.T) *Daemon {
	t.Helper()
	s := httptest.NewServer(d)
	t.Cleanup(s.Close)
	d.URL = s.URL
	return d
}

// Calls are the orders since the last call of Calls: "stopProcess web:a".
func (d *Daemon) Calls() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer func() { d.calls = nil }()
	return slices.Clone(d.calls)
}

// ServeHTTP answers a call.
func (d *Daemon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	method, params, err := xmlrpc.ParseCall(body, xmlrpc.Limits{})
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	call := strings.TrimPrefix(method, "supervisor.")
	if len(params) > 0 {
		call += fmt.Sprintf(" %v", params[0])
	}
	if f, ok := d.Faults[call]; ok {
		_, _ = w.Write(xmlrpc.AppendFault(nil, f.Code, f.Text))
		return
	}
	verb, name, _ := strings.Cut(call, " ")
	switch verb {
	case "getAllProcessInfo":
		all := []any{}
		for _, p := range d.Programs {
			all = append(all, info(p))
		}
		_, _ = w.Write(xmlrpc.AppendResponse(nil, all))
		return
	case "getProcessInfo":
		i := slices.IndexFunc(d.Programs, func(p Program) bool {
			return p.Group+":"+p.Name == name || p.Group == p.Name && p.Name == name
		})
		if i >= 0 {
			_, _ = w.Write(xmlrpc.AppendResponse(nil, info(d.Programs[i])))
			return
		}
	case "stopProcess", "startProcess":
		d.calls = append(d.calls, call)
		_, _ = w.Write(xmlrpc.AppendResponse(nil, true))
		return
	}
	_, _ = w.Write(xmlrpc.AppendFault(nil, 10, "BAD_NAME: "+name))
}

// Uptime is how long every program has been up, in seconds.
const Uptime = 100

func info(p Program) xmlrpc.Struct {
	return xmlrpc.Struct{
		{Name: "name", Value: p.Name},
		{Name: "group", Value: p.Group},
		{Name: "pid", Value: p.PID},
		{Name: "state", Value: p.State},
		{Name: "start", Value: 1_700_000_000},
		{Name: "now", Value: 1_700_000_000 + Uptime},
		{Name: "stop", Value: 0},
	}
}

// Mailbox is a mail command, to be given as an option, and a function that returns what it was given since
// the last call.
func Mailbox(t *testing.T) (command string, mails func() string) {
	t.Helper()
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("a mail command needs a shell: ", err)
	}
	file := filepath.Join(t.TempDir(), "mail")
	return "echo noise; cat >>" + file + "; echo '\n--' >>" + file, func() string {
		t.Helper()
		text, err := os.ReadFile(file)
		if err != nil {
			return ""
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}
