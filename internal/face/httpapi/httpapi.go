// Package httpapi is the JSON interface under /v1: what the native command, its clients and later the web application
// speak. It translates between HTTP and the service and decides nothing about programs.
//
// Answers are JSON; errors are problem documents (RFC 9457) whose texts are those of every other face; streams are
// server-sent events, or lines of JSON or text for who asks for them. What changes programs is an operation, which goes on
// when its client goes away.
//
// Source: interfaces 4.
package httpapi

import (
	"context"
	"crypto/rand"
	_ "embed" // the description of the interface
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os/user"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
)

// Service is what the interface is about.
type Service interface {
	service.Service
	service.Insight
	service.Watching
	service.Definitions
	service.Alerting
}

// Options say what is served.
type Options struct {
	Service Service
	// Peer is the user at the other end of the connection that a request came over; false when that is not known.
	Peer func(*http.Request) (uid int, ok bool)
	// Daemon obeys an order for the daemon as a whole: upgrade, reopen-logs.
	Daemon func(order string) error
	// Environ is the environment that a program gets, NAME=VALUE; nil = nobody is told.
	Environ func(*model.Program) []string
	Now     func() time.Time // nil = time.Now
}

// API serves /v1.
type API struct {
	o    Options
	mux  *http.ServeMux
	ctx  context.Context // of operations
	end  context.CancelFunc
	work sync.WaitGroup

	shape shape // of a process

	life string // tells the numbers of this daemon's events from those of the one before

	mu  sync.Mutex
	ops map[string]*operation
	old []string // ended operations, the longest ago first
}

// openAPI is the description of the interface, OpenAPI 3.1.
//
//go:embed openapi.yaml
var openAPI []byte

// maxBody is the most bytes of a request.
const maxBody = 1 << 20

// New makes the interface. Close it when requests have ended.
func New(o Options) *API {
	if o.Now == nil {
		o.Now = time.Now
	}
	a := &API{o: o, mux: http.NewServeMux(), shape: shapeOf(reflect.TypeFor[upkeep.Process]()), ops: map[string]*operation{}, life: strings.ToLower(rand.Text()[:8])}
	a.ctx, a.end = context.WithCancel(context.Background())
	for _, r := range a.routes() {
		a.mux.HandleFunc(r.method+" "+r.path, func(w http.ResponseWriter, q *http.Request) {
			err := known(q, r.params)
			if err == nil {
				err = r.serve(w, q)
			}
			if err != nil {
				a.fail(w, err)
			}
		})
	}
	return a
}

// route is one entry of the interface.
type route struct {
	method, path string
	params       string // of the query, separated by spaces
	serve        func(http.ResponseWriter, *http.Request) error
}

// routes are all of the interface; the description has the same ones.
func (a *API) routes() []route {
	return []route{
		{"GET", "/v1/system", "", a.system},
		{"GET", "/v1/whoami", "", a.whoami},
		{"GET", "/v1/openapi.yaml", "", a.describe},
		{"GET", "/v1/processes", "select state figures tree fields", a.processes},
		{"GET", "/v1/processes/{id}", "reveal", a.process},
		{"GET", "/v1/processes/{id}/why", "", a.why},
		{"GET", "/v1/processes/{id}/checks", "", a.checks},
		{"POST", "/v1/processes/{id}/start", "wait", a.act("start")},
		{"POST", "/v1/processes/{id}/stop", "wait", a.act("stop")},
		{"POST", "/v1/processes/{id}/restart", "wait", a.act("restart")},
		{"POST", "/v1/processes/{id}/reload", "wait", a.act("reload")},
		{"POST", "/v1/processes/{id}/signal", "wait", a.act("signal")},
		{"POST", "/v1/processes/{id}/release", "wait", a.act("release")},
		{"POST", "/v1/processes/{id}/stdin", "", a.stdin},
		{"GET", "/v1/processes/{id}/logs", "stream since until tail run grep follow", a.processLogs},
		{"DELETE", "/v1/processes/{id}/logs", "wait", a.act("clear")},
		{"POST", "/v1/actions", "wait", a.actions},
		{"GET", "/v1/operations", "", a.operations},
		{"GET", "/v1/operations/{id}", "wait", a.operation},
		{"GET", "/v1/logs", "select daemon stream since until tail run grep follow", a.logs},
		{"GET", "/v1/events", "after since select limit", a.events},
		{"GET", "/v1/programs", "", a.programs},
		{"GET", "/v1/programs/{name}", "", a.program},
		{"PUT", "/v1/programs/{name}", "", a.putProgram},
		{"DELETE", "/v1/programs/{name}", "", a.deleteProgram},
		{"POST", "/v1/config/diff", "", a.diff},
		{"POST", "/v1/config/apply", "", a.apply},
		{"GET", "/v1/adoptable", "pid start_time port pid_file title command program", a.adoptable},
		{"POST", "/v1/adopt", "", a.adopt},
		{"GET", "/v1/notifiers", "", a.notifiers},
		{"POST", "/v1/notifiers/{name}/test", "", a.testNotifier},
		{"POST", "/v1/daemon/stop", "", a.stopDaemon},
		{"POST", "/v1/daemon/upgrade", "", a.orderDaemon("upgrade")},
		{"POST", "/v1/daemon/reopen-logs", "", a.orderDaemon("reopen-logs")},
	}
}

// ServeHTTP answers a request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.head(w)
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if _, pattern := a.mux.Handler(r); pattern == "" {
		a.fail(w, a.unrouted(w, r))
		return
	}
	a.mux.ServeHTTP(w, r)
}

// head writes the headers that every answer has.
func (a *API) head(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Upkeep-Version", a.o.Service.Info().Version)
	h.Set("Upkeep-Request-Id", rand.Text()[:16])
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
}

// unrouted says what is wrong with a request that no route takes.
func (a *API) unrouted(w http.ResponseWriter, r *http.Request) error {
	var allowed []string
	for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
		q := r.Clone(r.Context())
		q.Method = method
		if _, pattern := a.mux.Handler(q); pattern != "" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		return &upkeep.Problem{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Title: r.Method + " is not allowed here"}
	}
	return &upkeep.Problem{Status: http.StatusNotFound, Code: "not_found", Title: "there is nothing at " + r.URL.Path}
}

// Close ends the waiting for operations; what they have ordered goes on. It returns when nothing of them is left.
func (a *API) Close() {
	a.end()
	a.work.Wait()
}

// reply answers with JSON.
func reply(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	deadline(w)
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that is gone is nobody's problem
	return nil
}

// patient takes the time limit from a request whose body has been read: what it waits for takes as long as it takes.
func patient(w http.ResponseWriter) { _ = http.NewResponseController(w).SetReadDeadline(time.Time{}) }

// deadline is how long a client may take for an answer, from now on, however long the answer took to be there.
func deadline(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(streamWrite))
}

// known fails when a request has parameters that mean nothing: they may be slips of the keyboard.
func known(r *http.Request, params string) error {
	names := strings.Fields(params)
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return badRequest("the parameters cannot be read: " + err.Error())
	}
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if !slices.Contains(names, name) {
			return slip("parameter", name, names)
		}
	}
	return nil
}

// slip is the error for a word that nothing is called.
func slip(kind, word string, known []string) error {
	m := upkeep.Mistake{Key: word, Message: "there is no " + kind + " " + words.Quote(word) + " here"}
	if close := words.Close(word, known, 1); len(close) > 0 {
		m.Suggestion = close[0]
	}
	return &upkeep.Problem{Status: http.StatusBadRequest, Code: "bad_request", Title: m.Message, Errors: []upkeep.Mistake{m}}
}

// body reads a request's JSON. A member that means nothing is an error: it may be a slip of the keyboard.
func body(r *http.Request, v any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if errors.Is(err, io.EOF) { // nothing was said: everything is as usual
		return nil
	}
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = errors.New("there is more than one value")
		}
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return err
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		if name, err := strconv.Unquote(name); err == nil {
			return slip("member", name, members(v))
		}
	}
	return badRequest("the request cannot be read: " + err.Error())
}

// members are the names of the JSON members of the structure that v points to.
func members(v any) []string {
	var names []string
	t := reflect.TypeOf(v).Elem()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

func badRequest(text string) error {
	return &upkeep.Problem{Status: http.StatusBadRequest, Code: "bad_request", Title: text}
}

// number reads a parameter of a request that is a whole number from 0 on.
func number(r *http.Request, name string, def int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, badRequest(name + " is no number from 0 on: " + strconv.Quote(text))
	}
	return n, nil
}

// moment reads a parameter that is a time: of RFC 3339, or seconds since 1970.
func moment(r *http.Request, name string) (time.Time, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	if n, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(n) < 1<<40 {
		return time.UnixMilli(int64(n * 1000)), nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, badRequest(name + " is no time: " + strconv.Quote(text))
	}
	return t, nil
}

// Caller is who asks, for people: a user, "somebody" when that is not known.
func (a *API) Caller(r *http.Request) string {
	if uid, ok := a.peer(r); ok {
		return userName(uid)
	}
	if name, _, ok := r.BasicAuth(); ok {
		return name
	}
	return "somebody"
}

func (a *API) peer(r *http.Request) (int, bool) {
	if a.o.Peer == nil {
		return 0, false
	}
	return a.o.Peer(r)
}

// userName is the name of a user. Where users have no numbers, a negative one is the user of this process.
func userName(uid int) string {
	if uid < 0 {
		if u, err := user.Current(); err == nil {
			return u.Username
		}
	}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}
