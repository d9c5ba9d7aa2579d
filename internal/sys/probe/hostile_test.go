package probe

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// rude is a server that answers each request with what it likes, until the client has gone.
func rude(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					answer(conn)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String() + "/"
}

// endless writes something again and again.
func endless(begin, text string, pause time.Duration) func(net.Conn) {
	return func(conn net.Conn) {
		_, err := io.WriteString(conn, begin)
		for ; err == nil; _, err = io.WriteString(conn, text) {
			if pause > 0 {
				time.Sleep(pause)
			}
		}
	}
}

// TestRudeServers: whatever a server answers, the look ends in its time, with a text for people, and without reading all.
func TestRudeServers(t *testing.T) {
	once := func(text string) func(net.Conn) {
		return func(conn net.Conn) { _, _ = io.WriteString(conn, text) }
	}
	for name, c := range map[string]struct {
		answer func(net.Conn)
		late   bool // it is for the time of the look to end it
		text   string
	}{
		"drips":                 {endless("HTTP/1.1 200 OK\r\nX: ", "x", 5*time.Millisecond), true, "no answer in time"},
		"headers without end":   {endless("HTTP/1.1 200 OK\r\n", "X: "+strings.Repeat("x", 1000)+"\r\n", 0), false, "server response headers exceeded"},
		"a line without end":    {endless("HTTP/1.1 200 OK\r\nX: ", strings.Repeat("x", 1000), 0), false, "server response headers exceeded"},
		"asks to go on":         {endless("", "HTTP/1.1 100 Continue\r\n\r\n", time.Millisecond), true, "no answer in time"},
		"asks to go on at once": {endless("", "HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n", 0), false, ""},
		"goes away":             {once(""), false, "closed the connection without an answer"},
		"goes away in a header": {once("HTTP/1.1 200 OK\r\nX: "), false, "closed the connection without an answer"},
		"goes away in the text": {once("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), false, "the text did not come"},
		"HTTP/2":                {once("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), false, "malformed HTTP"},
		"another protocol":      {once("220 mail.example ESMTP\x1b[31m\r\n"), false, "malformed HTTP"},
		"a text without end":    {endless("HTTP/1.1 200 OK\r\n\r\n", strings.Repeat("x", 1000), 0), false, "does not have"},
		"chunks without end":    {endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", 0), false, "does not have"},
		"a huge chunk":          {endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n", strings.Repeat("x", 1000), 0), false, "does not have"},
	} {
		ctx := soon(t)
		if c.late {
			ctx = late(t)
		}
		r, err := Get(ctx, Page{URL: rude(t, c.answer), Body: regexp.MustCompile("never")})
		if err != nil || r.OK || !strings.Contains(r.Text, c.text) || r.Text == "" || len(r.Text) > 2*maxText || strings.ContainsAny(r.Text, "\x1b\r\n") {
			t.Errorf("%s: %+v, %v, want %q", name, r, err, c.text)
		}
	}
}
