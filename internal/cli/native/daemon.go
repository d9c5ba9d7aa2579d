package native

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/cli/daemon"
	"github.com/upkeep-project/upkeep/internal/cli/instance"
	"github.com/upkeep-project/upkeep/internal/sys/boot"
	"github.com/upkeep-project/upkeep/internal/sys/home"
	"github.com/upkeep-project/upkeep/internal/sys/privilege"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

func (c *command) daemonCommand() *cobra.Command {
	background, file := false, ""
	cmd := &cobra.Command{
		Use: "daemon", Short: "the daemon itself; alone: run it in the foreground", GroupID: groupSystem,
		Long: "Runs the daemon in the foreground, as an init system or a container does it. Verbs that need a daemon start one in the background by themselves.\n\n" +
			"The signals: TERM, INT and QUIT stop all programs in order and end it, HUP reads and applies the configuration, USR1 replaces the\nbinary while the programs run on, USR2 reopens the logs.",
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return c.serve(background, file) },
	}
	cmd.Flags().BoolVar(&background, "background", false, "somebody waits for the start")
	cmd.Flags().StringVar(&file, "run", "", "the file of a folder's programs")
	_, _ = cmd.Flags().MarkHidden("background"), cmd.Flags().MarkHidden("run")
	verb := func(use, short string, run func(context.Context) error) {
		cmd.AddCommand(&cobra.Command{
			Use: use, Short: short, Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context()) },
		})
	}
	verb("start", "start it in the background", c.daemonStart)
	verb("stop", "stop all programs in order, and then the daemon", c.daemonStop)
	verb("status", "whether it runs", c.daemonStatus)
	verb("reload", "read the configuration and apply it", c.daemonReload)
	verb("upgrade", "replace the binary that runs by the one that is there now; programs run on", c.daemonUpgrade)
	verb("reopen-logs", "reopen the logs, after somebody else has renamed them", func(ctx context.Context) error { return c.daemonOrder(ctx, "reopen-logs") })
	return cmd
}

// serve is the daemon.
func (c *command) serve(background bool, file string) error {
	if c.config != "" {
		return usageError{fmt.Errorf("a supervisord.conf is run by:  upkeep supervisord -n -c %s", c.config)}
	}
	err := home.TakeSystem(c.system)
	if err != nil {
		return err
	}
	i, err := instance.Started(c.system, file)
	if err != nil {
		return err
	}
	c.status, err = boot.Daemon(func(stop <-chan struct{}) (int, error) {
		i.Stop = stop
		return i.Serve(c.version, background)
	})
	return err
}

func (c *command) daemonStart(ctx context.Context) error {
	i, err := c.instance()
	if err != nil {
		return err
	}
	if i.Config != "" || c.socket != "" {
		return usageError{errors.New("only the native daemon is started here; a supervisord.conf is run by:  upkeep supervisord -c FILE")}
	}
	if c.system && privilege.UID() != 0 {
		return usageError{errors.New("the daemon of the machine is started by what starts the machine:  upkeep --system boot enable")}
	}
	s, fresh, err := i.Start(ctx)
	if err != nil {
		return err
	}
	what := "it runs already"
	if fresh {
		what = "the upkeep daemon runs"
	}
	c.say(fmt.Sprintf("%s %s (pid %d)", c.good(), what, s.PID))
	c.told(s)
	return nil
}

func (c *command) daemonStatus(ctx context.Context) error {
	client, s, err := c.running(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	if c.jsonWanted() {
		c.told(s)
		return nil
	}
	fmt.Fprintf(c.out, "%s upkeep %s runs with pid %d, at %s\n", c.good(), s.Version, s.PID, client.Socket())
	fmt.Fprintf(c.out, "  configuration  %s\n", s.Config)
	if s.Programs != "" {
		fmt.Fprintf(c.out, "  definitions    %s\n", s.Programs)
	}
	fmt.Fprintf(c.out, "  log            %s\n", s.Log)
	for _, f := range s.Invalid {
		fmt.Fprintf(c.out, "  cannot be used %s   upkeep check\n", f)
	}
	return nil
}

// daemonStop stops the programs and the daemon, and waits until it is gone.
func (c *command) daemonStop(ctx context.Context) error {
	client, s, err := c.running(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	list, err := client.Processes(ctx, upkeep.Filter{})
	if err != nil {
		return err
	}
	running := 0
	for i := range list {
		if list[i].PID != nil {
			running++
		}
	}
	if running > 0 && c.inTTY {
		if err := c.confirm(fmt.Sprintf("Stop %s and the daemon?", plural(running, "program", "programs"))); err != nil {
			return err
		}
	}
	if err := client.Stop(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(look)
	defer tick.Stop()
	over := time.After(c.wait())
	for {
		if procstat.Gone(s.PID) {
			c.say(fmt.Sprintf("%s stopped: %s, and the daemon", c.good(), plural(running, "program", "programs")))
			c.told(ended{s.PID, running})
			return nil
		}
		select {
		case <-tick.C:
		case <-over:
			c.talk("it is not gone yet (pid %d); its log is %s", s.PID, s.Log)
			return statusError{statusTimeout, errQuiet}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ended is what daemon stop and down tell programs: the daemon that has ended, 0 = none ran, and how many programs with it.
type ended struct {
	PID     int `json:"pid"`
	Stopped int `json:"stopped"`
}

// look is how often something is looked at that nobody reports.
const look = 50 * time.Millisecond

func (c *command) daemonReload(ctx context.Context) error { return c.apply(ctx, nil) }

func (c *command) daemonOrder(ctx context.Context, order string) error {
	client, s, err := c.running(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Daemon(ctx, order); err != nil {
		return err
	}
	c.say(c.good() + " done")
	c.told(s)
	return nil
}

// upgradePatience is how long an upgrade may take.
const upgradePatience = time.Minute

func (c *command) daemonUpgrade(ctx context.Context) error {
	patience := upgradePatience
	if c.timeout > 0 {
		patience = c.timeout
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if c.config != "" {
		run := func(out, errs io.Writer) int {
			return daemon.Upgrade(ctx, "upkeep daemon upgrade", c.config, out, errs)
		}
		if c.jsonWanted() {
			return c.retold(run, func() error { return c.daemonStatus(ctx) })
		}
		c.status = run(c.out, c.err)
		return nil
	}
	client, before, err := c.running(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Daemon(ctx, "upgrade"); err != nil {
		return err
	}
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return statusError{statusTimeout, fmt.Errorf("the daemon (pid %d) has not been replaced in time; its log says why: %s", before.PID, before.Log)}
		case <-tick.C:
		}
		now, err := client.System(ctx)
		switch {
		case err != nil || now.Manager == before.Manager && before.Manager != before.PID:
			continue // it is on its way
		case now.RolledBack != "":
			return statusError{statusFailed, fmt.Errorf("not upgraded, %s runs on: %s", now.Version, now.RolledBack)}
		}
		c.say(fmt.Sprintf("%s upgraded from %s to %s (pid %d); the programs ran on", c.good(), before.Version, now.Version, now.PID))
		c.told(now)
		return nil
	}
}
