// Package procfd holds processes by something better than their number. A Handle stands for exactly one
// process from its birth until it is reaped: a signal through it never reaches a stranger that got the
// same pid later, and its exit status is read without guessing.
//
// On Linux a handle is a pidfd, exits are noticed by one epoll set for all processes, and statuses are
// read by waitid, which can also only look ("peek") so that a status is recorded before it is consumed.
// On Windows a handle is a process handle and the job object of all that the process has started; a process that is
// not our child can be adopted, and how it ends is always known. On macOS and FreeBSD a handle is the number and the start
// time, ends are told by one kqueue, and statuses are read without reaping; the differences are documented at the
// functions.
//
// A process need not be our child: Adopt takes one by its Identity, and FromPidfd one whose descriptor
// another process of ours kept. Everything works for it as for a child, except that its parent alone can
// reap it. How it ended is known, in this order, by waitid if it is our child after all, by SetExit from
// the process that is its parent, from the kernel once it is reaped (Linux 6.15 and later), and from /proc
// while it is not. Where none of these tells, the end is reported as unknown, never guessed.
//
// A Census tells what outlived an instance, and FindInstances finds instances of which all records are lost.
//
// Source: spec/reliability R8–R13.
package procfd

import (
	"errors"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Identity tells one process from every other one, also across reboots. Zero fields are unknown.
type Identity struct {
	BootID     string // of the boot in which the process was started
	PID        int
	StartTicks uint64 // start time in clock ticks since boot
	Inode      uint64 // number of the process in pidfs (Linux 6.9 and later), unique within a boot
}

// The ways in which a process that was recorded cannot be taken back.
var (
	// ErrGone: there is no such process any more.
	ErrGone = errors.New("the process does not exist any more")
	// ErrStranger: the number belongs to another process now, or the record is too poor to tell.
	ErrStranger = errors.New("the number belongs to another process")
	// ErrNoPipe: the descriptor is not the pipe that was meant.
	ErrNoPipe = errors.New("not the pipe")
)

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
	// The group is signalled through the descriptor of its leader (Linux 6.9 and later), or by its number
	// while the leader is certain to keep it: unreaped and a child of ours or of our keeper. Otherwise its
	// members are looked for and signalled one by one. When the process left its own group, ReachGroup
	// reaches the process alone.
	//
	// ReachTree reaches the group and every descendant that can be found: by control group if there is one
	// (Census.Track), by parentage, and, for those whose own parent has died, by the marks of the instance.
	// For KILL the tree is stopped first so that nothing escapes by forking. The error is that of the
	// process itself or else the first one of a descendant other than ESRCH.
	Signal(sig int, reach model.Reach) error

	// Wait tells without blocking whether the process has ended, and how. With peek the status stays
	// with the kernel and the pid stays taken; without, the process is reaped if it is our child, no signal
	// goes out any more, and later calls repeat the answer. Exit.Known is false when nobody can tell the
	// status, which for a process that is not our child is said one second after its end at the latest.
	Wait(peek bool) (model.Exit, bool, error)

	// SetExit tells the wait status of a process that is not our child and has ended, as its parent saw it.
	// A Watcher reports the end if it has not yet.
	SetExit(raw uint32)

	// Close gives up the handle. It neither signals nor reaps.
	Close() error
}

// Hold takes the process that has a number at this moment. The errors are those of Identify and Adopt.
func Hold(pid int) (Handle, error) {
	id, err := Identify(pid)
	if err != nil {
		return nil, err
	}
	return Adopt(id)
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
