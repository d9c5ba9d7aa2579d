package rpc2

import (
	"encoding/base64"
	"net/netip"
	"strings"
	"testing"
	"time"
)

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
