// Package chalmers is the command line that users of chalmers know, over the instance of a user: with that tool's commands,
// options, words and layouts. What it does itself differs where that was a trap: a command that failed does not exit with
// 0, one broken program does not stop the others, and start answers when the outcome is known.
//
// The first command that looks takes over what is in that tool's store; what runs there runs on, with its pid and its log.
// Source: spec/chalmers 4, 5, 9, 14.
package chalmers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/getopt"
	"github.com/upkeep-project/upkeep/internal/conf/chalmers"
	"github.com/upkeep-project/upkeep/internal/conf/imports"
	"github.com/upkeep-project/upkeep/internal/sys/boot"
)

// Program is one program as an instance shows it.
type Program struct {
	Name    string
	Section string // that defines it
	Active  bool   // it runs, or will be started again by itself
	Failed  bool   // it was given up, or ended in a way that is no success
	Off     bool   // it does not start with the instance
	PID     int    // 0 = no process at this moment
	Started time.Time
	Ended   time.Time // zero: never
	Reason  string    // of the last change, for people
	File    string    // its definition
	Stdout  string    // its logs; empty = none
	Stderr  string    // empty also when the other one has both
}

// Definition is what a program is made of.
type Definition struct {
	Text string // empty when the file is one of the user's own
	ETag string
	// Effective are the values in force, without variables; none where no daemon runs.
	Effective []imports.Key
}

// Result is the outcome for one program; Err is nil when the wanted state was reached.
type Result struct {
	Name string
	Err  error
}

// Stream is one of the logs of a program.
type Stream uint8

// The streams.
const (
	Stdout  Stream = iota
	Stderr         // that of stdout when the program has both in one
	Control        // what happened to the program
)

// ErrExists says that there is a program with that name already.
var ErrExists = errors.New("a program with this name exists")

// Instance is what the commands need. Programs that are not there are errors of the whole call, before anything
// is done; an error that concerns one program is in its result.
type Instance interface {
	List(ctx context.Context) ([]Program, error)
	// Launch, Stop and Restart return when the outcome of each is known. With force a program is killed at once.
	Launch(ctx context.Context, names []string) ([]Result, error)
	Stop(ctx context.Context, names []string, force bool) ([]Result, error)
	Restart(ctx context.Context, names []string) ([]Result, error)
	// Add stores a definition and does not start it. Errors: ErrExists, or why it is refused.
	Add(ctx context.Context, p *imports.Program) error
	Definition(ctx context.Context, p Program) (Definition, error)
	// Set changes all options and variables, or none; Replace the whole text of that tag.
	Set(ctx context.Context, p Program, keys []imports.Key, env []imports.EnvVar) error
	Replace(ctx context.Context, p Program, text, etag string) error
	Remove(ctx context.Context, names []string) ([]Result, error)
	SetBoot(ctx context.Context, names []string, on bool) error
	ClearLogs(ctx context.Context, p Program) error
	// LogDir is the folder of logs, Activity the log of what happens to the programs.
	LogDir() string
	Activity() string
	// Entry is how the machine starts the instance, or that of another user.
	Entry(at, user string) (boot.Target, error)
	// Inherit takes over what is new in the original's store, Recover what runs there of the programs named; both say what
	// came of it. Recover returns the names that are left to be started.
	Inherit(ctx context.Context, w *imports.World) (said []string, err error)
	Recover(ctx context.Context, w *imports.World, names []string) (left, said []string, err error)
	// End stops all programs and the daemon.
	End(ctx context.Context) error
}

// Env is the world of one run.
type Env struct {
	Instance Instance
	// Within is the instance of a folder.
	Within   func(root string) (Instance, error)
	World    *imports.World
	Host     *boot.Host        // of the boot entries; nil = this machine
	Stash    string            // the folder of list --stashed; empty = the usual one
	Cwd      string            // absolute
	Vars     map[string]string // environment variables
	Stdin    io.Reader
	Stdout   io.Writer
	Stderr   io.Writer
	Terminal bool // Stdout is one
	Color    bool
	Root     bool // may change what starts with the system
	Now      func() time.Time
	Version  string
}

// Exit statuses. Source: spec/chalmers CH-28.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// usageError is a command line that makes no sense.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

// errQuiet is a failure that has been printed already.
var errQuiet = errors.New("failed")

// command is one subcommand.
type command struct {
	name, arguments, help string
	options               []getopt.Option
	alone                 bool // it is not about the programs that there are
	whole                 bool // everything from the first argument on belongs to the program that is added
	run                   func(*call) error
}

// selection are the options of commands for several programs.
func selection(more ...getopt.Option) []getopt.Option {
	return append([]getopt.Option{{Short: 'a', Long: "all"}}, more...)
}

// commands are all subcommands.
func commands() []command {
	return []command{
		{name: "add", arguments: "[options] [--] COMMAND [ARG...]", help: "Add a program to manage", whole: true, run: add, options: addOptions()},
		{name: "start", arguments: "(NAME... | -a) [-w]", help: "Start a program", run: start, options: selection(
			getopt.Option{Short: 'd', Long: "daemon"}, getopt.Option{Short: 'w', Long: "wait"}, getopt.Option{Long: "no-daemon"},
			getopt.Option{Long: "stream"}, getopt.Option{Long: "io"}, getopt.Option{Long: "no-stream"})},
		{name: "restart", arguments: "(NAME... | -a)", help: "Restart a program", options: selection(), run: restart},
		{name: "stop", arguments: "(NAME... | -a) [--force]", help: "Stop running a command", options: selection(getopt.Option{Long: "force"}), run: stop},
		{name: "on", arguments: "(NAME... | -a)", help: "Run a program on startup or login", options: selection(), run: func(c *call) error { return c.boot(true) }},
		{name: "off", arguments: "(NAME... | -a)", help: "Don't run a program on startup or login", options: selection(), run: func(c *call) error { return c.boot(false) }},
		{name: "remove", arguments: "(NAME... | -a)", help: "Remove a program definition", options: selection(), run: remove},
		{name: "list", help: "List registered programs", run: list, options: []getopt.Option{{Long: "stashed"}}},
		{name: "show", arguments: "NAME [--definition | --state | --command]", help: "Show the definition of a program", run: show, options: []getopt.Option{
			{Short: 'r', Long: "raw"}, {Long: "definition"}, {Long: "state"}, {Long: "command"}, {Long: "cmd"}, {Long: "status"},
		}},
		{name: "log", arguments: "[NAME] [-1 | -2 | -3] [-n N] [--head N] [-f]", help: "Show program output", run: showLog, options: []getopt.Option{
			{Short: '1', Long: "stdout"},
			{Short: '2', Long: "stderr"},
			{Short: '3', Long: "daemon"},
			{Short: 'n', Long: "tail", Arg: true},
			{Long: "head", Arg: true},
			{Short: 'f', Long: "follow"},
			{Long: "showfile"},
			{Long: "rm"},
			{Long: "remove"},
		}},
		{name: "set", arguments: "NAME KEY=VALUE...", help: "Set a variable in the program definition", run: set},
		{name: "edit", arguments: "NAME", help: "Edit a program definition", run: edit},
		{name: "export", arguments: "(NAME... | -a) [-o FILE]", help: "Write definitions as a list", run: export, options: selection(getopt.Option{Short: 'o', Long: "output", Arg: true})},
		{name: "import", arguments: "FILE", help: "Add the programs of such a list", run: importFile},
		{name: "procfile", arguments: "[-f FILE]", help: "Run what a Procfile says in the foreground", alone: true, run: procfile, options: selection(getopt.Option{Short: 'f', Long: "file", Arg: true})},
		{name: "bg", arguments: "NAME", help: "Detach a program from the terminal; none is tied to it", run: bg},
		{name: "@startup", arguments: "[enable | disable | status]", help: "Run programs at system startup", alone: true, run: booting(boot.AtBoot), options: []getopt.Option{{Long: "user", Arg: true}}},
		{name: "@login", arguments: "[enable | disable | status]", help: "Run programs at user login", alone: true, run: booting(boot.AtLogin), options: []getopt.Option{{Long: "user", Arg: true}}},
		{name: "service", arguments: "[install | uninstall | status]", help: "The older name of @startup and @login", alone: true, run: service},
		{name: "run", arguments: "[options] [--] COMMAND [ARG...]", help: "The older name of add --run-now", whole: true, options: addOptions(), run: func(c *call) error {
			c.given["run-now"] = []string{""}
			return add(c)
		}},
	}
}

// addOptions are the options of add.
func addOptions() []getopt.Option {
	return []getopt.Option{
		{Short: 'n', Long: "name", Arg: true},
		{Short: 'c', Long: "command", Arg: true},
		{Long: "off"},
		{Long: "paused"},
		{Long: "on"},
		{Long: "un-paused"},
		{Short: 'r', Long: "run-now"},
		{Short: 'l', Long: "run-later"},
		{Long: "dont-run-now"},
		{Short: 'w', Long: "wait"},
		{Long: "cwd", Arg: true},
		{Long: "stdout", Arg: true},
		{Long: "stderr", Arg: true},
		{Long: "daemon-log", Arg: true},
		{Long: "redirect-stderr"},
		{Long: "dont-redirect-stderr"},
		{Short: 'e', Long: "save-env", Arg: true},
	}
}

// globals are the options before the subcommand.
func globals() []getopt.Option {
	return []getopt.Option{
		{Short: 'v', Long: "verbose"},
		{Short: 'q', Long: "quiet"},
		{Long: "color"},
		{Long: "no-color"},
		{Long: "show-traceback"},
		{Long: "hide-traceback"},
		{Short: 'V', Long: "version"},
		{Short: 'h', Long: "help"},
		{Long: "json-help"},
	}
}

// call is one subcommand with what was said.
type call struct {
	*Env
	ctx   context.Context
	quiet bool
	given map[string][]string // options, by their long names
	args  []string
}

func (c *call) has(names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return c.given[n] != nil })
}

// last is the value of an option, the last one where there are several.
func (c *call) last(name string) (string, bool) {
	values := c.given[name]
	if len(values) == 0 {
		return "", false
	}
	return values[len(values)-1], true
}

// Main runs a command line without the name of the program and returns its exit status.
func Main(ctx context.Context, env *Env, argv []string) int {
	found, rest, err := getopt.Parse(globals(), argv)
	if err != nil {
		return env.usage(err.Error())
	}
	quiet := false
	for _, m := range found {
		switch m.Option.Long {
		case "version":
			fmt.Fprintln(env.Stdout, "upkeep "+env.Version)
			return exitOK
		case "help":
			env.help(env.Stdout)
			return exitOK
		case "json-help":
			return env.jsonHelp(commands())
		case "color":
			env.Color = true
		case "no-color":
			env.Color = false
		case "quiet":
			quiet = true
		}
	}
	if len(rest) == 0 {
		return env.usage("a command is missing")
	}
	for _, cmd := range commands() {
		if cmd.name == rest[0] {
			return env.dispatch(ctx, &cmd, rest[1:], quiet)
		}
	}
	return env.usage(fmt.Sprintf("there is no command %q", rest[0]))
}

// dispatch runs one subcommand.
func (e *Env) dispatch(ctx context.Context, cmd *command, argv []string, quiet bool) int {
	if slices.Contains(argv[:min(1, len(argv))], "-h") || slices.Contains(argv[:min(1, len(argv))], "--help") {
		fmt.Fprintf(e.Stdout, "usage: chalmers %s %s\n\n%s\n", cmd.name, cmd.arguments, cmd.help)
		return exitOK
	}
	if slices.Contains(argv[:min(1, len(argv))], "--json-help") {
		return e.jsonHelp([]command{*cmd})
	}
	c := &call{Env: e, ctx: ctx, quiet: quiet, given: map[string][]string{}}
	if err := c.parse(cmd, argv); err != nil {
		return e.usage(err.Error())
	}
	err := c.inherit(cmd)
	if err == nil {
		err = cmd.run(c)
	}
	var usage *usageError
	var status *statusError
	switch {
	case errors.As(err, &status):
		return status.status
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		return e.usage(usage.text)
	case !errors.Is(err, errQuiet):
		fmt.Fprintf(e.Stderr, "[ERROR] %v\n", err)
	}
	return exitFailed
}

// inherit takes over what is in the original's store before a command that is about the programs.
func (c *call) inherit(cmd *command) error {
	if cmd.alone || c.has("stashed") {
		return nil
	}
	said, err := c.Instance.Inherit(c.ctx, c.World)
	c.tell(said)
	return err
}

// tell says something beside the outcome.
func (c *call) tell(lines []string) {
	for _, l := range lines {
		fmt.Fprintln(c.Stderr, l)
	}
}

// parse reads options and arguments, which may stand in any order up to "--".
func (c *call) parse(cmd *command, argv []string) error {
	var after []string
	if i := slices.Index(argv, "--"); i >= 0 && !cmd.whole {
		argv, after = argv[:i], argv[i+1:]
	}
	for {
		found, rest, err := getopt.Parse(cmd.options, argv)
		if err != nil {
			return err
		}
		for _, m := range found {
			c.given[m.Option.Long] = append(c.given[m.Option.Long], m.Value)
		}
		if cmd.whole || len(rest) == 0 {
			c.args = append(append(c.args, rest...), after...)
			return nil
		}
		c.args, argv = append(c.args, rest[0]), rest[1:]
	}
}

// usage prints what is wrong with the command line.
func (e *Env) usage(text string) int {
	fmt.Fprintf(e.Stderr, "chalmers: error: %s\n", text)
	return exitUsage
}

// help prints the commands.
func (e *Env) help(w io.Writer) {
	fmt.Fprint(w, "usage: chalmers [-q] [-V] COMMAND ...\n\n")
	for _, cmd := range commands() {
		fmt.Fprintf(w, "  %-9s %s\n", cmd.name, cmd.help)
	}
	fmt.Fprintln(w, "\nThis is upkeep's chalmers. Modern commands: upkeep help")
}

// info prints a line, unless it is to be quiet.
func (c *call) info(format string, args ...any) {
	if !c.quiet {
		fmt.Fprintf(c.Stdout, format+"\n", args...)
	}
}

// warn prints a warning.
func (c *call) warn(format string, args ...any) {
	fmt.Fprintf(c.Stderr, "[WARNING] "+format+"\n", args...)
}

// selected finds the programs that are meant: the names, or with --all those that all accepts. Every name must exist.
// Source: spec/chalmers CH-29.
func (c *call) selected(all func(Program) bool) ([]Program, error) {
	programs, err := c.Instance.List(c.ctx)
	if err != nil {
		return nil, err
	}
	switch every := c.has("all"); {
	case every && len(c.args) > 0:
		return nil, errors.New("give names or --all, not both")
	case every:
		return slices.DeleteFunc(programs, func(p Program) bool { return !all(p) }), nil
	case len(c.args) == 0:
		return nil, errors.New("give the name of a program, or --all")
	}
	var chosen []Program
	missing := false
	for _, name := range c.args {
		i := slices.IndexFunc(programs, func(p Program) bool { return p.Name == name })
		if i < 0 {
			fmt.Fprintf(c.Stderr, "[ProgramNotFound] program %q is not defined\n", name)
			missing = true
			continue
		}
		chosen = append(chosen, programs[i])
	}
	if missing {
		return nil, errQuiet
	}
	return chosen, nil
}

// split leaves out the programs that are in the wanted state already, with one warning for all of them.
// Source: spec/chalmers CH-29a.
func (c *call) split(programs []Program, state string, done func(Program) bool) []string {
	var already, names []string
	for _, p := range programs {
		if done(p) {
			already = append(already, p.Name)
		} else {
			names = append(names, p.Name)
		}
	}
	if len(already) > 0 {
		c.warn("already %s: %s", state, strings.Join(already, ", "))
	}
	if len(names) == 0 {
		c.warn("nothing to do")
	}
	return names
}

// verdicts prints one line for each result.
func (c *call) verdicts(verb string, results []Result, err error) error {
	for _, r := range results {
		word, colour := "OK", "32"
		if r.Err != nil {
			word, colour, err = "ERROR", "31", errQuiet
		}
		if c.Color {
			word = "\x1b[" + colour + "m" + word + "\x1b[0m"
		}
		c.info("%s %-25s [%s]", verb, cut(r.Name, 25), word)
		if r.Err != nil {
			fmt.Fprintf(c.Stderr, "[ERROR] %s: %v\n", r.Name, r.Err)
		}
	}
	return err
}

// cut shortens to a number of characters.
func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}

// word is what the list says of a program.
func (p Program) word() chalmers.Word {
	return chalmers.Facts{Active: p.Active, Failed: p.Failed, Off: p.Off}.Word()
}
