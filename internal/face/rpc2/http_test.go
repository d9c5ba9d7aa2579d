package rpc2

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/service"
)

func TestErrorBody(t *testing.T) {
	want := "<head>\r\n<title>Error response</title>\r\n</head>\r\n<body>\r\n<h1>Error response</h1>\r\n<p>Error code 404.\r\n<p>Message: Not Found.\r\n</body>\r\n"
	if d := cmp.Diff(want, ErrorBody(404)); d != "" {
		t.Error(d)
	}
	for status, length := range map[int]int{404: 134, 400: 136, 401: 137, 500: 146} {
		if n := len(ErrorBody(status)); n != length {
			t.Errorf("%d: %d bytes, the original's has %d", status, n, length)
		}
	}
}

func TestRoutes(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "page") })
	e := serve(t, Options{Namespace: true, Handlers: map[string]http.Handler{"/": page, "/index.html": page, "/images/": page}})
	tests := []struct {
		request string
		status  int
		body    string // beginning; empty = the error page
	}{
		{"GET /ok.html HTTP/1.1", 200, "OK"},
		{"GET //ok.html?a=b HTTP/1.1", 200, "OK"},
		{"GET /ok.html HTTP/1.0", 200, "OK"},
		{"POST /ok.html HTTP/1.1\r\nContent-Length: 0", 200, "OK"},
		{"PUT /ok.html HTTP/1.1", 400, ""},
		{"GET /nope HTTP/1.1", 404, ""},
		{"POST /nope HTTP/1.1\r\nContent-Length: 0", 400, ""},
		{"DELETE / HTTP/1.1", 400, ""},
		{"POST / HTTP/1.1\r\nContent-Length: 0", 200, "page"},
		{"GET / HTTP/1.1", 200, "page"},
		{"GET //index.html HTTP/1.1", 200, "page"},
		{"GET /images/a/b.gif HTTP/1.1", 200, "page"},
		{"GET /imagesx HTTP/1.1", 404, ""},
		{"GET /tail.html HTTP/1.1", 404, ""},
		{"GET /RPC2 HTTP/1.1", 400, ""},
		{"GET //RPC2 HTTP/1.1", 404, ""},
		{"POST /RPC2 HTTP/1.1", 411, ""},
		{"POST /RPC2 HTTP/1.1\r\nContent-Length: 0", 400, ""},
		{"POST /RPC2 HTTP/1.1\r\nContent-Length: 2000000", 413, ""},
		{"POST /RPC2 HTTP/1.1\r\nContent-Length: 7\r\n\r\ngarbage", 400, ""},
		{"GET /logtail HTTP/1.1", 404, ""},
		{"GET /logtail/ HTTP/1.1", 404, ""},
		{"POST /logtail/cat HTTP/1.1\r\nContent-Length: 0", 400, ""},
		{"POST /mainlogtail HTTP/1.1\r\nContent-Length: 0", 400, ""},
		{"GET /logtail/nope HTTP/1.1", 404, ""},
		{"GET /logtail/off HTTP/1.1", 404, ""},
		{"GET /logtail/g%3A* HTTP/1.1", 404, ""},
		{"GET /logtail/cat/other HTTP/1.1", 404, ""},
		{"GET /logtail/cat/stdout/x HTTP/1.1", 404, ""},
	}
	for _, tt := range tests {
		first, _, _ := strings.Cut(tt.request, " HTTP")
		t.Run(first, func(t *testing.T) {
			head, body, _ := strings.Cut(tt.request, "\r\n\r\n")
			a := e.raw(t, 1, head+"\r\nHost: localhost\r\n\r\n"+body)[0]
			if a.StatusCode != tt.status || a.Header.Get("Server") == "" || a.Header.Get("Date") == "" {
				t.Errorf("%d %v", a.StatusCode, a.Header)
			}
			switch {
			case tt.body != "" && !strings.HasPrefix(a.body, tt.body):
				t.Errorf("body %q", a.body)
			case tt.body == "" && (a.body != ErrorBody(tt.status) || a.Header.Get("Content-Type") != "text/html"):
				t.Errorf("body %q %v", a.body, a.Header)
			}
		})
	}
	if !strings.Contains(e.log.String(), "ERRO XML-RPC request data 'garbage' is invalid: unmarshallable") {
		t.Error(e.log.String())
	}
}

func TestRPCOverHTTP(t *testing.T) {
	e := serve(t, Options{Namespace: true})
	call := rpcRequest("", "supervisor.getState")
	body := call[strings.Index(call, "\r\n\r\n")+4:]
	chunked := fmt.Sprintf("POST /RPC2 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", 10, body[:10], len(body)-10, body[10:])
	for name, request := range map[string]string{
		"plain": call, "chunked": chunked, "longer path": strings.Replace(call, "/RPC2", "/RPC2xyz", 1),
		"HTTP/1.0": strings.Replace(call, "HTTP/1.1", "HTTP/1.0", 1),
	} {
		a := e.raw(t, 1, request)[0]
		if a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/xml" || a.ContentLength != 279 || !strings.Contains(a.body, "RUNNING") {
			t.Errorf("%s: %d %v %s", name, a.StatusCode, a.Header, a.body)
		}
	}
	as := e.raw(t, 4, call+rpcRequest("", "supervisor.nope")+call+chunked)
	for i, want := range []string{"RUNNING", "UNKNOWN_METHOD", "RUNNING", "RUNNING"} {
		if !strings.Contains(as[i].body, want) {
			t.Errorf("pipelined %d: %s", i, as[i].body)
		}
	}
	eventually(t, "access lines and calls are in the log", func() bool {
		log := e.log.String()
		return strings.Contains(log, `"POST /RPC2 HTTP/1.1" 200 `) &&
			strings.Contains(log, "TRAC XML-RPC method called: supervisor.getState()") &&
			strings.Contains(log, "TRAC XML-RPC method supervisor.getState() returned successfully") &&
			strings.Contains(log, "TRAC XML-RPC method supervisor.nope() returned fault: [1] UNKNOWN_METHOD")
	})
	if log := e.log.String(); !strings.HasPrefix(log, "INFO RPC interface 'supervisor' initialized\nCRIT Server 'inet_http_server' running without any HTTP authentication checking") {
		t.Error(log)
	}
}

func TestAccessLineCountsBytes(t *testing.T) {
	e := serve(t, Options{})
	c, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET /error HTTP/1.0\r\n\r\n")
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("\"GET /error HTTP/1.0\" 404 %d", len(all))
	eventually(t, want, func() bool { return strings.Contains(e.log.String(), want) })
	if log := e.log.String(); !strings.Contains(log, "TRAC "+c.LocalAddr().String()+" - - [") {
		t.Error(log)
	}
}

func TestExpectContinue(t *testing.T) {
	e := serve(t, Options{Namespace: true})
	c, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	head, body, _ := strings.Cut(rpcRequest("Expect: 100-continue\r\n", "supervisor.getPID"), "\r\n\r\n")
	_, _ = io.WriteString(c, head+"\r\n\r\n")
	buf := make([]byte, 4096)
	n, err := c.Read(buf)
	if err != nil || !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 100 ") {
		t.Fatalf("%q %v", buf[:n], err)
	}
	_, _ = io.WriteString(c, body)
	if n, err = c.Read(buf); err != nil || !strings.Contains(string(buf[:n]), "<int>77</int>") {
		t.Fatalf("%q %v", buf[:n], err)
	}
}

func TestHostileHTTP(t *testing.T) {
	e := serve(t, Options{Namespace: true})
	big := strings.Repeat("a", 20<<10)
	tests := []struct{ request, want string }{
		{"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + big + "\r\n\r\n", "431"},
		{"GET /" + big + " HTTP/1.1\r\nHost: localhost\r\n\r\n", "431"},
		{"nonsense\r\n\r\n", "400"},
		{"GET /x\r\n\r\n", "400"},
		{"GET / HTTP/1.1\r\n\r\n", "400"},
		{"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
		{"GET / HTTP/1.1\r\nHost: localhost\r\nBad Header: x\r\n\r\n", "400"},
		{"POST /RPC2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", "400"},
		{"POST /RPC2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "400"},
		{"POST /RPC2 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400"},
		{"POST /RPC2 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n200000\r\n" + strings.Repeat("x", 0x200000) + "\r\n0\r\n\r\n", "413"},
		{"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", "505"},
	}
	for _, tt := range tests {
		c, err := net.Dial("tcp", e.addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		go func() { _, _ = io.WriteString(c, tt.request) }()
		buf := make([]byte, 12)
		if _, err := io.ReadFull(c, buf); err != nil || string(buf[9:]) != tt.want {
			t.Errorf("%.60q: %q %v, want %s", tt.request, buf, err, tt.want)
		}
		_ = c.Close()
	}
	if calls := e.svc.noted(); calls != "" {
		t.Error(calls)
	}
}

func TestSlowHeaders(t *testing.T) {
	e := serve(t, Options{})
	c, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(4 * headerTime))
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\n")
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Errorf("not closed: %v", err)
	}
}

func TestPanicEndsTheRequestOnly(t *testing.T) {
	f := newFake()
	f.panic = true
	page := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("page") })
	e := serve(t, Options{Service: f, Namespace: true, Handlers: map[string]http.Handler{"/": page}})
	for _, request := range []string{rpcRequest("", "supervisor.shutdown"), "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /mainlogtail HTTP/1.1\r\nHost: localhost\r\n\r\n"} {
		if a := e.raw(t, 1, request)[0]; a.StatusCode != 500 || a.body != ErrorBody(500) {
			t.Errorf("%.30q: %d %q", request, a.StatusCode, a.body)
		}
	}
	log := e.log.String()
	if !strings.Contains(log, "CRIT Handling XML-RPC request with data ") || strings.Contains(log, "\nforged line") || strings.Count(log, "CRIT Handling") != 3 {
		t.Error(log)
	}
	if a := e.raw(t, 1, rpcRequest("", "supervisor.getPID"))[0]; a.StatusCode != 200 {
		t.Errorf("afterwards: %d", a.StatusCode)
	}
}

func TestClientGoesAwayOperationStays(t *testing.T) {
	f := newFake()
	f.hold = make(chan struct{})
	e := serve(t, Options{Service: f, Namespace: true})
	c, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, rpcRequest("", "supervisor.stopAllProcesses"))
	eventually(t, "the stop begins", func() bool { return f.noted() == "Stop(true) all" })
	_ = c.Close()
	close(f.hold)
	eventually(t, "the stop is finished", func() bool { return f.noted() == "Stop(true) all; Stop(true) done" })
}

func TestShutdownLetsRequestsFinish(t *testing.T) {
	f := newFake()
	f.hold = make(chan struct{})
	e := serve(t, Options{Service: f, Namespace: true})
	answered := make(chan string, 1)
	go func() { answered <- e.raw(t, 1, rpcRequest("", "supervisor.stopProcess", "cat"))[0].body }()
	eventually(t, "the stop begins", func() bool { return f.noted() != "" })
	stream := make(chan string, 1)
	go func() { stream <- e.raw(t, 1, "GET /mainlogtail HTTP/1.1\r\nHost: localhost\r\n\r\n")[0].body }()
	eventually(t, "the stream begins", func() bool { return strings.Contains(f.noted(), "FollowLog") })
	down := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		down <- e.Shutdown(ctx)
	}()
	if body := <-stream; body != "hello log\n" {
		t.Errorf("stream %q", body)
	}
	close(f.hold)
	if body := <-answered; !strings.Contains(body, "<boolean>1</boolean>") {
		t.Error(body)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
	if !strings.Contains(f.noted(), "closed") {
		t.Error("the follower is left open")
	}
}

func TestStreams(t *testing.T) {
	smile := "\U0001F600"
	for _, proto := range []string{"HTTP/1.0", "HTTP/1.1"} {
		f := newFake()
		r, w := io.Pipe()
		f.pipe = r
		e := serve(t, Options{Service: f})
		c, err := net.Dial("tcp", e.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		_, _ = io.WriteString(c, "GET /logtail/g%3Aa/stderr "+proto+"\r\nHost: localhost\r\n\r\n")
		var got strings.Builder
		wait := func(text string) {
			buf := make([]byte, 4096)
			for !strings.Contains(got.String(), text) {
				n, err := c.Read(buf)
				if err != nil {
					t.Fatalf("%s: %q %v", proto, got.String(), err)
				}
				got.Write(buf[:n])
			}
		}
		_, _ = io.WriteString(w, smile[2:]+"first "+smile[:2])
		wait("first ")
		_, _ = io.WriteString(w, smile[2:])
		wait(smile)
		_, _ = io.WriteString(w, "last"+smile[:1])
		_ = w.Close()
		if proto == "HTTP/1.1" {
			wait("\r\n0\r\n\r\n")
		} else if rest, err := io.ReadAll(c); err != nil || !strings.HasSuffix(got.String()+string(rest), "first "+smile+"last"+smile[:1]) {
			t.Errorf("%q %q %v", got.String(), rest, err)
		}
		head := got.String()
		for _, h := range []string{proto + " 200 OK\r\n", "Last-Modified: Sat, 21 Nov 2026 ", "Content-Type: text/plain;charset=utf-8\r\n", "X-Accel-Buffering: no\r\n"} {
			if !strings.Contains(head, h) {
				t.Errorf("%s: no %q in %q", proto, h, head)
			}
		}
		if chunked := strings.Contains(head, "Transfer-Encoding: chunked"); chunked != (proto == "HTTP/1.1") {
			t.Errorf("%s: %q", proto, head)
		}
		if f.noted() != "FollowLog g:a stderr 1024; closed" {
			t.Error(f.noted())
		}
	}
}

func TestStreamEndsWithItsClient(t *testing.T) {
	f := newFake()
	e := serve(t, Options{Service: f})
	c, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "GET /mainlogtail HTTP/1.1\r\nHost: localhost\r\n\r\n")
	buf := make([]byte, 4096)
	n, err := c.Read(buf)
	if err != nil || strings.Contains(string(buf[:n]), "Accel") {
		t.Errorf("%q %v", buf[:n], err)
	}
	_ = c.Close()
	eventually(t, "the follower is closed", func() bool { return strings.HasSuffix(f.noted(), "closed") })
}

func TestConnectionLimits(t *testing.T) {
	e := serve(t, Options{})
	dial := func() net.Conn {
		c, err := net.Dial("tcp", e.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		return c
	}
	// Streams are busy: with 64 of them from one address the next connection is refused.
	buf := make([]byte, 512)
	var streams []net.Conn
	for range maxConnsAddr {
		c := dial()
		_, _ = io.WriteString(c, "GET /mainlogtail HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if n, err := c.Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 200") {
			t.Fatalf("%q %v", buf[:n], err)
		}
		streams = append(streams, c)
	}
	if n, err := dial().Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 429") {
		t.Errorf("%q %v", buf[:n], err)
	}
	for _, c := range streams {
		_ = c.Close()
	}
	eventually(t, "the places are free again", func() bool {
		e.conns.mu.Lock()
		defer e.conns.mu.Unlock()
		return len(e.conns.conns) == 0 && len(e.conns.counts) == 0
	})
	// Idle ones make room.
	for range 3 * maxConnsAddr {
		dial()
	}
	if a := e.raw(t, 1, "GET /ok.html HTTP/1.1\r\nHost: localhost\r\n\r\n")[0]; a.StatusCode != 200 {
		t.Errorf("%d", a.StatusCode)
	}
	e.conns.mu.Lock()
	defer e.conns.mu.Unlock()
	if n := len(e.conns.conns); n > maxConnsAddr {
		t.Errorf("%d connections", n)
	}
}

func TestLimitInAll(t *testing.T) {
	l := newLimitListener(noListener{}, false, time.Now)
	conns := func(n int, idle bool) (last *conn, victims int, refusal string) {
		for i := range n {
			last = &conn{owner: l, addr: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}
			if idle {
				last.idle = time.Now()
			}
			var v *conn
			if v, refusal = l.admit(last); v != nil {
				victims++
			}
		}
		return last, victims, refusal
	}
	if _, victims, refusal := conns(maxConns, false); victims != 0 || refusal != "" {
		t.Fatalf("%d %q", victims, refusal)
	}
	if _, victims, refusal := conns(1, false); victims != 0 || refusal != tooManyInAll {
		t.Errorf("%d %q", victims, refusal)
	}
	for c := range l.conns {
		l.setIdle(c, time.Unix(5, 0))
		break
	}
	if _, victims, refusal := conns(1, false); victims != 1 || refusal != "" {
		t.Errorf("%d %q", victims, refusal)
	}
}

func TestNewErrors(t *testing.T) {
	if _, err := New(Options{Listener: noListener{}}); err == nil {
		t.Error("no service is accepted")
	}
	if _, err := New(Options{Service: newFake()}); err == nil {
		t.Error("no listener is accepted")
	}
}

func TestCloseWithoutServe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{Service: newFake(), Listener: l})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("still listening")
	}
	if err := s.Close(); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

func FuzzPaths(f *testing.F) {
	s, err := New(Options{Service: newFake(), Listener: noListener{}, Namespace: true})
	if err != nil {
		f.Fatal(err)
	}
	for _, p := range []string{"/", "/RPC2", "/logtail/g%3Aa/stderr", "/logtail/../x", "//ok.html", "/mainlogtail", "/%00", "*"} {
		f.Add("GET", p, "localhost")
	}
	f.Fuzz(func(t *testing.T, method, target, host string) {
		ctx, cancel := context.WithTimeout(context.Background(), 0)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, method, "http://x", nil)
		if err != nil {
			return
		}
		if r.URL, err = r.URL.Parse(target); err != nil {
			return
		}
		r.Host, r.RemoteAddr, r.RequestURI = host, "127.0.0.1:1", target
		w := &discard{h: http.Header{}}
		s.ServeHTTP(w, r)
		switch w.status {
		case 200, 400, 403, 404, 411, 415, 421:
		default:
			t.Fatalf("%s %q for %q: %d", method, target, host, w.status)
		}
	})
}

type discard struct {
	h      http.Header
	status int
}

func (d *discard) Header() http.Header { return d.h }

func (d *discard) WriteHeader(s int) { d.status = s }

func (d *discard) Flush() {}

func (d *discard) Write(p []byte) (int, error) {
	if d.status == 0 {
		d.status = 200
	}
	return len(p), nil
}

var _ service.Follower = (*follower)(nil)
