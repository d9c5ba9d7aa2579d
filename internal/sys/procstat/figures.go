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

// parseFigures decodes one /proc/PID/stat line; times and sizes are in the kernel's units.
func parseFigures(line []byte, tick time.Duration, page int64) (f Figures, startTicks uint64, err error) {
	fields := bytes.Fields(line[bytes.LastIndexByte(line, ')')+1:])
	if len(fields) <= rssField {
		return f, 0, fmt.Errorf("process stat %q: %d fields after the name", cut(line), len(fields))
	}
	var n [5]int64
	for i, at := range []int{userField, systemField, threadsField, rssField, startField} {
		if n[i], err = strconv.ParseInt(string(fields[at]), 10, 64); err != nil {
			return f, 0, fmt.Errorf("process stat %q: %w", cut(line), err)
		}
	}
	f = Figures{CPU: time.Duration(n[0]+n[1]) * tick, Memory: n[3] * page, Threads: int(n[2])}
	return f, uint64(n[4]), nil
}
