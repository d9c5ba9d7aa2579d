//go:build darwin || freebsd

package procstat

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Look returns the facts of a process, alive or unreaped; syscall.ESRCH when there is none with this pid.
func Look(pid int) (Sight, error) {
	if pid <= 0 {
		return Sight{}, syscall.ESRCH
	}
	for again := 0; ; again++ {
		s, err := look(pid)
		if err == nil && s.PID != pid {
			err = syscall.ESRCH
		}
		if !errors.Is(err, syscall.ESRCH) {
			return s, err
		}
		// One that ends at this moment may be missed on its way from the living to the dead.
		if again == missed || errors.Is(unix.Kill(pid, 0), syscall.ESRCH) {
			return Sight{}, syscall.ESRCH
		}
	}
}

// missed bounds how often a process that is there is looked for again.
const missed = 10

// Read returns the facts of a process; syscall.ESRCH when there is none with this pid.
func Read(pid int) (Stat, error) {
	s, err := Look(pid)
	return s.Stat, err
}

// Everybody lists all processes that are visible, in one look. What begins or ends meanwhile may be missing.
func Everybody() ([]Sight, error) { return everybody() }

// Census is one look at all processes that are visible, without their figures, in no order; into is room that is used
// again.
func Census(into []Entry) ([]Entry, error) {
	all, err := everybody()
	if err != nil {
		return nil, err
	}
	into = into[:0]
	for i := range all {
		into = append(into, Entry{PID: all[i].PID, Parent: all[i].PPID, Start: all[i].StartTicks})
	}
	return into, nil
}

// PIDs lists every process that is visible.
func PIDs() ([]int, error) {
	all, err := everybody()
	if err != nil {
		return nil, err
	}
	out := make([]int, len(all))
	for i := range all {
		out[i] = all[i].PID
	}
	return out, nil
}

// Children lists the direct children of a process, living and unreaped.
func Children(pid int) ([]int, error) {
	all, err := everybody()
	if err != nil {
		return nil, err
	}
	var out []int
	for i := range all {
		if all[i].PPID == pid {
			out = append(out, all[i].PID)
		}
	}
	return out, nil
}

// Cmdline is the argument vector of a process. Empty for processes of the kernel and ended ones.
func Cmdline(pid int) ([]string, error) { return arguments(pid) }

// Environ is the environment that a process was started with; empty for who may not see it.
func Environ(pid int) ([]string, error) { return environment(pid) }

// RSS is the memory of a process that is in the machine's own, in bytes; syscall.ESRCH when there is no process with
// this pid.
func RSS(pid int) (int64, error) {
	f, err := Usage(pid)
	return f.Memory, err
}

// grown repeats a question as long as the list of processes has grown between its two halves, within reason.
func grown[T any](ask func() (T, error)) (T, error) {
	for range 10 {
		if v, err := ask(); !errors.Is(err, unix.ENOMEM) {
			return v, err
		}
	}
	return ask()
}

// age is the time since a moment of the wall clock in microseconds; a start of 0 is none.
func age(start int64, ticks uint64) (time.Duration, error) {
	if ticks == 0 || start <= 0 {
		return 0, ErrUnsupported
	}
	return max(time.Since(time.UnixMicro(start)), 0), nil
}
