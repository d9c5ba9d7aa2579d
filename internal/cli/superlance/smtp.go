package superlance

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Server is a mail server, and how to talk to it.
type Server struct {
	Host     string // HOST or HOST:PORT; the port is 25 unless given
	User     string // with Password; empty: no login
	Password string
	TLS      bool // the connection must be encrypted, by STARTTLS
	// NoVerify accepts any certificate. That of a server of this machine is never verified.
	NoVerify bool
}

// Message is a mail of plain text.
type Message struct {
	From, Subject, Text string // no subject, no such line
	To                  []string
}

// mailTime bounds the delivery of one message.
const mailTime = time.Minute

// Send delivers a message. A receiver that the server refuses is an error only when it refuses all.
func (s *Server) Send(m *Message, now time.Time) error {
	text, err := m.encode(now)
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(s.Host)
	if err != nil {
		host, port = strings.Trim(s.Host, "[]"), "25"
	}
	ctx, cancel := context.WithTimeout(context.Background(), mailTime)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return err
	}
	defer conn.Close()
	if limit, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(limit); err != nil {
			return err
		}
	}
	c, err := smtp.NewClient(conn, host)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := s.prepare(c, host); err != nil {
		return err
	}
	if err := deliver(c, m, text); err != nil {
		return err
	}
	return c.Quit()
}

// prepare greets, encrypts and logs in.
func (s *Server) prepare(c *smtp.Client, host string) error {
	name, err := os.Hostname()
	if err != nil || strings.ContainsAny(name, " \r\n") {
		name = "localhost"
	}
	if err := c.Hello(name); err != nil {
		return err
	}
	if s.TLS {
		config := &tls.Config{ServerName: host, InsecureSkipVerify: s.NoVerify || local(host)}
		if err := c.StartTLS(config); err != nil {
			return fmt.Errorf("encryption: %w", err)
		}
	}
	if s.User == "" || s.Password == "" {
		return nil
	}
	auth, err := s.login(c)
	if err == nil {
		err = c.Auth(auth)
	}
	if err != nil {
		return fmt.Errorf("login: %w", err)
	}
	return nil
}

// local reports whether a host is this machine.
func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// login chooses the best way to log in that the server knows.
func (s *Server) login(c *smtp.Client) (smtp.Auth, error) {
	_, words := c.Extension("AUTH")
	offered := strings.Fields(strings.ToUpper(words))
	for _, way := range []struct {
		name string
		auth smtp.Auth
	}{
		{"CRAM-MD5", smtp.CRAMMD5Auth(s.User, s.Password)},
		{"PLAIN", plain{s}},
		{"LOGIN", login{s}},
	} {
		if slices.Contains(offered, way.name) {
			return way.auth, nil
		}
	}
	return nil, fmt.Errorf("the server offers no way that is known here (%q)", words)
}

// plain is the mechanism PLAIN. That of net/smtp refuses unencrypted connections; whether to encrypt is
// the user's choice here.
type plain struct{ *Server }

// Start sends everything at once.
func (p plain) Start(*smtp.ServerInfo) (string, []byte, error) {
	return "PLAIN", []byte("\x00" + p.User + "\x00" + p.Password), nil
}

// Next has nothing more to say.
func (p plain) Next(_ []byte, more bool) ([]byte, error) {
	if more {
		return nil, errors.New("unexpected question of the server")
	}
	return nil, nil
}

// login is the mechanism LOGIN: the server asks for the name, then for the password.
type login struct{ *Server }

// Start announces the mechanism.
func (l login) Start(*smtp.ServerInfo) (string, []byte, error) { return "LOGIN", nil, nil }

// Next answers a question.
func (l login) Next(question []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	if strings.Contains(strings.ToLower(string(question)), "pass") {
		return []byte(l.Password), nil
	}
	return []byte(l.User), nil
}

// deliver hands over a message to those receivers that the server accepts.
func deliver(c *smtp.Client, m *Message, text []byte) error {
	if err := c.Mail(address(m.From)); err != nil {
		return err
	}
	var refused []error
	for _, to := range m.To {
		if err := c.Rcpt(address(to)); err != nil {
			refused = append(refused, fmt.Errorf("%s: %w", to, err))
		}
	}
	if len(refused) == len(m.To) {
		return errors.Join(refused...)
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	return w.Close()
}

// address is the bare address of what may be "Name <address>".
func address(s string) string {
	if a, err := mail.ParseAddress(s); err == nil {
		return a.Address
	}
	return s
}

// encode makes headers and body. Nothing in a header may begin another header.
func (m *Message) encode(now time.Time) ([]byte, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	var b bytes.Buffer
	for _, h := range []struct{ name, value string }{
		{"Subject", mime.QEncoding.Encode("utf-8", m.Subject)},
		{"From", m.From},
		{"To", strings.Join(m.To, ", ")},
		{"Date", now.UTC().Format("Mon, 02 Jan 2006 15:04:05 -0000")},
		{"Message-ID", "<" + rand.Text() + "@" + host + ">"},
		{"MIME-Version", "1.0"},
	} {
		if strings.ContainsAny(h.value, "\r\n") {
			return nil, fmt.Errorf("%s of the mail has several lines: %q", h.name, h.value)
		}
		if h.value != "" {
			b.WriteString(h.name + ": " + h.value + "\n")
		}
	}
	if plainText(m.Text) {
		b.WriteString("Content-Type: text/plain; charset=\"us-ascii\"\nContent-Transfer-Encoding: 7bit\n\n" + m.Text)
		return b.Bytes(), nil
	}
	b.WriteString("Content-Type: text/plain; charset=\"utf-8\"\nContent-Transfer-Encoding: quoted-printable\n\n")
	w := quotedprintable.NewWriter(&b)
	if _, err := w.Write([]byte(strings.ToValidUTF8(m.Text, "\ufffd"))); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// longestLine is the longest that mail may have, in bytes. Source: RFC 5322, 2.1.1.
const longestLine = 998

// plainText reports whether a text can travel as it is.
func plainText(s string) bool {
	for line := range strings.SplitSeq(s, "\n") {
		if len(line) > longestLine {
			return false
		}
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf || r == '\r' || r == 0 })
}
