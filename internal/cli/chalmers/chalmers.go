// Package chalmers is the command line that users of chalmers know, over an instance of ours: add, start, stop,
// restart, on, off, remove, list, show, log and set, with that tool's options, words and layouts. What it does
// itself differs where that was a trap: a command that failed does not exit with 0, one broken program does not
// stop the others, and start answers when the outcome is known. Source: spec/chalmers 4, 5.
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
)

// Program is one program as an instance shows it.
type Program struct {
	Name    string
	Active  bool // it runs, or will be started again by itself
	Failed  bool // it was given up, or ended in a way that is no success
	Off     bool // it does not start with the instance
	PID     int  // 0 = no process at this moment
	Started time.Time
	Ended   time.Time // zero: never
	Reason  string    // of the last change, for people
	File    string    // its definition
	// Options are those in the definition; values of "environment" are in Env.
	Options []imports.Key
	Env     []imports.EnvVar
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

// LogRange is which part of a log is meant: the first Head lines, or when that is 0 the last Tail lines, or when that
// is 0 too all of it; with Follow what is written later as well, until the context ends.
type LogRange struct {
	Head, Tail int
	Follow     bool
}

// ErrExists says that there is a program with that name already.
var ErrExists = errors.New("a program with this name exists")

// Instance is what the commands need. Programs that are not there are errors of the whole call, before anything
// is done; an error that concerns one program is in its result.
type Instance interface {
	List(ctx context.Context) ([]Program, error)
	// Start, Stop and Restart return when the outcome of each is known. With force a program is killed at once.
	Start(ctx context.Context, names []string) ([]Result, error)
	Stop(ctx context.Context, names []string, force bool) ([]Result, error)
	Restart(ctx context.Context, names []string) ([]Result, error)
	// Add stores a definition and does not start it. Errors: ErrExists, or why it is refused.
	Add(ctx context.Context, p *imports.Program) error
	// Set changes all options and variables, or none.
	Set(ctx context.Context, name string, keys []imports.Key, env []imports.EnvVar) error
	Remove(ctx context.Context, names []string) ([]Result, error)
	SetBoot(ctx context.Context, names []string, on bool) error
	Log(ctx context.Context, name string, s Stream, r LogRange, w io.Writer) error
	LogFile(ctx context.Context, name string, s Stream) (string, error)
	ClearLog(ctx context.Context, name string, s Stream) error
}

// Env is the world of one run.
type Env struct {
	Instance Instance
	Cwd      string            // absolute
	Vars     map[string]string // environment variables
	Stdout   io.Writer
	Stderr   io.Writer
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
		{name: "add", arguments: "[options] [--] COMMAND [ARG...]", help: "Add a program to manage", whole: true, run: add, options: []getopt.Option{
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
		}},
		{name: "start", arguments: "(NAME... | -a)", help: "Start a program", options: selection(getopt.Option{Short: 'd', Long: "daemon"}), run: start},
		{name: "restart", arguments: "(NAME... | -a)", help: "Restart a program", options: selection(), run: restart},
		{name: "stop", arguments: "(NAME... | -a) [--force]", help: "Stop running a command", options: selection(getopt.Option{Long: "force"}), run: stop},
		{name: "on", arguments: "(NAME... | -a)", help: "Run a program on startup or login", options: selection(), run: func(c *call) error { return c.boot(true) }},
		{name: "off", arguments: "(NAME... | -a)", help: "Don't run a program on startup or login", options: selection(), run: func(c *call) error { return c.boot(false) }},
		{name: "remove", arguments: "(NAME... | -a)", help: "Remove a program definition", options: selection(), run: remove},
		{name: "list", help: "List registered programs", run: list},
		{name: "show", arguments: "NAME [--definition | --state | --command]", help: "Show the definition of a program", run: show, options: []getopt.Option{
			{Short: 'r', Long: "raw"}, {Long: "definition"}, {Long: "state"}, {Long: "command"}, {Long: "cmd"}, {Long: "status"},
		}},
		{name: "log", arguments: "NAME [-1 | -2 | -3] [-n N] [--head N] [-f]", help: "Show program output", run: showLog, options: []getopt.Option{
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
	}
}

// elsewhere says what to use instead of commands that are not here.
func elsewhere(name string) string {
	return map[string]string{
		"edit": "upkeep edit NAME", "import": "upkeep import", "export": "upkeep export", "procfile": "upkeep up", "run": "upkeep add",
		"@startup": "upkeep boot", "@login": "upkeep boot", "service": "upkeep boot", "@service": "upkeep boot", "manager": "upkeep daemon", "bg": "upkeep start",
	}[name]
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
	if other := elsewhere(rest[0]); other != "" {
		return env.usage(rest[0] + " is not a command here; use: " + other)
	}
	return env.usage(fmt.Sprintf("there is no command %q", rest[0]))
}

// dispatch runs one subcommand.
func (e *Env) dispatch(ctx context.Context, cmd *command, argv []string, quiet bool) int {
	if slices.Contains(argv[:min(1, len(argv))], "-h") || slices.Contains(argv[:min(1, len(argv))], "--help") {
		fmt.Fprintf(e.Stdout, "usage: chalmers %s %s\n\n%s\n", cmd.name, cmd.arguments, cmd.help)
		return exitOK
	}
	c := &call{Env: e, ctx: ctx, quiet: quiet, given: map[string][]string{}}
	if err := c.parse(cmd, argv); err != nil {
		return e.usage(err.Error())
	}
	err := cmd.run(c)
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		return e.usage(usage.text)
	case !errors.Is(err, errQuiet):
		fmt.Fprintf(e.Stderr, "[ERROR] %v\n", err)
	}
	return exitFailed
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
		fmt.Fprintf(w, "  %-8s %s\n", cmd.name, cmd.help)
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
		word := "OK"
		if r.Err != nil {
			word, err = "ERROR", errQuiet
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
