//go:build linux

package main

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// censusStep is the time between two looks at the process table.
	censusStep = 8 * time.Millisecond
	// youth is how long a process may still turn into one of ours by exec.
	youth = 2 * time.Second
	// zombieLimit is how long an ended process may stay in the table.
	zombieLimit = 5 * time.Second
)

// sight is one main process of a program, as seen from outside. Times are monotonic ns.
type sight struct {
	process
	program string
	inner   int   // its pid in its own namespace
	first   int64 // it was alive then
	last    int64 // and then
	died    int64 // it was dead then; 0 = it lives
	fd      int
	told    bool // a second instance beside this one was reported
}

// guest is any other process of the table.
type guest struct {
	start       uint64
	first, look int64
}

// census watches the process table for the main processes of the programs.
type census struct {
	mark    string
	inner   bool
	reaper  *reaper
	report  func(violation)
	epoll   int
	quit    chan struct{}
	done    chan struct{}
	longest time.Duration // between two looks

	mu    sync.Mutex
	live  map[int]*sight
	other map[int]guest
	all   map[string][]*sight
	grave []*sight
	looks int
	slow  int64 // when the graves were looked at last
}

func newCensus(mark string, inner bool, r *reaper, report func(violation)) (*census, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	c := &census{
		mark: mark, inner: inner, reaper: r, report: report, epoll: fd,
		quit: make(chan struct{}), done: make(chan struct{}),
		live: map[int]*sight{}, other: map[int]guest{}, all: map[string][]*sight{},
	}
	return c, nil
}

// run looks until close.
func (c *census) run() {
	defer close(c.done)
	runtime.LockOSThread() // ends with this goroutine, and the precedence with it
	prefer()
	tick := time.NewTicker(censusStep)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-c.quit:
			return
		case <-tick.C:
		}
		now := time.Now()
		c.longest = max(c.longest, now.Sub(last))
		last = now
		c.look()
		c.reaper.reap()
	}
}

func (c *census) close() {
	close(c.quit)
	<-c.done
	for _, s := range c.live {
		unix.Close(s.fd)
	}
	unix.Close(c.epoll)
}

// look is one walk over the process table.
func (c *census) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looks++
	c.bury()
	table := pids()
	now := monotonic()
	present := make(map[int]bool, len(table))
	for _, pid := range table {
		present[pid] = true
		if c.live[pid] == nil {
			c.visit(pid, now)
		}
	}
	for pid := range c.other {
		if !present[pid] {
			delete(c.other, pid)
		}
	}
	c.twins()
	if now-c.slow > int64(time.Second) {
		c.slow = now
		c.graves(now)
	}
}

// bury takes note of those that ended; all others were alive when it began.
func (c *census) bury() {
	var events [64]unix.EpollEvent
	for {
		before := monotonic()
		n, err := unix.EpollWait(c.epoll, events[:], 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		for _, e := range events[:max(n, 0)] {
			s := c.live[int(e.Fd)]
			if s == nil {
				continue
			}
			s.died = monotonic()
			unix.Close(s.fd) // and with it its place in the epoll set
			delete(c.live, s.pid)
			c.grave = append(c.grave, s)
		}
		if n < len(events) {
			for _, s := range c.live {
				s.last = before
			}
			return
		}
	}
}

// visit finds out whether pid is a main process of ours.
func (c *census) visit(pid int, now int64) {
	g, known := c.other[pid]
	if known {
		wait := int64(time.Second)
		if now-g.first < int64(youth) {
			wait = 0
		}
		if now-g.look < wait {
			return
		}
	}
	p, ok := readStat(pid)
	if !ok {
		return
	}
	if !known || g.start != p.start {
		g = guest{start: p.start, first: now}
	}
	g.look = now
	c.other[pid] = g
	if p.dead() {
		return
	}
	program := c.program(pid)
	// A copy that a program made of itself, to become something else in a moment.
	if program == "" || c.program(p.parent) != "" {
		return
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	s := &sight{process: p, program: program, inner: pid, first: monotonic(), fd: fd}
	s.last = s.first
	if !same(p) || unix.EpollCtl(c.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(pid)}) != nil {
		unix.Close(fd)
		return
	}
	s.first = now // it was in the table then
	if c.inner {
		s.inner = innerPID(pid)
	}
	delete(c.other, pid)
	c.live[pid] = s
	c.all[program] = append(c.all[program], s)
}

// program is the name of the program that a process is the main process of.
func (c *census) program(pid int) string {
	a := arguments(pid)
	if len(a) < 4 || a[1] != mainWord || a[2] != c.mark {
		return ""
	}
	return a[3]
}

// twins reports programs of which two main processes are alive.
func (c *census) twins() {
	seen := make(map[string]*sight, len(c.live))
	for _, s := range c.live {
		t := seen[s.program]
		if t == nil {
			seen[s.program] = s
			continue
		}
		if t.first < s.first || t.first == s.first && t.pid < s.pid {
			s, t = t, s // t is the younger one
		}
		seen[s.program] = s
		// Both must have lived for some looks under their names: a copy about to exec is no instance.
		if t.told || t.last-t.first < int64(3*censusStep) || c.program(t.pid) == "" || !same(t.process) || !same(s.process) {
			continue
		}
		t.told = true
		c.report(violation{vTwo, 1, fmt.Sprintf("%s: pid %d and pid %d", s.program, s.pid, t.pid)})
	}
}

// graves reports ended processes that nobody reaps.
func (c *census) graves(now int64) {
	rest := c.grave[:0]
	for _, s := range c.grave {
		if p, ok := readStat(s.pid); !ok || p.start != s.start {
			continue
		}
		if now-s.died > int64(zombieLimit) {
			c.report(violation{vZombie, 1, fmt.Sprintf("%s: pid %d, child of %d", s.program, s.pid, s.parent)})
			continue
		}
		rest = append(rest, s)
	}
	c.grave = rest
}

// sights is a copy of what was seen of a program.
func (c *census) sights(program string) []sight {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]sight, len(c.all[program]))
	for i, s := range c.all[program] {
		out[i] = *s
	}
	return out
}

// present counts the programs of which a main process lives.
func (c *census) present() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[string]int, len(c.live))
	for _, s := range c.live {
		out[s.program]++
	}
	return out
}

// ours reports whether pid is a process of a program: a main process or one that it left behind.
func (c *census) ours(pid int) bool {
	a := arguments(pid)
	return len(a) > 2 && a[0] == childName || len(a) > 2 && a[2] == c.mark
}

// endAll kills every process with the mark in its command line.
func (c *census) endAll() {
	until(10*time.Second, 10*time.Millisecond, func() bool {
		left := 0
		for _, pid := range pids() {
			if a := arguments(pid); len(a) > 2 && a[2] == c.mark {
				left++
				if p, ok := readStat(pid); ok {
					_ = strike(p, unix.SIGKILL) // gone is as good
				}
			}
		}
		c.reaper.reap()
		return left == 0
	})
}
