package model

import "time"

// State is the state of a program. Source: spec/supervisor 2.1.
type State uint8

// The eight states.
const (
	Stopped State = iota
	Starting
	Running
	Backoff
	Stopping
	Exited
	Fatal
	Unknown
	NumStates int = iota
)

var (
	stateNames = [NumStates]string{"STOPPED", "STARTING", "RUNNING", "BACKOFF", "STOPPING", "EXITED", "FATAL", "UNKNOWN"}
	stateCodes = [NumStates]int{0, 10, 20, 30, 40, 100, 200, 1000}
)

// String is the state's name as every interface shows it.
func (s State) String() string { return stateNames[s] }

// Code is the state's number in XML-RPC.
func (s State) Code() int { return stateCodes[s] }

// Down reports whether the state is one of STOPPED, EXITED, FATAL and UNKNOWN.
func (s State) Down() bool { return s == Stopped || s == Exited || s == Fatal || s == Unknown }

// Up reports whether the state is one of STARTING, RUNNING and BACKOFF: a start would be refused.
func (s State) Up() bool { return s == Starting || s == Running || s == Backoff }

// Signallable reports whether signals may be sent: STARTING, RUNNING and STOPPING.
func (s State) Signallable() bool { return s == Starting || s == Running || s == Stopping }

// Exit is how an instance ended. The raw facts are kept; Code and Signal are views.
type Exit struct {
	Known  bool   `json:",omitzero"` // false: nobody could tell; Reason says why
	Core   bool   `json:",omitzero"`
	Raw    uint32 `json:",omitzero"` // the wait status as the kernel gave it
	Signal int    `json:",omitzero"` // terminating signal, 0 if none
	Status int    `json:",omitzero"` // exit status when Signal is 0
	Reason string `json:",omitzero"`
	// OOMKills counts the processes of the instance that the kernel has killed for lack of memory; 0 also when nobody can tell.
	OOMKills int `json:",omitzero"`
}

// Code is the compatible exit code: the status, or -1 after a signal or when unknown.
// Source: spec/supervisor 2.2.
func (e Exit) Code() int {
	if !e.Known || e.Signal != 0 {
		return -1
	}
	return e.Status
}

// Status is what is known of one program at one moment. All its fields belong to the same moment.
type Status struct {
	Program    *Program // the definition in force
	ID         ID
	State      State
	HasExit    bool      // set in STOPPED and EXITED after a live process, cleared at a start
	Killing    bool      // a stop is under way
	Ready      bool      // RUNNING, and all checks of the ready stage pass
	PID        int       // 0 = no live process
	Generation uint64    // counts the starts
	Start      time.Time // of the last attempt; zero = never
	Stop       time.Time // when the last instance was seen to have ended; zero = never
	Exit       Exit      // of the last instance; meaningful when HasExit
	SpawnErr   string    // why the last start failed or the last end was unexpected; empty if neither
	Tries      int       // failed attempts in a row; FATAL: those after which it was given up
	Waiting    string    // STARTING: what it waits for before it is executed, "db: ready"; empty = nothing
	Past       Past
	StdoutLog  string // path in force (AUTO resolved); empty = none
	StderrLog  string
}

// DaemonState is the state of the manager itself.
type DaemonState int8

// The daemon's states, with their XML-RPC codes.
const (
	DaemonRestarting DaemonState = 0
	DaemonRunning    DaemonState = 1
	DaemonFatal      DaemonState = 2
	DaemonShutdown   DaemonState = -1
)

// String is the state's name.
func (s DaemonState) String() string {
	switch s {
	case DaemonRestarting:
		return "RESTARTING"
	case DaemonRunning:
		return "RUNNING"
	case DaemonFatal:
		return "FATAL"
	}
	return "SHUTDOWN"
}
