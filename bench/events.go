//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/upkeep-project/upkeep/client/listener"
)

// eventBuffer is room for everything: what is measured is speed, and nothing may be dropped.
const eventBuffer = 10_000_000

// listened is what a listener says of itself.
type listened struct {
	Events, Bytes, Last int64     // bytes of output; when the last event came, monotonic
	Delays              []float64 // from the output to the event, ms
}

// childListen FILE is an event listener. It writes what it has heard into FILE, ten times a second.
func childListen(args []string) int {
	debug.SetGCPercent(1000) // a listener must not be what is measured
	var mu sync.Mutex
	var l listened
	go func() {
		for range time.Tick(100 * time.Millisecond) {
			mu.Lock()
			text, err := json.Marshal(l)
			mu.Unlock()
			if err == nil && os.WriteFile(args[0]+".new", text, 0o644) == nil {
				_ = os.Rename(args[0]+".new", args[0])
			}
		}
	}()
	err := listener.Serve(bufio.NewReaderSize(os.Stdin, 1<<20), os.Stdout, func(ev *listener.Event) error {
		now := monotonic()
		mu.Lock()
		defer mu.Unlock()
		l.Events++
		l.Bytes += int64(len(ev.Data))
		l.Last = now
		if stamp, ok := strings.CutPrefix(ev.Data, "stamp "); ok {
			if sent, err := strconv.ParseInt(strings.TrimSpace(stamp), 10, 64); err == nil {
				l.Delays = append(l.Delays, float64(now-sent)/1e6)
			}
		}
		return nil
	})
	if err != nil {
		return fail(err)
	}
	return 0
}

// childStamp SPAN writes the time every five milliseconds.
func childStamp(args []string) int {
	span, err := time.ParseDuration(args[0])
	if err != nil {
		return fail(err)
	}
	time.Sleep(2 * time.Second) // the listener gets ready
	for end := time.Now().Add(span); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if err := writeAll([]byte("stamp " + strconv.FormatInt(monotonic(), 10) + "\n")); err != nil {
			return fail(err)
		}
	}
	idle()
	return 0
}

// The cases that the limit is measured for as well.
const (
	casePace  = "PROCESS_LOG, 200 a second"
	caseFlood = "PROCESS_LOG flood"
)

// runEvents: what a listener gets, how late, and how much of it.
func runEvents(ctx context.Context, b *bench) error {
	for _, c := range []struct {
		name    string
		measure func(context.Context, *bench, system) (*figures, error)
	}{
		{casePace, eventDelays},
		{caseFlood, eventFlood},
		{"PROCESS_STATE, 20 clients", eventStates},
	} {
		err := b.each(ctx, "events", c.name, func(ctx context.Context, sys system) (*figures, error) { return c.measure(ctx, b, sys) })
		if err != nil {
			return err
		}
	}
	return eventLimit(ctx, b)
}

// withListener runs measure in a session with these programs, whose output makes events, and a listener. heard is
// what the listener has said of itself.
func (b *bench) withListener(sys system, events string, progs []program,
	measure func(s *session, heard func() listened) (*figures, error),
) (*figures, error) {
	s, err := b.newSession(sys, nil)
	if err != nil {
		return nil, err
	}
	defer s.end()
	file := filepath.Join(s.dir, "heard")
	argv, err := b.child("child-listen", file)
	if err != nil {
		return nil, err
	}
	conf := strings.ReplaceAll(configuration(s.dir, s.sock, progs), "redirect_stderr=true\n", "redirect_stderr=true\nstdout_events_enabled=true\n")
	conf += fmt.Sprintf("[eventlistener:l]\ncommand=%s\nevents=%s\nbuffer_size=%d\nstdout_logfile=NONE\n", strings.Join(argv, " "), events, eventBuffer)
	if err := os.WriteFile(s.conf, []byte(conf), 0o644); err != nil {
		return nil, err
	}
	if err := s.up(len(progs) + 1); err != nil {
		return nil, err
	}
	return measure(s, func() listened { return heardBy(file) })
}

// heardBy is what a listener has said of itself so far.
func heardBy(file string) (l listened) {
	if text, err := os.ReadFile(file); err == nil {
		_ = json.Unmarshal(text, &l) // a half written one is not seen: it is renamed
	}
	return l
}

func eventDelays(_ context.Context, b *bench, sys system) (*figures, error) {
	argv, err := b.child("child-stamp", b.o.secs.String())
	if err != nil {
		return nil, err
	}
	return b.withListener(sys, "PROCESS_LOG", []program{{name: "w", argv: argv}}, func(_ *session, heard func() listened) (*figures, error) {
		time.Sleep(b.o.secs + 3*time.Second)
		return delays(heard()), nil
	})
}

// delays are how late events came.
func delays(l listened) *figures {
	f := &figures{}
	f.set("events", float64(l.Events))
	f.set("p50_ms", quantile(l.Delays, 0.5))
	f.set("p99_ms", quantile(l.Delays, 0.99))
	return f
}

// floodWriter writes lines of a hundred bytes, each by itself, as long as a measurement takes, beginning when the gate
// appears.
func (b *bench) floodWriter(name string) (argv []string, gate, result string, err error) {
	s := filepath.Join(b.dir, "flood-"+name)
	gate, result = s+".gate", s+".result"
	os.Remove(gate)
	os.Remove(result)
	argv, err = b.child("child-write", "-line=100", "-block=100", "-bytes="+strconv.FormatInt(1<<40, 10), "-for="+b.o.secs.String(), "-gate="+gate, "-result="+result)
	return argv, gate, result, err
}

func eventFlood(_ context.Context, b *bench, sys system) (*figures, error) {
	argv, gate, result, err := b.floodWriter(sys.Name)
	if err != nil {
		return nil, err
	}
	return b.withListener(sys, "PROCESS_LOG", []program{{name: "w", argv: argv}}, func(s *session, heard func() listened) (*figures, error) {
		if err := os.WriteFile(gate, nil, 0o644); err != nil {
			return nil, err
		}
		f, err := b.flooded(result, heard, s.alive)
		if !s.alive() {
			err = errors.Join(err, fmt.Errorf("the daemon has ended: %s", s.console()))
		}
		return f, err
	})
}

// flooded waits until the listener has heard all of the flood, and says how much that was.
func (b *bench) flooded(result string, heard func() listened, alive func() bool) (*figures, error) {
	var w written
	var l listened
	ok := until(b.o.secs+b.o.limit, 20*time.Millisecond, func() bool {
		text, err := os.ReadFile(result)
		l = heard()
		return !alive() || err == nil && json.Unmarshal(text, &w) == nil && l.Bytes >= w.Bytes
	})
	f := &figures{}
	span := float64(l.Last-w.Begin) / 1e9
	f.set("events_per_s", float64(l.Events)/span)
	f.set("mb_per_s", float64(l.Bytes)/1e6/span)
	f.set("lost_bytes", float64(w.Bytes-l.Bytes))
	if !ok {
		return f, fmt.Errorf("%d of %d bytes came", l.Bytes, w.Bytes)
	}
	return f, nil
}

func eventStates(ctx context.Context, b *bench, sys system) (*figures, error) {
	progs, err := b.sleepers(20)
	if err != nil {
		return nil, err
	}
	return b.withListener(sys, "PROCESS_STATE", progs, func(s *session, heard func() listened) (*figures, error) {
		time.Sleep(200 * time.Millisecond)
		before, began := heard().Events, time.Now()
		var wg sync.WaitGroup
		var mu sync.Mutex
		var failed int
		for i := range progs {
			wg.Go(func() {
				c := newClient(s.sock, true)
				defer c.close()
				for turn := 0; time.Since(began) < b.o.secs && ctx.Err() == nil; turn++ {
					method := methodStop
					if turn%2 == 1 {
						method = methodStart
					}
					if _, err := c.call(method, "<string>"+progs[i].name+"</string>", "<boolean>1</boolean>"); err != nil {
						mu.Lock()
						failed++
						mu.Unlock()
					}
				}
			})
		}
		wg.Wait()
		span := time.Since(began).Seconds()
		time.Sleep(500 * time.Millisecond)
		f := &figures{}
		f.set("events_per_s", float64(heard().Events-before)/span)
		f.set("failed", float64(failed))
		return f, nil
	})
}
