package launch

import (
	"errors"
	"fmt"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/sys/pidfile"
	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

// PIDFileError says that the pid file of a program cannot be written.
type PIDFileError struct {
	Path string
	Err  error
}

func (e *PIDFileError) Error() string {
	return fmt.Sprintf("cannot write the pid file %s: %v", e.Path, e.Err)
}

// Unwrap is the system's error.
func (e *PIDFileError) Unwrap() error { return e.Err }

// writePIDFile writes the pid file of an instance, as a file of the program's user. A start without one has failed before
// anything was executed: the next one would not find it. Source: spec/usrsvc US-48, spec/reliability S17.
func (h *Host) writePIDFile(path string, pid int, user *spawn.Cred) error {
	var owner *pidfile.Owner
	if user != nil && user.Refused == "" && user.UID >= 0 && user.GID >= 0 {
		owner = &pidfile.Owner{UID: user.UID, GID: user.GID}
	}
	err := pidfile.Write(path, pid, owner)
	if err == nil || errors.Is(err, pidfile.ErrDevice) { // a device means none
		return nil
	}
	return &PIDFileError{path, err}
}

// dropPIDFile removes the pid file of an instance that is no more, unless it names another process by now.
func (h *Host) dropPIDFile(path string, pid int) {
	if path == "" || pid <= 0 {
		return
	}
	var unfit *pidfile.UnfitError
	if err := pidfile.Remove(path, pid); err != nil && !errors.As(err, &unfit) {
		h.o.Log.Logf(activity.Warn, "the pid file %s stays: %v", path, err)
	}
}

// userOf is the user that a program runs as; nil = ours.
func (h *Host) userOf(p *model.Program) *spawn.Cred {
	if uid := p.Command.UID; uid >= 0 && uid != h.o.UID {
		if c, err := spawn.LookupCred(uid); err == nil {
			return c
		}
	}
	return nil
}

// uidOf is the number of that user.
func (h *Host) uidOf(p *model.Program) int {
	if p.Command.UID >= 0 {
		return p.Command.UID
	}
	return h.o.UID
}
