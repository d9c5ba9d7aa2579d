package mail

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// odd is a mail server that does at one stage what it should not. Stages are the verbs; "" is the greeting, "." the end of the
// message.
func odd(t *testing.T, at string, do func(net.Conn)) (addr string, taken func() int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	well := map[string]string{
		"": "220 here", "EHLO": "250-here\r\n250 AUTH PLAIN", "AUTH": "235 welcome", "MAIL": "250 fine", "RCPT": "250 fine",
		"DATA": "354 speak", ".": "250 taken", "QUIT": "221 bye",
	}
	var mu sync.Mutex
	mails := 0
	var conns sync.WaitGroup
	talk := func(c net.Conn) {
		defer c.Close()
		in := bufio.NewReader(c)
		stage, data := "", false
		for {
			if stage == at {
				do(c)
				return
			}
			if _, err := fmt.Fprintf(c, "%s\r\n", well[stage]); err != nil {
				return
			}
			if stage == "." {
				mu.Lock()
				mails++
				mu.Unlock()
			}
			data = stage == "DATA"
			for stage = "more"; stage == "more"; {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line = strings.TrimSpace(line); !data {
					stage, _, _ = strings.Cut(line, " ")
				} else if line == "." {
					stage = "."
				}
			}
		}
	}
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { talk(c) })
		}
	})
	t.Cleanup(func() { l.Close(); conns.Wait() })
	return l.Addr().String(), func() int {
		mu.Lock()
		defer mu.Unlock()
		return mails
	}
}

// TestStages: whatever a server does at whichever stage, delivery fails in time and says why, without the password; once the
// server has taken a message it is delivered, whatever comes then.
func TestStages(t *testing.T) {
	say := func(text string) func(net.Conn) {
		return func(c net.Conn) { fmt.Fprint(c, text) }
	}
	forEver := func(text string) func(net.Conn) {
		return func(c net.Conn) {
			for {
				if _, err := fmt.Fprint(c, strings.Repeat(text, 1000)); err != nil {
					return
				}
			}
		}
	}
	for name, c := range map[string]struct {
		do   func(net.Conn)
		want string
	}{
		"goes away":       {say(""), "EOF"},
		"not now":         {say("451 later\r\n"), "later"},
		"never":           {say("554 no\r\n"), "554"},
		"several lines":   {say("554-no\r\n554-not you\r\n554 not now\r\n"), "not you"},
		"no answer":       {say("hello?\r\n"), "hello?"},
		"half an answer":  {say("250-fine\r\n250"), ""},
		"a line for ever": {forEver("x"), ""},
		"lines for ever":  {forEver("250-x\r\n"), "more than"},
	} {
		for _, at := range []string{"", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", ".", "QUIT"} {
			t.Run(name+" at "+at, func(t *testing.T) {
				addr, taken := odd(t, at, c.do)
				var said strings.Builder
				s := &Server{Host: addr, User: "me", Password: "s3cret", Tell: func(l string) { said.WriteString(l + "\n") }}
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				err := s.Send(ctx, message(), now())
				switch {
				case at == "QUIT":
					if err != nil || taken() != 1 {
						t.Errorf("it is taken: %v", err)
					}
				case err == nil || taken() != 0:
					t.Errorf("%v, %d mails", err, taken())
				case ctx.Err() != nil:
					t.Errorf("it took too long: %.200v", err)
				case at == "EHLO" && name != "a line for ever" && name != "lines for ever": // HELO is tried then, and is the end there
				case !strings.Contains(err.Error(), c.want):
					t.Errorf("there is no %q in %.200v", c.want, err)
				}
				if all := fmt.Sprint(said.String(), err); strings.Contains(all, "s3cret") || strings.Contains(all, "AG1lAHMzY3JldA") {
					t.Errorf("the password is told: %.500s", all)
				}
			})
		}
	}
}

// TestStripped: a server, or somebody on the way, that hides STARTTLS does not get the password of one who wants to be private.
func TestStripped(t *testing.T) {
	addr, taken := odd(t, "never", nil)
	_, port, _ := net.SplitHostPort(addr)
	for _, s := range []*Server{{Private: true, Offered: true}, {TLS: true}} {
		s.Host, s.User, s.Password = net.JoinHostPort("localhost", port), "me", "s3cret"
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		err = s.dialogue(conn, "mail.example", message(), []byte("Subject: x\n\n")) // as if it were elsewhere
		conn.Close()
		if err == nil || taken() != 0 {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

// TestHost: a machine's name that is no name of the mail is not used.
func TestHost(t *testing.T) {
	for name, want := range map[string]string{
		"web-3": "web-3", "web-3.example.com": "web-3.example.com", "under_score": "under_score", "": "localhost", "a b": "localhost",
		"a\nBcc: x": "localhost", "caf\u00e9": "localhost", "-x": "localhost", "a>": "localhost", "(none)": "localhost",
	} {
		if got := domain(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
