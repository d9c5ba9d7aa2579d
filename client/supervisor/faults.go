package supervisor

// The codes of faults, and of results of calls on many programs. Their numbers are those of the original, and so
// are their names: FaultName. Source: spec/supervisor 5.4.
const (
	FaultUnknownMethod       = 1
	FaultIncorrectParameters = 2 // of the wrong number or type
	FaultBadArguments        = 3
	FaultSignature           = 4 // system.methodHelp, methodSignature: no such method
	FaultShutdownState       = 6 // the daemon is ending
	FaultBadName             = 10
	FaultBadSignal           = 11
	FaultNoFile              = 20 // no such log, command or standard input
	FaultNotExecutable       = 21
	FaultFailed              = 30 // anything else
	FaultAbnormalTermination = 40 // it ended while its start was waited for
	FaultSpawnError          = 50
	FaultAlreadyStarted      = 60
	FaultNotRunning          = 70
	StatusSuccess            = 80 // no fault: of a Result
	FaultAlreadyAdded        = 90
	FaultStillRunning        = 91
	FaultCannotReread        = 92 // the configuration is bad
)

// FaultName is the word with which the text of a fault begins, such as "BAD_NAME"; empty for other codes.
func FaultName(code int) string {
	switch code {
	case FaultUnknownMethod:
		return "UNKNOWN_METHOD"
	case FaultIncorrectParameters:
		return "INCORRECT_PARAMETERS"
	case FaultBadArguments:
		return "BAD_ARGUMENTS"
	case FaultSignature:
		return "SIGNATURE_UNSUPPORTED"
	case FaultShutdownState:
		return "SHUTDOWN_STATE"
	case FaultBadName:
		return "BAD_NAME"
	case FaultBadSignal:
		return "BAD_SIGNAL"
	case FaultNoFile:
		return "NO_FILE"
	case FaultNotExecutable:
		return "NOT_EXECUTABLE"
	case FaultFailed:
		return "FAILED"
	case FaultAbnormalTermination:
		return "ABNORMAL_TERMINATION"
	case FaultSpawnError:
		return "SPAWN_ERROR"
	case FaultAlreadyStarted:
		return "ALREADY_STARTED"
	case FaultNotRunning:
		return "NOT_RUNNING"
	case StatusSuccess:
		return "SUCCESS"
	case FaultAlreadyAdded:
		return "ALREADY_ADDED"
	case FaultStillRunning:
		return "STILL_RUNNING"
	case FaultCannotReread:
		return "CANT_REREAD"
	}
	return ""
}
