package native

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/cli/boot"
	"github.com/upkeep-project/upkeep/internal/cli/instance"
	sys "github.com/upkeep-project/upkeep/internal/sys/boot"
	"github.com/upkeep-project/upkeep/internal/sys/home"
	"github.com/upkeep-project/upkeep/internal/sys/statefile"
)

// booting is what `upkeep boot` is told.
type booting struct {
	at, user, backend string
	dryRun, noStart   bool
}

func (c *command) bootCommand() *cobra.Command {
	b := booting{at: sys.AtBoot}
	cmd := &cobra.Command{
		Use: "boot", Short: "have the programs started by the machine", GroupID: groupSystem,
		Long: "Has the daemon started when the machine starts, or when you log in, by whatever starts things here: systemd, OpenRC, SysV,\n" +
			"upstart, launchd, cron, Windows. What will be written and run is shown first; disable undoes exactly that.\n\n" +
			"Exit status of status: 0 enabled, 3 not, 4 nobody can tell.",
		Example: "  upkeep boot enable\n  upkeep boot enable --at login\n  upkeep -c /etc/supervisord.conf boot enable",
		Args:    noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	verb := func(name, short string) *cobra.Command {
		v := &cobra.Command{Use: name, Short: short, Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			return c.boot(cmd.Context(), name, b)
		}}
		v.Flags().StringVar(&b.user, "user", "", "the instance of another user (root only)")
		v.Flags().StringVar(&b.at, "at", b.at, "boot or login")
		_ = v.RegisterFlagCompletionFunc("at", cobra.FixedCompletions([]string{sys.AtBoot, sys.AtLogin}, cobra.ShellCompDirectiveNoFileComp))
		cmd.AddCommand(v)
		return v
	}
	change := func(v *cobra.Command) *cobra.Command {
		v.Flags().BoolVar(&b.dryRun, "dry-run", false, "show what would be done, and do nothing")
		return v
	}
	enable := change(verb("enable", "have them started"))
	enable.Flags().StringVar(&b.backend, "backend", "", "what is to start them, instead of what is found")
	enable.Flags().BoolVar(&b.noStart, "no-start", false, "not now, from the next time on")
	change(verb("disable", "undo that"))
	verb("status", "what starts them")
	return cmd
}

// boot does one verb of `upkeep boot`.
func (c *command) boot(ctx context.Context, verb string, b booting) error {
	host, err := sys.System()
	if err != nil {
		return err
	}
	i, err := c.instance()
	if err != nil {
		return err
	}
	if c.socket != "" || i.Run != "" || b.user != "" && i.Config != "" {
		return usageError{fmt.Errorf("boot is about the instance of a user, or about that of a supervisord.conf given by -c")}
	}
	t, err := c.target(i, b)
	if err != nil {
		return err
	}
	typed := "upkeep" // as a person would type it
	if c.config != "" {
		typed += " -c " + words.Quote(c.config)
	}
	if c.system {
		typed += " --system"
	}
	o := boot.Options{
		Host: host, Target: t, Backend: b.backend, Yes: c.yes, DryRun: b.dryRun, NoStart: b.noStart, JSON: c.jsonWanted(),
		Prog: typed + " boot", Stop: typed + " daemon stop",
		In: c.in, Terminal: c.inTTY && !c.noInput, Out: c.out, Err: c.err, Good: c.good(), Bad: c.bad(),
	}
	if b.user != "" {
		o.Prog, o.Stop = "upkeep boot", ""
	} else {
		o.Running = func(ctx context.Context) int { s, _ := i.Running(ctx); return s.PID }
		o.Programs = func(ctx context.Context) []string { return c.bootPrograms(ctx, i) }
	}
	if !o.JSON || verb == "status" {
		c.status = boot.Run(ctx, verb, o)
		return nil
	}
	if b.dryRun {
		return usageError{errors.New("--dry-run shows what would be done to people: leave --json out")}
	}
	o.Terminal = false
	return c.retold(func(out, errs io.Writer) int {
		o.Out, o.Err = out, errs
		return boot.Run(ctx, verb, o)
	}, func() error {
		o.Out, o.Err = c.out, c.err
		_ = boot.Run(ctx, "status", o) // what it prints is whether it is so
		return nil
	})
}

// target is the entry of an instance.
func (c *command) target(i instance.Instance, b booting) (sys.Target, error) {
	return i.BootEntry(b.at, b.user, c.environ(home.RootVariable), c.system)
}

// bootPrograms are the names of the programs that start with an instance; nil when nobody answers.
func (c *command) bootPrograms(ctx context.Context, i instance.Instance) []string {
	client := i.Client()
	defer client.Close()
	list, err := client.Processes(ctx, upkeep.Filter{})
	if err != nil {
		return nil
	}
	return wanted(list)
}

const (
	// hints is how often it is said that nothing starts the programs with the machine.
	hints = 3
	// hintLimit is how long the init system may take to say whether it does.
	hintLimit = 2 * time.Second
)

// hintBoot says that the programs do not survive a restart of the machine, as long as nothing is set up for that: three
// times, and never again once it was found to be set up.
func (c *command) hintBoot(ctx context.Context, i instance.Instance) {
	if c.quiet || i.Config != "" || i.Run != "" || c.socket != "" || i.State == "" {
		return
	}
	file := filepath.Join(filepath.Dir(i.State), "boot-hints")
	text, _ := os.ReadFile(file) // none was given if it is not there
	given, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	if given >= hints {
		return
	}
	host, err := sys.System()
	if err != nil {
		return
	}
	t, err := c.target(i, booting{at: sys.AtBoot})
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, hintLimit)
	defer cancel()
	entries, err := host.Entries(ctx, t)
	given++
	for _, e := range entries {
		if e.State.Enabled && e.State.Foreign == "" {
			given, err = hints, context.Canceled
		}
	}
	if merr := statefile.MkdirAll(filepath.Dir(file)); merr != nil {
		return
	}
	if werr := os.WriteFile(file, []byte(strconv.Itoa(given)+"\n"), 0o600); werr != nil || err != nil {
		return // what cannot be counted is not said: it would be said for ever
	}
	c.talk("Nothing starts them when this machine starts.   Keep them:  upkeep boot enable")
}
