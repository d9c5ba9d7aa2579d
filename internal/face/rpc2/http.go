package rpc2

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// serverHeader is the value of the Server header. Source: spec/supervisor K25.
const serverHeader = "upkeep"

// ServeHTTP answers one request: the checks, then the first route that matches.
// Source: spec/supervisor 5.1.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		panic(http.ErrAbortHandler)
	}
	defer s.leave()
	rw := &recorder{ResponseWriter: w}
	defer s.served(r, rw, time.Now()) // also of a request whose handler has failed
	defer s.recoverPanic(rw, r)
	s.beginAccess(r, rw)
	w.Header().Set("Server", serverHeader)
	// The answer before on this connection has left a deadline. What takes long sets another one.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime))
	if r.ContentLength != 0 {
		// Whatever is or is not read of the body, it does not hold the connection for ever.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	}
	if status := s.admit(rw, r); status != 0 {
		rw.Header().Set("Connection", "close")
		if s.forAPI(r) {
			s.o.API.Refuse(rw, status)
		} else {
			s.fail(rw, status)
		}
		return
	}
	s.route(rw, r)
}

// served tells of a request that is over.
func (s *Server) served(r *http.Request, w *recorder, began time.Time) {
	if s.o.Served != nil {
		s.o.Served(r.URL.Path, r.Method, cmp.Or(w.status, http.StatusOK), time.Since(began))
	}
}

// admit makes the checks that come before any work. It returns the status of the refusal, or 0.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) int {
	if s.auth != nil {
		switch s.auth.check(r.Header.Get("Authorization"), remoteAddr(r)) {
		case authOK:
		case authMalformed:
			return http.StatusBadRequest
		case authDamped:
			w.Header().Set("Retry-After", "60")
			return http.StatusTooManyRequests
		default:
			w.Header()["WWW-Authenticate"] = []string{`Basic realm="default"`} // spelled as everybody knows it
			return http.StatusUnauthorized
		}
	} else if !s.hostAllowed(r) {
		return http.StatusMisdirectedRequest
	}
	if s.csrf.Check(r) != nil || foreignReferer(r) {
		return http.StatusForbidden
	}
	return 0
}

// foreignReferer reports whether the request would change something and was sent by a page of another host
// in a browser that is too old to say so in better ways. Source: spec/reliability S2.
func foreignReferer(r *http.Request) bool {
	from := r.Header.Get("Referer")
	if from == "" || r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" ||
		r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions {
		return false
	}
	u, err := url.Parse(from)
	return err != nil || u.Host != r.Host
}

// fromBrowser reports whether the request carries headers that only browsers send by themselves.
func fromBrowser(r *http.Request) bool {
	for _, name := range []string{"Origin", "Referer", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"} {
		if r.Header.Get(name) != "" {
			return true
		}
	}
	return false
}

// hostAllowed reports whether the request calls us by a name that nobody else can make point here. Names
// in the DNS can be pointed anywhere by their owner, so that a page loaded from such a name would count
// as ours. Plain clients that call methods by another name of the host are let in: a browser cannot be
// made to send such a request without an Origin. Source: spec/reliability S3.
func (s *Server) hostAllowed(r *http.Request) bool {
	if s.o.Local || r.Host == "" {
		return true // without Host: HTTP/1.0, which no browser speaks
	}
	if r.Method == http.MethodPost && isRPC(r) && !fromBrowser(r) {
		return true
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	} else if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return s.hosts[strings.ToLower(strings.TrimSuffix(host, "."))]
	}
	ip = ip.WithZone("").Unmap()
	if ip.IsUnspecified() {
		return false
	}
	if s.anyIP {
		return true // which addresses lead here, through translation too, is not known; none is a name
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && local.AddrPort().Addr().WithZone("").Unmap() == ip
}

// remoteAddr is the address of the peer, the zero address for a local socket.
func remoteAddr(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

// forAPI reports whether a request is for Options.API.
func (s *Server) forAPI(r *http.Request) bool {
	return s.o.API != nil && strings.HasPrefix(r.URL.Path, "/v1/")
}

func isRPC(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/RPC2") }

func (s *Server) route(w *recorder, r *http.Request) {
	path := r.URL.Path
	switch {
	case isRPC(r):
		s.serveRPC(w, r)
		return
	case strings.HasPrefix(path, "/logtail"):
		s.serveLogTail(w, r)
		return
	case strings.HasPrefix(path, "/mainlogtail"):
		s.serveMainLogTail(w, r)
		return
	}
	if s.forAPI(r) {
		s.o.API.ServeHTTP(w, r)
		return
	}
	path = "/" + strings.TrimLeft(path, "/")
	switch h := s.page(path); {
	case h != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodPost):
		ctx, end := s.detached(r)
		defer end()
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		h.ServeHTTP(w, r.WithContext(ctx))
	case r.Method != http.MethodGet && r.Method != http.MethodHead && (path != "/ok.html" || r.Method != http.MethodPost):
		s.fail(w, http.StatusBadRequest)
	case path == "/ok.html":
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", "2")
		_, _ = io.WriteString(w, "OK")
	default:
		s.fail(w, http.StatusNotFound)
	}
}

// page finds the handler of a page: by its path, or by the longest folder above it.
func (s *Server) page(path string) http.Handler {
	if h := s.o.Handlers[path]; h != nil {
		return h
	}
	for i := strings.LastIndexByte(path, '/'); i > 0; i = strings.LastIndexByte(path[:i], '/') {
		if h := s.o.Handlers[path[:i+1]]; h != nil {
			return h
		}
	}
	return nil
}

// reason is the reason phrase of a status.
func reason(status int) string {
	if status == http.StatusRequestEntityTooLarge {
		return "Request Entity Too Large" // the phrase of RFC 2616
	}
	return http.StatusText(status)
}

// ErrorBody is the page that comes with an error. Source: spec/supervisor 5.1.
func ErrorBody(status int) string {
	return fmt.Sprintf("<head>\r\n<title>Error response</title>\r\n</head>\r\n<body>\r\n<h1>Error response</h1>\r\n"+
		"<p>Error code %d.\r\n<p>Message: %s.\r\n</body>\r\n", status, reason(status))
}

// fail answers with an error page.
func (s *Server) fail(w http.ResponseWriter, status int) {
	body := ErrorBody(status)
	w.Header().Set("Content-Type", "text/html")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// recoverPanic ends a request whose handler failed, and nothing else. Source: spec/reliability R5.
func (s *Server) recoverPanic(w *recorder, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler { // a stream cut short on purpose
		panic(v)
	}
	text := fmt.Sprintf("%v\n%s", v, debug.Stack())
	if w.rpcBody != nil {
		s.o.Log.Critical("Handling XML-RPC request with data " + quoteBody(w.rpcBody) +
			" raised an unexpected exception: " + oneLine(text, 8192))
	} else {
		s.o.Log.Critical("Handling " + pytext.Repr(cut(r.URL.Path, 256)) + " raised an unexpected exception: " + oneLine(text, 8192))
	}
	if w.status != 0 {
		panic(http.ErrAbortHandler) // half an answer is out: only the end of the connection tells
	}
	w.Header().Set("Connection", "close")
	if s.forAPI(r) {
		s.o.API.Refuse(w, http.StatusInternalServerError)
		return
	}
	s.fail(w, http.StatusInternalServerError)
}

// cut shortens a text to at most n bytes.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "..."
}

// oneLine keeps foreign text from making lines of its own in a log. Source: spec/reliability S24.
func oneLine(s string, n int) string {
	q := pytext.Repr(cut(s, n))
	return q[1 : len(q)-1]
}

// quoteBody quotes a request body for a log line.
func quoteBody(body []byte) string { return pytext.Repr(cut(string(body), 2048)) }

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status  int
	rpcBody []byte // of a call being answered
}

// WriteHeader passes the status on.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write passes data on.
func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController find the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// beginAccess prepares the access line, which is written when the answer is out.
// Source: spec/supervisor 3.2.
func (s *Server) beginAccess(r *http.Request, w *recorder) {
	if s.o.Log.Trace == nil {
		return
	}
	c, ok := r.Context().Value(connKey{}).(*conn)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.before = c.written.Load()
	c.access = fmt.Sprintf("%s - - [%s] \"%s %s %s\" ", peer(r), s.o.Now().Format("02/Jan/2006:15:04:05 -0700"),
		oneLine(r.Method, 32), oneLine(r.RequestURI, 1024), r.Proto)
	c.rec = w
}

// finishAccess writes the access line of the answer that has just gone out on c.
func (s *Server) finishAccess(c *conn) {
	if s.o.Log.Trace == nil {
		return
	}
	c.mu.Lock()
	line, rec, n := c.access, c.rec, c.written.Load()-c.before
	c.access, c.rec = "", nil
	c.mu.Unlock()
	if rec != nil {
		s.o.Log.Trace(fmt.Sprintf("%s%d %d", line, rec.status, n))
	}
}

// actor is who asks: whose credentials they are, else whoever is known to be at the other end.
func (s *Server) actor(r *http.Request) string {
	switch {
	case s.auth != nil:
		return s.o.Username
	case s.o.Actor != nil:
		return s.o.Actor(r)
	}
	return ""
}

// peer is the other end as log lines show it.
func peer(r *http.Request) string {
	if !remoteAddr(r).IsValid() {
		return "localhost:0"
	}
	return r.RemoteAddr
}

// readBody reads a request body within the limits; a status other than 0 is the refusal.
func (s *Server) readBody(w *recorder, r *http.Request) (body []byte, status int) {
	if r.ContentLength > maxBody {
		return nil, http.StatusRequestEntityTooLarge
	}
	if r.ContentLength == 0 && r.Header.Get("Content-Length") == "" {
		return nil, http.StatusLengthRequired
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, http.StatusRequestEntityTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, http.StatusRequestTimeout
	case err != nil:
		return nil, http.StatusBadRequest
	}
	// From here on only a vanished client is to be noticed, however long the call takes.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return body, 0
}

// detached is the context of an operation: it has the values of the request, and ends with the server
// instead of with the request, because a client that goes away does not undo what it ordered.
func (s *Server) detached(r *http.Request) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(model.WithActor(context.WithoutCancel(r.Context()), s.actor(r)))
	stop := context.AfterFunc(s.work, cancel)
	return ctx, func() { stop(); cancel() }
}
