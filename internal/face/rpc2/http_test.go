package rpc2

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/client/supervisor"
	"github.com/upkeep-project/upkeep/internal/domain/model"
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
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
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

func basic(s string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(s)) + "\r\n"
}

func TestAuthentication(t *testing.T) {
	plain := serve(t, Options{Namespace: true, Username: "us", Password: "p:w"})
	hashed := serve(t, Options{Namespace: true, Username: "us", Password: "{SHA}5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8"})
	tests := []struct {
		e      *env
		header string
		want   int
	}{
		{plain, basic("us:p:w"), 200},
		{plain, strings.Replace(basic("us:p:w"), "Basic", "bAsIc", 1), 200},
		{plain, "", 401},
		{plain, "Authorization: Digest x\r\n", 401},
		{plain, "Authorization: Basic\r\n", 401},
		{plain, basic("us:p"), 401},
		{plain, basic("us:p:w2"), 401},
		{plain, basic("su:p:w"), 401},
		{plain, basic("us"), 401},
		{plain, "Authorization: Basic !!!\r\n", 400},
		{plain, "Authorization: Basic dXM\r\n", 400},
		{plain, basic("us:\xff"), 400},
		{hashed, basic("us:password"), 200},
		{hashed, basic("us:{SHA}5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8"), 401},
		{hashed, basic("us:5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8"), 401},
	}
	for _, tt := range tests {
		for _, request := range []string{
			rpcRequest(tt.header, "supervisor.getPID"), "GET /ok.html HTTP/1.1\r\nHost: other.example\r\n" + tt.header + "\r\n",
		} {
			a := tt.e.raw(t, 1, request)[0]
			if a.StatusCode != tt.want {
				t.Errorf("%q: %d, want %d", tt.header, a.StatusCode, tt.want)
			}
			if tt.want == 200 {
				continue
			}
			if !a.Close || a.body != ErrorBody(tt.want) {
				t.Errorf("%q: %v %q", tt.header, a.Header, a.body)
			}
			if got := a.Header.Get("WWW-Authenticate"); tt.want == 401 && got != `Basic realm="default"` {
				t.Errorf("%q: %q", tt.header, got)
			}
		}
		tt.e.auth.damp = newDamper(time.Now)
	}
}

func TestGuessingIsDamped(t *testing.T) {
	now := time.Unix(1e9, 0)
	d := newDamper(func() time.Time { return now })
	bad, owner := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	d.success(owner)
	guesses := 0
	for range 600 { // one try a second for ten minutes
		if d.allowed(bad) {
			d.failure(bad)
			guesses++
		}
		if !d.allowed(owner) {
			t.Fatal("the owner is kept out")
		}
		now = now.Add(time.Second)
	}
	if guesses < freeFailures || guesses > 30 {
		t.Errorf("%d guesses in ten minutes", guesses)
	}
	for i := range 300 {
		a := netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)})
		if d.allowed(a) {
			d.failure(a)
		}
	}
	if d.total > totalFailures {
		t.Errorf("%d failures in a minute", d.total)
	}
	if d.allowed(netip.MustParseAddr("203.0.113.9")) || !d.allowed(owner) {
		t.Error("after a hundred failures only known addresses are heard")
	}
	now = now.Add(dampWindow)
	if !d.allowed(netip.MustParseAddr("203.0.113.9")) {
		t.Error("the flood is not forgotten")
	}
	for i := range maxDampAddrs + 500 {
		now = now.Add(time.Millisecond)
		d.failure(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
		d.success(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	if len(d.addrs) > maxDampAddrs || len(d.known) > maxKnownAddrs {
		t.Errorf("%d and %d records", len(d.addrs), len(d.known))
	}
}

func TestDampedOverHTTP(t *testing.T) {
	now := time.Unix(1e9, 0)
	frozen := func() time.Time { return now }
	e := serve(t, Options{Username: "u", Password: "p", Now: frozen})
	request := "GET /ok.html HTTP/1.1\r\nHost: x\r\n"
	for i := range freeFailures {
		if a := e.raw(t, 1, request+basic("u:x")+"\r\n")[0]; a.StatusCode != 401 {
			t.Fatalf("try %d: %d", i, a.StatusCode)
		}
	}
	if a := e.raw(t, 1, request+basic("u:p")+"\r\n")[0]; a.StatusCode != 429 || a.Header.Get("Retry-After") == "" {
		t.Errorf("%d", a.StatusCode)
	}
	local := serve(t, Options{Username: "u", Password: "p", Now: frozen, Local: true})
	for range 30 {
		if a := local.raw(t, 1, request+basic("u:x")+"\r\n")[0]; a.StatusCode != 401 {
			t.Fatalf("local: %d", a.StatusCode)
		}
	}
	if a := local.raw(t, 1, request+basic("u:p")+"\r\n")[0]; a.StatusCode != 200 {
		t.Errorf("local: %d", a.StatusCode)
	}
}

func TestHosts(t *testing.T) {
	e := serve(t, Options{Namespace: true, Hosts: []string{"My.Example"}})
	port := e.addr[strings.LastIndexByte(e.addr, ':'):]
	good := []string{"localhost", "LOCALHOST" + port, "127.0.0.1", "127.0.0.1" + port, "my.example", "my.example.:80", "[::ffff:127.0.0.1]"}
	bad := []string{
		"evil.example", "evil.example" + port, "127.0.0.1.evil.example", "localhost.evil.example", "192.0.2.1", "0.0.0.0", "[::]", "127.0.0.2",
		"[::1]", "127.1", "0x7f.1", "2130706433", "localhost..", "[localhost", "a@localhost", "localhost:x:y", "127.0.0.1%25x", "xlocalhost",
	}
	for i, host := range append(good, bad...) {
		for _, path := range []string{"/ok.html", "/nope", "/logtail/nope"} {
			a := e.raw(t, 1, "GET "+path+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n")[0]
			if ok := a.StatusCode == 200 || a.StatusCode == 404; ok != (i < len(good)) {
				t.Errorf("%s %s: %d", host, path, a.StatusCode)
			}
		}
	}
	if a := e.raw(t, 1, "GET http://evil.example/ok.html HTTP/1.1\r\nHost: localhost\r\n\r\n")[0]; a.StatusCode != 421 {
		t.Errorf("absolute form: %d", a.StatusCode)
	}
	for header, want := range map[string]int{
		"": 200, "Origin: http://evil.example\r\n": 421, "Referer: http://evil.example/\r\n": 421, "Sec-Fetch-Site: same-origin\r\n": 421,
	} {
		request := strings.Replace(rpcRequest(header, "supervisor.getPID"), "localhost", "evil.example", 1)
		if a := e.raw(t, 1, request)[0]; a.StatusCode != want {
			t.Errorf("call with %q: %d, want %d", header, a.StatusCode, want)
		}
	}
	if n := strings.Count(e.svc.noted(), "FollowLog"); n != len(good) {
		t.Errorf("%d requests reached the service, want %d", n, len(good))
	}
	local := serve(t, Options{Local: true})
	if a := local.raw(t, 1, "GET /ok.html HTTP/1.1\r\nHost: whatever\r\n\r\n")[0]; a.StatusCode != 200 {
		t.Errorf("local socket: %d", a.StatusCode)
	}
}

func TestCrossSite(t *testing.T) {
	e := serve(t, Options{Namespace: true, Local: true})
	tests := []struct {
		header string
		want   int
	}{
		{"", 200},
		{"Content-Type: text/plain\r\n", 200},
		{"Origin: http://localhost\r\nContent-Type: text/xml\r\n", 200},
		{"Sec-Fetch-Site: same-origin\r\nContent-Type: text/xml; charset=utf-8\r\n", 200},
		{"Origin: http://localhost\r\nContent-Type: text/plain\r\n", 415},
		{"Sec-Fetch-Site: none\r\nContent-Type: application/x-www-form-urlencoded\r\n", 415},
		{"Referer: http://localhost/\r\n", 415},
		{"Referer: http://evil.example/localhost\r\n", 403},
		{"Referer: nonsense\r\n", 403},
		{"Origin: http://evil.example\r\nContent-Type: text/xml\r\n", 403},
		{"Origin: null\r\nContent-Type: text/xml\r\n", 403},
		{"Sec-Fetch-Site: cross-site\r\nContent-Type: text/xml\r\n", 403},
		{"Sec-Fetch-Site: same-site\r\nContent-Type: text/xml\r\n", 403},
	}
	for _, tt := range tests {
		before := e.svc.noted()
		a := e.raw(t, 1, rpcRequest(tt.header, "supervisor.shutdown"))[0]
		if a.StatusCode != tt.want {
			t.Errorf("%q: %d, want %d", tt.header, a.StatusCode, tt.want)
		}
		if done := e.svc.noted() != before; done != (tt.want == 200) {
			t.Errorf("%q: done %v", tt.header, done)
		}
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
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
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
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
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
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
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
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
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

func TestGoClient(t *testing.T) {
	for _, local := range []bool{false, true} {
		e := serve(t, Options{Namespace: true, Local: local, Username: "u", Password: "p"})
		url := "http://" + e.addr
		if local {
			url = "unix://" + e.addr
		}
		c, err := supervisor.New(supervisor.Options{URL: url, Username: "u", Password: "p"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ctx := context.Background()
		infos, err := c.GetAllProcessInfo(ctx)
		if err != nil || len(infos) != 4 || infos[1].Group != "g" || infos[0].PID != 100 {
			t.Errorf("%v %v", infos, err)
		}
		ch, err := c.ReloadConfig(ctx)
		if err != nil || !cmp.Equal(ch, supervisor.Changes{Added: []string{"n1", "n2"}, Changed: []string{}, Removed: []string{"r"}}) {
			t.Errorf("%v %v", ch, err)
		}
		sctx, cancel := context.WithCancel(ctx)
		r, err := c.Stream(sctx, supervisor.LogPath("g:a", "stderr"))
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 10)
		if _, err := io.ReadFull(r, buf); err != nil || string(buf) != "hello log\n" {
			t.Errorf("%q %v", buf, err)
		}
		cancel()
		_ = r.Close()
	}
}

const pythonClient = `
import sys, xmlrpc.client
url, sock = sys.argv[1], sys.argv[2]
proxies = [xmlrpc.client.ServerProxy(url, allow_none=True)]
try:
    from supervisor.xmlrpc import SupervisorTransport
    proxies.append(xmlrpc.client.ServerProxy('http://127.0.0.1', transport=SupervisorTransport('u', 'p', 'unix://' + sock)))
except ImportError:
    pass
for p in proxies:
    assert p.supervisor.getVersion() == '3.0'
    assert p.supervisor.getState() == {'statecode': 1, 'statename': 'RUNNING'}
    infos = p.supervisor.getAllProcessInfo()
    assert [i['name'] for i in infos] == ['cat', 'a', 'b', 'off'], infos
    assert list(infos[0]) == ['name', 'group', 'start', 'stop', 'now', 'state', 'statename', 'spawnerr', 'exitstatus', 'logfile', 'stdout_logfile', 'stderr_logfile', 'pid', 'description']
    try:
        p.supervisor.startProcess('nope')
        assert False
    except xmlrpc.client.Fault as e:
        assert (e.faultCode, e.faultString) == (10, 'BAD_NAME: nope')
    assert p.supervisor.readLog(0, 0) == ''.join(chr(c) if c in (9, 10, 13) or 32 <= c < 128 else '\ufffd' for c in range(256)).replace('\r', '\n')[:-1] + '\ufffd'
    assert len(p.system.listMethods()) == len(set(p.system.listMethods())) > 40
    assert p.system.multicall([{'methodName': 'supervisor.getPID', 'params': []}]) == [77]
print('fine', len(proxies))
`

func TestPythonClient(t *testing.T) {
	if _, err := exec.LookPath("/usr/bin/python3"); err != nil {
		t.Skip("no /usr/bin/python3")
	}
	f := newFake()
	f.log = nil
	for i := range 256 {
		f.log = append(f.log, byte(i))
	}
	tcp := serve(t, Options{Service: f, Namespace: true, Username: "u", Password: "p"})
	local := serve(t, Options{Service: f, Namespace: true, Username: "u", Password: "p", Local: true})
	out, err := exec.Command("/usr/bin/python3", "-c", pythonClient, "http://u:p@"+tcp.addr, local.addr).CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "fine") {
		t.Errorf("%v\n%s\n%s", err, out, tcp.log)
	}
}

func TestOriginalSupervisorctl(t *testing.T) {
	if _, err := exec.LookPath("/usr/bin/supervisorctl"); err != nil {
		t.Skip("the original supervisorctl is not installed")
	}
	f := newFake()
	f.list[1].State, f.list[1].SpawnErr = model.Fatal, "can't find command 'x'"
	tcp := serve(t, Options{Service: f, Namespace: true, Username: "u", Password: "p"})
	local := serve(t, Options{Service: f, Namespace: true, Username: "u", Password: "p", Local: true})
	tests := []struct {
		args, want string
		code       int
	}{
		{"version", "4.3.0\n", 0},
		{"pid", "77\n", 0},
		{"pid cat", "100\n", 0},
		{"status g:a", "g:a                              FATAL     can't find command 'x'\n", 3},
		{"status nope", "nope: ERROR (no such process)\n", 4},
		{"stop cat", "cat: stopped\n", 0},
		{"stop g:*", "g:a: stopped\ng:b: stopped\n", 0},
		{"start cat", "cat: ERROR (spawn error)\n", 7},
		{"start nope", "nope: ERROR (no such process)\n", 1},
		{"signal HUP all", "cat: signalled\ng:a: signalled\ng:b: signalled\noff: signalled\n", 0},
		{"reread", "n1: available\nn2: available\nr: disappeared\n", 0},
		{"avail", "g:a                              in use    auto      5:999\n", 0},
		{"add g", "g: added process group\n", 0},
		{"remove g", "g: removed process group\n", 0},
		{"clear all", "cat: cleared\ng:a: cleared\ng:b: cleared\noff: cleared\n", 0},
		{"maintail", "hello log\n\n", 0},
		{"tail g:a stderr", "hello log\n\n", 0},
		{"shutdown", "Shut down\n", 0},
		{"reload", "Restarted supervisord\n", 0},
	}
	conf := writeConf(t)
	for _, url := range []string{"unix://" + local.addr, "http://" + tcp.addr} {
		if strings.HasPrefix(url, "http") {
			tests = tests[:3] // the rest is the same on every socket
		}
		for _, tt := range tests {
			cmd := exec.Command("/usr/bin/supervisorctl", append([]string{"-c", conf, "-s", url, "-u", "u", "-p", "p"}, strings.Fields(tt.args)...)...)
			out, _ := cmd.CombinedOutput()
			if string(out) != tt.want || cmd.ProcessState.ExitCode() != tt.code {
				t.Errorf("%.4s %s: %q status %d, want %q status %d", url, tt.args, out, cmd.ProcessState.ExitCode(), tt.want, tt.code)
			}
		}
	}
	f.mu.Lock()
	f.info.State = model.DaemonShutdown
	f.mu.Unlock()
	cmd := exec.Command("/usr/bin/supervisorctl", "-c", conf, "-s", "unix://"+local.addr, "-u", "u", "-p", "p", "reread")
	if out, _ := cmd.CombinedOutput(); !strings.Contains(string(out), "supervisor shutting down") && !strings.Contains(string(out), "SHUTDOWN_STATE") {
		t.Errorf("%q", out)
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
func (d *discard) WriteHeader(s int)   { d.status = s }
func (d *discard) Flush()              {}
func (d *discard) Write(p []byte) (int, error) {
	if d.status == 0 {
		d.status = 200
	}
	return len(p), nil
}

var _ service.Follower = (*follower)(nil)
