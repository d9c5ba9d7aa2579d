package rpc2

import (
	"github.com/upkeep-project/upkeep/client/supervisor"
	"github.com/upkeep-project/upkeep/internal/service"
	"github.com/upkeep-project/upkeep/internal/wire/xmlrpc"
)

// serviceFaults says for each error of the service which fault it is, and whether the fault names what
// the caller asked for (a program, a group) instead of the error's own text.
var serviceFaults = map[service.Code]struct {
	code  int
	named bool
}{
	service.CodeFailed:              {supervisor.FaultFailed, false},
	service.CodeBadArguments:        {supervisor.FaultBadArguments, false},
	service.CodeNoSuchProgram:       {supervisor.FaultBadName, true},
	service.CodeBadSignal:           {supervisor.FaultBadSignal, false},
	service.CodeNoFile:              {supervisor.FaultNoFile, false},
	service.CodeNotExecutable:       {supervisor.FaultNotExecutable, false},
	service.CodeAbnormalTermination: {supervisor.FaultAbnormalTermination, true},
	service.CodeSpawnError:          {supervisor.FaultSpawnError, true},
	service.CodeAlreadyStarted:      {supervisor.FaultAlreadyStarted, true},
	service.CodeNotRunning:          {supervisor.FaultNotRunning, true},
	service.CodeAlreadyAdded:        {supervisor.FaultAlreadyAdded, true},
	service.CodeStillRunning:        {supervisor.FaultStillRunning, true},
	service.CodeCannotReread:        {supervisor.FaultCannotReread, false},
	service.CodeShuttingDown:        {supervisor.FaultShutdownState, false},
	service.CodeNoProcess:           {supervisor.FaultFailed, false},
	service.CodeNotPermitted:        {supervisor.FaultFailed, false},
	service.CodeNotAdoptable:        {supervisor.FaultFailed, false},
	service.CodeTaken:               {supervisor.FaultFailed, false},
	service.CodeInvalid:             {supervisor.FaultFailed, false}, // these three are of the JSON interface alone
	service.CodeConflict:            {supervisor.FaultFailed, false},
	service.CodeNotManaged:          {supervisor.FaultFailed, false},
	service.CodeAmbiguous:           {supervisor.FaultFailed, false},
	service.CodeDisabled:            {supervisor.FaultSpawnError, false},
	service.CodeDependency:          {supervisor.FaultSpawnError, false},
}

// bare is a fault without detail.
func bare(code int) *xmlrpc.Fault { return &xmlrpc.Fault{Code: code, Text: supervisor.FaultName(code)} }

// detailed is a fault with detail, which may be empty.
func detailed(code int, detail string) *xmlrpc.Fault {
	return &xmlrpc.Fault{Code: code, Text: supervisor.FaultName(code) + ": " + detail}
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
		return detailed(supervisor.FaultFailed, text)
	case f.named:
		return detailed(f.code, subject)
	case text == "" || f.code == supervisor.FaultShutdownState || f.code == supervisor.FaultBadArguments:
		return bare(f.code)
	}
	return detailed(f.code, text)
}
