//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// unknownText begins the words for an end that nobody could see.
const unknownText = "exit status unknown"

// exitLine is one end as the activity log tells it.
type exitLine struct {
	text    string // "exit status 3", "terminated by SIGKILL", "exit status unknown: …"
	stopped bool   // it was asked to end
	pid     int    // of the last start that was told before it; 0 = there was none
}

// readExits reads the ends of every program from an activity log, in its order.
func readExits(r io.Reader) (map[string][]exitLine, error) {
	out := map[string][]exitLine{}
	started := map[string]int{}
	b := bufio.NewReader(r)
	for {
		line, err := b.ReadString('\n')
		if name, pid, ok := parseStart(line); ok {
			started[name] = pid
		} else if name, e, ok := parseExit(line); ok {
			e.pid = started[name]
			out[name] = append(out[name], e)
		}
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// parseStart reads "DATE TIME LEVEL spawned: 'NAME' with pid 12".
func parseStart(line string) (name string, pid int, ok bool) {
	_, rest, ok := strings.Cut(line, " spawned: '")
	name, rest, ok2 := strings.Cut(rest, "' with pid ")
	pid, err := strconv.Atoi(strings.TrimSpace(rest))
	return name, pid, ok && ok2 && err == nil
}

// parseExit reads "DATE TIME LEVEL exited: NAME (exit status 0; expected)" and its relatives.
func parseExit(line string) (name string, e exitLine, ok bool) {
	f := strings.SplitN(strings.TrimRight(line, "\n"), " ", 5)
	if len(f) < 5 {
		return "", e, false
	}
	switch f[3] {
	case "exited:":
	case "stopped:":
		e.stopped = true
	default:
		return "", e, false
	}
	name, rest, ok := strings.Cut(f[4], " (")
	rest, closed := strings.CutSuffix(rest, ")")
	if !ok || !closed {
		return "", e, false
	}
	if !e.stopped {
		if i := strings.LastIndex(rest, "; "); i >= 0 {
			rest = rest[:i]
		}
	}
	e.text = strings.TrimSuffix(rest, " (core dumped)")
	return name, e, true
}

// exitCount is what judgeExits looked at.
type exitCount struct{ checked, unknown, unseen int }

// window is how many instances a single gap in the exit history may span.
const window = 90

// judgeExits compares the ends that the ledger of a program announced with those that were reported, in
// order. dim says whether an end may be unknown to the daemon.
func judgeExits(program string, truth []instance, told []exitLine, dim bool) (exitCount, []violation) {
	var n exitCount
	var out []violation
	say := func(kind, format string, a ...any) {
		out = append(out, violation{kind, 1, program + ": " + fmt.Sprintf(format, a...)})
	}
	next := 0
	for i, e := range told {
		n.checked++
		if strings.HasPrefix(e.text, unknownText) {
			n.unknown++
			if !dim {
				say(vExitDim, "%s", e.text)
			}
			if e.stopped && e.pid != 0 && (next == len(truth) || truth[next].pid != e.pid) {
				n.unseen++ // it was stopped before it could write anything down
				continue
			}
			next = min(next+1, len(truth))
			continue
		}
		at := -1
		for j := next; j < len(truth) && j < next+window; j++ {
			if fits(truth[j], e) {
				at = j
				break
			}
		}
		switch {
		case at >= 0:
			for j := next; j < at; j++ {
				say(vExitLost, "instance %d (pid %d, %s)", j, truth[j].pid, planText(truth[j].plan))
			}
			next = at + 1
		case e.stopped && e.text == "terminated by SIGTERM":
			// It was stopped before it could write anything down.
			n.unseen++
		case recent(truth, next, e):
			say(vExitTwice, "report %d, %q", i, e.text)
		default:
			say(vExitMade, "report %d, %q; instance %d announced %q", i, e.text, next, announced(truth, next))
		}
	}
	for j := next; j < len(truth); j++ {
		say(vExitLost, "instance %d (pid %d, %s)", j, truth[j].pid, planText(truth[j].plan))
	}
	return n, out
}

// fits reports whether e may be the end of this instance. One that announced nothing can only have been
// killed on order.
func fits(t instance, e exitLine) bool {
	if t.plan == planNone {
		return e.stopped && e.text == "terminated by SIGKILL"
	}
	return planText(t.plan) == e.text
}

// recent reports whether e repeats one of the last ends.
func recent(truth []instance, next int, e exitLine) bool {
	for j := next - 1; j >= 0 && j >= next-8; j-- {
		if fits(truth[j], e) {
			return true
		}
	}
	return false
}

func announced(truth []instance, i int) string {
	if i < len(truth) {
		return planText(truth[i].plan)
	}
	return "nothing"
}
