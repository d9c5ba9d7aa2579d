// Package local connects processes of one machine at a path: by a unix socket where there are such, by a named pipe on
// Windows. Who connects is sure that the other end is the same user, or one who may do everything anyway.
//
// The pipe that stands for a socket has the socket's path as its name. It is made with a descriptor that admits its user,
// administrators and the system, never comes from another machine, and is refused when somebody has it already.
package local

import (
	"errors"
	"io/fs"
)

// ErrBusy says that another process listens at a path already.
var ErrBusy = errors.New("another process listens there already")

// ForeignError says that who listens at a path is neither this user nor an administrator. It is an fs.ErrPermission.
type ForeignError struct {
	Name  string
	Owner string // as the system writes it
}

// Error names both.
func (e *ForeignError) Error() string { return e.Name + " belongs to another user (" + e.Owner + ")" }

// Is makes it an fs.ErrPermission.
func (e *ForeignError) Is(target error) bool { return target == fs.ErrPermission }
