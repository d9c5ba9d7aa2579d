// Package rlimit reads and raises the limits of descriptors and processes by the rules of the original,
// although Go has already raised the first one for itself.
//
// Go's runtime sets the soft limit of descriptors to the hard one when a process starts, remembers the
// old one, and gives that to every program it starts. So the daemon always has what the hard limit
// allows, and programs get what the daemon was started with. To give programs more, minfds, the limit is
// set so that Go forgets its own, and the daemon executes itself once: the new image finds minfds, takes
// it for the original and raises its own again.
//
// Source: spec/supervisor 1.11, 2.8.
package rlimit

import (
	"fmt"
	"math"
	"os"
)

// Unlimited is the value of no limit.
const Unlimited = uint64(math.MaxUint64)

// Limit is a soft and a hard limit.
type Limit struct{ Soft, Hard uint64 }

// Resource is what is limited.
type Resource uint8

// The resources.
const (
	Files     Resource = iota // open descriptors of a process
	Processes                 // processes of a user
)

// String is the system's name, RLIMIT_NOFILE or RLIMIT_NPROC.
func (r Resource) String() string { return [...]string{"RLIMIT_NOFILE", "RLIMIT_NPROC"}[r] }

// Change is what Raise did.
type Change struct {
	Resource Resource
	From, To Limit
	Raised   bool // false: it was enough already and To equals From
	// Again says that programs get the new limit only after Reexec.
	Again bool
}

// raisedVariable carries what was raised across Reexec. It never reaches a program: its prefix marks what
// is private to the daemon.
const raisedVariable = "UPKEEP_RAISED_NOFILE"

// Reexecuted reports whether this image was executed by Reexec, until Raise has been asked.
func Reexecuted() bool {
	_, ok := os.LookupEnv(raisedVariable)
	return ok
}

// Error says that a limit cannot be raised.
type Error struct {
	Resource Resource
	Wanted   uint64
	Have     Limit
	Err      error
}

func (e *Error) Error() string {
	return fmt.Sprintf("%v cannot be raised from %d to %d (hard limit %d): %v", e.Resource, e.Have.Soft, e.Wanted, e.Have.Hard, e.Err)
}

// Unwrap is the system's error.
func (e *Error) Unwrap() error { return e.Err }

// wanted applies the rule: a soft limit below the wanted one becomes it; the hard limit follows only
// when it is lower, which takes root.
func wanted(have Limit, want uint64) (Limit, bool) {
	if have.Soft >= want { // also when unlimited
		return have, false
	}
	return Limit{Soft: want, Hard: max(have.Hard, want)}, true
}
