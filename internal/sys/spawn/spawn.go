// Package spawn starts programs: with exactly the descriptors 0, 1 and 2, in a process group of their
// own, with default signal dispositions, no blocked signal, the wanted user, directory and umask, and the
// descriptor limit that the daemon was given (Go raises its own).
//
// On Linux, amd64 and arm64, a program that is to be identified first is made by a process without Go that
// waits at a gate, see script_linux.go; it is made by this process (Direct) or by a small one of its own
// (Maker). It can do every step itself, and say what has failed.
//
// Otherwise the fast path is one vfork and exec on a thread that has a umask and a signal mask of its own.
// When it fails in the child, or when the request needs a step that cannot be done between fork and exec, the
// program is started through a shim: our own binary, which does the steps one by one and, when one of them
// fails, says so on descriptor 2 and exits with 127. In all ways the pid, the text and the status of a program
// that cannot be executed are real ones, as with the original.
//
// Source: spec/supervisor 2.5 (child side), spec/reliability S12, S13, S15.
package spawn

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/upkeep-project/upkeep/internal/sys/accounts"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
)

// Stdio says what one of the descriptors 0, 1, 2 of a program is.
type Stdio uint8

// The kinds of a descriptor.
const (
	StdioNull  Stdio = iota // the null device
	StdioPipe               // a pipe whose other end is in the Result
	StdioFile               // StdinFile, StdoutFile or StderrFile of the Request
	StdioMerge              // stderr only: the same as stdout
)

// Cred is a user to become.
type Cred struct {
	UID, GID int
	Groups   []int // supplementary groups, all of them
	// Refused is why the switch cannot succeed, known beforehand; the program is not executed and the
	// text appears in its output, like that of a switch that fails. Empty: nothing is known against it.
	Refused string
}

// LookupCred is what is needed to become a user: the primary group and every group that lists the user. A
// user that does not exist gives a Cred that is refused: the program's output tells, as with the original.
// Source: spec/supervisor 2.5.
func LookupCred(uid int) (*Cred, error) { return lookupCred(accounts.System(), uid) }

func lookupCred(db accounts.DB, uid int) (*Cred, error) {
	u, err := db.ByUID(uid)
	if errors.Is(err, accounts.ErrUnknown) {
		return &Cred{UID: uid, GID: -1, Refused: fmt.Sprintf("Can't find uid %d", uid)}, nil
	}
	if err != nil {
		return nil, err
	}
	groups, err := db.Groups(u)
	if err != nil {
		return nil, err
	}
	return &Cred{UID: u.UID, GID: u.GID, Groups: groups}, nil
}

// Request is a program to start.
type Request struct {
	Path string   // of the executable; relative to Dir unless absolute
	Argv []string // with argument 0
	Env  []string // all of it, NAME=VALUE
	Dir  string   // empty = that of the daemon at NewDirect
	// Umask of the program; -1 = that of the daemon at NewDirect.
	Umask int
	// Cred is the user to become; nil = the daemon's. Becoming the user that we are already is no step
	// at all, whatever the groups say.
	Cred *Cred
	// IgnoreSIGPIPE starts the program with SIGPIPE and SIGXFSZ ignored.
	IgnoreSIGPIPE bool

	Stdin, Stdout, Stderr Stdio
	// The files for StdioFile; they stay open and the caller's.
	StdinFile, StdoutFile, StderrFile *os.File

	// Pipes are the pipes, when the caller has made them beforehand with MakePipes; nil = Spawn makes
	// them. Spawn closes the program's ends in any case; our ends are in the Result on success and stay
	// the caller's, to be closed with Pipes.Close, on failure.
	Pipes *Pipes

	// Identified is called when the process exists and before it executes the program: it does nothing
	// until Identified has returned nil. An error, or the death of this process, ends it before it
	// executes anything; the error is returned by Spawn as it is and no child is left. nil = there is no
	// such stop. pidfd belongs to the Result's handle, is valid during the call, and is -1 where the
	// system has none.
	//
	// Where Gated reports false the program may run already while Identified is called; an error kills it.
	Identified func(pid, pidfd int) error

	// Mark is set when the process goes on after Identified, in the Marks that the spawner was made with.
	Mark Mark

	// CgroupFD is an open directory of a version 2 control group in which the program starts; 0 or less =
	// that of the daemon. Linux only.
	CgroupFD int
}

// Result is a started program. The descriptors are our ends of its pipes: non-blocking, close-on-exec,
// the caller's from now on; -1 = none.
type Result struct {
	Handle                procfd.Handle
	PID                   int
	Stdin, Stdout, Stderr int
}

// Spawner starts programs. Its methods may be called from several goroutines.
type Spawner interface {
	// Spawn starts a program. The errors are *PipeError, *ForkError, *ExecError, ErrClosed, and plain
	// ones for a request that makes no sense.
	Spawn(*Request) (*Result, error)
	// Close ends the spawner; programs are not touched.
	Close() error
}

// ErrClosed is returned by Spawn after Close.
var ErrClosed = errors.New("spawner: closed")

// The ways in which a Maker starts nothing, so that it can be tried again: the program was not executed and
// no process is left.
var (
	// ErrNobody means that the process ended before it could be identified, or was never made.
	ErrNobody = errors.New("spawner: no process has come to the gate")
	// ErrGone means that the Maker is gone.
	ErrGone = errors.New("spawner: the process that makes processes is gone")
)

// PipeError says that the descriptors for a program could not be made. Err is the system's error:
// EMFILE and ENFILE for a shortage.
type PipeError struct{ Err error }

func (e *PipeError) Error() string { return fmt.Sprintf("no pipes for the program: %v", e.Err) }

// Unwrap is the system's error.
func (e *PipeError) Unwrap() error { return e.Err }

// ForkError says that no process could be made: EAGAIN for the limit of processes, ENOMEM for memory.
type ForkError struct{ Err error }

func (e *ForkError) Error() string { return fmt.Sprintf("no new process: %v", e.Err) }

// Unwrap is the system's error.
func (e *ForkError) Unwrap() error { return e.Err }

// ExecError says that a program could not be executed and that the shim, which would have told its
// output so, could not either.
type ExecError struct {
	Path string
	Err  error
}

func (e *ExecError) Error() string { return fmt.Sprintf("cannot execute %q: %v", e.Path, e.Err) }

// Unwrap is the system's error.
func (e *ExecError) Unwrap() error { return e.Err }

// file is that of a standard descriptor.
func (r *Request) file(i int) *os.File {
	return [3]*os.File{r.StdinFile, r.StdoutFile, r.StderrFile}[i]
}

// Check refuses what cannot be meant.
func (r *Request) Check() error {
	switch {
	case r.Path == "" || len(r.Argv) == 0:
		return errors.New("spawner: nothing to execute")
	case r.Stdin == StdioFile && r.StdinFile == nil || r.Stdout == StdioFile && r.StdoutFile == nil || r.Stderr == StdioFile && r.StderrFile == nil:
		return errors.New("spawner: no file for a standard descriptor")
	case r.Stdin > StdioFile || r.Stdout > StdioFile || r.Stderr > StdioMerge:
		return errors.New("spawner: no such kind of descriptor")
	case r.Pipes != nil && !r.Pipes.fits(r):
		return errors.New("spawner: these are not the pipes of the program")
	}
	for _, l := range [][]string{{r.Path, r.Dir}, r.Argv, r.Env} {
		for _, s := range l {
			if strings.IndexByte(s, 0) >= 0 {
				return errors.New("spawner: a zero byte in a path, an argument or a variable")
			}
		}
	}
	return nil
}
