package rpc2

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// connKey finds the connection of a request in its context.
type connKey struct{}

// conn is an accepted connection. It counts what is written, for the access lines, and gives its place
// back when it is closed.
type conn struct {
	net.Conn
	owner   *limitListener
	addr    netip.Addr
	written atomic.Int64
	once    sync.Once

	// Under owner.mu: the connection waits for a request since then; zero = it is busy.
	idle time.Time

	mu     sync.Mutex
	access string // first part of the access line of the request being answered
	rec    *recorder
	before int64 // written when that request began
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}

func (c *conn) Close() error {
	c.once.Do(func() { c.owner.release(c) })
	return c.Conn.Close()
}

// limitListener bounds the number of connections. When there is no place left, the connection that has
// been idle longest makes room: whoever only occupies places never keeps others out. When all are busy
// the new one is told so. Source: spec/reliability S5, R31.
type limitListener struct {
	net.Listener
	local bool
	now   func() time.Time
	all   int
	each  int // 0 = no limit per address

	mu     sync.Mutex
	conns  map[*conn]struct{}
	counts map[netip.Addr]int
}

func newLimitListener(l net.Listener, local bool, now func() time.Time) *limitListener {
	ll := &limitListener{
		Listener: l, local: local, now: now, all: maxConns, each: maxConnsAddr,
		conns: map[*conn]struct{}{}, counts: map[netip.Addr]int{},
	}
	if local {
		ll.all, ll.each = maxConnsLocal, 0
	}
	return ll
}

// The answers to a connection for which there is no place.
const (
	tooManyInAll   = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n"
	tooManyPerAddr = "HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n"
)

// Accept waits for the next connection that has a place.
func (l *limitListener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: nc, owner: l, idle: l.now()}
		if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
			c.addr = a.AddrPort().Addr().Unmap()
		}
		victim, refusal := l.admit(c)
		if victim != nil {
			_ = victim.Close()
		}
		if refusal == "" {
			return c, nil
		}
		// The buffer of a new connection is empty: this does not block.
		_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = nc.Write([]byte(refusal))
		_ = nc.Close()
	}
}

// admit gives c a place, or says why not; victim is a connection to close for it.
func (l *limitListener) admit(c *conn) (victim *conn, refusal string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.each > 0 && l.counts[c.addr] >= l.each:
		if victim = l.longestIdle(func(o *conn) bool { return o.addr == c.addr }); victim == nil {
			return nil, tooManyPerAddr
		}
	case len(l.conns) >= l.all:
		if victim = l.longestIdle(func(*conn) bool { return true }); victim == nil {
			return nil, tooManyInAll
		}
	}
	if victim != nil { // it is gone for the accounts at once
		l.remove(victim)
	}
	l.conns[c] = struct{}{}
	l.counts[c.addr]++
	return victim, ""
}

func (l *limitListener) longestIdle(match func(*conn) bool) *conn {
	var best *conn
	for c := range l.conns {
		if !c.idle.IsZero() && match(c) && (best == nil || c.idle.Before(best.idle)) {
			best = c
		}
	}
	return best
}

func (l *limitListener) release(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(c)
}

// remove takes c out of the accounts, once. The caller holds mu.
func (l *limitListener) remove(c *conn) {
	if _, ok := l.conns[c]; !ok {
		return
	}
	delete(l.conns, c)
	if l.counts[c.addr]--; l.counts[c.addr] <= 0 {
		delete(l.counts, c.addr)
	}
}

func (l *limitListener) setIdle(c *conn, since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.idle = since
}

// connState follows the connections: which are idle, and when an answer is complete.
func (s *Server) connState(nc net.Conn, state http.ConnState) {
	c, ok := nc.(*conn)
	if !ok {
		return
	}
	switch state {
	case http.StateActive:
		s.conns.setIdle(c, time.Time{})
	case http.StateIdle:
		s.conns.setIdle(c, s.o.Now())
		s.finishAccess(c)
	case http.StateClosed:
		s.finishAccess(c)
	}
}

// Conn is the connection that a request came over; nil when it is none of a Server.
func Conn(r *http.Request) net.Conn {
	if c, ok := r.Context().Value(connKey{}).(*conn); ok {
		return c.Conn
	}
	return nil
}
