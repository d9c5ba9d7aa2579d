// Package native is the command `upkeep`: programs, control, looking, configuration, the daemon itself. It speaks to the
// instance of the user over /v1 and starts it where a verb needs it.
//
// Standard output carries what was asked for, standard error what there is to say beside it. Every verb answers with
// the outcome. Source: interfaces 2.
package native

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/cli/instance"
)

// command is one call of the command: what its flags say, and the world around it.
type command struct {
	version string
	names   []Name
	in      io.Reader
	out     io.Writer
	err     io.Writer
	inTTY   bool // somebody can be asked
	outTTY  bool
	errTTY  bool
	width   int // of the terminal; 0 = it is none
	environ func(string) string
	now     func() time.Time

	system  bool
	config  string
	socket  string
	project string
	output  string
	json    bool
	quiet   bool
	verbose bool
	noColor bool
	yes     bool
	noInput bool
	noWait  bool
	timeout time.Duration

	status int // the exit status of what has succeeded, if it is not 0
}

// Main runs the command with the words after its name, and returns the exit status. names are the other programs of the
// binary.
func Main(version string, argv []string, names ...Name) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c := &command{
		version: version, names: names, in: os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Getenv, now: time.Now,
		inTTY: term.IsTerminal(int(os.Stdin.Fd())), outTTY: term.IsTerminal(int(os.Stdout.Fd())), errTTY: term.IsTerminal(int(os.Stderr.Fd())),
	}
	if c.outTTY {
		if w, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil {
			c.width = w
		}
	}
	return c.run(ctx, argv)
}

// run runs the command.
func (c *command) run(ctx context.Context, argv []string) int {
	root := c.root()
	root.SetArgs(append([]string{}, argv...)) // nil would stand for the words of this process
	err := root.ExecuteContext(ctx)
	if ctx.Err() != nil && err != nil {
		return statusInterrupted
	}
	if err != nil {
		return c.fail(err)
	}
	return c.status
}

// The groups of verbs in the help.
const (
	groupPrograms = "programs"
	groupControl  = "control"
	groupLook     = "look"
	groupWork     = "work"
	groupConfig   = "config"
	groupProject  = "project"
	groupSystem   = "system"
)

// root makes the tree of commands.
func (c *command) root() *cobra.Command {
	root := &cobra.Command{
		Use: "upkeep", Short: "keeps programs running", Long: longHelp, Example: examples,
		SilenceErrors: true, SilenceUsage: true, Version: c.version,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return c.home(cmd.Context()) },
	}
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	root.SetVersionTemplate("upkeep {{.Version}}\n")
	root.SuggestionsMinimumDistance = 2
	root.CompletionOptions.HiddenDefaultCmd = false
	for _, g := range []struct{ id, title string }{
		{groupPrograms, "Programs"},
		{groupControl, "Control"},
		{groupLook, "Look"},
		{groupWork, "Work"},
		{groupConfig, "Configuration"},
		{groupProject, "Project"},
		{groupSystem, "System"},
	} {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
	}
	root.SetCompletionCommandGroupID(groupSystem)
	root.SetHelpCommandGroupID(groupSystem)
	f := root.PersistentFlags()
	f.BoolVar(&c.system, "system", false, "root's instance instead of your own")
	f.StringVarP(&c.config, "config", "c", "", "the instance that runs this supervisord.conf")
	f.StringVar(&c.socket, "socket", c.environ("UPKEEP_SOCKET"), "the instance at this unix socket")
	f.StringVar(&c.project, "project", "", "the instance that \"upkeep up\" runs for this folder or file (alone: the one here)")
	f.Lookup("project").NoOptDefVal = "."
	f.StringVarP(&c.output, "output", "o", "", "table, wide, json, ndjson, name or template=TEXT")
	f.BoolVar(&c.json, "json", false, "the same as -o json")
	f.BoolVarP(&c.quiet, "quiet", "q", false, "only what was asked for; names alone in lists")
	f.BoolVarP(&c.verbose, "verbose", "v", false, "more about errors")
	f.BoolVar(&c.noColor, "no-color", false, "no colours")
	f.BoolVarP(&c.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&c.noInput, "no-input", false, "never ask: what would need an answer is an error")
	f.Var((*period)(&c.timeout), "timeout", "how long to wait for the outcome (default: until it is there)")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(c.commands()...)
	c.helpCommands(root)
	root.InitDefaultCompletionCmd()
	if v, _, err := root.Find([]string{"completion"}); err == nil && v != root {
		v.Short = "what a shell needs to complete the words of upkeep"
		v.Long = "Writes what a shell needs to complete verbs, flags, keys and the names of programs: for bash, zsh, fish or PowerShell. Completing\n" +
			"starts nothing: names of programs are known where a daemon runs."
	}
	return root
}

// client is a client of the instance that the flags select. Nothing is started.
func (c *command) client() (*upkeep.Client, instance.Instance, error) {
	i, err := c.instance()
	if err != nil {
		return nil, i, err
	}
	return i.Client(), i, nil
}

// running is a client of an instance that runs, with its account of itself; the caller closes it.
func (c *command) running(ctx context.Context) (*upkeep.Client, upkeep.System, error) {
	client, _, err := c.client()
	if err != nil {
		return nil, upkeep.System{}, err
	}
	s, err := client.System(ctx)
	if err != nil {
		client.Close()
	}
	return client, s, err
}

// instance is the instance that the flags select.
func (c *command) instance() (instance.Instance, error) {
	chosen := 0
	for _, is := range []bool{c.system, c.config != "", c.socket != "", c.project != ""} {
		if is {
			chosen++
		}
	}
	if chosen > 1 {
		return instance.Instance{}, usageError{errors.New("--system, -c, --socket and --project exclude each other")}
	}
	if c.config != "" {
		return instance.Of(c.config)
	}
	if c.project != "" {
		i, err := instance.Project(c.project)
		if err != nil {
			return i, usageError{err}
		}
		return i, nil
	}
	i, err := instance.Native(c.system)
	if c.socket != "" {
		i.Socket = c.socket
	}
	return i, err
}

// started is a client of the instance, which is started when it does not run and is our own.
func (c *command) started(ctx context.Context) (*upkeep.Client, instance.Instance, error) {
	i, err := c.instance()
	if err != nil {
		return nil, i, err
	}
	if i.Config != "" || i.Run != "" || c.socket != "" || c.system && os.Getuid() != 0 {
		return i.Client(), i, nil // whoever runs that one starts it
	}
	s, fresh, err := i.Start(ctx)
	if err != nil {
		return nil, i, err
	}
	if fresh {
		c.talk("started an upkeep daemon for %s (pid %d)", c.me(), s.PID)
	}
	return i.Client(), i, nil
}

// me is the name of the user.
func (c *command) me() string {
	for _, name := range []string{"USER", "LOGNAME", "USERNAME"} {
		if v := c.environ(name); v != "" {
			return v
		}
	}
	if os.Getuid() == 0 {
		return "root"
	}
	return "this user"
}

// talk says something on standard error, unless only what was asked for is wanted, or programs read it.
func (c *command) talk(format string, args ...any) {
	if !c.quiet && !c.jsonWanted() {
		fmt.Fprintf(c.err, format+"\n", args...)
	}
}

// confirm asks before something that is hard to take back. Without somebody to ask it is an error that names the flag.
func (c *command) confirm(question string) error {
	if c.yes {
		return nil
	}
	if !c.inTTY || c.noInput {
		return usageError{fmt.Errorf("%s  Nobody can be asked here: say --yes", question)}
	}
	fmt.Fprintf(c.err, "%s [y/N] ", question)
	var answer string
	_, _ = fmt.Fscanln(c.in, &answer) // nothing said is no
	if a := strings.ToLower(answer); a != "y" && a != "yes" {
		return errDeclined
	}
	return nil
}

// errDeclined is the answer no.
var errDeclined = errors.New("nothing was done")

// wait is how long a verb waits for its outcome.
func (c *command) wait() time.Duration {
	if c.noWait || c.environ("UPKEEP_NO_WAIT") != "" {
		return 0
	}
	if c.timeout > 0 {
		return c.timeout
	}
	return time.Hour
}
