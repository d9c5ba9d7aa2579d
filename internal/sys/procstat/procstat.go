// Package procstat reads the few facts about processes that upkeep needs: start time, parent, group,
// children, command line, and the identity of the current boot. On Linux it reads /proc, on macOS and
// FreeBSD it asks the kernel by sysctl; elsewhere every function answers ErrUnsupported. Start times are
// in clock ticks on Linux and in microseconds on the others: they are compared, and given to Age.
//
// What it returns was true at one moment. Whoever acts on it holds a handle on the process or checks
// StartTicks again afterwards.
package procstat

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// ErrUnsupported says that this system offers no such figures.
var ErrUnsupported = errors.New("process figures are not available on this system")

// Stat is one process at one moment.
type Stat struct {
	PID        int
	Comm       string // the kernel's name, up to 15 bytes, any bytes
	State      byte   // R, S, D, T, Z … as the kernel says
	PPID       int
	PGRP       int
	Session    int
	StartTicks uint64 // start time in clock ticks since boot; with the pid it identifies the process
	Kernel     bool   // it is a thread of the kernel itself
	Headless   bool   // its first thread, whose State is told, has ended, and others have not: for good, or while one executes
}

// Dead reports whether the process has ended and only its exit status is left.
func (s Stat) Dead() bool { return (s.State == 'Z' || s.State == 'X') && !s.Headless }

// Gone reports whether a process is known to have ended, be it that its parent takes no notice, as in some containers.
func Gone(pid int) bool {
	if pid <= 0 {
		return false
	}
	p, err := os.FindProcess(pid)
	if err != nil || errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone) {
		return true
	}
	_ = p.Release() // nothing was held that could fail
	st, err := Read(pid)
	return errors.Is(err, syscall.ESRCH) || err == nil && st.Dead()
}

// flagsField is the position of the kernel's flags, kernelThread the one that tells its own threads.
const (
	flagsField   = 6
	kernelThread = 0x00200000
)

// startField is the position of the start time, counted from the field after the name (state = 0).
const startField = 19

// Parse decodes one /proc/PID/stat line. The name is between the first "(" and the last ")", so that a
// name with blanks and parentheses cannot shift the fields.
func Parse(line []byte) (Stat, error) {
	open, end := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return Stat{}, fmt.Errorf("process stat %q: no name", cut(line))
	}
	var s Stat
	var err error
	if s.PID, err = strconv.Atoi(string(bytes.TrimSpace(line[:open]))); err != nil {
		return Stat{}, fmt.Errorf("process stat %q: %w", cut(line), err)
	}
	s.Comm = string(line[open+1 : end])
	f := bytes.Fields(line[end+1:])
	if len(f) <= startField || len(f[0]) != 1 || f[0][0] <= ' ' {
		return Stat{}, fmt.Errorf("process stat %q: %d fields after the name", cut(line), len(f))
	}
	s.State = f[0][0]
	for i, p := range []*int{&s.PPID, &s.PGRP, &s.Session} {
		if *p, err = strconv.Atoi(string(f[i+1])); err != nil {
			return Stat{}, fmt.Errorf("process stat %q: %w", cut(line), err)
		}
	}
	if s.StartTicks, err = strconv.ParseUint(string(f[startField]), 10, 64); err != nil {
		return Stat{}, fmt.Errorf("process stat %q: %w", cut(line), err)
	}
	flags, err := strconv.ParseUint(string(f[flagsField]), 10, 64)
	if err != nil {
		return Stat{}, fmt.Errorf("process stat %q: %w", cut(line), err)
	}
	threads, err := strconv.Atoi(string(f[threadsField]))
	if err != nil {
		return Stat{}, fmt.Errorf("process stat %q: %w", cut(line), err)
	}
	s.Kernel, s.Headless = flags&kernelThread != 0, threads > 1 && (s.State == 'Z' || s.State == 'X')
	return s, nil
}

// cut shortens what goes into an error text.
func cut(b []byte) []byte { return b[:min(len(b), 80)] }

// parsePIDs decodes blank-separated process numbers and skips what is none.
func parsePIDs(b []byte, into []int) []int {
	for _, f := range bytes.Fields(b) {
		if pid, err := strconv.Atoi(string(f)); err == nil && pid > 0 {
			into = append(into, pid)
		}
	}
	return into
}
