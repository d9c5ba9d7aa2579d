package launch

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/command"
	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

// streamsError is a failure to open logs.
type streamsError struct{ err error }

func (e *streamsError) Error() string { return e.err.Error() }
func (e *streamsError) Unwrap() error { return e.err }

// failureText is spawnerr: why a program could not be started. Source: spec/supervisor 2.5.
func failureText(p *model.Program, err error) string {
	name := p.ID.Name
	var (
		command *CommandError
		socket  *SocketError
		seek    *SeekError
		file    *PIDFileError
		logging *streamsError
		pipe    *spawn.PipeError
		errno   syscall.Errno
	)
	known := errors.As(err, &errno)
	switch {
	case errors.As(err, &command):
		return command.Error()
	case errors.As(err, &socket):
		return socket.Error()
	case errors.As(err, &seek):
		return seek.Error()
	case errors.As(err, &file):
		return file.Error()
	case known && (errno == syscall.EMFILE || errno == syscall.ENFILE):
		return fmt.Sprintf("too many open files to spawn '%s'", name)
	case errors.As(err, &logging) && !known:
		return fmt.Sprintf("unknown error making dispatchers for '%s': %v", name, err)
	case errors.As(err, &logging) || errors.As(err, &pipe):
		return fmt.Sprintf("unknown error making dispatchers for '%s': %s", name, units.ErrnoName(errno))
	case known && errno == syscall.EAGAIN:
		return fmt.Sprintf("Too many processes in process table to spawn '%s'", name)
	case known:
		return fmt.Sprintf("unknown error during fork for '%s': %s", name, units.ErrnoName(errno))
	}
	return fmt.Sprintf("unknown error during fork for '%s': %v", name, err)
}

// CommandError says why a command cannot be run. Its text is the original's.
type CommandError struct {
	Text    string
	Missing bool // there is no such file
}

func (e *CommandError) Error() string { return e.Text }

// split parses a command line.
func split(line string) ([]string, error) {
	argv, err := command.Split(line)
	if err != nil {
		return nil, &CommandError{Text: fmt.Sprintf("can't parse command %s: %v", repr(line), err)}
	}
	if len(argv) == 0 {
		return nil, &CommandError{Text: "command is empty"}
	}
	return argv, nil
}
