package supervisord

import (
	"errors"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/getopt"
	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/base/units"
)

// Args is supervisord's command line. A nil pointer is an option that was not given; the configuration
// file decides then. Source: spec/supervisor 1.2.
type Args struct {
	Prog string // argv[0], verbatim
	// Help and Version ask for a text on standard output and nothing else; what follows them on the
	// command line has not been looked at.
	Help, Version bool

	Configuration   *string // nil = search
	NoDaemon        bool
	NoKeeper        bool // ours: the daemon is one process
	Silent          bool
	NoCleanup       bool
	StripANSI       bool
	User            *string
	Umask           *int
	Directory       *string
	LogFile         *string
	LogFileMaxBytes *int64
	LogFileBackups  *int
	LogLevel        *units.Level
	PIDFile         *string
	Identifier      *string
	ChildLogDir     *string
	MinFDs          *int
	MinProcs        *int
	Profile         *Profile
}

// ParseArgs reads the words after the program's name, with this process's directory and home for the
// checks of paths. Errors are *Error with the complete text.
func ParseArgs(prog string, argv []string) (*Args, error) {
	env, err := SystemEnviron()
	if err != nil {
		return nil, err
	}
	return ParseArgsIn(env, prog, argv)
}

// option is one row of the command line's table.
type option struct {
	getopt.Option
	set func(env *Environ, a *Args, value string) error
}

// ParseArgsIn is ParseArgs with the outside world given.
func ParseArgsIn(env Environ, prog string, argv []string) (*Args, error) {
	table := argTable()
	names := make([]getopt.Option, len(table))
	for i := range table {
		names[i] = table[i].Option
	}
	found, rest, err := getopt.Parse(names, argv)
	if err != nil {
		return nil, &Error{Text: err.Error()}
	}
	if len(rest) > 0 {
		return nil, &Error{Text: "positional arguments are not supported: " + pytext.ReprList(rest)}
	}
	a := &Args{Prog: prog}
	seen := map[*getopt.Option]bool{}
	for _, m := range found {
		o := optionOf(table, names, m.Option)
		if err := o.set(&env, a, m.Value); err != nil {
			return nil, &Error{Text: "invalid value for " + m.Spelling + " " + pytext.Repr(m.Value) + ": " + err.Error()}
		}
		if a.Help || a.Version {
			return a, nil
		}
		if seen[m.Option] && o.Short != 'c' {
			return nil, &Error{Text: "conflicting command line option " + pytext.Repr(m.Spelling)}
		}
		seen[m.Option] = true
	}
	return a, nil
}

func optionOf(table []option, names []getopt.Option, which *getopt.Option) *option {
	for i := range names {
		if &names[i] == which {
			return &table[i]
		}
	}
	return nil
}

// given stores a value behind a pointer unless there was an error.
func given[T any](to **T, v T, err error) error {
	if err == nil {
		*to = &v
	}
	return err
}

func argTable() []option {
	flag := func(short rune, long string, field func(*Args) *bool) option {
		return option{getopt.Option{Short: short, Long: long}, func(_ *Environ, a *Args, _ string) error {
			*field(a) = true
			return nil
		}}
	}
	with := func(short rune, long string, set func(*Environ, *Args, string) error) option {
		return option{getopt.Option{Short: short, Long: long, Arg: true}, set}
	}
	word := func(short rune, long string, field func(*Args) **string) option {
		return with(short, long, func(_ *Environ, a *Args, v string) error { return given(field(a), v, nil) })
	}
	number := func(short rune, long string, field func(*Args) **int, parse func(string) (int64, error)) option {
		return with(short, long, func(_ *Environ, a *Args, v string) error {
			n, err := parse(v)
			return given(field(a), clampInt(n), err)
		})
	}
	checked := func(short rune, long string, field func(*Args) **string, check func(*Environ, string) (string, error)) option {
		return with(short, long, func(env *Environ, a *Args, v string) error {
			p, err := check(env, v)
			return given(field(a), p, err)
		})
	}
	return []option{
		word('c', "configuration", func(a *Args) **string { return &a.Configuration }),
		flag('n', "nodaemon", func(a *Args) *bool { return &a.NoDaemon }),
		flag(0, "no-keeper", func(a *Args) *bool { return &a.NoKeeper }),
		flag('s', "silent", func(a *Args) *bool { return &a.Silent }),
		flag('h', "help", func(a *Args) *bool { return &a.Help }),
		flag('?', "", func(a *Args) *bool { return &a.Help }),
		flag('v', "version", func(a *Args) *bool { return &a.Version }),
		word('u', "user", func(a *Args) **string { return &a.User }),
		number('m', "umask", func(a *Args) **int { return &a.Umask }, units.Octal),
		checked('d', "directory", func(a *Args) **string { return &a.Directory }, (*Environ).existingDirectory),
		checked('l', "logfile", func(a *Args) **string { return &a.LogFile }, (*Environ).existingDirPath),
		with('y', "logfile_maxbytes", func(_ *Environ, a *Args, v string) error {
			n, err := units.ByteSize(v)
			return given(&a.LogFileMaxBytes, n, err)
		}),
		number('z', "logfile_backups", func(a *Args) **int { return &a.LogFileBackups }, units.Int),
		with('e', "loglevel", func(_ *Environ, a *Args, v string) error {
			l, err := units.ParseLevel(v)
			return given(&a.LogLevel, l, err)
		}),
		checked('j', "pidfile", func(a *Args) **string { return &a.PIDFile }, (*Environ).existingDirPath),
		word('i', "identifier", func(a *Args) **string { return &a.Identifier }),
		checked('q', "childlogdir", func(a *Args) **string { return &a.ChildLogDir }, (*Environ).existingDirectory),
		flag('k', "nocleanup", func(a *Args) *bool { return &a.NoCleanup }),
		number('a', "minfds", func(a *Args) **int { return &a.MinFDs }, units.Int),
		flag('t', "strip_ansi", func(a *Args) *bool { return &a.StripANSI }),
		number(0, "minprocs", func(a *Args) **int { return &a.MinProcs }, units.Int),
		with(0, "profile_options", func(_ *Environ, a *Args, v string) error {
			return given(&a.Profile, profileOptions(v), nil)
		}),
	}
}

func profileOptions(v string) Profile {
	var p Profile
	for _, word := range units.List(v) {
		if word = strings.ToLower(word); word == "callers" {
			p.Callers = true
		} else {
			p.Sort = append(p.Sort, word)
		}
	}
	return p
}

// SearchPaths are the places where a configuration file is looked for, in order. Source: spec/supervisor 1.1.
func SearchPaths(prog string) []string {
	parent := dirName(dirName(prog))
	return []string{
		joinPath(parent, "etc/supervisord.conf"), joinPath(parent, "supervisord.conf"),
		"supervisord.conf", "etc/supervisord.conf", "/etc/supervisord.conf", "/etc/supervisor/supervisord.conf",
	}
}

// SearchWarning is printed on standard error before the search by a supervisord that runs as root without
// -c; empty in other cases. Source: spec/supervisor 1.1.
func (a *Args) SearchWarning(uid int) string {
	if uid != 0 || a.Configuration != nil {
		return ""
	}
	return "Supervisord is running as root and it is searching for its configuration file in default locations " +
		"(including its current working directory); you probably want to specify a \"-c\" argument specifying " +
		"an absolute path to a configuration file for improved security."
}

var errNotFound = errors.New("not found")

// Locate finds the configuration file. Call it once, at the start; the location stays good when the
// working directory changes. Source: spec/supervisor 1.1, 10.2 F5.
func Locate(args *Args, env Environ) (Location, error) {
	if args.Configuration != nil {
		return Location{Given: *args.Configuration, Path: env.abs(*args.Configuration)}, nil
	}
	loc, err := search(args.Prog, &env)
	if err != nil {
		return Location{}, &Error{Text: "No config file found at default paths (" + strings.Join(SearchPaths(args.Prog), ", ") +
			"); use the -c option to specify a config file at a different path"}
	}
	return loc, nil
}

func search(prog string, env *Environ) (Location, error) {
	for _, p := range SearchPaths(prog) {
		if exists(joinPath(env.Cwd, p)) {
			return Location{Given: p, Path: env.abs(p)}, nil
		}
	}
	return Location{}, errNotFound
}
