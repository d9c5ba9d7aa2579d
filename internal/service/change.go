package service

import "github.com/upkeep-project/upkeep/internal/domain/model"

// Action is what a change of the configuration does to one program.
type Action uint8

// The actions.
const (
	ActionChange  Action = iota // another definition is in force; what runs goes on
	ActionRestart               // its process is ended, and started under the new definition
	ActionAdd                   // it comes, and is started if it starts by itself
	ActionRemove                // it is stopped and forgotten
)

// String is the action in one word: change, restart, add, remove.
func (a Action) String() string { return [...]string{"change", "restart", "add", "remove"}[a] }

// Step is what Apply would do to one program.
type Step struct {
	ID     model.ID // without a name: values of the group itself
	Action Action
	Fields []model.FieldChange // what differs; empty for programs that come or go
	Reason string              // in words, when what differs takes effect
	// Refused says why Apply would not do it, nor anything else; empty if nothing stands against it.
	Refused string
}

// Applied is what Apply has done to one program. Err is nil on success, else a *Error: the new definition is
// in force or comes into force when the process is gone, but a stop or a start went wrong.
type Applied struct {
	ID     model.ID
	Action Action
	Err    error
}
