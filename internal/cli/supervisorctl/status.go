package supervisorctl

// The exit statuses. They are those of init scripts (LSB), where the status command has its own table.
// Source: spec/supervisor 6.2.
const (
	statusOK            = 0
	statusGeneric       = 1
	statusInvalidArgs   = 2
	statusUnimplemented = 3
	statusPrivileges    = 4
	statusNotInstalled  = 5
	statusNotRunning    = 7

	statusProgramDown    = 3 // status: a program that is shown is down
	statusProgramUnknown = 4 // status: an unknown name, or no server to ask
)

// What commands know of the server.
const (
	apiVersion       = "3.0"
	httpUnauthorized = 401
	defaultTail      = 1600 // bytes that tail and maintail show
	stateRunning     = 20
	stateStopped     = 0
	stateExited      = 100
	stateFatal       = 200
	stateUnknown     = 1000
)
