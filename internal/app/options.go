package app

import (
	"io"

	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/sys/daemon"
	"github.com/upkeep-project/upkeep/internal/sys/notify"
	"github.com/upkeep-project/upkeep/internal/sys/signals"
)

// Options say what to run.
type Options struct {
	Config *supervisord.Config
	// Load reads the configuration again, as the command line says, without side effects.
	Load func() (*supervisord.Config, error)
	// Program is the name under which the daemon was called, for the system's log.
	Program string
	Version string // of the product
	Environ []string
	// Conf is the world in which the configuration is read.
	Conf   supervisord.Environ
	Stdout io.Writer // gets a copy of the activity log; nil = none
	// Background is set when the launching command waits for the daemon to be ready.
	Background *daemon.Background
	// Notify is where an init system waits to be told that the daemon is up; nil = none does.
	Notify *notify.Socket
	// Notes are lines for the activity log about what was done before the parts were built.
	Notes []Note
	// Signals are what the daemon obeys. They outlive it, so that one that comes during an ordered restart
	// is obeyed after it.
	Signals <-chan signals.Signal
	// Stop is closed when the daemon is to end, beside what the signals say; nil = they alone say it.
	Stop <-chan struct{}
	// State is what the instance keeps on disk; nil = nothing.
	State *State
	// Keeper is the link to the keeper, nil = there is none.
	Keeper *Keeper
	// Serial is the number of the next event, which goes on across ordered restarts; nil = it begins at 0.
	Serial *uint64
	// Continue: an earlier process of this daemon was killed or has left, and its configuration is in force.
	Continue bool
	// Again: this is another turn, after an ordered restart.
	Again bool
	// Good completes what Load has given for a start, or has not (bad), by what was in force last; why says that it is all of it.
	// nil = a start with a configuration that cannot be read is refused. See LastGood.
	Good func(c *supervisord.Config, bad error) (_ *supervisord.Config, why string, err error)
	// Bad is why the configuration cannot be used and an earlier one is in force instead; empty = it can.
	Bad string
}

// Outcome is why a daemon has come to its end.
type Outcome uint8

// The outcomes.
const (
	Ended     Outcome = iota // everything has stopped, in order
	Restarted                // everything has stopped and is to begin again
	Left                     // programs run on; another process takes over
)

// Note is a line for the activity log.
type Note struct {
	Level activity.Level
	Text  string
}
