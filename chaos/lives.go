//go:build linux

package main

import (
	"fmt"
	"time"
)

// phase is one wish of a client for one program: from the first order until the next phase's first order.
// Times are monotonic ns.
type phase struct {
	up    bool
	sent  int64 // the first order went out
	acked int64 // the daemon said that it is so; 0 = never
}

const (
	// settled is how long a phase must have lasted for its instance to have written itself down.
	settled = 800 * time.Millisecond
	// pauseLimit is how long a program that ends again and again may be without an instance: the daemon's
	// own start, and its limit of starts a second.
	pauseLimit = 20 * time.Second
)

// judgeServed compares what a client was promised about a program with what was seen of it. end is when the
// load ended.
func judgeServed(program string, phases []phase, truth []instance, seen []sight, outages []span64, end int64) (checked int, out []violation) {
	say := func(kind, format string, a ...any) {
		out = append(out, violation{kind, 1, program + ": " + fmt.Sprintf(format, a...)})
	}
	for i, p := range phases {
		until := end
		if i+1 < len(phases) {
			until = phases[i+1].sent
		}
		if p.acked == 0 {
			continue
		}
		checked++
		if !p.up {
			for _, s := range seen {
				if s.first < until && s.last > p.acked {
					say(vStopped, "pid %d was alive %v after the answer", s.pid, time.Duration(s.last-p.acked))
				}
			}
			for k, t := range truth {
				if t.began > p.acked && t.began < until {
					say(vStopped, "instance %d (pid %d) began %v after the answer", k, t.pid, time.Duration(t.began-p.acked))
				}
			}
			continue
		}
		began := 0
		for _, t := range truth {
			if t.began > p.sent && t.began < until {
				began++
			}
		}
		if began > 1 {
			say(vRestarted, "%d instances after one start", began)
		}
		long := time.Duration(until-p.acked-within(outages, p.acked, until)) > settled
		if began == 0 && long {
			say(vStarted, "no instance within %v of the answer", time.Duration(until-p.acked))
		}
		for _, s := range seen {
			if s.first > p.sent && s.first < until && s.died != 0 && s.died < until {
				say(vDied, "pid %d ended %v after the start and was not stopped", s.pid, time.Duration(s.died-p.sent))
			}
		}
	}
	return checked, out
}

// within is how much of a span of time nothing of the daemon was there.
func within(outages []span64, from, to int64) (sum int64) {
	for _, o := range outages {
		over := o.to
		if over == 0 {
			over = to
		}
		sum += max(0, min(over, to)-max(o.from, from))
	}
	return sum
}

// judgeSteady is for programs that never end by themselves: one instance, from the begin to the end.
func judgeSteady(program string, truth []instance, seen []sight, end int64) (out []violation) {
	say := func(kind, format string, a ...any) {
		out = append(out, violation{kind, 1, program + ": " + fmt.Sprintf(format, a...)})
	}
	if len(truth) == 0 {
		say(vMissing, "it never ran")
	}
	for i := 1; i < len(truth); i++ {
		say(vRestarted, "instance %d (pid %d)", i, truth[i].pid)
	}
	for _, s := range seen {
		if s.died != 0 && s.died < end {
			say(vDied, "pid %d", s.pid)
		}
	}
	return out
}

// judgeMortal is for programs that end again and again and must come back each time.
func judgeMortal(program string, truth []instance, begin, end int64) (out []violation) {
	last := begin
	for i, t := range append(truth[:len(truth):len(truth)], instance{began: end}) {
		// An instance's own life counts as a pause here: all of them are far shorter than the limit.
		if d := time.Duration(t.began - last); d > pauseLimit {
			out = append(out, violation{vMissing, 1, fmt.Sprintf("%s: nothing for %v before instance %d", program, d.Round(time.Millisecond), i)})
		}
		last = max(last, t.began)
	}
	return out
}

// judgeLocks reports instances that found another one alive when they started.
func judgeLocks(program string, truth []instance) (out []violation) {
	for i, t := range truth {
		if t.holder != 0 {
			out = append(out, violation{vTwo, 1, fmt.Sprintf("%s: instance %d (pid %d) met pid %d", program, i, t.pid, t.holder)})
		}
	}
	return out
}
