package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"slices"
	"strings"
	"time"
)

// Server is a mail server, and how to talk to it.
type Server struct {
	Host     string // HOST or HOST:PORT; the port is 25 unless given
	User     string // with Password; empty: no login
	Password string
	TLS      bool // the connection must be encrypted, by STARTTLS
	// Implicit encrypts the connection from its first byte, and Offered by STARTTLS where the server offers that.
	Implicit, Offered bool
	// NoVerify accepts any certificate. That of a server of this machine is never verified.
	NoVerify bool
	// Private refuses to log in where the connection is not encrypted, unless the server is of this machine.
	Private bool
	// Tell is told of the dialogue, line by line, without secrets; nil = nobody listens.
	Tell func(line string)
}

// mailTime bounds the delivery of one message.
const mailTime = time.Minute

// Send delivers a message, within a minute or until ctx ends. A receiver that the server refuses is an error only when it
// refuses all.
func (s *Server) Send(ctx context.Context, m *Message, now time.Time) error {
	text, err := m.Encode(now)
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(s.Host)
	if err != nil {
		host, port = strings.Trim(s.Host, "[]"), "25"
	}
	ctx, cancel := context.WithTimeout(ctx, mailTime)
	defer cancel()
	s.tell("connect to " + net.JoinHostPort(host, port))
	conn, err := s.dial(ctx, host, port)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	err = s.dialogue(conn, host, m, text)
	if err != nil && ctx.Err() != nil { // the connection was closed since the time was over
		return fmt.Errorf("the server took too long: %w", context.Cause(ctx))
	}
	return err
}

func (s *Server) dial(ctx context.Context, host, port string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, err
	}
	if conn = (&bounded{conn, maxSaid}); s.Implicit {
		conn = tls.Client(conn, s.config(host))
	}
	return conn, nil
}

// maxSaid is how much a server may say in one delivery, in bytes. Certificates take some thousands.
const maxSaid = 64 << 10

// bounded is a connection that ends when the other side has said too much: lines of it would fill the memory.
type bounded struct {
	net.Conn
	left int
}

// Read is that of the connection, up to the bound.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, fmt.Errorf("the server has said more than %d bytes", maxSaid)
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func (s *Server) config(host string) *tls.Config {
	return &tls.Config{ServerName: host, InsecureSkipVerify: s.NoVerify || local(host)}
}

// dialogue hands over one message.
func (s *Server) dialogue(conn net.Conn, host string, m *Message, text []byte) error {
	c, err := smtp.NewClient(conn, host)
	if err != nil {
		return s.told(err)
	}
	defer c.Close()
	if err := s.prepare(c, host); err != nil {
		return err
	}
	if err := s.deliver(c, m, text); err != nil {
		return err
	}
	_ = c.Quit() // it has taken the message: what it says now changes nothing
	return nil
}

func (s *Server) tell(line string) {
	if s.Tell != nil {
		s.Tell(line)
	}
}

// told tells what a step came to.
func (s *Server) told(err error) error {
	if err != nil {
		s.tell("< " + err.Error())
	}
	return err
}

// prepare greets, encrypts and logs in.
func (s *Server) prepare(c *smtp.Client, host string) error {
	name := Host()
	s.tell("> EHLO " + name)
	if err := s.told(c.Hello(name)); err != nil {
		return err
	}
	offered, _ := c.Extension("STARTTLS")
	encrypted := s.Implicit
	if s.TLS || s.Offered && offered && !s.Implicit {
		s.tell("> STARTTLS")
		if err := s.told(c.StartTLS(s.config(host))); err != nil {
			return fmt.Errorf("encryption: %w", err)
		}
		encrypted = true
	}
	if s.User == "" || s.Password == "" {
		return nil
	}
	if s.Private && !encrypted && !local(host) {
		return errors.New("login: the server does not encrypt, and the password would be readable on the way")
	}
	auth, way, err := s.login(c)
	if err == nil {
		s.tell("> AUTH " + way + " (hidden)")
		err = c.Auth(auth)
	}
	if s.told(err) != nil {
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
func (s *Server) login(c *smtp.Client) (smtp.Auth, string, error) {
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
			return way.auth, way.name, nil
		}
	}
	return nil, "", fmt.Errorf("the server offers no way that is known here (%q)", words)
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
func (s *Server) deliver(c *smtp.Client, m *Message, text []byte) error {
	s.tell("> MAIL FROM:<" + Address(m.From) + ">")
	if err := s.told(c.Mail(Address(m.From))); err != nil {
		return err
	}
	var refused []error
	for _, to := range m.To {
		s.tell("> RCPT TO:<" + Address(to) + ">")
		if err := s.told(c.Rcpt(Address(to))); err != nil {
			refused = append(refused, fmt.Errorf("%s: %w", to, err))
		}
	}
	if len(refused) == len(m.To) {
		return errors.Join(refused...)
	}
	s.tell(fmt.Sprintf("> DATA, %d bytes", len(text)))
	w, err := c.Data()
	if s.told(err) != nil {
		return err
	}
	if _, err := w.Write(text); s.told(err) != nil {
		return err
	}
	if err := s.told(w.Close()); err != nil {
		return err
	}
	s.tell("< accepted")
	return nil
}
