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
	Age     time.Duration // since it began; 0 = not known
	Memory  int64         // resident bytes
	Threads int
}

// The positions of fields, counted from the field after the name.
const (
	userField    = 11
	systemField  = 12
	threadsField = 17
	rssField     = 21
)

// parseFigures decodes one /proc/PID/stat line; times and sizes are in the kernel's units. It makes no garbage: a list of
// programs decodes a thousand lines at once.
func parseFigures(line []byte, tick time.Duration, page int64) (f Figures, startTicks uint64, err error) {
	var n [rssField + 1]int64
	rest := bytes.TrimSpace(line[bytes.LastIndexByte(line, ')')+1:])
	for at := range n {
		end := bytes.IndexByte(rest, ' ')
		if end < 0 {
			end = len(rest)
		}
		if end == 0 {
			return f, 0, fmt.Errorf("process stat %q: %d fields after the name", string(cut(line)), at)
		}
		switch at {
		case userField, systemField, threadsField, rssField, startField:
			if n[at], err = strconv.ParseInt(string(rest[:end]), 10, 64); err != nil {
				return f, 0, fmt.Errorf("process stat %q: %w", string(cut(line)), err)
			}
		}
		rest = rest[min(end+1, len(rest)):]
	}
	f = Figures{CPU: time.Duration(n[userField]+n[systemField]) * tick, Memory: n[rssField] * page, Threads: int(n[threadsField])}
	return f, uint64(n[startField]), nil
}
