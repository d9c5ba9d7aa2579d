package batchmail

import (
	"fmt"
	"net/mail"
	"strings"
	"testing"

	"github.com/upkeep-project/upkeep/internal/cli/superlance"
	"github.com/upkeep-project/upkeep/internal/cli/superlance/superlancetest"
	"github.com/upkeep-project/upkeep/internal/wire/mail/smtptest"
)

func start(t *testing.T, k kind, args ...string) *superlancetest.Session {
	t.Helper()
	args = append([]string{"-t", "a@x.example, b@x.example", "-f", "from@x.example"}, args...)
	return superlancetest.Start(t, "http://127.0.0.1:1", func(env *superlance.Env) int { return run(env, k, k.name, args) })
}

const (
	exited = "PROCESS_STATE_EXITED"
	fatal  = "PROCESS_STATE_FATAL"
	crash  = "processname:cat groupname:pets from_state:RUNNING expected:0 pid:58597"
	// gone has no pid, as the original sends it.
	gone = "processname:cat groupname:pets from_state:BACKOFF"
)

// TestKinds: which events count, and the texts.
func TestKinds(t *testing.T) {
	for _, c := range []struct {
		kind          kind
		event, other  string
		payload, line string
		subject       string
	}{
		{crashes(), exited, fatal, crash, "2026-02-03 04:05:06,789 -- Process pets:cat (pid 58597) died unexpectedly", "Crash alert from supervisord"},
		{fatals(), fatal, exited, gone, "2026-02-03 04:05:06,789 -- Process pets:cat failed to start too many times", "Fatal start alert from supervisord"},
		{texts(), exited, fatal, crash, "[pets:cat](58597) exited unexpectedly 2026-02-03 04:05:06,789", ""},
	} {
		t.Run(c.kind.name, func(t *testing.T) {
			server := (&smtptest.Server{}).Start(t)
			s := start(t, c.kind, "-H", server.Addr)
			s.Send(c.other, crash)
			if c.kind.event == exited {
				s.Send(exited, strings.Replace(crash, "expected:0", "expected:1", 1))
			}
			s.Send("TICK_60", "when:60")
			if got := s.Said(); got != "" || len(server.Mails()) != 0 {
				t.Fatalf("nothing has happened, and it says %q, mails %d", got, len(server.Mails()))
			}
			s.Send(c.event, c.payload)
			s.Send(c.event, c.payload)
			if got := s.Said(); got != c.line+"\n"+c.line+"\n" || len(server.Mails()) != 0 {
				t.Errorf("%q", got)
			}
			s.Send("TICK_5", "when:65") // not the one that counts
			s.Send("TICK_60", "when:120")
			mails := server.Mails()
			if len(mails) != 1 {
				t.Fatalf("%d mails", len(mails))
			}
			m, err := mail.ReadMessage(strings.NewReader(mails[0].Text))
			if err != nil {
				t.Fatal(err)
			}
			if got := m.Header.Get("Subject"); got != c.subject {
				t.Errorf("subject %q", got)
			}
			if !strings.HasSuffix(mails[0].Text, "\n\n"+c.line+"\n"+c.line+"\n") {
				t.Errorf("%q", mails[0].Text)
			}
			subject := c.subject
			if subject == "" {
				subject = "None"
			}
			want := "Sending notification email:\nTo: a@x.example, b@x.example\nFrom: from@x.example\nSubject: " + subject +
				"\nBody:\n" + (c.line + "\n" + c.line)[:digest] + "...\n"
			if got := s.Said(); got != want {
				t.Errorf("logged\n%q, want\n%q", got, want)
			}
			s.Send("TICK_60", "when:180")
			if got := len(server.Mails()); got != 1 {
				t.Errorf("%d mails after an interval in which nothing happened", got)
			}
			if got := s.Status(); got != 0 {
				t.Errorf("status %d", got)
			}
		})
	}
}

// TestInterval counts the ticks until the mail.
func TestInterval(t *testing.T) {
	for _, c := range []struct {
		args  string
		tick  string
		ticks int
	}{
		{"", "TICK_60", 1},
		{"-i 2", "TICK_60", 2},
		{"--interval=1.5", "TICK_60", 2},
		{"-e TICK_5", "TICK_5", 12},
		{"-e TICK_5 -i 0.1", "TICK_5", 2},
		{"--tickEvent TICK_3600 -i 120", "TICK_3600", 2},
		{"-i 0", "TICK_60", 1},
	} {
		server := (&smtptest.Server{}).Start(t)
		s := start(t, crashes(), append(strings.Fields(c.args), "--smtpHost", server.Addr)...)
		for range 2 { // the second interval is as long as the first
			s.Send(exited, crash)
			before := len(server.Mails())
			n := 0
			for ; len(server.Mails()) == before && n < 100; n++ {
				s.Send(c.tick, "when:0")
			}
			if n != c.ticks {
				t.Errorf("%q: after %d ticks, want %d", c.args, n, c.ticks)
			}
		}
	}
}

// TestNothingIsLost while the mail server does not answer.
func TestNothingIsLost(t *testing.T) {
	server := (&smtptest.Server{Refuse: []string{"a@x.example", "b@x.example"}}).Start(t)
	s := start(t, crashes(), "-H", server.Addr, "-s", "mine")
	for range 2 {
		s.Send(exited, crash)
		s.Send("TICK_60", "when:0")
	}
	got := s.Said()
	if len(server.Mails()) != 0 || strings.Count(got, "Error sending email: ") != 2 || !strings.Contains(got, "2 lines are kept for the next one\n") {
		t.Errorf("%d mails, %q", len(server.Mails()), got)
	}
	server.Refuse = nil // no connection is open
	s.Send("TICK_60", "when:0")
	if mails := server.Mails(); len(mails) != 1 || strings.Count(mails[0].Text, "died unexpectedly") != 2 || !strings.Contains(mails[0].Text, "Subject: mine\n") {
		t.Errorf("%+v", mails)
	}
}

// TestBound: what waits is bounded, and what does not fit is counted.
func TestBound(t *testing.T) {
	server := (&smtptest.Server{}).Start(t)
	s := start(t, crashes(), "-H", server.Addr)
	for i := range maxLines + 3 {
		s.Send(exited, fmt.Sprintf("processname:p%d groupname:g from_state:RUNNING expected:0 pid:1", i))
	}
	s.Send("TICK_60", "when:0")
	text := server.Mails()[0].Text
	if n := strings.Count(text, "died unexpectedly"); n != maxLines || !strings.HasSuffix(text, "and 3 more\n") || !strings.Contains(text, "g:p0 ") {
		t.Errorf("%d lines, ...%q", n, text[len(text)-40:])
	}
	s.Send(exited, crash)
	s.Send("TICK_60", "when:0")
	if text := server.Mails()[1].Text; strings.Contains(text, "more") {
		t.Errorf("%q", text)
	}
}

func TestLogin(t *testing.T) {
	server := (&smtptest.Server{Auth: "PLAIN", User: "me", Password: "s3cret", TLS: true}).Start(t)
	s := start(t, crashes(), "-H", server.Addr, "--userName=me", "--password=s3cret", "--tls")
	s.Send(exited, crash)
	s.Send("TICK_60", "when:0")
	if m := server.Mails(); len(m) != 1 || !m[0].Encrypted || m[0].Login != "PLAIN me" {
		t.Errorf("%+v", m)
	}
}

func TestCommandLine(t *testing.T) {
	const helpStart = "crashmailbatch -t ADDRESS"
	both := "-t a@x -f b@x "
	for _, c := range []struct {
		args      string
		url       string
		status    int
		out, errs string // beginnings
	}{
		{"-h", "", 0, helpStart, ""},
		{both + "x --help", "", 0, helpStart, ""}, // options may stand anywhere
		{"", "", 1, helpStart, ""},
		{"-t a@x", "", 1, helpStart, ""},
		{"-f a@x", "", 1, helpStart, ""},
		{"-t , -f a@x", "", 1, helpStart, ""},
		{"--nope", "", 2, "", "Usage: prog [options]\n\ncrashmailbatch: error: option --nope not recognized\n"},
		{both + "-i x", "", 2, "", "Usage: prog [options]\n\ncrashmailbatch: error: option -i: invalid floating-point value: 'x'\n"},
		{both + "-e PROCESS", "", 1, "", "invalid TICK event name: PROCESS\n"},
		{both + "-e TICK_x", "", 1, "", "invalid TICK event name: TICK_x\n"},
		{both + "-e TICK_0", "", 1, "", "invalid TICK event name: TICK_0\n"},
		{both, "", 1, "", "Must run as a supervisor event listener\n"},
		{both, "unix:///x", 0, "READY\n", ""},
		{both + "word -e TICK_5 word", "unix:///x", 0, "READY\n", ""},
	} {
		status, out, errs := superlancetest.Once(c.url, func(env *superlance.Env) int {
			return run(env, crashes(), "prog", strings.Fields(c.args))
		})
		if status != c.status || !strings.HasPrefix(out, c.out) || errs != c.errs || (out == "") != (c.out == "") {
			t.Errorf("%q: %d %q %q", c.args, status, out, errs)
		}
	}
}
