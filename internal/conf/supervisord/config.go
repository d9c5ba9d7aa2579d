// Package supervisord reads supervisord.conf: the files, the command line that overrides them, and the
// part of them that supervisorctl uses. The result is the program model plus the daemon's settings.
//
// Error texts are those that users and automation know (spec/supervisor 1). Reading has no side effects:
// it may be repeated at any time, and everything of the outside world comes through Environ.
package supervisord

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Dialect is the word for this format in model.Origin.
const Dialect = "supervisord"

// Error is why a command line or configuration is refused. Text is the complete message; the rest says
// where, as far as known.
type Error struct {
	Text    string
	File    string
	Line    int
	Section string
	Key     string
	// Suggestion is the word that may have been meant; empty = none is close. Only ReadProgramFile gives it; elsewhere
	// it is part of Text.
	Suggestion string
}

// Error is the text alone.
func (e *Error) Error() string { return e.Text }

// UsageText is the form in which both programs print such an error on standard error before they exit
// with status 2. Source: spec/supervisor 1.1.
func UsageText(prog string, err error) string {
	return "Error: " + err.Error() + "\nFor help, use " + prog + " -h\n"
}

// Message is a line for the activity log that came up while reading.
type Message struct {
	Level units.Level
	Text  string
	// Hint: it is for people who ask what is wrong, as nothing need be.
	Hint bool `json:",omitzero"`
}

// Config is everything that one reading gave.
type Config struct {
	Settings      Settings
	Servers       []Server // inet ones first, each kind in file order
	RPCInterfaces []RPCInterface
	Model         *model.Config
	Messages      []Message // criticals, warnings, infos, debug lines
	Strict        bool      // [upkeep] strict=true: unknown options and sections are errors
	MetricsCompat string    // [upkeep] metrics_compat: whose names /metrics has beside its own; empty = nobody's
	Location      Location  // pass to LoadFrom to read the same file again
	Files         []string  // every file that was read, the main one first, as they are called in messages
	Native        *Native   // of LoadNative; nil = it is no native instance
	Invalid       []Invalid // of a native instance: files that cannot be used
	Foreign       *Foreign  `json:",omitempty"` // the programs are defined in another dialect; nil = they are not
	Shared        Shared    `json:"-"`          // of a native instance: what the files of programs have in common
}

// Location is a configuration file: as the user wrote it, which messages show, and absolute.
type Location struct{ Given, Path string }

// Settings is the [supervisord] section after the command line has been applied.
// Source: spec/supervisor 1.7; paths are absolute.
type Settings struct {
	ConfigFile      string // absolute
	Here            string // its directory
	LogFile         string // "syslog" for the system log
	LogFileMaxBytes int64  // 0 = no rotation
	LogFileBackups  int
	LogLevel        units.Level
	PIDFile         string
	Umask           int // used only when daemonizing
	NoDaemon        bool
	Silent          bool
	MinFDs          int
	MinProcs        int
	NoCleanup       bool
	ChildLogDir     string
	User            string // as configured; empty = unset
	UID, GID        int    // of User; -1 = unset
	Directory       string // empty = unset; used only when daemonizing
	StripANSI       bool
	Environment     []model.EnvVar // sorted by name; already merged into every program
	Identifier      string
	Profile         *Profile // nil = not asked for; accepted, without effect
}

// Profile is the argument of --profile_options.
type Profile struct {
	Sort    []string
	Callers bool
}

// Server is one HTTP listener. Source: spec/supervisor 1.7.
type Server struct {
	Section string // whole section name
	Name    string // what follows the colon; empty if none
	Unix    bool

	File  string      // unix: absolute path
	Mode  uint32      // unix
	Owner model.Owner // unix; -1 = unchanged

	Host string // inet: without brackets; empty = all addresses
	Port int    // inet

	Username, Password string // empty Username: no authentication
	InsecureHTTP       bool   // inet: serve other machines without credentials
	Origin             model.Origin
}

// URL is the address under which children and clients of this machine reach the server.
func (s *Server) URL() string {
	if s.Unix {
		return "unix://" + s.File
	}
	host := s.Host
	if host == "" {
		host = "localhost"
	}
	if addr, err := netip.ParseAddr(host); err == nil && addr.Is6() {
		host = "[" + host + "]"
	}
	return "http://" + host + ":" + strconv.Itoa(s.Port)
}

// ServerURL is what children get as SUPERVISOR_SERVER_URL: the first unix server, else the last inet one,
// else empty. Source: spec/supervisor 2.5.
func (c *Config) ServerURL() string {
	url := ""
	for i := range c.Servers {
		if c.Servers[i].Unix {
			return c.Servers[i].URL()
		}
		url = c.Servers[i].URL()
	}
	return url
}

// StandardFactory is the factory of the interface that is built in.
const StandardFactory = "supervisor.rpcinterface:make_main_rpcinterface"

// RPCInterface is one [rpcinterface:x] section.
type RPCInterface struct {
	Namespace string
	Factory   string
	Standard  bool              // the built-in one; others are not served, unless there is a Socket
	Options   map[string]string // of a factory
	// Socket is where a program answers the calls of the namespace: the absolute path of a unix socket; empty =
	// there is none. Timeout is how long it may take for one.
	Socket  string
	Timeout time.Duration
	Origin  model.Origin
}
