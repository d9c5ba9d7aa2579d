// Package model holds the one description of what should run: programs, groups, and the states that
// every face shows. Values are immutable once published; adapters (conf/…) build them, the engine reads them.
package model

import (
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
	Groups []*Group
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
	Name     string
	Priority int
	Kind     Kind // KindProgram also for [group:x], whose members may be of several sections
	Programs []*Program
	Pool     *Pool // event listeners only
	Origin   Origin
}

// Pool is the subscription of an event listener group. Source: spec/supervisor 1.7, 4.
type Pool struct {
	Events        []string // upper-case names, as configured, without duplicates
	Buffer        int      // events held, ≥ 1
	ResultHandler string
	LenBytes      bool // event_len=bytes: len counts bytes instead of characters
	// Timeout is how long a listener may take for an event, or to say READY while events wait, until it is restarted
	// (event_timeout); 0 = for ever.
	Timeout time.Duration
}

// SocketSpec is a listening socket that the processes of a section share. Source: spec/supervisor 2.11.
type SocketSpec struct {
	URL     string // unix:///path or tcp://host:port
	Owner   *Owner // unix only; nil = unchanged
	Mode    uint32 // unix only
	Backlog int    // 0 = the system's maximum
}

// Owner is a numeric owner; -1 leaves that half unchanged.
type Owner struct{ UID, GID int }

// Program is one process slot and everything that is to be known to run it.
type Program struct {
	ID       ID
	Section  string // the template's name: x of [program:x]
	Kind     Kind
	Priority int
	Command  Command
	Start    StartPolicy
	Stop     StopPolicy
	Exit     ExitPolicy
	IO       IOSpec
	// ServerURL overrides SUPERVISOR_SERVER_URL of the child; empty = AUTO.
	ServerURL string
	Socket    *SocketSpec // its descriptor 0, shared by all processes of its section; nil = a pipe
	Origin    Origin
}

// Command is what to execute and in which surroundings.
type Command struct {
	Line  string   // as configured, expanded; split by shell words at the time of the start
	Dir   string   // empty = the daemon's
	Env   []EnvVar // the program's own and the global settings merged, sorted by name
	Umask int      // -1 = the daemon's
	UID   int      // -1 = the daemon's
	User  string   // as configured; empty when UID is -1
	// IgnoreSIGPIPE starts the program with SIGPIPE and SIGXFSZ ignored, as the original does
	// (child_sigpipe=ignore). Default: default dispositions.
	IgnoreSIGPIPE bool
}

// EnvVar is one NAME=VALUE.
type EnvVar struct{ Name, Value string }

// StartPolicy says when and how a start counts. Source: spec/supervisor 2.4.
type StartPolicy struct {
	Auto    bool
	Secs    time.Duration // a start is confirmed when the process lived longer than this
	Retries int           // further attempts after the first; the wait grows 1, 2, 3 … s
}

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
	Signal    int           // first signal, by number
	Wait      time.Duration // then KILL, repeated at this interval
	Reach     Reach         // of the first signal
	KillReach Reach         // of the KILL
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
	Restart Restart
	Codes   []int // expected exit codes
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
	Stdout, Stderr Stream
	MergeStderr    bool // redirect_stderr: stderr is the stdout pipe, Stderr is unused
	// BlockWhenFull makes the program wait while its log cannot be written (log_full=block). Default: what
	// does not fit in memory is dropped, and a record in the log counts it. Source: spec/reliability R18.
	BlockWhenFull bool
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
	Log          LogKind
	Path         string // LogFile: as configured; LogAuto: empty
	MaxBytes     int64  // rotate at this size; 0 = never
	Backups      int
	CaptureBytes int64 // 0 = no capture mode
	Events       bool  // PROCESS_LOG events
	Syslog       bool
}

// Origin says where a definition was written.
type Origin struct {
	File    string
	Line    int    // 0 = unknown
	Dialect string // "supervisord"
}
