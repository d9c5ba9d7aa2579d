package listener

import (
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// The branches of the hierarchy that can be subscribed to besides the events themselves.
const (
	all                  = "EVENT"
	processState         = "PROCESS_STATE"
	processCommunication = "PROCESS_COMMUNICATION"
	processLog           = "PROCESS_LOG"
	stateChange          = "SUPERVISOR_STATE_CHANGE"
	tick                 = "TICK"
	processGroup         = "PROCESS_GROUP"
)

// branches are the inner nodes of the hierarchy; what is below each begins with its name.
func branches() []string {
	return []string{processState, processCommunication, processLog, stateChange, tick, processGroup}
}

// Types are all events that are emitted. Source: spec/supervisor 4.1.
func Types() []model.EventType {
	return []model.EventType{
		model.EventProcessStarting, model.EventProcessRunning, model.EventProcessBackoff, model.EventProcessStopping,
		model.EventProcessExited, model.EventProcessStopped, model.EventProcessFatal, model.EventProcessUnknown,
		model.EventProcessCommunicationStdout, model.EventProcessCommunicationStderr,
		model.EventProcessLogStdout, model.EventProcessLogStderr, model.EventRemote,
		model.EventDaemonRunning, model.EventDaemonStopping,
		model.EventTick5, model.EventTick60, model.EventTick3600, model.EventGroupAdded, model.EventGroupRemoved,
	}
}

// OwnTypes are events of ours, which the original does not have: no branch has them, and EVENT neither, so that listeners
// that do not know them never get them. Who wants them names them.
func OwnTypes() []model.EventType {
	return []model.EventType{model.EventCheckFailed, model.EventCheckPassed, model.EventCheckAction, model.EventReleased}
}

// Set is what a pool has subscribed to: every event is in it once, however many of the names cover it (F46).
type Set map[model.EventType]bool

// Subscribe makes the set that the names of a section cover; names that are not known cover nothing.
// Source: spec/supervisor 4.1.
func Subscribe(names []string) Set {
	set := Set{}
	for _, t := range Types() {
		for _, name := range names {
			if name == all || name == string(t) || covers(name, t) {
				set[t] = true
			}
		}
	}
	for _, t := range OwnTypes() {
		if slices.Contains(names, string(t)) {
			set[t] = true
		}
	}
	return set
}

func covers(name string, t model.EventType) bool {
	for _, b := range branches() {
		if name == b {
			return strings.HasPrefix(string(t), b+"_")
		}
	}
	return false
}
