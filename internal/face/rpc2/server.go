// Package rpc2 is the HTTP server of supervisord: XML-RPC under /RPC2, the log streams, the health check
// page and, for what Options.Handlers adds, web pages. One Server serves one configured server section.
//
// It decides nothing about programs; it translates between HTTP and service.Service. What it does decide
// is who may come in: Basic authentication with damped guessing, cross-site requests, host names, sizes,
// times and numbers of connections.
//
// Source: spec/supervisor 5, spec/reliability S1–S9, R31.
package rpc2

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/upkeep-project/upkeep/internal/service"
)

// The limits of a server. Source: spec/reliability S5.
const (
	maxBody       = 1 << 20
	maxHeader     = 16 << 10
	headerTime    = 5 * time.Second
	bodyTime      = 30 * time.Second
	writeTime     = 60 * time.Second
	idleTime      = 30 * time.Minute // as the original: clients keep connections and do not retry
	maxConns      = 512              // TCP, in all
	maxConnsAddr  = 64               // TCP, per address
	maxConnsLocal = 1024             // a local socket, counted by itself
	maxCalls      = 1000             // entries of a multicall
	maxAnswer     = 64 << 20         // bytes of a multicall's answer
	maxLog        = 16 << 20         // bytes of a log in one answer
)

// Level is how much a request may do. Source: spec/reliability S9.
type Level uint8

// The levels; each includes the ones before it.
const (
	LevelNone       Level = iota
	LevelObserve          // states and logs
	LevelOperate          // start, stop, signal; see what would be executed
	LevelAdminister       // configuration, shutdown, clearing logs
)

// String is the level's name.
func (l Level) String() string {
	return [...]string{"none", "observe", "operate", "administer"}[l]
}

// Log takes finished messages, one call per line of the activity log, by level. A nil function drops its
// messages. Source: spec/supervisor 3.2.
type Log struct {
	Info, Error, Critical, Trace func(msg string)
}

// Audit is the record of one request that could change something. Source: spec/reliability S9.
type Audit struct {
	Time    time.Time
	Section string // of the server
	Remote  string // address, or "local"
	User    string // empty without authentication
	Method  string
	Subject string // program or group, empty when the method has none
	Result  string // "ok" or the fault's text
}

// Options describes one server.
type Options struct {
	Service  service.Service
	Listener net.Listener
	Section  string // "unix_http_server", "inet_http_server:x": for log lines
	Local    bool   // the listener is a unix socket
	Private  bool   // nobody but its owner and root can connect: it needs no credentials

	// Basic authentication when Username is not empty. Password may be {SHA} and the hexadecimal SHA-1.
	Username, Password string

	Version   string   // answer of getSupervisorVersion; "4.3.0" when empty
	Namespace bool     // supervisor.* exists: [rpcinterface:supervisor] is configured
	Allow     Level    // the most that this server lets anyone do; LevelNone means LevelAdminister
	Hosts     []string // further names that requests over TCP may call this host

	// Handlers serve further pages by path, "/index.html"; a path that ends in a slash, except "/"
	// itself, serves everything below it. They are called after all checks, for GET, HEAD and POST. The
	// context of their requests does not end when the client goes away, only with the server: what was
	// ordered is done.
	Handlers map[string]http.Handler

	// API answers everything below /v1/, after all checks; nil = there is none. Its requests end with the client.
	API API

	// Extensions answer further namespaces.
	Extensions []Extension

	// Actor is who a request without credentials comes from, a user's name; nil = that is never known.
	Actor func(*http.Request) string

	// Served is told of each request that was answered: what it asked for, with which status, and how long that took; nil =
	// nobody is. It is called from several goroutines.
	Served func(path, method string, status int, took time.Duration)

	Log   Log
	Audit func(Audit)      // nil drops the records; called from several goroutines
	Now   func() time.Time // nil = time.Now
}

// API is an interface beside XML-RPC, which says in its own way why a request was refused.
type API interface {
	http.Handler
	// Refuse answers with an error of this status.
	Refuse(w http.ResponseWriter, status int)
}

// Server is one running HTTP server.
type Server struct {
	o          Options
	auth       *authenticator // nil without authentication
	csrf       *http.CrossOriginProtection
	hosts      map[string]bool
	anyIP      bool // listening on every address
	methods    map[string]*method
	extensions map[string]*extension // by namespace
	conns      *limitListener
	http       *http.Server
	work       context.Context // of operations: outlives the request, ends with the server
	endWork    context.CancelFunc
	streams    context.Context // of requests: ends when the shutdown begins
	endStrms   context.CancelFunc

	mu     sync.Mutex
	active int           // requests in a handler
	closed bool          // no further ones
	idle   chan struct{} // closed when the last one has ended after Close
}

// New makes a server and reports in the log what it offers and whether it is open to everyone. It serves
// when Serve is called. The errors are of programming: no service or no listener.
func New(o Options) (*Server, error) {
	if o.Service == nil || o.Listener == nil {
		return nil, errors.New("rpc2: a service and a listener are required")
	}
	if o.Version == "" {
		o.Version = "4.3.0"
	}
	if o.Allow == LevelNone {
		o.Allow = LevelAdminister
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	for _, f := range []*func(string){&o.Log.Info, &o.Log.Error, &o.Log.Critical} {
		if *f == nil {
			*f = func(string) {}
		}
	}
	if o.Audit == nil {
		o.Audit = func(Audit) {}
	}
	s := &Server{o: o, csrf: http.NewCrossOriginProtection(), hosts: hostNames(o.Hosts), idle: make(chan struct{})}
	if a, ok := o.Listener.Addr().(*net.TCPAddr); ok {
		s.anyIP = a.IP.IsUnspecified()
	}
	s.methods = methodTable(o.Namespace)
	var err error
	if s.extensions, err = extensions(o.Extensions); err != nil {
		return nil, err
	}
	s.conns = newLimitListener(o.Listener, o.Local, o.Now)
	s.work, s.endWork = context.WithCancel(context.Background())
	s.streams, s.endStrms = context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader - 4096, // the library adds its own margin
		BaseContext:       func(net.Listener) context.Context { return s.streams },
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ConnState:         s.connState,
		ErrorLog:          log.New(lineWriter(o.Log.Error), "", 0),
	}
	s.http.RegisterOnShutdown(s.endStrms)
	if o.Namespace {
		o.Log.Info("RPC interface 'supervisor' initialized")
	}
	for _, e := range o.Extensions {
		o.Log.Info("RPC interface '" + e.Namespace + "' initialized")
	}
	if o.Username != "" {
		s.auth = newAuthenticator(o.Username, o.Password, o.Now)
	} else if !o.Private {
		o.Log.Critical("Server '" + o.Section + "' running without any HTTP authentication checking")
	}
	return s, nil
}

// hostNames is the set of names that we answer to: localhost, the machine's own, and the configured.
func hostNames(more []string) map[string]bool {
	set := map[string]bool{"localhost": true}
	if name, err := os.Hostname(); err == nil {
		more = append([]string{name}, more...)
		if short, _, ok := strings.Cut(name, "."); ok {
			more = append(more, short)
		}
	}
	for _, name := range more {
		if name != "" {
			set[strings.ToLower(name)] = true
		}
	}
	return set
}

// Serve answers requests until Shutdown or Close; then its error is nil.
func (s *Server) Serve() error {
	err := s.http.Serve(s.conns)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown stops listening, ends the log streams, and waits for the requests under way until ctx ends;
// then it does what Close does. The error is that of ctx when requests were cut off.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	return errors.Join(err, s.Close())
}

// Close ends everything at once: connections, streams and the waiting for operations (not the operations
// themselves), and returns when no request is left.
func (s *Server) Close() error {
	s.endStrms()
	s.endWork()
	err := s.http.Close()
	_ = s.o.Listener.Close() // when Serve was never called
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		if s.active == 0 {
			close(s.idle)
		}
	}
	s.mu.Unlock()
	<-s.idle
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// enter counts a request in; it is false when the server is closed.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.active++
	return true
}

// leave counts a request out.
func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active--; s.active == 0 && s.closed {
		close(s.idle)
	}
}

// Addr is the address of the listener.
func (s *Server) Addr() net.Addr { return s.o.Listener.Addr() }

// lineWriter gives the lines of a log.Logger to a function.
type lineWriter func(string)

// Write passes one line on, on one line.
func (w lineWriter) Write(p []byte) (int, error) {
	w(oneLine(strings.TrimSpace(string(p)), 1024))
	return len(p), nil
}

var _ io.Writer = lineWriter(nil)
