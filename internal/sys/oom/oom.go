// Package oom tells whether the kernel killed a process for lack of memory. It asks the counters of control groups, of
// version 2 and 1, and the kernel's log where it may be read. Elsewhere than on Linux nothing is known.
package oom

import (
	"strconv"
	"strings"
	"time"
)

// parseEvents reads the number of kills from memory.events (version 2) or memory.oom_control (version 1); both have
// lines of a word and a number.
func parseEvents(text string) int {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "oom_kill" {
			n, err := strconv.Atoi(f[1])
			if err == nil && n > 0 {
				return n
			}
		}
	}
	return 0
}

// record is one message of the kernel's log: how long after boot, and what.
type record struct {
	at   time.Duration
	text string
}

// parseRecord reads "priority,sequence,microseconds,flags;text\n continuation".
func parseRecord(b string) (record, bool) {
	head, text, ok := strings.Cut(b, ";")
	f := strings.Split(head, ",")
	if !ok || len(f) < 3 {
		return record{}, false
	}
	us, err := strconv.ParseInt(f[2], 10, 64)
	if err != nil || us < 0 || us > int64(1<<62)/int64(time.Microsecond) {
		return record{}, false
	}
	text, _, _ = strings.Cut(text, "\n")
	return record{time.Duration(us) * time.Microsecond, text}, true
}

// kills reports whether a message says that a process was killed for memory: "Out of memory: Killed process 12 (x)",
// "Memory cgroup out of memory: Killed process 12 (x)", and "Kill process 12" of older kernels.
func (r record) kills(pid int) bool {
	before, after, ok := strings.Cut(strings.ToLower(r.text), "kill")
	if !ok || !strings.Contains(before, "out of memory") {
		return false
	}
	_, after, ok = strings.Cut(after, "process ")
	number, _, _ := strings.Cut(after, " ")
	return ok && strings.TrimRight(number, ",:") == strconv.Itoa(pid)
}
