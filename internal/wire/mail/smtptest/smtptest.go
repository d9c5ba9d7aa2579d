// Package smtptest is a mail server for tests: it keeps what it is given, and can ask for a login, offer
// encryption and refuse receivers.
package smtptest

import (
	"bufio"
	"crypto/hmac"
	"crypto/md5"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Mail is one message as it arrived.
type Mail struct {
	From      string
	To        []string
	Text      string // headers and body, lines ended by "\n"
	Encrypted bool
	Login     string // mechanism and user, once the password was right
}

// Server is the mail server. The fields are set before Start.
type Server struct {
	Auth     string // mechanisms to offer, separated by blanks
	User     string // with Password: what a login must say
	Password string
	TLS      bool     // offer STARTTLS, with a certificate of nobody's
	Refuse   []string // receivers

	Addr string // of the running server

	mu     sync.Mutex
	broken Broken
	mails  []Mail
	conns  sync.WaitGroup
	cert   tls.Certificate
}

// Start listens on a port of this machine until the test ends.
func (s *Server) Start(t *testing.T) *Server {
	t.Helper()
	if s.TLS {
		h := httptest.NewTLSServer(nil) // it has made a certificate
		s.cert = h.TLS.Certificates[0]
		h.Close()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = l.Addr().String()
	s.conns.Add(1)
	go func() {
		defer s.conns.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.conns.Add(1)
			go func() {
				defer s.conns.Done()
				defer c.Close()
				(&session{server: s, conn: c}).serve()
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); s.conns.Wait() })
	return s
}

// Broken is what is wrong with the server.
type Broken uint8

// The ways to be broken.
const (
	Well   Broken = iota
	Silent        // it accepts connections and says nothing
	Gone          // it greets and goes away
)

// Break has new connections find the server in some way broken, or well.
func (s *Server) Break(how Broken) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = how
}

// Mails are those that have arrived.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

// session is one connection.
type session struct {
	server *Server
	conn   net.Conn
	in     *textproto.Reader
	mail   Mail
}

func (c *session) say(format string, a ...any) { fmt.Fprintf(c.conn, format+"\r\n", a...) }

func (c *session) ask(question string) string {
	c.say("334 %s", base64.StdEncoding.EncodeToString([]byte(question)))
	line, _ := c.in.ReadLine()
	answer, _ := base64.StdEncoding.DecodeString(line)
	return string(answer)
}

func (c *session) serve() {
	c.in = textproto.NewReader(bufio.NewReader(c.conn))
	c.server.mu.Lock()
	broken := c.server.broken
	c.server.mu.Unlock()
	if broken == Silent {
		_, _ = io.Copy(io.Discard, c.conn) // until the other side has enough
		return
	}
	c.say("220 here")
	if broken == Gone {
		return
	}
	for {
		line, err := c.in.ReadLine()
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "EHLO", "HELO":
			c.say("250-here")
			if c.server.TLS && !c.mail.Encrypted {
				c.say("250-STARTTLS")
			}
			if c.server.Auth != "" {
				c.say("250-AUTH %s", c.server.Auth)
			}
			c.say("250 welcome")
		case "STARTTLS":
			c.say("220 go on")
			c.conn = tls.Server(c.conn, &tls.Config{Certificates: []tls.Certificate{c.server.cert}})
			c.in = textproto.NewReader(bufio.NewReader(c.conn))
			c.mail.Encrypted = true
		case "AUTH":
			c.auth(rest)
		case "MAIL":
			if c.server.Auth != "" && c.mail.Login == "" && c.server.User != "" {
				c.say("530 who are you?")
				break
			}
			c.mail.From, c.mail.To = address(rest), nil
			c.say("250 fine")
		case "RCPT":
			if to := address(rest); slices.Contains(c.server.Refuse, to) {
				c.say("550 nobody here")
			} else {
				c.mail.To = append(c.mail.To, to)
				c.say("250 fine")
			}
		case "DATA":
			c.say("354 speak")
			text, err := io.ReadAll(c.in.DotReader())
			if err != nil {
				return
			}
			c.mail.Text = string(text)
			c.server.mu.Lock()
			c.server.mails = append(c.server.mails, c.mail)
			c.server.mu.Unlock()
			c.say("250 taken")
		case "QUIT":
			c.say("221 bye")
			return
		default:
			c.say("500 what?")
		}
	}
}

func (c *session) auth(words string) {
	mechanism, first, _ := strings.Cut(words, " ")
	var user, password string
	switch mechanism {
	case "PLAIN":
		text, _ := base64.StdEncoding.DecodeString(first)
		if f := strings.Split(string(text), "\x00"); len(f) == 3 {
			user, password = f[1], f[2]
		}
	case "LOGIN":
		user, password = c.ask("Username:"), c.ask("Password:")
	case "CRAM-MD5":
		const challenge = "<1@here>"
		digest := ""
		user, digest, _ = strings.Cut(c.ask(challenge), " ")
		h := hmac.New(md5.New, []byte(c.server.Password))
		h.Write([]byte(challenge))
		if digest == fmt.Sprintf("%x", h.Sum(nil)) {
			password = c.server.Password
		}
	}
	if user != c.server.User || password != c.server.Password {
		c.say("535 no")
		return
	}
	c.mail.Login = mechanism + " " + user
	c.say("235 welcome")
}

// address is what stands between < and >.
func address(s string) string {
	_, s, _ = strings.Cut(s, "<")
	s, _, _ = strings.Cut(s, ">")
	return s
}
