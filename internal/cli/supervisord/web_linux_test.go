package supervisord

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// post sends a form as a plain client does, without following where the answer leads.
func post(t *testing.T, address string, header map[string]string) (status int, message string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range header {
		req.Header.Set(name, v)
		if name == "Host" {
			req.Host = v
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, quoted, _ := strings.Cut(resp.Header.Get("Location"), "?message=")
	message, err = url.PathUnescape(quoted)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, message
}

// TestWebAttacks sends what browsers send for pages of others. Source: spec/reliability S2, S3.
func TestWebAttacks(t *testing.T) {
	s, c, port := webSite(t)
	here := fmt.Sprintf("127.0.0.1:%d", port)
	pid := s.pid(c, "purr")
	refused := []map[string]string{
		{"Origin": "http://evil.example"},
		{"Origin": "null"},
		{"Origin": "http://127.0.0.1:1"},
		{"Origin": "http://" + here + ".evil.example"},
		{"Sec-Fetch-Site": "cross-site"},
		{"Sec-Fetch-Site": "same-site"},
		{"Sec-Fetch-Site": "cross-site", "Origin": "http://" + here},
		{"Referer": "http://evil.example/" + here},
		{"Referer": "https://evil.example:80/", "Content-Type": "text/plain"},
		{"Host": "evil.example"},
		{"Host": "evil.example:80", "Origin": "http://evil.example:80"},
		{"Host": "evil.example", "Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"},
		{"Host": "localhost.evil.example"},
		{"Host": "0.0.0.0"},
		{"Host": "[::ffff:9.9.9.9]"},
		{"Host": "10.11.12.13"},
	}
	for _, header := range refused {
		for _, action := range []string{"stop&processname=purr", "restart&processname=purr", "clearlog&processname=purr", "stopall", "restartall"} {
			status, _ := post(t, "http://"+here+"/index.html?action="+action, header)
			want := http.StatusForbidden
			if header["Host"] != "" {
				want = http.StatusMisdirectedRequest
			}
			if status != want {
				t.Errorf("%v %s: %d, want %d", header, action, status, want)
			}
		}
	}
	for _, path := range []string{"", "index.html", "tail.html?processname=purr", "logtail/purr", "mainlogtail"} {
		req, _ := http.NewRequest(http.MethodGet, "http://"+here+"/"+path, nil)
		req.Host = "evil.example"
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusMisdirectedRequest || strings.Contains(string(body), "ready") {
			t.Errorf("%s under a foreign name: %d %s", path, resp.StatusCode, body)
		}
	}
	if now := s.pid(c, "purr"); now != pid {
		t.Fatalf("purr had pid %d and has %d", pid, now)
	}
	for _, header := range []map[string]string{
		nil,
		{"Origin": "http://" + here},
		{"Sec-Fetch-Site": "same-origin", "Origin": "http://" + here},
		{"Host": "localhost"},
		{"Referer": "http://" + here + "/index.html"},
		{"Content-Type": "text/plain"},
	} {
		if status, message := post(t, "http://"+here+"/?action=restart&processname=purr", header); status != 303 || message != "Process purr restarted" {
			t.Errorf("%v: %d %q", header, status, message)
		}
	}
}

// TestWebPassword: the pages are behind the password of their server.
func TestWebPassword(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	s := newSite(t, standard+"[inet_http_server]\nport="+address+"\nusername=user\npassword=pass\n")
	s.start()
	for _, path := range []string{"/", "/index.html?action=stopall", "/tail.html?processname=x", "/stylesheets/supervisor.css", "/scripts/refresh.js", "/ok.html", "/logtail/x", "/mainlogtail"} {
		for credentials, want := range map[string]int{"": 401, "user:wrong": 401, "user:pass": 200} {
			u := "http://" + address + path
			if credentials != "" {
				u = "http://" + credentials + "@" + address + path
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			cancel()
			if path == "/logtail/x" && want == 200 {
				want = 404
			}
			if resp.StatusCode != want {
				t.Errorf("%s with %q: %d, want %d", path, credentials, resp.StatusCode, want)
			}
		}
	}
}

// TestWebClientGoesAway: what was ordered is done to its end.
func TestWebClientGoesAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	s := newSite(t, standard+"[inet_http_server]\nport="+address+`
[program:webstubborn]
command=/bin/sh -c 'trap "" TERM; echo $$ >> %(here)s/pids; while [ ! -e %(here)s/let-go ]; do sleep 0.05; done'
startsecs=0
stopwaitsecs=600
autorestart=false
`)
	c := s.start()
	s.running(c, "webstubborn")
	s.until("it refuses to stop", func() bool { return s.read("pids") != "" })
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/", strings.NewReader("action=restart&processname=webstubborn"))
	go func() {
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err == nil {
			resp.Body.Close()
		}
		gone <- err
	}()
	s.until("it is told to stop", func() bool { return s.info(c, "webstubborn").StateName == "STOPPING" })
	cancel()
	if err := <-gone; err == nil {
		t.Error("it was answered")
	}
	s.write("let-go", "")
	s.until("it is started again", func() bool { return strings.Count(s.read("pids"), "\n") == 2 })
}

// TestWebStream follows a log through rotation and clearing, beside a client that does not read.
func TestWebStream(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	s := newSite(t, standard+"[inet_http_server]\nport="+address+`
[program:purr]
command=/bin/cat
startsecs=0
stdout_logfile=%(here)s/purr.log
stdout_logfile_maxbytes=4KB
stdout_logfile_backups=2
`)
	c := s.start()
	s.running(c, "purr")
	idle, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if _, err := io.WriteString(idle, "GET /logtail/purr HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/logtail/purr", nil)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if d := resp.TransferEncoding; len(d) != 1 || d[0] != "chunked" || resp.Header.Get("X-Accel-Buffering") != "no" || resp.Header.Get("Content-Type") != "text/plain;charset=utf-8" {
		t.Errorf("%v %v", d, resp.Header)
	}
	lines := bufio.NewScanner(resp.Body)
	n := 0
	send := func(count int) {
		t.Helper()
		var b strings.Builder
		for i := range count {
			fmt.Fprintf(&b, "line %08d %s\n", n+i, strings.Repeat("x", 80))
		}
		if err := c.SendProcessStdin(t.Context(), "purr", b.String()); err != nil {
			t.Fatal(err)
		}
		for range count {
			for {
				if !lines.Scan() {
					t.Fatalf("the stream ends after %d lines: %v", n, lines.Err())
				}
				if strings.HasPrefix(lines.Text(), "line ") {
					break // else a word about the log itself
				}
			}
			fields := strings.Fields(lines.Text())
			if got, err := strconv.Atoi(fields[1]); err != nil || got != n || len(fields[2]) != 80 {
				t.Fatalf("line %d is %q", n, lines.Text())
			}
			n++
		}
	}
	for range 40 { // 40 times 20 lines of about 95 bytes: some twenty rotations
		send(20)
	}
	if s.read("purr.log.1") == "" {
		t.Error("the log was not rotated")
	}
	for range 5 {
		if status, message := post(t, "http://"+address+"/?action=clearlog&processname=purr", nil); status != 303 || message != "Log for purr cleared" {
			t.Fatalf("%d %q", status, message)
		}
		send(3)
	}
	// The end of the program's log is no end of the stream, that of the client is.
	began := time.Now()
	cancel()
	if lines.Scan() {
		t.Errorf("more: %q", lines.Text())
	}
	if d := time.Since(began); d > patience {
		t.Errorf("it took %v", d)
	}
}
