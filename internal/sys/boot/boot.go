// Package boot has an instance started by the machine: at its start, or when a user logs in. There is one
// Backend for each mechanism of starting things (systemd, OpenRC, SysV, upstart, launchd, cron, Windows).
// Each says whether it is the one that runs here, plans an entry, and reads back what the mechanism itself
// says of it. A Plan is a list of steps that can be shown before anything is touched; applying it takes
// back what was done when a step fails.
//
// An entry runs the daemon in the foreground and nothing else: which programs run follows from the state of
// the instance. What was not written by this package is never overwritten and never removed; a line in each
// file says who wrote it. Source: spec/chalmers 9 (CH-70…CH-76), one-model C15.
package boot

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// When an entry takes effect.
const (
	AtBoot  = "boot"  // when the machine starts
	AtLogin = "login" // when the user logs in, until they log out
)

// Target is what is to be started.
type Target struct {
	// Name is the name of the entry: upkeep, upkeep-alice, supervisord-shop. Letters, digits and _.- only.
	Name string
	// User is the account that the instance belongs to, for an entry that root makes for somebody else; "" is
	// whoever runs this.
	User string
	// At is AtBoot or AtLogin; "" is AtBoot.
	At string
	// Command runs the daemon in the foreground: an absolute path and arguments.
	Command []string
	// Launch starts the daemon in the background and ends, for mechanisms that would show a window as long as what they
	// have started runs; nil = they run Command.
	Launch []string
	// System says that the instance is that of the machine, not of a person: a mechanism that gives it all rights may run it.
	System bool
	// Stop, Reload and Status are commands for mechanisms that do not keep the daemon's process themselves; Status
	// exits with 0 while the daemon runs. Without them the daemon gets TERM (an ordered stop) and HUP, and is looked
	// for by PidFile.
	Stop, Reload, Status []string
	// PidFile is where the daemon itself keeps its pid, so that it is true after a keeper was replaced; "" =
	// nowhere.
	PidFile string
	// Env are NAME=VALUE to be set for the daemon.
	Env []string
	// Description is one line for people.
	Description string
	// Now has the entry started at once as well.
	Now bool
}

// TargetError says what is wrong with a Target.
type TargetError struct{ Field, Reason string }

func (e *TargetError) Error() string { return fmt.Sprintf("boot entry: %s: %s", e.Field, e.Reason) }

// isName reports whether a text is what every mechanism takes as part of a file name and as an argument: up to 100 letters,
// digits and _.- of which the first is a letter or a digit.
func isName(text string) bool {
	return text != "" && len(text) <= 100 && madeOf(text[:1], "") && madeOf(text, "_.-")
}

// madeOf reports whether a text has nothing but letters and digits of ASCII and the characters of more.
func madeOf(text, more string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(more, r)
	})
}

// Check is nil or *TargetError. Nothing that could end a line or a word of an entry goes any further.
func (t Target) Check() error {
	switch {
	case !isName(t.Name):
		return &TargetError{"name", fmt.Sprintf("%q is not made of letters, digits and _.- alone", t.Name)}
	case t.User != "" && !isName(t.User):
		return &TargetError{"user", fmt.Sprintf("%q is no name of an account", t.User)}
	case t.At != "" && t.At != AtBoot && t.At != AtLogin:
		return &TargetError{"at", fmt.Sprintf("%q is neither %s nor %s", t.At, AtBoot, AtLogin)}
	case len(t.Command) == 0 || !absolute(t.Command[0]):
		return &TargetError{"command", "it does not begin with an absolute path"}
	}
	for _, e := range t.Env {
		if name, _, ok := strings.Cut(e, "="); !ok || !isVariable(name) {
			return &TargetError{"environment", fmt.Sprintf("%q is not NAME=VALUE", e)}
		}
	}
	for _, words := range [][]string{t.Command, t.Stop, t.Reload, t.Status, t.Env, {t.PidFile, t.Description}} {
		for _, w := range words {
			if strings.ContainsFunc(w, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				return &TargetError{"text", fmt.Sprintf("%q has a control character", w)}
			}
		}
	}
	return nil
}

// isVariable reports whether a text is a name of a variable of the environment.
func isVariable(text string) bool {
	return text != "" && (text[0] < '0' || text[0] > '9') && madeOf(text, "_")
}

// absolute also knows the paths of Windows, whose entries can be planned anywhere.
func absolute(path string) bool {
	return filepath.IsAbs(path) || strings.HasPrefix(path, "/") || len(path) > 2 && path[1] == ':' && (path[2] == '\\' || path[2] == '/')
}

func (t Target) atLogin() bool { return t.At == AtLogin }

// State is what a mechanism says of an entry.
type State struct {
	// Found: there is an entry of this name, ours or not.
	Found bool
	// Enabled: the mechanism will start it.
	Enabled bool
	// Active: the mechanism has started it and it runs. Mechanisms that do not know (cron) say false.
	Active bool
	// At is when it takes effect: AtBoot or AtLogin.
	At string
	// Place is the file, the crontab or the key that holds the entry.
	Place string
	// Foreign says why the entry is not ours; "" = it is.
	Foreign string
	// Stale says how an entry of ours differs from the one that would be written now, a moved binary for
	// example; "" = it does not.
	Stale string
	// Says are the mechanism's own words.
	Says string
}

// Backend is one mechanism.
type Backend interface {
	// Name is systemd, systemd-user, openrc, sysv, upstart, launchd, launchd-agent, cron, windows-service or
	// windows-logon.
	Name() string
	// Detect reports whether it runs here and can hold this entry, and why.
	Detect(ctx context.Context, t Target) (usable bool, why string)
	// Plan is how the entry is made, over an older one of ours as well. *TargetError, *ForeignError, or an error
	// of the system.
	Plan(ctx context.Context, t Target) (Plan, error)
	// Status asks the mechanism. An error means that it did not answer.
	Status(ctx context.Context, t Target) (State, error)
	// Undo is how exactly what Plan makes is removed. A daemon that runs is not touched. Nothing to remove is an
	// empty plan; *ForeignError when the entry is not ours.
	Undo(ctx context.Context, t Target) (Plan, error)
}

// ForeignError says that what is at the place of an entry was not written by this package, so that it stays.
type ForeignError struct{ Place, Reason string }

func (e *ForeignError) Error() string { return fmt.Sprintf("%s is not ours: %s", e.Place, e.Reason) }

// Considered is a mechanism that was looked at.
type Considered struct {
	Name   string
	Usable bool
	Why    string
}

// ErrNone says that no mechanism of this machine can hold the entry.
var ErrNone = errors.New("nothing here can start it")

// UnusableError says that the mechanism that was asked for cannot be used.
type UnusableError struct {
	Name, Why string
	Known     []string // set when there is no mechanism of this name
}

func (e *UnusableError) Error() string {
	if len(e.Known) > 0 {
		return fmt.Sprintf("there is no way to start named %q; there are %s", e.Name, strings.Join(e.Known, ", "))
	}
	return fmt.Sprintf("%s cannot be used: %s", e.Name, e.Why)
}

// Backends are the mechanisms in the order in which they are preferred.
func (h *Host) Backends() []Backend {
	return []Backend{
		systemd{h, false},
		systemd{h, true},
		openrc{h},
		upstart{h},
		sysv{h},
		launchd{h, false},
		launchd{h, true},
		windowsService{h},
		windowsLogon{h},
		cron{h},
	}
}

// Choose picks the mechanism that runs here, or the one named by override, and tells what was considered on
// the way. Errors: *TargetError, *UnusableError, ErrNone.
func (h *Host) Choose(ctx context.Context, t Target, override string) (Backend, []Considered, error) {
	if err := t.Check(); err != nil {
		return nil, nil, err
	}
	var seen []Considered
	var names []string
	for _, b := range h.Backends() {
		names = append(names, b.Name())
		if override != "" && b.Name() != override {
			continue
		}
		usable, why := b.Detect(ctx, t)
		seen = append(seen, Considered{b.Name(), usable, why})
		switch {
		case usable:
			return b, seen, nil
		case override != "":
			return nil, seen, &UnusableError{Name: override, Why: why}
		}
	}
	if override != "" {
		return nil, seen, &UnusableError{Name: override, Known: names}
	}
	return nil, seen, ErrNone
}

// Entry is an entry that exists.
type Entry struct {
	Backend Backend
	State   State
}

// Entries are the entries of this name in all mechanisms that this host has files of, so that one that was
// made when another mechanism ran is found as well.
func (h *Host) Entries(ctx context.Context, t Target) ([]Entry, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	var out []Entry
	var trouble []error
	for _, b := range h.Backends() {
		s, err := b.Status(ctx, t)
		if err != nil {
			trouble = append(trouble, fmt.Errorf("%s: %w", b.Name(), err))
		}
		if s.Found {
			out = append(out, Entry{b, s})
		}
	}
	return out, errors.Join(trouble...)
}

// Daemon runs a daemon, as a service when Windows has started this process as one: stop is closed then when it is to end.
// In every other process stop is nil. The status and the error are those of run.
func Daemon(run func(stop <-chan struct{}) (int, error)) (int, error) {
	var err error
	handled, status, failed := AsService(context.Background(), func(ctx context.Context) (status int) {
		if status, err = run(ctx.Done()); err != nil {
			status = max(status, 1)
		}
		return status
	})
	if handled || failed != nil {
		return status, errors.Join(err, failed)
	}
	return run(nil)
}
