package procstat

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// Figures are what one process uses.
type Figures struct {
	CPU     time.Duration // user and system time since it began
	User    time.Duration // of CPU
	System  time.Duration
	Reaped  time.Duration // user and system time of its children that have ended and were waited for, and of theirs; Linux
	Age     time.Duration // since it began; 0 = not known
	Memory  int64         // resident bytes
	Threads int
}

// Entry is one process of a Census. Its figures have no Age.
type Entry struct {
	Figures
	PID, Parent int
	Start       uint64 // as in Stat
	Known       bool   // the figures were found in the same look; else Usage has them
}

// The positions of fields, counted from the field after the name.
const (
	parentField       = 1
	userField         = 11
	systemField       = 12
	reapedUserField   = 13
	reapedSystemField = 14
	threadsField      = 17
	rssField          = 21
)

// parseFigures decodes one /proc/PID/stat line; times and sizes are in the kernel's units. It makes no garbage: a list of
// programs decodes a thousand lines at once.
func parseFigures(line []byte, tick time.Duration, page int64) (e Entry, err error) {
	var n [rssField + 1]int64
	rest := bytes.TrimSpace(line[bytes.LastIndexByte(line, ')')+1:])
	for at := range n {
		end := bytes.IndexByte(rest, ' ')
		if end < 0 {
			end = len(rest)
		}
		if end == 0 {
			return e, fmt.Errorf("process stat %q: %d fields after the name", string(cut(line)), at)
		}
		switch at {
		case parentField, userField, systemField, reapedUserField, reapedSystemField, threadsField, rssField, startField:
			if n[at], err = strconv.ParseInt(string(rest[:end]), 10, 64); err != nil {
				return e, fmt.Errorf("process stat %q: %w", string(cut(line)), err)
			}
		}
		rest = rest[min(end+1, len(rest)):]
	}
	e.Figures = Figures{
		CPU: time.Duration(n[userField]+n[systemField]) * tick, User: time.Duration(n[userField]) * tick,
		System: time.Duration(n[systemField]) * tick, Reaped: time.Duration(n[reapedUserField]+n[reapedSystemField]) * tick,
		Memory: n[rssField] * page, Threads: int(n[threadsField]),
	}
	e.Parent, e.Start, e.Known = int(n[parentField]), uint64(n[startField]), true
	return e, nil
}
