// Package model holds the one description of what should run: programs, groups, and the states that
// every face shows. Values are immutable once published; adapters (conf/…) build them, the engine reads them.
package model

import (
	"math"
	"strings"
	"time"
)

// ID names one program: the group it belongs to and its name inside that group.
// A section with numprocs=3 yields three programs.
type ID struct{ Group, Name string }

// String is the display form: the bare name when group and name are equal, else "group:name".
// Source: spec/supervisor 6.4.
func (id ID) String() string {
	if id.Group == id.Name {
		return id.Name
	}
	return id.Namespec()
}

// Namespec is the full form "group:name". Source: spec/supervisor 5.5.
func (id ID) Namespec() string { return id.Group + ":" + id.Name }

// SplitNamespec reads a namespec: "group:name", or "name" for "name:name". single is false for "group:*" and
// "group:", which stand for the whole group. Source: spec/supervisor 5.5.
func SplitNamespec(namespec string) (id ID, single bool) {
	group, name, ok := strings.Cut(namespec, ":")
	switch {
	case !ok:
		return ID{Group: namespec, Name: namespec}, true
	case name == "" || name == "*":
		return ID{Group: group}, false
	}
	return ID{Group: group, Name: name}, true
}

// Kind tells what a section declares.
type Kind uint8

// The kinds of a program.
const (
	KindProgram Kind = iota
	KindEventListener
	KindFastCGI
)

// String is the section prefix of the kind: program, eventlistener, fcgi-program.
func (k Kind) String() string { return [...]string{"program", "eventlistener", "fcgi-program"}[k] }

// Config is everything that should run, in the order of evaluation: groups ascending (priority, name).
type Config struct {
	Groups    []*Group
	Notifiers []*Notifier // in the order of their sections
}

// Group finds a group by name; nil when there is none.
func (c *Config) Group(name string) *Group {
	for _, g := range c.Groups {
		if g.Name == name {
			return g
		}
	}
	return nil
}

// Group is a set of programs that is added, removed and replaced as one.
type Group struct {
	Name     string     `json:",omitzero"`
	Priority int        `json:",omitzero"`
	Kind     Kind       `json:",omitzero"` // KindProgram also for [group:x], whose members may be of several sections
	Programs []*Program `json:",omitzero"`
	Pool     *Pool      `json:",omitzero"` // event listeners only
	Origin   Origin     `json:",omitzero"`
}

// Pool is the subscription of an event listener group. Source: spec/supervisor 1.7, 4.
type Pool struct {
	Events        []string `json:",omitzero"` // upper-case names, as configured, without duplicates
	Buffer        int      `json:",omitzero"` // events held, ≥ 1
	ResultHandler string   `json:",omitzero"`
	LenBytes      bool     `json:",omitzero"` // event_len=bytes: len counts bytes instead of characters
	// Timeout is how long a listener may take for an event, or to say READY while events wait, until it is restarted
	// (event_timeout); 0 = for ever.
	Timeout time.Duration `json:",omitzero"`
}

// SocketSpec is a listening socket that the processes of a section share. Source: spec/supervisor 2.11.
type SocketSpec struct {
	URL     string `json:",omitzero"` // unix:///path or tcp://host:port
	Owner   *Owner `json:",omitzero"` // unix only; nil = unchanged
	Mode    uint32 `json:",omitzero"` // unix only
	Backlog int    `json:",omitzero"` // 0 = the system's maximum
}

// Owner is a numeric owner; -1 leaves that half unchanged.
type Owner struct{ UID, GID int }

// Program is one process slot and everything that is to be known to run it. Its JSON form leaves out what is zero: the
// journal keeps one for each program in memory.
type Program struct {
	ID      ID     `json:",omitzero"`
	Section string `json:",omitzero"` // the template's name: x of [program:x]
	Kind    Kind   `json:",omitzero"`
	// Disabled: it may not be started, by anybody (enabled=false).
	Disabled bool         `json:",omitzero"`
	Priority int          `json:",omitzero"`
	Command  Command      `json:",omitzero"`
	Start    StartPolicy  `json:",omitzero"`
	Stop     StopPolicy   `json:",omitzero"`
	Exit     ExitPolicy   `json:",omitzero"`
	IO       IOSpec       `json:",omitzero"`
	Attach   AttachSpec   `json:",omitzero"`
	Depends  []Dependency `json:",omitzero"`
	Checks   []Check      `json:",omitzero"`
	// Notify are the notifiers that tell about it; empty = those whose groups say so, "none" = no one. Email are further
	// addresses that are told of what usrsvc tells (email_alerts).
	Notify []string `json:",omitzero"`
	Email  []string `json:",omitzero"`
	// Reload is the signal that has it read its own configuration anew (reload_signal); 0 = there is none.
	Reload int `json:",omitzero"`
	// ServerURL overrides SUPERVISOR_SERVER_URL of the child; empty = AUTO.
	ServerURL string      `json:",omitzero"`
	Socket    *SocketSpec `json:",omitzero"` // its descriptor 0, shared by all processes of its section; nil = a pipe
	Origin    Origin      `json:",omitzero"`
}

// Command is what to execute and in which surroundings.
type Command struct {
	Line  string   `json:",omitzero"` // as configured, expanded; split by shell words at the time of the start
	Dir   string   `json:",omitzero"` // empty = the daemon's
	Env   []EnvVar `json:",omitzero"` // the program's own and the global settings merged, sorted by name
	Umask int      `json:",omitzero"` // -1 = the daemon's
	UID   int      `json:",omitzero"` // -1 = the daemon's
	User  string   `json:",omitzero"` // as configured; empty when UID is -1
	// IgnoreSIGPIPE starts the program with SIGPIPE and SIGXFSZ ignored, as the original does
	// (child_sigpipe=ignore). Default: default dispositions.
	IgnoreSIGPIPE bool `json:",omitzero"`
	// Clear leaves out what the daemon has in its environment: the program gets Env and nothing else (inherit_env=false).
	Clear bool `json:",omitzero"`
}

// EnvVar is one NAME=VALUE.
type EnvVar struct{ Name, Value string }

// StartPolicy says when and how a start counts. Source: spec/supervisor 2.4.
type StartPolicy struct {
	Auto    bool          `json:",omitzero"`
	Secs    time.Duration `json:",omitzero"` // a start is confirmed when the process lived longer than this
	Retries int           `json:",omitzero"` // further attempts after the first; the wait grows 1, 2, 3 … s. Endless = no limit
	// Delay is the least time between the end of an instance and a start that comes by itself (restart_delay).
	Delay time.Duration `json:",omitzero"`
	// Timeout is how long the checks of the startup stage may take to pass before the start has failed; 0 = for ever.
	Timeout time.Duration `json:",omitzero"`
}

// Endless is the number of retries that never runs out (startretries=unlimited). Numbers below 0 mean what 0 does, and the
// original shows them as they are, so that -1 is none of ours.
const Endless = math.MinInt32

// Reach says how far a signal goes.
type Reach uint8

// The reaches of a stop.
const (
	ReachProcess Reach = iota // the main process
	ReachGroup                // its process group
	ReachTree                 // everything it ever started
)

// StopPolicy says how a program is ended. Source: spec/supervisor 2.7.
type StopPolicy struct {
	Signal    int           `json:",omitzero"` // first signal, by number
	Wait      time.Duration `json:",omitzero"` // then KILL, repeated at this interval
	Reach     Reach         `json:",omitzero"` // of the first signal
	KillReach Reach         `json:",omitzero"` // of the KILL
}

// Restart says when an ended program is started again.
type Restart uint8

// The restart policies, in the words of autorestart.
const (
	RestartUnexpected Restart = iota
	RestartNever
	RestartAlways
)

// String is the configuration word: unexpected, false, true.
func (r Restart) String() string { return [...]string{"unexpected", "false", "true"}[r] }

// ExitPolicy says what an end means.
type ExitPolicy struct {
	Restart Restart `json:",omitzero"`
	Codes   []int   `json:",omitzero"` // expected exit codes
}

// Expected reports whether an end with this exit code is an expected one. Death by a signal is code -1
// and never expected.
func (p ExitPolicy) Expected(code int) bool {
	for _, c := range p.Codes {
		if c == code {
			return true
		}
	}
	return false
}

// IOSpec says where input comes from and output goes to.
type IOSpec struct {
	Stdout, Stderr Stream `json:",omitzero"`
	MergeStderr    bool   `json:",omitzero"` // redirect_stderr: stderr is the stdout pipe, Stderr is unused
	// NoStdin gives the program the null device as its standard input instead of a pipe (stdin=none): a descriptor
	// less in each process of ours, for those who have very many programs.
	NoStdin bool `json:",omitzero"`
	// Direct has the program write its log files itself (log_mode=direct): nothing of ours is needed for its output, and
	// nothing of it is rotated, captured or an event. It has no stdin then.
	Direct bool `json:",omitzero"`
	// BlockWhenFull makes the program wait while its log cannot be written (log_full=block). Default: what
	// does not fit in memory is dropped, and a record in the log counts it. Source: spec/reliability R18.
	BlockWhenFull bool `json:",omitzero"`
}

// LogKind is the kind of a stream's log.
type LogKind uint8

// The kinds of logs.
const (
	LogNone LogKind = iota
	LogAuto         // a file made at start under childlogdir
	LogFile         // Path
)

// Stream is one output channel of a program. Source: spec/supervisor 3.
type Stream struct {
	Path         string  `json:",omitzero"` // LogFile: as configured; LogAuto: empty
	MaxBytes     int64   `json:",omitzero"` // rotate at this size; 0 = never
	Backups      int     `json:",omitzero"`
	CaptureBytes int64   `json:",omitzero"` // 0 = no capture mode
	Log          LogKind `json:",omitzero"`
	Events       bool    `json:",omitzero"` // PROCESS_LOG events
	Syslog       bool    `json:",omitzero"`
}

// Origin says where a definition was written.
type Origin struct {
	File    string `json:",omitzero"`
	Line    int    `json:",omitzero"` // 0 = unknown
	Dialect string `json:",omitzero"` // "supervisord"
}
