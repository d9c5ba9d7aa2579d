package model

import (
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/words"
)

// CheckKind is what a check looks at.
type CheckKind uint8

// The kinds of checks.
const (
	CheckActivity  CheckKind = iota // Target: a file or directory that is to change at least every Age
	CheckMemory                     // Limit: resident bytes
	CheckCPU                        // Limit: percent of one processor, over the time since the last look
	CheckFiles                      // Limit: open descriptors
	CheckTCP                        // Target: host:port that is to accept a connection
	CheckUnix                       // Target: path of a socket that is to accept one
	CheckHTTP                       // Target: address whose answer is to have one of Status, and Pattern in its body
	CheckCommand                    // Target: command line that is to end with 0
	CheckLog                        // Pattern: a line of the output that is not to come (live) or to come (startup, ready)
	CheckNotify                     // READY=1 by sd_notify
	CheckHeartbeat                  // WATCHDOG=1 by sd_notify at least every Age
	NumCheckKinds  int       = iota
)

// String is the configuration word.
func (k CheckKind) String() string {
	return [NumCheckKinds]string{
		"activity", "memory", "cpu", "files", "tcp", "unix", "http", "command", "log", "notify", "heartbeat",
	}[k]
}

// Stage says what a check decides.
type Stage uint8

// The stages.
const (
	StageLive    Stage = iota // whether a running program is well: its failure has an action
	StageReady                // whether others may rely on it: no action, but what depends on it waits
	StageStartup              // whether a start has succeeded: the program is STARTING until it passes
)

// String is the configuration word: live, ready, startup.
func (s Stage) String() string { return [...]string{"live", "ready", "startup"}[s] }

// CheckAction is what a failed check does.
type CheckAction uint8

// The actions. Each failure is also an event and shown.
const (
	CheckRestart CheckAction = iota // ends the instance and starts the program anew
	CheckAlert                      // tells people
	CheckEvent                      // nothing more
)

// String is the configuration word: restart, alert, event.
func (a CheckAction) String() string { return [...]string{"restart", "alert", "event"}[a] }

// Check is one thing that is looked at, again and again, while a program has an instance. The zero value of a field means
// that it does not matter for the kind; defaults are filled in where the configuration is read.
type Check struct {
	Name    string    `json:",omitzero"` // unique in its program
	Kind    CheckKind `json:",omitzero"`
	Stage   Stage     `json:",omitzero"`
	Target  string    `json:",omitzero"` // path, address, URL or command line; log: the file to look through, empty = what the program writes
	Pattern string    `json:",omitzero"` // RE2: in a line (log), in the body (http)
	Stderr  bool      `json:",omitzero"` // log: lines of stderr instead of stdout
	Status  string    `json:",omitzero"` // http: accepted codes, "200-399" or "200,204"
	Limit   int64     `json:",omitzero"` // memory: bytes; cpu: percent of one processor; files: descriptors
	Tree    bool      `json:",omitzero"` // memory, cpu, files: of the process and all it has started
	PSS     bool      `json:",omitzero"` // memory: shared pages count in proportion
	// Age is how long nothing may happen: activity, heartbeat.
	Age       time.Duration `json:",omitzero"`
	MissingOK bool          `json:",omitzero"` // activity: a path that is not there passes
	Deep      bool          `json:",omitzero"` // activity: everything below a directory counts
	// Every is the time between two looks; Timeout how long one may take.
	Every, Timeout time.Duration `json:",omitzero"`
	// After is the age of the instance before which a live check does not look (monitor_after).
	After time.Duration `json:",omitzero"`
	// Failures and Passes are how many in a row change the verdict, ≥ 1.
	Failures, Passes int         `json:",omitzero"`
	Action           CheckAction `json:",omitzero"` // live checks only
}

// String is the check as check.NAME would have it, with all that matters for it.
func (c Check) String() string {
	s := c.Name + "=" + c.Kind.String()
	file, target, pattern := "", c.Target, c.Pattern
	if c.Kind == CheckLog {
		file, target, pattern = target, pattern, ""
	}
	if target != "" {
		if key, _, ok := strings.Cut(target, "="); ok && key != "" && strings.Trim(key, "abcdefghijklmnopqrstuvwxyz") == "" {
			s += " target=" + words.Quote(target)
		} else {
			s += " " + words.Quote(target)
		}
	}
	of := "tree"
	if c.Stderr {
		of = "stderr"
	}
	for _, v := range []struct {
		key  string
		text string
		said bool
	}{
		{"stage", c.Stage.String(), c.Stage != StageLive},
		{"of", of, c.Stderr || c.Tree},
		{"file", file, file != ""},
		{"measure", "pss", c.PSS},
		{"status", c.Status, c.Status != ""},
		{"body", pattern, pattern != ""},
		{"max", c.limit(), c.Limit != 0},
		{"age", c.Age.String(), c.Age != 0},
		{"missing", "ok", c.MissingOK},
		{"deep", "yes", c.Deep},
		{"every", c.Every.String(), c.Every != 0},
		{"timeout", c.Timeout.String(), c.Timeout != 0},
		{"after", c.After.String(), c.After != 0 || c.Stage == StageLive},
		{"failures", strconv.Itoa(c.Failures), c.Failures != 0},
		{"passes", strconv.Itoa(c.Passes), c.Passes != 0},
		{"then", c.Action.String(), c.Action != CheckRestart},
	} {
		if v.said {
			s += " " + v.key + "=" + words.Quote(v.text)
		}
	}
	return s
}

// limit is the limit as max= would have it.
func (c Check) limit() string {
	if c.Kind == CheckMemory {
		for i, unit := range [...]string{"GB", "MB", "KB"} {
			if size := int64(1) << (30 - 10*i); c.Limit%size == 0 {
				return strconv.FormatInt(c.Limit/size, 10) + unit
			}
		}
	}
	return strconv.FormatInt(c.Limit, 10)
}

// Staged reports whether a program has a check of a stage.
func (p *Program) Staged(s Stage) bool {
	for i := range p.Checks {
		if p.Checks[i].Stage == s {
			return true
		}
	}
	return false
}

// Verdict is what is known of a check.
type Verdict uint8

// The verdicts.
const (
	Unjudged Verdict = iota // it has not looked often enough
	Passing
	Failing
)

// String is passing, failing or none.
func (v Verdict) String() string { return [...]string{"none", "passing", "failing"}[v] }

// CheckState is what a check has found out about the present instance.
type CheckState struct {
	Check    Check
	Verdict  Verdict
	Text     string        // what the last look has found, for people: "503 Service Unavailable", "612 MB, limit 512 MB"
	At       time.Time     // of the last look; zero = none yet
	Took     time.Duration // that look
	Times    Times         // how long looks took, since the daemon has begun
	Looks    uint64        // since the daemon has begun
	Failed   uint64        // of those
	Acted    uint64        // how often its action was taken
	Disabled string        // why it does not look: the system cannot; empty = it does
}
