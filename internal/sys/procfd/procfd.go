// Package procfd holds processes by something better than their number. A Handle stands for exactly one
// process from its birth until it is reaped: a signal through it never reaches a stranger that got the
// same pid later, and its exit status is read without guessing.
//
// On Linux a handle is a pidfd, exits are noticed by one epoll set for all processes, and statuses are
// read by waitid, which can also only look ("peek") so that a status is recorded before it is consumed.
// Elsewhere a handle wraps os.Process with one goroutine per process; the differences are documented at
// the functions.
//
// Source: spec/reliability R9–R13.
package procfd

import (
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Identity tells one process from every other one, also across reboots. Zero fields are unknown.
type Identity struct {
	BootID     string // of the boot in which the process was started
	PID        int
	StartTicks uint64 // start time in clock ticks since boot
	Inode      uint64 // number of the process in pidfs (Linux 6.9 and later), unique within a boot
}

// Handle is one process. All methods may be used from several goroutines.
type Handle interface {
	// PID is the process number. It belongs to this process until a Wait that is not a peek reported
	// the end.
	PID() int

	// Identity is what is known to recognise the process later. Ask while the process is unreaped;
	// afterwards StartTicks may be 0.
	Identity() Identity

	// Signal sends a signal (0 only checks) to the process, its process group, or everything below it.
	// syscall.ESRCH as such: the process has been reaped. os.ErrClosed: the handle was closed.
	//
	// The group is signalled only while its leader is held unreaped, because only then the number of
	// the group is certain. When the process left its own group, ReachGroup reaches the process alone.
	// ReachTree reaches the group and every descendant that can be found by parentage; for KILL the tree
	// is stopped first so that nothing escapes by forking. Descendants whose own parent has died are
	// reached only as members of the group. The error is that of the process itself or else the first
	// one of a descendant other than ESRCH.
	Signal(sig int, reach model.Reach) error

	// Wait tells without blocking whether the process has ended, and how. With peek the status stays
	// with the kernel and the pid stays taken; without, the process is reaped and later calls repeat
	// the answer. Exit.Known is false when somebody else took the status.
	Wait(peek bool) (model.Exit, bool, error)

	// Close gives up the handle. It neither signals nor reaps.
	Close() error
}

// exitOf decodes a wait status as the kernel and the C library write it.
func exitOf(raw uint32) model.Exit {
	e := model.Exit{Known: true, Raw: raw}
	if sig := int(raw & 0x7f); sig != 0 {
		e.Signal = sig
		e.Core = raw&0x80 != 0
		return e
	}
	e.Status = int(raw >> 8 & 0xff)
	return e
}

// unknownExit is the end of a process whose status nobody can tell.
func unknownExit(reason string) model.Exit { return model.Exit{Reason: reason} }
