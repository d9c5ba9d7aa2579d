// Package upkeep is a client of the JSON interface /v1 of a running instance, over its unix socket, or over the named pipe
// that stands for it on Windows.
//
//	c := upkeep.New(upkeep.Options{Socket: "/run/user/1000/upkeep/upkeep.sock"})
//	list, err := c.Processes(ctx, upkeep.Filter{Select: []string{"web"}})
//
// Refused requests are *Problem; the daemon that is not there is *AbsentError. A Client is safe for concurrent use.
package upkeep

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/local"
)

// Options say where the instance is.
type Options struct {
	Socket             string // absolute path
	Username, Password string // for a socket with credentials
}

// Client talks to one instance.
type Client struct {
	o    Options
	http *http.Client
}

// AbsentError says that no instance answers.
type AbsentError struct {
	Socket string
	Err    error
}

// Error names the socket.
func (e *AbsentError) Error() string {
	return "no daemon answers at " + e.Socket + ": " + e.Err.Error()
}

// Unwrap is the cause: fs.ErrNotExist, fs.ErrPermission, ECONNREFUSED.
func (e *AbsentError) Unwrap() error { return e.Err }

// New makes a client. Nothing is connected yet.
func New(o Options) *Client {
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := local.Dial(ctx, o.Socket)
			var errno syscall.Errno
			switch {
			case errors.As(err, &errno):
				return nil, &AbsentError{local.Name(o.Socket), errno}
			case errors.Is(err, fs.ErrPermission):
				return nil, &AbsentError{local.Name(o.Socket), err}
			}
			return c, err
		},
		MaxIdleConnsPerHost: 4,
	}
	return &Client{o: o, http: &http.Client{Transport: t}}
}

// Close gives up idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Socket is where the instance answers: on Windows the name of the pipe that stands for the socket.
func (c *Client) Socket() string { return local.Name(c.o.Socket) }

// request sends a request. The answer's status is below 400.
func (c *Client) request(ctx context.Context, method, path string, header http.Header, in io.Reader) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://upkeep"+path, in)
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		r.Header[k] = v
	}
	if c.o.Username != "" {
		r.SetBasicAuth(c.o.Username, c.o.Password)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		var absent *AbsentError
		if errors.As(err, &absent) {
			return nil, absent
		}
		return nil, fmt.Errorf("%s: %w", c.o.Socket, errors.Unwrap(err))
	}
	if resp.StatusCode < 400 {
		return resp, nil
	}
	defer resp.Body.Close()
	p := &Problem{Status: resp.StatusCode, Title: resp.Status, Code: "internal"}
	if strings.Contains(resp.Header.Get("Content-Type"), "json") {
		if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(p); err != nil {
			return nil, fmt.Errorf("%s: %w", c.o.Socket, err)
		}
	}
	return nil, p
}

// call sends in as JSON and reads the answer into out; nil for none.
func (c *Client) call(ctx context.Context, method, path string, header http.Header, in, out any) error {
	var data io.Reader
	switch v := in.(type) {
	case nil:
	case []byte:
		data = bytes.NewReader(v)
	default:
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		data = bytes.NewReader(b)
	}
	resp, err := c.request(ctx, method, path, header, data)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		_, err := io.Copy(io.Discard, resp.Body)
		return err
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// get asks for many.
func get[T any](ctx context.Context, c *Client, path string) ([]T, error) {
	var l list[T]
	err := c.call(ctx, http.MethodGet, path, nil, nil, &l)
	return l.Items, err
}

// Filter selects programs; the zero value all of them.
type Filter struct {
	Select  []string // selectors
	States  []string
	Figures bool // with what they use
	Few     bool // with Figures: unless there are very many
	Tree    bool // with the processes of each
	// Fields are the members of a Process, by their names in JSON, that are asked for: the others are zero. None are all.
	Fields []string
}

func (f Filter) query() string {
	q := url.Values{}
	for _, s := range f.Select {
		q.Add("select", s)
	}
	for _, s := range f.States {
		q.Add("state", s)
	}
	if f.Figures {
		q.Set("figures", map[bool]string{false: "1", true: "few"}[f.Few])
	}
	if f.Tree {
		q.Set("tree", "1")
	}
	if len(f.Fields) > 0 {
		q.Set("fields", strings.Join(f.Fields, ","))
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

// System describes the daemon.
func (c *Client) System(ctx context.Context) (System, error) {
	var s System
	return s, c.call(ctx, http.MethodGet, "/v1/system", nil, nil, &s)
}

// Whoami is whom the daemon takes us for.
func (c *Client) Whoami(ctx context.Context) (Who, error) {
	var w Who
	return w, c.call(ctx, http.MethodGet, "/v1/whoami", nil, nil, &w)
}

// Processes lists programs, sorted by group and name.
func (c *Client) Processes(ctx context.Context, f Filter) ([]Process, error) {
	return get[Process](ctx, c, "/v1/processes"+f.query())
}

// Process is one program.
func (c *Client) Process(ctx context.Context, id string) (Process, error) {
	var p Process
	return p, c.call(ctx, http.MethodGet, processPath(id, ""), nil, nil, &p)
}

// Reveal is one program with the surroundings in which it is executed, values of variables included. Only the user of the
// instance and root may know them.
func (c *Client) Reveal(ctx context.Context, id string) (Process, error) {
	var p Process
	return p, c.call(ctx, http.MethodGet, processPath(id, "?reveal=1"), nil, nil, &p)
}

func processPath(id, rest string) string { return "/v1/processes/" + url.PathEscape(id) + rest }

// Why explains the state of a program.
func (c *Client) Why(ctx context.Context, id string) (Explanation, error) {
	var x Explanation
	return x, c.call(ctx, http.MethodGet, processPath(id, "/why"), nil, nil, &x)
}

// Checks are the checks of a program's instance, with what they have found; none when it has no instance.
func (c *Client) Checks(ctx context.Context, id string) ([]Check, error) {
	return get[Check](ctx, c, processPath(id, "/checks"))
}

// Do orders something for several programs and waits so long for the outcome, rounded up to seconds; the operation goes on
// in the daemon. Its State is "running" when the time was over.
func (c *Client) Do(ctx context.Context, a Action, wait time.Duration) (Operation, error) {
	var o Operation
	path := "/v1/actions?wait=" + strconv.Itoa(int((wait+time.Second-1)/time.Second))
	return o, c.call(ctx, http.MethodPost, path, nil, a, &o)
}

// Operation is the state of an order; with a wait, when it has ended or the time is over.
func (c *Client) Operation(ctx context.Context, id string, wait time.Duration) (Operation, error) {
	var o Operation
	path := "/v1/operations/" + url.PathEscape(id) + "?wait=" + strconv.Itoa(int((wait+time.Second-1)/time.Second))
	return o, c.call(ctx, http.MethodGet, path, nil, nil, &o)
}

// WriteStdin gives a program input.
func (c *Client) WriteStdin(ctx context.Context, id string, data []byte) error {
	return c.call(ctx, http.MethodPost, processPath(id, "/stdin"), nil, data, nil)
}

// Adopt takes a running process as the instance of a program.
func (c *Client) Adopt(ctx context.Context, program string, pid int) (Process, error) {
	return c.AdoptAs(ctx, Adoption{Program: program, PID: pid})
}

// AdoptAs takes the one process that an adoption is about as the instance of its program. A *Problem of code "ambiguous"
// names the processes when several are meant, of "no_process" when none is.
func (c *Client) AdoptAs(ctx context.Context, a Adoption) (Process, error) {
	var p Process
	return p, c.call(ctx, http.MethodPost, "/v1/adopt", nil, a, &p)
}

// Adoptable lists processes that could be adopted, those of the daemon's user first, the oldest first. What is said must hold
// of each. Program is looked at when nothing else is said: what its definition says of its process, be it a pid file, a
// pattern or the command.
func (c *Client) Adoptable(ctx context.Context, a Adoption) ([]Adoptable, error) {
	q := url.Values{}
	for name, n := range map[string]int{"pid": a.PID, "port": a.Port} {
		if n != 0 {
			q.Set(name, strconv.Itoa(n))
		}
	}
	for name, s := range map[string]string{"pid_file": a.PIDFile, "title": a.Title, "command": a.Command} {
		if s != "" {
			q.Set(name, s)
		}
	}
	if a.StartTime != nil {
		q.Set("start_time", a.StartTime.Format(time.RFC3339Nano))
	}
	if len(q) == 0 && a.Program != "" {
		q.Set("program", a.Program)
	}
	path := "/v1/adoptable"
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	return get[Adoptable](ctx, c, path)
}

// EventFilter selects events; the zero value all that are still known.
type EventFilter struct {
	Select []string
	After  uint64
	Since  time.Time
	Limit  int // the last ones; 0 = all
}

func (f EventFilter) query() url.Values {
	q := url.Values{}
	for _, s := range f.Select {
		q.Add("select", s)
	}
	if f.After > 0 {
		q.Set("after", strconv.FormatUint(f.After, 10))
	}
	if !f.Since.IsZero() {
		q.Set("since", f.Since.Format(time.RFC3339Nano))
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	return q
}

// Events lists what has happened.
func (c *Client) Events(ctx context.Context, f EventFilter) ([]Event, error) {
	return get[Event](ctx, c, "/v1/events?"+f.query().Encode())
}

// Watch calls f for each event that happens, from now on or after filter.After, until it returns an error, which is then that
// of Watch. dropped is how many events are missing before this one. When the daemon ends, the stream breaks off: the error is
// nil or io.ErrUnexpectedEOF. Numbers begin again with the next daemon.
func (c *Client) Watch(ctx context.Context, filter EventFilter, f func(e Event, dropped uint64) error) error {
	resp, err := c.request(ctx, http.MethodGet, "/v1/events?"+filter.query().Encode(), http.Header{"Accept": {"text/event-stream"}}, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	dropped := uint64(0)
	return frames(resp.Body, func(name string, data []byte) error {
		if name == "gap" {
			var gap struct {
				Dropped uint64 `json:"dropped"`
			}
			err := json.Unmarshal(data, &gap)
			dropped += gap.Dropped
			return err
		}
		var e Event
		if err := json.Unmarshal(data, &e); err != nil {
			return err
		}
		defer func() { dropped = 0 }()
		return f(e, dropped)
	})
}

// maxFrame is the most bytes of a line of a stream.
const maxFrame = 16 << 20

// frames reads server-sent events.
func frames(r io.Reader, f func(name string, data []byte) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 64<<10), maxFrame)
	name, data := "", []byte(nil)
	for s.Scan() {
		line := s.Text()
		switch {
		case line == "":
			if data != nil {
				if err := f(name, data); err != nil {
					return err
				}
			}
			name, data = "", nil
		case strings.HasPrefix(line, "event: "):
			name = line[len("event: "):]
		case strings.HasPrefix(line, "data: "):
			data = append(data, line[len("data: "):]...)
		}
	}
	return s.Err()
}

// LogFilter selects lines of logs. See the fields of the same names of the interface.
type LogFilter struct {
	Select       []string
	Stream       string // stdout, stderr; empty = both
	Since, Until time.Time
	Tail         int // the last lines; 0 = all, negative = none
	Run          int // 0 = all, -1 = the previous one
	Grep         string
	Follow       bool
	Daemon       bool // the activity log of the daemon, instead of those of programs
}

// Logs calls f for each line, in the order of their times, until it returns an error, which is then that of Logs. A followed
// log breaks off with io.ErrUnexpectedEOF when the daemon ends; filter.Since of the last line's time goes on with the next one.
func (c *Client) Logs(ctx context.Context, filter LogFilter, f func(LogLine) error) error {
	q := url.Values{}
	for _, s := range filter.Select {
		q.Add("select", s)
	}
	for name, text := range map[string]string{"stream": filter.Stream, "grep": filter.Grep} {
		if text != "" {
			q.Set(name, text)
		}
	}
	for name, t := range map[string]time.Time{"since": filter.Since, "until": filter.Until} {
		if !t.IsZero() {
			q.Set(name, t.Format(time.RFC3339Nano))
		}
	}
	if filter.Tail != 0 {
		q.Set("tail", strconv.Itoa(max(filter.Tail, 0)))
	}
	if filter.Run != 0 {
		q.Set("run", strconv.Itoa(filter.Run))
	}
	for name, is := range map[string]bool{"follow": filter.Follow, "daemon": filter.Daemon} {
		if is {
			q.Set(name, "1")
		}
	}
	resp, err := c.request(ctx, http.MethodGet, "/v1/logs?"+q.Encode(), http.Header{"Accept": {"application/x-ndjson"}}, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	for d := json.NewDecoder(resp.Body); ; {
		var l LogLine
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := f(l); err != nil {
			return err
		}
	}
}

// Programs lists the definitions.
func (c *Client) Programs(ctx context.Context) ([]Definition, error) {
	return get[Definition](ctx, c, "/v1/programs")
}

// Program is one definition.
func (c *Client) Program(ctx context.Context, name string) (Definition, error) {
	var d Definition
	return d, c.call(ctx, http.MethodGet, "/v1/programs/"+url.PathEscape(name), nil, nil, &d)
}

// Define stores the text of a managed definition: a new one when etag is empty, else in the place of the text of that
// tag. It takes effect by Apply.
func (c *Client) Define(ctx context.Context, name string, text []byte, etag string) (Edited, error) {
	h := http.Header{"If-None-Match": {"*"}}
	if etag != "" {
		h = http.Header{"If-Match": {`"` + etag + `"`}}
	}
	var e Edited
	return e, c.call(ctx, http.MethodPut, "/v1/programs/"+url.PathEscape(name), h, text, &e)
}

// Forget stops what a managed definition runs, and deletes it.
func (c *Client) Forget(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "/v1/programs/"+url.PathEscape(name), nil, nil, nil)
}

// Diff is what Apply would do.
func (c *Client) Diff(ctx context.Context) (Plan, error) {
	var p Plan
	return p, c.call(ctx, http.MethodPost, "/v1/config/diff", nil, nil, &p)
}

// Apply makes the configuration the running one, or that of the groups named.
func (c *Client) Apply(ctx context.Context, only ...string) (Plan, error) {
	var p Plan
	return p, c.call(ctx, http.MethodPost, "/v1/config/apply", nil, map[string]any{"only": only}, &p)
}

// Stop ends the daemon, and all programs in order.
func (c *Client) Stop(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/v1/daemon/stop", nil, nil, nil)
}

// Daemon gives an order to the daemon: upgrade, reopen-logs.
func (c *Client) Daemon(ctx context.Context, order string) error {
	return c.call(ctx, http.MethodPost, "/v1/daemon/"+url.PathEscape(order), nil, nil, nil)
}
