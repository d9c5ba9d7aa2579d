//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// hanging is how many programs have a check that is never answered.
const hanging = 100

// runChecks: what it costs to look after N programs, with an HTTP check each every ten seconds and a memory check every
// five, and what becomes of that when checks of others hang. Only systems that have checks of their own can be measured.
func runChecks(ctx context.Context, b *bench) error {
	for _, n := range b.o.sizes {
		for _, hang := range []int{0, hanging} {
			name := fmt.Sprintf("%d programs", n)
			if hang > 0 {
				name += fmt.Sprintf(", %d more that hang", hang)
			}
			err := b.each(ctx, "checks", name, func(ctx context.Context, sys system) (*figures, error) { return b.checks(ctx, sys, n, hang) })
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// looks is what a server sees of checks.
type looks struct {
	mu    sync.Mutex
	last  map[string]time.Time
	count int           // of those that are answered
	gap   time.Duration // the longest between two of the same program
}

// ServeHTTP answers at once, and what is below /hang never.
func (l *looks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if len(r.URL.Path) > 6 && r.URL.Path[:6] == "/hang/" {
		<-r.Context().Done()
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if before, ok := l.last[r.URL.Path]; ok {
		l.gap = max(l.gap, now.Sub(before))
	}
	l.last[r.URL.Path] = now
	l.count++
}

// seen is how many programs were looked at, and how many looks there were.
func (l *looks) seen() (programs, count int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.last), l.count
}

// longest is the longest time between two looks at one program, or since the last.
func (l *looks) longest() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, at := range l.last {
		l.gap = max(l.gap, time.Since(at))
	}
	return l.gap
}

// errUnchecked: a system has no checks.
var errUnchecked = errors.New("it does not look at every program")

func (b *bench) checks(ctx context.Context, sys system, n, hang int) (*figures, error) {
	l := &looks{last: map[string]time.Time{}}
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: l, ReadHeaderTimeout: time.Minute}
	defer server.Close()
	go func() { _ = server.Serve(at) }() // ends with Close
	progs, err := b.sleepers(n + hang)
	if err != nil {
		return nil, err
	}
	for i := range progs {
		path := "/ok/"
		if i >= n {
			path = "/hang/"
		}
		progs[i].more = "redirect_stderr=true\ncheck.mem=memory max=1GB every=5s after=0\n" +
			fmt.Sprintf("check.web=http http://%s%s%d every=10s after=0 then=event\n", at.Addr(), path, i)
	}
	s, err := b.newSession(sys, progs)
	if err != nil {
		return nil, err
	}
	defer s.end()
	if err := s.up(len(progs)); err != nil {
		return nil, err
	}
	if !until(30*time.Second, 50*time.Millisecond, func() bool { programs, _ := l.seen(); return programs == n || ctx.Err() != nil }) {
		return nil, errUnchecked
	}
	pids := managers(s.pid())
	_, looked := l.seen()
	before, t := measureCost(pids, true), time.Now()
	if err := pause(ctx, b.o.idle); err != nil {
		return nil, err
	}
	after, span := measureCost(pids, false), time.Since(t).Seconds()
	_, now := l.seen()
	f := &figures{}
	f.set("cpu_percent", 100*(after.cpu-before.cpu).Seconds()/span)
	f.set("pss_mb", float64(before.pssKiB)*1024/1e6)
	f.set("looks_per_s", float64(now-looked)/span)
	err = s.ask(ctx, f, func(time.Time) {})
	f.set("longest_gap_s", l.longest().Seconds())
	return f, err
}
