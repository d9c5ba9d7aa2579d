package model

import "time"

// EventType is the name of an event as listeners subscribe to it. Source: spec/supervisor 4.1.
type EventType string

// The events that are emitted (leaves of the hierarchy).
const (
	EventProcessStarting  EventType = "PROCESS_STATE_STARTING"
	EventProcessRunning   EventType = "PROCESS_STATE_RUNNING"
	EventProcessBackoff   EventType = "PROCESS_STATE_BACKOFF"
	EventProcessStopping  EventType = "PROCESS_STATE_STOPPING"
	EventProcessExited    EventType = "PROCESS_STATE_EXITED"
	EventProcessStopped   EventType = "PROCESS_STATE_STOPPED"
	EventProcessFatal     EventType = "PROCESS_STATE_FATAL"
	EventProcessUnknown   EventType = "PROCESS_STATE_UNKNOWN"
	EventRemote           EventType = "REMOTE_COMMUNICATION"
	EventDaemonRunning    EventType = "SUPERVISOR_STATE_CHANGE_RUNNING"
	EventDaemonStopping   EventType = "SUPERVISOR_STATE_CHANGE_STOPPING"
	EventGroupAdded       EventType = "PROCESS_GROUP_ADDED"
	EventGroupRemoved     EventType = "PROCESS_GROUP_REMOVED"
	EventProcessLogStdout EventType = "PROCESS_LOG_STDOUT"
	EventProcessLogStderr EventType = "PROCESS_LOG_STDERR"
	EventTick5            EventType = "TICK_5"
	EventTick60           EventType = "TICK_60"
	EventTick3600         EventType = "TICK_3600"

	// Events of ours: no listener of the original knows them, and subscriptions to EVENT do not include them.
	EventCheckFailed EventType = "CHECK_FAILED" // the verdict of a check has become failing
	EventCheckPassed EventType = "CHECK_PASSED" // … passing
	EventCheckAction EventType = "CHECK_ACTION" // a check has its program started anew
	EventReleased    EventType = "PROCESS_RELEASED"

	EventProcessCommunicationStdout EventType = "PROCESS_COMMUNICATION_STDOUT"
	EventProcessCommunicationStderr EventType = "PROCESS_COMMUNICATION_STDERR"
)

// StateEvent is the event that announces the entry into a state.
func StateEvent(s State) EventType {
	switch s {
	case Starting:
		return EventProcessStarting
	case Running:
		return EventProcessRunning
	case Backoff:
		return EventProcessBackoff
	case Stopping:
		return EventProcessStopping
	case Exited:
		return EventProcessExited
	case Stopped:
		return EventProcessStopped
	case Fatal:
		return EventProcessFatal
	}
	return EventProcessUnknown
}

// Event is one entry of the event ring.
type Event struct {
	Seq      uint64    // given by the ring, from 1, without gaps
	Time     time.Time // of a tick: the begin of its slice
	Type     EventType
	ID       ID     // the program, or Group alone for group events
	From     State  // state events: the state that was left
	PID      int    // state events, and those made of output
	Tries    int    // STARTING and BACKOFF
	Expected bool   // EXITED
	Adopted  bool   // RUNNING: the process was taken over
	Kind     string // REMOTE_COMMUNICATION: the type given by the sender
	Data     []byte
}
