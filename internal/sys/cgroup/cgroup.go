// Package cgroup puts every instance of a program into a control group of its own (Linux cgroup2), so
// that all it ever forked can be listed and killed, whatever it did to hide. No resource controller is
// used: the hierarchy need not have any, and processes and groups may be side by side in it.
//
// Detect finds the place: below the group in which this process already is, in the cgroup2 hierarchy,
// which may be the only one or stand beside those of version 1. Where groups cannot be made it says
// why, and everything else works without them.
//
// Source: spec/reliability R12, S21.
package cgroup

import (
	"errors"
)

// Cause is why control groups are not used.
type Cause uint8

// The causes.
const (
	Unsupported  Cause = iota // this system has no control groups
	NotMounted                // no cgroup2 hierarchy is mounted
	Outside                   // our own group is not in the part that is visible here
	ReadOnly                  // it is mounted read-only, as in most containers
	NotDelegated              // the group belongs to somebody else
	Threaded                  // groups below ours can hold threads only
	Limit                     // the number or depth of groups is limited
	Failed                    // the system refused for another reason
)

// Reduced says why control groups are not used, and thereby what is reduced: descendants that leave their
// group and session and erase their environment can then be named but not be killed.
type Reduced struct {
	Cause Cause
	Where string // the directory, if there is one
	Err   error  // the system's, if there is one
}

// Error is a text for the log.
func (r *Reduced) Error() string {
	text := map[Cause]string{
		Unsupported:  "this system has no control groups",
		NotMounted:   "no cgroup2 hierarchy is mounted",
		Outside:      "our own control group is not visible here",
		ReadOnly:     "the cgroup2 hierarchy is mounted read-only",
		NotDelegated: "our control group belongs to another user (systemd: Delegate=yes)",
		Threaded:     "control groups below ours can hold threads only",
		Limit:        "no more control groups are allowed below ours",
		Failed:       "control groups cannot be made",
	}[r.Cause]
	if r.Where != "" {
		text += ": " + r.Where
	}
	if r.Err != nil {
		text += ": " + r.Err.Error()
	}
	return text
}

// Unwrap is the system's error.
func (r *Reduced) Unwrap() error { return r.Err }

// ErrBusy: the group still has members. It is removed as soon as the last has ended.
var ErrBusy = errors.New("the control group has members")

// ErrClosed: the Tree was closed.
var ErrClosed = errors.New("control groups: closed")

// Leftover is a group of an earlier instance that still has members.
type Leftover struct {
	// Name is the one it was created with, or the name of its directory if that cannot be told.
	Name  string
	Group *Group
}
