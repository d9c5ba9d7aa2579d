// Package keeper is the process on top and the manager's link to it.
//
// The keeper holds what the kernel gives only to a living process: the other ends of pipes, handles of
// processes, listening sockets, the instance's lock, and the parenthood of programs whose manager died. It
// starts the manager, which does all the thinking, and starts it again when it dies, hangs or wants to be
// another image. It knows nothing about programs: what it holds are descriptors under keys, each with a
// note that it does not read.
//
// A process becomes the keeper by Run, or by executing an image whose main calls Main, which is how a
// keeper replaces itself and how a manager takes the place of a keeper that is gone (Become). The manager
// is connected by Attach. docs/keeper.md describes the conversation and what is promised.
// Source: architecture 2, spec/reliability R1–R7, R11.
package keeper

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/fdpass"
)

// The variables by which an image learns what it is. Their prefix keeps them from programs.
const (
	linkVariable     = "UPKEEP_KEEPER_FD"       // the manager's end of the link
	manifestVariable = "UPKEEP_KEEPER_MANIFEST" // what a keeper starts with
)

// managerName is what lists of processes call the manager.
const managerName = "upkeep-manager"

// RolePidfd is the letter of a descriptor that is the handle of the item's process. The other letters mean
// nothing to the keeper; by custom i, o and e are pipes, l is a listening socket, k a lock and x anything
// else.
const RolePidfd = 'p'

// Item is what is held under a key.
type Item struct {
	Key   string
	Note  []byte // at most 32 KiB; it comes back as it is
	Roles string // one letter a descriptor
	// FDs are at most 253 descriptors. In an item that came back, one that this process has no room for
	// is -1.
	FDs []int
	// PID is the process that the item is about, 0 = none or not known yet.
	PID int
	// Ended says that the process has ended and is held unreaped by the keeper; Raw is its wait status.
	Ended bool
	Raw   uint32
}

// Timings are the keeper's patience. A zero field stands for the value in its comment.
type Timings struct {
	Backoff     time.Duration // 10 ms: the pause before the first restart, doubled with each
	BackoffMax  time.Duration // 5 s
	Settled     time.Duration // 10 s: a manager that was READY so long has proved itself
	ReadyWithin time.Duration // 30 s: from the start of a manager to READY
	LeaveWithin time.Duration // 30 s: from the wish that a manager ends to its end
	ClaimWithin time.Duration // 5 s: the same, when another keeper asks for everything
	PingEvery   time.Duration // 10 s: between questions whether the other side lives
	HangAfter   time.Duration // 25 s: from the last answer to the end of patience
	SafeCrashes int           // 5: so many crashes …
	SafeWindow  time.Duration // 60 s: … in so long lead to safe mode
}

// filled replaces zeros.
func (t Timings) filled() Timings {
	for _, f := range []struct {
		p *time.Duration
		d time.Duration
	}{
		{&t.Backoff, 10 * time.Millisecond},
		{&t.BackoffMax, 5 * time.Second},
		{&t.Settled, 10 * time.Second},
		{&t.ReadyWithin, 30 * time.Second},
		{&t.LeaveWithin, 30 * time.Second},
		{&t.ClaimWithin, 5 * time.Second},
		{&t.PingEvery, 10 * time.Second},
		{&t.HangAfter, 25 * time.Second},
		{&t.SafeWindow, 60 * time.Second},
	} {
		if *f.p <= 0 {
			*f.p = f.d
		}
	}
	if t.SafeCrashes <= 0 {
		t.SafeCrashes = 5
	}
	return t
}

// Options say what a keeper keeps.
type Options struct {
	Argv []string // of the manager, and of a keeper that replaces itself
	Env  []string // of the manager
	// Image is what the manager executes, "" = the image of this process.
	Image string
	// Items are held from the beginning. Their descriptors belong to the keeper.
	Items []Item
	// Ready is called when the first manager is READY, for whoever waits for the daemon; nil = nobody.
	// An error of it is written to standard error and changes nothing.
	Ready func() error
	// Socket is the path where another keeper can claim everything, "" = nowhere. When it cannot be made,
	// the keeper says so on standard error and does without.
	Socket  string
	Timings Timings
}

// Supported reports whether there can be a keeper on this system.
func Supported() bool { return fdpass.Supported() }

// Run is the keeper. It returns when everything has ended, with the status that the process is to end
// with: what the manager wished by End, or the manager's own when the first one never was READY.
func Run(o Options) (status int) {
	k, err := newKeeper(o.Timings)
	if err != nil {
		complain(err)
		return 1
	}
	if err := k.begin(o); err != nil {
		complain(err)
		k.close()
		return 1
	}
	return k.run()
}

// Main is called first thing in main. When this process was executed to be a keeper, it is one until
// everything has ended, and the process ends with status; otherwise handled is false.
func Main() (handled bool, status int) {
	fd, ok := take(manifestVariable)
	if !ok {
		return false, 0
	}
	k, err := restore(fd)
	if err != nil {
		complain(err)
		return true, 1
	}
	return true, k.run()
}

// Become makes this process, a manager without a keeper, the keeper of items, whose descriptors go with
// it. Processes that it started stay its children. o is what the new keeper's manager is started with;
// o.Items, o.Ready and the environment's private part are not used. listening is called when everything can be claimed, so
// that nobody who learns from it who has the instance claims too early; nil = nobody does. It returns only on failure, and
// then nothing has changed.
func Become(o Options, items []Item, listening func()) error {
	image := -1
	var err error
	if o.Image == "" {
		image, err = fdpass.Self()
	} else {
		image, err = fdpass.OpenImage(o.Image)
	}
	if err != nil {
		return fmt.Errorf("become the keeper: %w", err)
	}
	defer fdpass.CloseAll([]int{image})
	s := state{
		Timings: o.Timings.filled(), Socket: o.Socket, Path: origin(o), Image: image, Link: -1, ManagerPidfd: -1,
		Listener: -1, EverReady: true, Last: "its keeper was gone",
	}
	all := make([]*held, 0, len(items))
	for _, it := range items {
		if len(it.Roles) != len(it.FDs) {
			return fmt.Errorf("become the keeper: %s has %d roles for %d descriptors", it.Key, len(it.Roles), len(it.FDs))
		}
		all = append(all, &held{Item: whole(it)})
	}
	if o.Socket != "" {
		if fd, err := fdpass.Listen(o.Socket); err == nil { // else the keeper tries it again, and says why it cannot
			s.Listener = fd
		}
	}
	if listening != nil {
		listening()
	}
	err = execute(s, all, o.Argv, o.Env, func() []int { return nil })
	if s.Listener >= 0 {
		fdpass.CloseAll([]int{s.Listener})
		_ = os.Remove(o.Socket)
	}
	return fmt.Errorf("become the keeper: %w", err)
}

// whole is an item without the descriptors that it has lost.
func whole(it Item) Item {
	var roles []byte
	var fds []int
	for i, fd := range it.FDs {
		if fd >= 0 {
			roles, fds = append(roles, it.Roles[i]), append(fds, fd)
		}
	}
	it.Roles, it.FDs = string(roles), fds
	return it
}

// origin is the path that the running image was started from: where an upgrade is looked for when no
// other place is named.
func origin(o Options) string {
	if o.Image != "" {
		return o.Image
	}
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	self = strings.TrimSuffix(self, " (deleted)")
	if len(o.Argv) == 0 {
		return self
	}
	// The name that was called may be a link that leads to the next release one day.
	called, err := exec.LookPath(o.Argv[0])
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return self
	}
	if called, err = filepath.Abs(called); err != nil {
		return self
	}
	own, err := fdpass.Self()
	if err != nil {
		return self
	}
	defer fdpass.CloseAll([]int{own})
	named, err := fdpass.OpenImage(called)
	if err != nil {
		return self
	}
	defer fdpass.CloseAll([]int{named})
	if !fdpass.SameImage(own, named) {
		return self
	}
	return called
}

// complain tells whoever started us; there is no log without a manager.
func complain(err error) { fmt.Fprintf(os.Stderr, "upkeep keeper: %v\n", err) }
