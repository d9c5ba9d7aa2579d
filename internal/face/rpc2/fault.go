package rpc2

import (
	"github.com/upkeep-project/upkeep/internal/service"
	"github.com/upkeep-project/upkeep/internal/wire/xmlrpc"
)

// The fault codes. Source: spec/supervisor 5.4.
const (
	faultUnknownMethod  = 1
	faultParameters     = 2
	faultArguments      = 3
	faultSignature      = 4
	faultShutdown       = 6
	faultBadName        = 10
	faultBadSignal      = 11
	faultNoFile         = 20
	faultNotExecutable  = 21
	faultFailed         = 30
	faultAbnormal       = 40
	faultSpawnError     = 50
	faultAlreadyStarted = 60
	faultNotRunning     = 70
	statusSuccess       = 80
	faultAlreadyAdded   = 90
	faultStillRunning   = 91
	faultCannotReread   = 92
)

var faultNames = map[int]string{
	faultUnknownMethod: "UNKNOWN_METHOD", faultParameters: "INCORRECT_PARAMETERS", faultArguments: "BAD_ARGUMENTS",
	faultSignature: "SIGNATURE_UNSUPPORTED", faultShutdown: "SHUTDOWN_STATE", faultBadName: "BAD_NAME",
	faultBadSignal: "BAD_SIGNAL", faultNoFile: "NO_FILE", faultNotExecutable: "NOT_EXECUTABLE", faultFailed: "FAILED",
	faultAbnormal: "ABNORMAL_TERMINATION", faultSpawnError: "SPAWN_ERROR", faultAlreadyStarted: "ALREADY_STARTED",
	faultNotRunning: "NOT_RUNNING", faultAlreadyAdded: "ALREADY_ADDED", faultStillRunning: "STILL_RUNNING",
	faultCannotReread: "CANT_REREAD",
}

// serviceFaults says for each error of the service which fault it is, and whether the fault names what
// the caller asked for (a program, a group) instead of the error's own text.
var serviceFaults = map[service.Code]struct {
	code  int
	named bool
}{
	service.CodeFailed:              {faultFailed, false},
	service.CodeBadArguments:        {faultArguments, false},
	service.CodeNoSuchProgram:       {faultBadName, true},
	service.CodeBadSignal:           {faultBadSignal, false},
	service.CodeNoFile:              {faultNoFile, false},
	service.CodeNotExecutable:       {faultNotExecutable, false},
	service.CodeAbnormalTermination: {faultAbnormal, true},
	service.CodeSpawnError:          {faultSpawnError, true},
	service.CodeAlreadyStarted:      {faultAlreadyStarted, true},
	service.CodeNotRunning:          {faultNotRunning, true},
	service.CodeAlreadyAdded:        {faultAlreadyAdded, true},
	service.CodeStillRunning:        {faultStillRunning, true},
	service.CodeCannotReread:        {faultCannotReread, false},
	service.CodeShuttingDown:        {faultShutdown, false},
	service.CodeNoProcess:           {faultFailed, false},
	service.CodeNotPermitted:        {faultFailed, false},
	service.CodeNotAdoptable:        {faultFailed, false},
	service.CodeTaken:               {faultFailed, false},
}

// bare is a fault without detail.
func bare(code int) *xmlrpc.Fault { return &xmlrpc.Fault{Code: code, Text: faultNames[code]} }

// detailed is a fault with detail, which may be empty.
func detailed(code int, detail string) *xmlrpc.Fault {
	return &xmlrpc.Fault{Code: code, Text: faultNames[code] + ": " + detail}
}

// Fault is the fault that stands for an error of the service; subject is the name that the caller used.
func Fault(err error, subject string) *xmlrpc.Fault { return toFault(err, subject) }

// toFault translates an error of the service; subject is what the caller named.
func toFault(err error, subject string) *xmlrpc.Fault {
	var text string
	switch e := err.(type) {
	case *xmlrpc.Fault:
		return e
	case *service.Error:
		text = e.Text
	default:
		text = err.Error()
	}
	f, ok := serviceFaults[service.CodeOf(err)]
	switch {
	case !ok:
		return detailed(faultFailed, text)
	case f.named:
		return detailed(f.code, subject)
	case text == "" || f.code == faultShutdown || f.code == faultArguments:
		return bare(f.code)
	}
	return detailed(f.code, text)
}
