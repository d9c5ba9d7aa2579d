// Package service is what every face calls: each verb of the product once, with typed errors.
// Faces (XML-RPC, later JSON, web and terminal) translate; they never decide.
package service

import (
	"context"
	"io"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Info describes the running daemon.
type Info struct {
	Identifier string
	PID        int // the pid that people know
	State      model.DaemonState
	Version    string // of this product
	Manager    int    // pid of the process that answers; PID itself when there is no keeper
	// RolledBack says why the last upgrade was taken back; empty = it was not.
	RolledBack string
}

// Selector names the programs that a verb acts on: exactly one of the three is set.
type Selector struct {
	All   bool
	Group string   // every program of this group
	ID    model.ID // one program
}

// One selects a single program.
func One(id model.ID) Selector { return Selector{ID: id} }

// Wait says how long a verb takes: until the outcome is known, or until the order is given.
type Wait bool

// The two ways to wait.
const (
	NoWait      Wait = false
	WaitOutcome Wait = true
)

// Result is the outcome for one program. Err is nil on success, else a *Error.
type Result struct {
	ID  model.ID
	Err error
}

// Channel is one of the output channels of a program.
type Channel uint8

// The output channels.
const (
	Stdout Channel = iota
	Stderr
)

// LogRef names a log: the activity log, or one channel of a program.
type LogRef struct {
	Main    bool
	ID      model.ID
	Channel Channel
}

// Changes is the answer of a reread, by group name. Source: spec/supervisor 1.10.
type Changes struct{ Added, Changed, Removed []string }

// Configured is one program of the most recently read configuration.
type Configured struct {
	Program       *model.Program
	GroupPriority int
	InUse         bool // a group of that name is active
	StdoutLog     string
	StderrLog     string // resolved paths, or "auto" while an AUTO file has not been made; empty = none
}

// Follower is a log being followed. Read blocks until there is more, the context given to Follow ends
// (its error), or the log is closed (io.EOF).
type Follower interface {
	io.ReadCloser
	ModTime() time.Time // of the log when following began
}

// Service is every verb of the product. Implementations are safe for concurrent use. While the daemon
// is shutting down or restarting, every method except Info and Publish fails with CodeShuttingDown
// (spec/supervisor 5.4).
type Service interface {
	Adopting

	Info() Info

	// List returns every program, sorted by (group, name); Get one. CodeNoSuchProgram.
	List(ctx context.Context) ([]model.Status, error)
	Get(ctx context.Context, id model.ID) (model.Status, error)
	// Configured lists the most recently read configuration, sorted by program name.
	Configured(ctx context.Context) ([]Configured, error)

	// Start starts what is down. Of a Group or All, members that are up already are left out of the
	// results; a single program that is up is CodeAlreadyStarted. Results: those decided at once first,
	// then in the order in which they were decided. An unknown name is the error, not a result.
	Start(ctx context.Context, sel Selector, wait Wait) ([]Result, error)
	// Stop is the counterpart: CodeNotRunning for a single program that is down.
	Stop(ctx context.Context, sel Selector, wait Wait) ([]Result, error)
	// Adopt takes a process that somebody else has started as the instance of a program that is STOPPED, EXITED
	// or FATAL, and returns the program's status after that. It is RUNNING from then on, and everything is as for
	// an instance of our own, except that its input and output are not ours: nothing of it is logged. Its next
	// start is. CodeNoSuchProgram, CodeAlreadyStarted, CodeBadArguments, CodeNoProcess, CodeNotPermitted,
	// CodeNotAdoptable, CodeTaken; CodeFailed where the system cannot hold foreign processes.
	Adopt(ctx context.Context, id model.ID, pid int) (model.Status, error)
	// Signal sends a signal by name ("HUP", "SIGHUP") or number ("1"). CodeBadSignal, CodeNotRunning.
	Signal(ctx context.Context, sel Selector, signal string) ([]Result, error)
	// WriteStdin queues data for the program's standard input. CodeNotRunning, CodeNoFile when it has
	// none, CodeFailed when the queue is full.
	WriteStdin(ctx context.Context, id model.ID, data []byte) error

	// ReadLog and TailLog: spec/supervisor 5.9. CodeNoFile, CodeBadArguments, CodeFailed. Data are the
	// bytes as logged. TailLog of a program without a log is empty, 0, false, nil.
	ReadLog(ctx context.Context, log LogRef, offset, length int64) ([]byte, error)
	TailLog(ctx context.Context, log LogRef, offset, length int64) (data []byte, end int64, overflow bool, err error)
	// FollowLog begins with the last backlog bytes and goes on across rotation, truncation and clearing.
	FollowLog(ctx context.Context, log LogRef, backlog int64) (Follower, error)
	// Logs reads lines of several logs in the order of their times. CodeNoSuchProgram, CodeBadArguments for a query
	// that asks for no log or mixes Run and Follow, CodeNoFile when none of the channels has a log. The caller closes the reader.
	Logs(ctx context.Context, q LogQuery) (LogReader, error)
	// ClearLogs empties the logs of the selected programs; ClearMainLog the activity log.
	ClearLogs(ctx context.Context, sel Selector) ([]Result, error)
	ClearMainLog(ctx context.Context) error

	// Reread reads the configuration and says what an update would do. CodeCannotReread.
	Reread(ctx context.Context) (Changes, error)
	// Plan reads the configuration and says, program by program, what Apply would do; nothing is changed.
	// CodeCannotReread.
	Plan(ctx context.Context) ([]Step, error)
	// Apply reads the configuration and makes it the running one, or only the groups named, and touches
	// each program no more than its own changes ask for. It returns when what had to stop has stopped and
	// what was started is confirmed or has failed; the change goes on when ctx ends. A refusal changes
	// nothing: CodeCannotReread, CodeNoSuchProgram (a name that is neither active nor configured),
	// CodeNoFile and CodeNotExecutable (a running program would be stopped for a command that cannot be
	// started). Source: spec/reliability R24.
	Apply(ctx context.Context, names []string) ([]Applied, error)
	// AddGroup activates a group of the most recently read configuration. CodeAlreadyAdded, CodeNoSuchProgram.
	AddGroup(ctx context.Context, name string) error
	// RemoveGroup deactivates a group whose programs are all down. CodeStillRunning, CodeNoSuchProgram.
	RemoveGroup(ctx context.Context, name string) error

	// Shutdown and Restart give the order and return at once. Restart fails with CodeCannotReread when
	// the configuration is bad: nothing is stopped then.
	Shutdown(ctx context.Context) error
	Restart(ctx context.Context) error

	// Publish emits a REMOTE_COMMUNICATION event.
	Publish(ctx context.Context, kind, data string) error
}
