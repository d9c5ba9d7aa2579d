package mail

import (
	"encoding/base64"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/wire/mail/smtptest"
)

func now() time.Time { return time.Date(2026, 2, 3, 4, 5, 6, 0, time.FixedZone("", 3600)) }

func message() *Message {
	return &Message{From: "Up <from@x.example>", To: []string{"a@x.example", "B <b@x.example>"}, Subject: "it broke", Text: "one\n.two\n..\nthree"}
}

// TestDelivery: what arrives is what was sent, however it had to be packed.
func TestDelivery(t *testing.T) {
	long := strings.Repeat("x", 2000)
	for name, c := range map[string]struct{ subject, text string }{
		"plain":           {"it broke", "one\n.two\n..\nthree"},
		"no subject":      {"", "text"},
		"other letters":   {"caf\u00e9 \u65e5\u672c", "caf\u00e9\n=20 \u65e5\u672c\u8a9e"},
		"long line":       {"x", long},
		"not UTF-8":       {"x", "a\xffb"},
		"carriage return": {"x", "a\rb"},
	} {
		t.Run(name, func(t *testing.T) {
			server := (&smtptest.Server{}).Start(t)
			m := message()
			m.Subject, m.Text = c.subject, c.text
			if err := (&Server{Host: server.Addr}).Send(t.Context(), m, now()); err != nil {
				t.Fatal(err)
			}
			mails := server.Mails()
			if len(mails) != 1 {
				t.Fatalf("%d mails", len(mails))
			}
			got := mails[0]
			if got.From != "from@x.example" || !slices.Equal(got.To, []string{"a@x.example", "b@x.example"}) || got.Encrypted {
				t.Errorf("%+v", got)
			}
			parsed, err := mail.ReadMessage(strings.NewReader(got.Text))
			if err != nil {
				t.Fatal(err)
			}
			body := parsed.Body
			if parsed.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
				body = quotedprintable.NewReader(body)
			}
			text, err := io.ReadAll(body)
			if err != nil {
				t.Fatal(err)
			}
			want := strings.ReplaceAll(strings.ToValidUTF8(c.text, "\ufffd"), "\r", "\n") // a line end either way
			if got := strings.TrimSuffix(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n"); got != want {
				t.Errorf("text %q, want %q", got, want)
			}
			subject, err := new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject"))
			if err != nil || subject != c.subject {
				t.Errorf("subject %q, %v", subject, err)
			}
			if _, ok := parsed.Header["Subject"]; ok != (c.subject != "") {
				t.Errorf("there is a subject: %v", ok)
			}
			if got := parsed.Header.Get("Date"); got != "Tue, 03 Feb 2026 03:05:06 -0000" {
				t.Errorf("date %q", got)
			}
			if got := parsed.Header.Get("To"); got != "a@x.example, B <b@x.example>" {
				t.Errorf("to %q", got)
			}
			if id := parsed.Header.Get("Message-Id"); !strings.HasPrefix(id, "<") || !strings.Contains(id, "@") {
				t.Errorf("message id %q", id)
			}
			for line := range strings.Lines(got.Text) {
				if len(line) > longestLine+1 {
					t.Errorf("a line of %d bytes", len(line))
				}
			}
		})
	}
}

func TestLogin(t *testing.T) {
	for _, c := range []struct {
		offered string
		tls     bool
		want    string // mechanism, or part of the error
	}{
		{"LOGIN PLAIN CRAM-MD5", false, "CRAM-MD5"},
		{"LOGIN PLAIN", false, "PLAIN"},
		{"login plain", true, "PLAIN"},
		{"LOGIN", true, "LOGIN"},
		{"GSSAPI", false, "no way that is known"},
	} {
		t.Run(c.offered, func(t *testing.T) {
			server := (&smtptest.Server{Auth: c.offered, User: "me", Password: "s3cret", TLS: true}).Start(t)
			s := &Server{Host: server.Addr, User: "me", Password: "s3cret", TLS: c.tls}
			err := s.Send(t.Context(), message(), now())
			if err != nil {
				if !strings.Contains(err.Error(), c.want) {
					t.Error(err)
				}
				return
			}
			got := server.Mails()
			if len(got) != 1 || got[0].Login != c.want+" me" || got[0].Encrypted != c.tls {
				t.Errorf("%+v, want %s", got, c.want)
			}
			s.Password = "wrong"
			if err := s.Send(t.Context(), message(), now()); err == nil || !strings.Contains(err.Error(), "login") {
				t.Errorf("a wrong password: %v", err)
			}
		})
	}
}

// TestSecretsStayHidden: where encryption is asked for, nothing is said without it.
func TestSecretsStayHidden(t *testing.T) {
	server := (&smtptest.Server{Auth: "PLAIN", User: "me", Password: "s3cret"}).Start(t)
	err := (&Server{Host: server.Addr, User: "me", Password: "s3cret", TLS: true}).Send(t.Context(), message(), now())
	if err == nil || !strings.Contains(err.Error(), "encryption") || len(server.Mails()) != 0 {
		t.Errorf("%v, %d mails", err, len(server.Mails()))
	}
}

// TestCertificates: that of a server elsewhere is verified, that of one here cannot be.
func TestCertificates(t *testing.T) {
	for host, want := range map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true, "127.1.2.3": true, "mail.example": false, "10.0.0.1": false} {
		if local(host) != want {
			t.Errorf("%s: %v", host, !want)
		}
	}
}

func TestRefusals(t *testing.T) {
	server := (&smtptest.Server{Refuse: []string{"a@x.example"}}).Start(t)
	m := message()
	if err := (&Server{Host: server.Addr}).Send(t.Context(), m, now()); err != nil {
		t.Errorf("one of two is refused: %v", err)
	}
	if diff := cmp.Diff([]string{"b@x.example"}, server.Mails()[0].To); diff != "" {
		t.Error(diff)
	}
	m.To = m.To[:1]
	if err := (&Server{Host: server.Addr}).Send(t.Context(), m, now()); err == nil || !strings.Contains(err.Error(), "nobody here") {
		t.Errorf("all are refused: %v", err)
	}
}

// TestInjection: an option cannot add headers.
func TestInjection(t *testing.T) {
	for _, m := range []*Message{
		{From: "a@x\nBcc: b@x", To: []string{"c@x"}},
		{From: "a@x", To: []string{"c@x\r\nBcc: b@x"}},
	} {
		if _, err := m.Encode(now()); err == nil {
			t.Errorf("%+v is accepted", m)
		}
	}
	text, err := (&Message{From: "a@x", To: []string{"c@x"}, Subject: "x\nBcc: b@x"}).Encode(now())
	if err == nil && strings.Contains(string(text), "\nBcc") {
		t.Errorf("%s", text)
	}
}

func TestNoServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := (&Server{Host: l.Addr().String()}).Send(t.Context(), message(), now()); err == nil {
		t.Error("nobody listens, and it is delivered")
	}
}

func TestMechanisms(t *testing.T) {
	if _, err := (plain{&Server{}}).Next(nil, true); err == nil {
		t.Error("PLAIN answers a question")
	}
	s := login{&Server{User: "u", Password: "p"}}
	for question, want := range map[string]string{"User Name\x00": "u", "Password\x00": "p", base64.StdEncoding.EncodeToString([]byte("x")): "u"} {
		if got, err := s.Next([]byte(question), true); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", question, got, err)
		}
	}
}
