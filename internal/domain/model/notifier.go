package model

import (
	"strconv"
	"strings"
	"time"
)

// TriggerKind is what people are told about.
type TriggerKind uint8

// The triggers. Source: interfaces 5.
const (
	TriggerFatal     TriggerKind = iota // a program was given up
	TriggerBackoff                      // Count attempts in a row have failed
	TriggerUnhealthy                    // a live check fails
	TriggerCheck                        // a check has restarted a program
	TriggerOOM                          // the kernel has killed processes of it for lack of memory
	TriggerRestart                      // it has been started by itself Count times Within; 0 = each time
	TriggerStarted                      // autostart has started a program that had been running before, or at all: usrsvc
	TriggerRecovered                    // an incident is over
	TriggerDaemon                       // safe mode, a configuration that cannot be used, disks that are full
	NumTriggers      int         = iota
)

// String is the configuration word.
func (t TriggerKind) String() string {
	return [NumTriggers]string{"fatal", "backoff", "unhealthy", "check", "oom", "restart", "started", "recovered", "daemon"}[t]
}

// Trigger is one item of a notifier's on=: "fatal", "backoff:3", "restart:5/10m".
type Trigger struct {
	Kind   TriggerKind
	Count  int           `json:",omitzero"`
	Within time.Duration `json:",omitzero"`
}

// String is the item as it is configured: "backoff:3", "restart:5/10m".
func (t Trigger) String() string {
	s := t.Kind.String()
	if t.Count > 0 {
		s += ":" + strconv.Itoa(t.Count)
	}
	if t.Within > 0 {
		within := t.Within.String()
		for _, none := range [...]string{"m0s", "h0m"} {
			if strings.HasSuffix(within, none) {
				within = within[:len(within)-2]
			}
		}
		s += "/" + within
	}
	return s
}

// EmailAlerts is the name under which what is told to the addresses of single programs is counted; no section has it.
const EmailAlerts = "email_alerts"

// Notifier is one [notify:NAME] section: who is told, how, and about what.
type Notifier struct {
	Name string
	// To are destinations: mailto:ADDRESS, https://… (webhook), slack:FILE or slack+https://…, exec:COMMAND.
	To []string
	// Via is how mail goes: smtp://host:587, smtps://…, sendmail:PATH; empty = the first sendmail that is found.
	Via      string
	From     string // of mail; empty = user@host
	Username string // of SMTP
	Password string // of SMTP: a file that holds it
	Secret   string // webhook: a file that holds the key of the signature; empty = not signed
	On       []Trigger
	Groups   []string      // of whose programs; empty = all
	Repeat   time.Duration // remind while it lasts; 0 = never
	Origin   Origin
}

// Tells reports whether a notifier is to tell about a program.
func (n *Notifier) Tells(p *Program) bool {
	for _, name := range p.Notify {
		if name == "none" {
			return false
		}
	}
	if len(p.Notify) > 0 {
		for _, name := range p.Notify {
			if name == n.Name {
				return true
			}
		}
		return false
	}
	for _, g := range n.Groups {
		if g == p.ID.Group {
			return true
		}
	}
	return len(n.Groups) == 0
}
