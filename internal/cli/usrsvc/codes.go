package usrsvc

import "fmt"

// Code is an exit status of both commands. Source: spec/usrsvc 4.1.
type Code int

// The codes.
const (
	Success                   Code = 0
	GeneralFailure            Code = 1  // a usage error; status of what does not run; any failure under several programs
	TryAgain                  Code = 11 // the daemon is about to end, or another one takes its place
	InvalidConfig             Code = 130
	InvalidAction             Code = 131
	ProgramDisabled           Code = 132
	ProgramUndefined          Code = 133
	ProgramExitedUnexpectedly Code = 134 // it had started, and has ended before that was told
	UsrsvcdAlreadyRunning     Code = 135
	InsufficientPermissions   Code = 136 // a log or a pid file cannot be opened
	ProgramFailedToLaunch     Code = 137 // no such command, or it has ended within success_seconds
	HelpMessage               Code = 138 // of the original's --help; ours is a Success
	UnknownFailure            Code = 254
)

// codeNames are the names of all codes.
var codeNames = map[Code]string{
	Success: "SUCCESS", GeneralFailure: "GENERAL_FAILURE", TryAgain: "TRY_AGAIN", InvalidConfig: "INVALID_CONFIG",
	InvalidAction: "INVALID_ACTION", ProgramDisabled: "PROGRAM_DISABLED", ProgramUndefined: "PROGRAM_UNDEFINED",
	ProgramExitedUnexpectedly: "PROGRAM_EXITED_UNEXPECTEDLY", UsrsvcdAlreadyRunning: "USRSVCD_ALREADY_RUNNING",
	InsufficientPermissions: "INSUFFICIENT_PERMISSIONS", ProgramFailedToLaunch: "PROGRAM_FAILED_TO_LAUNCH",
	HelpMessage: "HELP_MESSAGE", UnknownFailure: "UNKNOWN_FAILURE",
}

// Name is the code's name; UNKNOWN(n) of one that is none of ours.
func (c Code) Name() string {
	if name, ok := codeNames[c]; ok {
		return name
	}
	return fmt.Sprintf("UNKNOWN(%d)", int(c))
}

// String is number and name: "137 PROGRAM_FAILED_TO_LAUNCH".
func (c Code) String() string { return fmt.Sprintf("%d %s", int(c), c.Name()) }

// failure is an error that ends a command with a code.
type failure struct {
	code Code
	error
}

// Unwrap is what the failure is about.
func (f *failure) Unwrap() error { return f.error }

func fail(code Code, format string, args ...any) error {
	return &failure{code, fmt.Errorf(format, args...)}
}
