// Package syslog sends lines to the system's log, in the form of the C library's syslog(3) with facility
// USER and priority INFO: `<14>Nov 20 17:55:34 ident: text`. Source: spec/supervisor 3.6.
//
// Sending never waits: what the log does not take at once is counted and dropped.
package syslog

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// priority is facility USER (1) and level INFO (6).
const priority = 1<<3 | 6

// Options are what tests and unusual systems need; the zero value is right otherwise.
type Options struct {
	Paths []string         // sockets to try in this order; default those of the known systems
	Now   func() time.Time // default time.Now
}

// Sender is a connection to the system's log that repairs itself. Its methods may be called from several
// goroutines.
type Sender struct {
	ident string
	paths []string
	now   func() time.Time

	mu     sync.Mutex
	conn   conn
	closed bool

	dropped atomic.Uint64
}

// New makes a sender; ident is the program's name in each line. It connects with the first line, and
// again whenever the log has been restarted.
func New(ident string) *Sender { return NewWith(ident, Options{}) }

// NewWith is New with options.
func NewWith(ident string, o Options) *Sender {
	if o.Paths == nil {
		o.Paths = []string{"/dev/log", "/var/run/syslog", "/var/run/log"}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Sender{ident: ident, paths: o.Paths, now: o.Now, conn: noConn}
}

// Send sends one line, bytes as they are. A line that is longer than the log takes loses its end.
func (s *Sender) Send(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !s.sendLocked(s.format(line)) {
		s.dropped.Add(1)
	}
}

// Dropped is the number of lines that could not be sent.
func (s *Sender) Dropped() uint64 { return s.dropped.Load() }

// Close ends the connection; later lines are dropped.
func (s *Sender) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.conn.close()
	s.conn = noConn
	return nil
}

func (s *Sender) format(line string) []byte {
	var b strings.Builder
	b.WriteString("<" + strconv.Itoa(priority) + ">")
	b.WriteString(s.now().Format(time.Stamp)) // local time, as the C library does
	b.WriteString(" " + s.ident + ": ")
	b.WriteString(line)
	return []byte(b.String())
}
