//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// hostilePrograms is how many programs are supervised meanwhile.
	hostilePrograms = 500
	// hostileEvents are what all listeners have subscribed to.
	hostileEvents = "PROCESS_STATE_EXITED"
	// hostileBuffer is how many events the pools of hostile listeners hold.
	hostileBuffer = 10
	// hostilePause lies between two kills, so that no victim dies twice within ten seconds: programs that keep ending
	// share a budget of restarts. After hostileWait a killed program counts as given up.
	hostilePause = 450 * time.Millisecond
	hostileWait  = 20 * time.Second
)

// hostileModes are the ways to break the rules, each of a listener in a pool of its own.
func hostileModes() map[string]func(in *bufio.Reader) {
	return map[string]func(*bufio.Reader){
		"hang": func(*bufio.Reader) { say("READY\n"); idle() },
		"mute": func(*bufio.Reader) { idle() },
		"flood": func(*bufio.Reader) {
			for say(strings.Repeat("flood ", 10_000)) {
			}
		},
		"shut": func(*bufio.Reader) {
			say("READY\n")
			_, _ = unix.Close(0), unix.Close(1)
			idle()
		},
		"garbage": func(in *bufio.Reader) {
			for say("READY\n") {
				if _, err := in.ReadString('\n'); err != nil {
					return
				}
				say("\x00\xffRESULT -1\n\n")
			}
		},
		"die": func(in *bufio.Reader) { say("READY\n"); _, _ = in.ReadByte() },
	}
}

func say(text string) bool { return writeAll([]byte(text)) == nil }

// childHostile MODE is a listener that breaks the rules.
func childHostile(args []string) int {
	mode := hostileModes()[args[0]]
	if mode == nil {
		return fail(fmt.Errorf("no mode %q", args[0]))
	}
	mode(bufio.NewReader(os.Stdin))
	return 1
}

// runHostile: what hostile listeners cost everybody else.
func runHostile(ctx context.Context, b *bench) error {
	return b.each(ctx, "hostile", fmt.Sprintf("%d programs, %v", hostilePrograms, b.o.secs), func(ctx context.Context, sys system) (*figures, error) {
		return b.hostile(ctx, sys)
	})
}

func (b *bench) hostile(ctx context.Context, sys system) (*figures, error) {
	progs, acts, err := b.crowd(hostilePrograms, "")
	if err != nil {
		return nil, err
	}
	s, err := b.newSession(sys, nil)
	if err != nil {
		return nil, err
	}
	defer s.end()
	conf := configuration(s.dir, s.sock, progs)
	heard := filepath.Join(s.dir, "heard")
	pool := func(name string, buffer int, args ...string) error {
		argv, err := b.child(args...)
		conf += fmt.Sprintf("[eventlistener:%s]\ncommand=%s\nevents=%s\nbuffer_size=%d\nstartsecs=0\nstdout_logfile=NONE\nstderr_logfile=NONE\n\n",
			name, strings.Join(argv, " "), hostileEvents, buffer)
		return err
	}
	err = pool("well", eventBuffer, "child-listen", heard)
	for mode := range hostileModes() {
		err = errors.Join(err, pool(mode, hostileBuffer, "child-hostile", mode))
	}
	if err = errors.Join(err, os.WriteFile(s.conf, []byte(conf), 0o644)); err != nil {
		return nil, err
	}
	if err := s.start(); err != nil {
		return nil, err
	}
	for k, act := range acts { // not all can be RUNNING
		if !until(b.o.limit, 10*time.Millisecond, func() bool { pid, _ := lastAct(act); return pid > 0 || !s.alive() }) || !s.alive() {
			return nil, fmt.Errorf("victim %d does not come up: %s", k, s.console())
		}
	}
	f := &figures{}
	if err := s.ask(ctx, f, func(until time.Time) { s.slay(ctx, f, acts, until) }); err != nil {
		return f, err
	}
	return f, s.countDrops(f, heard)
}

// ask measures how long the interface takes to answer, while others do what they do.
func (s *session) ask(ctx context.Context, f *figures, others func(until time.Time)) error {
	end := time.Now().Add(s.b.o.secs)
	var wg sync.WaitGroup
	wg.Go(func() { others(end) })
	c := newClient(s.sock, false)
	defer c.close()
	var times []float64
	var failed error
	for time.Now().Before(end) && ctx.Err() == nil && failed == nil {
		t := time.Now()
		_, failed = c.call(methodInfo)
		times = append(times, ms(time.Since(t)))
		time.Sleep(10 * time.Millisecond)
	}
	wg.Wait()
	f.set("api_calls", float64(len(times)))
	f.set("api_p50_ms", quantile(times, 0.5))
	f.set("api_p99_ms", quantile(times, 0.99))
	f.set("api_max_ms", quantile(times, 1))
	return failed
}

// slay kills programs in turn; each must be replaced.
func (s *session) slay(ctx context.Context, f *figures, acts []string, end time.Time) {
	var times []float64
	var kills, lost int
	for ; time.Now().Before(end) && ctx.Err() == nil && s.alive(); time.Sleep(hostilePause) {
		file := acts[kills%len(acts)]
		pid, _ := lastAct(file)
		t := monotonic()
		if unix.Kill(pid, unix.SIGKILL) != nil {
			continue // it has not come back since the last time, which is counted
		}
		kills++
		var at int64
		if until(hostileWait, time.Millisecond, func() bool {
			var now int
			now, at = lastAct(file)
			return now != pid
		}) {
			times = append(times, float64(at-t)/1e6)
		} else {
			lost++
		}
	}
	f.set("kills", float64(kills))
	f.set("lost_restarts", float64(lost))
	f.set("restart_p50_ms", quantile(times, 0.5))
	f.set("restart_p99_ms", quantile(times, 0.99))
}

// countDrops compares what a listener that works was sent with what the log says was dropped for one that hangs. Both
// have subscribed to the same; the one that hangs holds an event, and its pool is full.
func (s *session) countDrops(f *figures, heard string) error {
	var l listened
	last := int64(-1)
	until(s.b.o.limit, 300*time.Millisecond, func() bool {
		l = heardBy(heard)
		still := l.Events == last
		last = l.Events
		return still
	})
	log, err := os.ReadFile(filepath.Join(s.dir, "supervisord.log"))
	dropped := strings.Count(string(log), "pool hang event buffer overflowed, discarding event ")
	f.set("events", float64(l.Events))
	f.set("dropped_hang", float64(dropped))
	f.set("not_announced", float64(max(0, l.Events-1-hostileBuffer)-int64(dropped)))
	return err
}
