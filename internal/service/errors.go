package service

import (
	"context"
	"errors"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Code classifies an error; faces translate it into their own numbers and words.
type Code uint8

// The codes.
const (
	CodeFailed Code = iota + 1
	CodeBadArguments
	CodeNoSuchProgram // no such program or group
	CodeBadSignal
	CodeNoFile // no such log, command or input
	CodeNotExecutable
	CodeAbnormalTermination
	CodeSpawnError
	CodeAlreadyStarted
	CodeNotRunning
	CodeAlreadyAdded
	CodeStillRunning
	CodeCannotReread
	CodeShuttingDown
	CodeNoProcess    // there is no such process
	CodeNotPermitted // it may not be signalled
	CodeNotAdoptable // it is none that can be an instance: the daemon's own, the system's
	CodeTaken        // it is an instance already
	CodeInvalid      // a definition with mistakes
	CodeConflict     // it has been changed by somebody else, or exists already
	CodeNotManaged   // its definition is in a file of the user's own
	CodeAmbiguous    // several processes fit
	CodeDisabled     // it may not be started
	CodeDependency   // what it depends on cannot become what is asked for
)

// Error is a refused or failed verb. Text is the detail that a person needs (a name, a path, a
// reason), without the words of the code; it may be empty.
type Error struct {
	Code     Code
	Text     string
	Mistakes []Mistake // CodeInvalid
}

// Error joins the code's words and the text.
func (e *Error) Error() string {
	s := codeWords[e.Code]
	if e.Text != "" {
		s += ": " + e.Text
	}
	return s
}

var codeWords = map[Code]string{
	CodeFailed: "failed", CodeBadArguments: "bad arguments", CodeNoSuchProgram: "no such program",
	CodeBadSignal: "bad signal", CodeNoFile: "no such file", CodeNotExecutable: "not executable",
	CodeAbnormalTermination: "abnormal termination", CodeSpawnError: "spawn error",
	CodeAlreadyStarted: "already started", CodeNotRunning: "not running", CodeAlreadyAdded: "already added",
	CodeStillRunning: "still running", CodeCannotReread: "cannot read the configuration",
	CodeShuttingDown: "shutting down", CodeNoProcess: "no such process", CodeNotPermitted: "not permitted",
	CodeNotAdoptable: "not adoptable", CodeTaken: "already an instance",
	CodeInvalid: "invalid definition", CodeConflict: "changed meanwhile", CodeNotManaged: "not a managed definition",
	CodeAmbiguous: "several processes fit", CodeDisabled: "disabled", CodeDependency: "a dependency has failed",
}

// CodeOf is the code of err, CodeFailed for errors of other kinds, and 0 for nil.
func CodeOf(err error) Code {
	if err == nil {
		return 0
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeFailed
}

// Restartable is the error of a program that is to be stopped and started again and could not be started: CodeDisabled. It is
// nil for any other, also for one that is not known: the stop says so.
func Restartable(ctx context.Context, s Service, id model.ID) error {
	if st, err := s.Get(ctx, id); err == nil && st.Program.Disabled {
		return &Error{Code: CodeDisabled, Text: id.String()}
	}
	return nil
}
