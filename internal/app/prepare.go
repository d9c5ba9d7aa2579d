package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/keeper"
	"github.com/upkeep-project/upkeep/internal/face/listen"
	"github.com/upkeep-project/upkeep/internal/sys/lock"
	"github.com/upkeep-project/upkeep/internal/sys/privilege"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
	"github.com/upkeep-project/upkeep/internal/sys/rlimit"
	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

// Process is what a daemon has done once and keeps across ordered restarts: the lock of its instance and
// its user.
type Process struct {
	lock *lock.Lock
	// Claimed is what a stand-in for a keeper has handed over, the lock with it.
	Claimed []keeper.Item
	// Place is where the instance keeps its state; nil = there is no such place.
	Place *Place
	// Notes tell the activity log about it.
	Notes []Note
}

// Prepare takes the instance's lock and becomes the configured user. Nothing else has been touched when
// it fails. Source: spec/supervisor 2.8, F6.
func Prepare(c *supervisord.Config) (*Process, error) {
	p := &Process{}
	for _, step := range []func(*supervisord.Config) error{p.single, p.become} {
		if err := step(c); err != nil {
			p.Release()
			return nil, err
		}
	}
	return p, nil
}

// Lock is the descriptor that holds the instance's lock; -1 = there is none.
func (p *Process) Lock() int {
	if p.lock == nil {
		return -1
	}
	return p.lock.Descriptor()
}

// Release gives up the lock.
func (p *Process) Release() {
	if p.lock != nil {
		p.lock.Close()
	}
}

func (p *Process) note(l activity.Level, format string, args ...any) {
	p.Notes = append(p.Notes, Note{l, fmt.Sprintf(format, args...)})
}

// single makes sure that no other daemon runs this configuration.
func (p *Process) single(c *supervisord.Config) error {
	place, err := PlaceOf(c)
	path := filepath.Join(place.State, lockName)
	if err == nil {
		p.Place = &place
		p.lock, err = lock.Acquire(path)
	}
	var held *lock.HeldError
	claimed := false
	for over := time.Now().Add(orphanPatience); errors.As(err, &held); {
		if claimed = p.claim(place); claimed || held.PID != 0 && !procstat.Gone(held.PID) || time.Now().After(over) {
			break
		}
		// Whoever took the lock is dead, and somebody has inherited it who is about to end, or to stand in; or it is taken or
		// let go at this moment, when the file names nobody.
		<-time.After(orphanLook)
		p.lock, err = lock.Acquire(path)
	}
	switch {
	case err == nil:
		return nil
	case claimed:
		sign(place.State)
		p.note(activity.Warn, "everything was taken over from pid %d, which stood in for a keeper that was killed", held.PID)
		return nil
	case errors.As(err, &held) && c.Native != nil:
		return &RunsError{held.PID}
	case errors.As(err, &held) && len(c.Servers) > 0:
		return &listen.BusyError{Address: path}
	case errors.As(err, &held):
		//lint:ignore ST1005 it stands behind "Error: ", as the original's texts do
		return fmt.Errorf("Another supervisord (pid %d) is already running with this configuration: %s",
			held.PID, c.Settings.ConfigFile)
	}
	p.note(activity.Warn, "there is no place for the state of this daemon: its programs would not survive it, and nothing keeps a second one away: %v", err)
	return nil
}

// RunsError says that another daemon has the lock of the instance.
type RunsError struct{ PID int }

// Error has the pid.
func (e *RunsError) Error() string { return fmt.Sprintf("it runs already (pid %d)", e.PID) }

// How long a lock may be held by others than who took it, and how often that is looked at.
const (
	orphanPatience = 10 * time.Second
	orphanLook     = 20 * time.Millisecond
)

// lockName is the file in the state directory that is locked as long as the instance lives.
const lockName = "lock"

// sign writes our pid into the file of a lock that was handed over to us: a second daemon is told who has it.
// It is for people alone, so that it may fail. A link that leads out of the directory is not followed: the
// directory may be another user's.
func sign(place string) {
	root, err := os.OpenRoot(place)
	if err != nil {
		return
	}
	defer root.Close()
	if f, err := root.OpenFile(lockName, os.O_WRONLY|os.O_TRUNC, 0); err == nil {
		_, _ = fmt.Fprintln(f, os.Getpid())
		_ = f.Close()
	}
}

// socketName is the socket in the runtime directory on which a stand-in for a keeper can be relieved.
const socketName = "keeper.sock"

// Socket is where a stand-in for this instance's keeper can be relieved.
func (p Place) Socket() string { return filepath.Join(p.Runtime, socketName) }

// claim relieves a manager that has taken the place of its killed keeper: an init system that sees the keeper
// die starts the daemon anew, and that one is to be it. A keeper that was started as such listens nowhere.
func (p *Process) claim(place Place) bool {
	items, err := keeper.Claim(place.Socket())
	p.Claimed = items
	return err == nil
}

// become makes the process run as the configured user.
func (p *Process) become(c *supervisord.Config) error {
	uid := c.Settings.UID
	if uid < 0 {
		return nil
	}
	cred, err := spawn.LookupCred(uid)
	if err == nil && cred.Refused != "" && privilege.UID() != uid {
		err = errors.New(cred.Refused)
	}
	if err == nil {
		err = privilege.Drop(uid, cred.GID, cred.Groups)
	}
	if err != nil {
		return err
	}
	p.note(activity.Info, "Set uid to user %d succeeded", uid)
	return nil
}

// RaiseLimits raises the limits of descriptors and processes to what is configured as necessary, before
// the user is given up. It may execute the binary again in this process, so it comes before everything
// that would be lost by that. The notes are for the activity log.
func RaiseLimits(c *supervisord.Config) (notes []Note, err error) {
	for _, r := range []struct {
		what   rlimit.Resource
		want   int
		refuse func(int, uint64) *supervisord.Error
	}{
		{rlimit.Files, c.Settings.MinFDs, supervisord.ErrMinFDs},
		{rlimit.Processes, c.Settings.MinProcs, supervisord.ErrMinProcs},
	} {
		if r.want < 0 {
			continue
		}
		change, err := rlimit.Raise(r.what, uint64(r.want))
		var refused *rlimit.Error
		switch {
		case errors.As(err, &refused):
			return nil, r.refuse(r.want, refused.Have.Hard)
		case err != nil:
			notes = append(notes, Note{activity.Warn, err.Error()})
		case change.Again:
			if err := rlimit.Reexec(change); err != nil {
				notes = append(notes, Note{activity.Warn, fmt.Sprintf("the daemon's own limit of descriptors is %d: %v", change.To.Soft, err)})
			}
		}
		if change.Raised {
			notes = append(notes, Note{activity.Info, fmt.Sprintf("Increased %s limit to %d", r.what, r.want)})
		}
	}
	return notes, nil
}
