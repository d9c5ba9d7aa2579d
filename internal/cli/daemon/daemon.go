// Package daemon is the command "upkeep daemon": what concerns the daemon as a whole.
package daemon

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/upkeep-project/upkeep/client/supervisor"
	conf "github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/sys/signals"
)

// The exit statuses. Source: interfaces 2.3.
const (
	statusFailed = 1
	statusUsage  = 2
	statusAbsent = 7 // no daemon answers
)

const usage = `Usage: %s upgrade [-c FILE] [-wait DURATION]

upgrade   has the running daemon replaced by the binary that is at its path now. Programs are not touched.
          When the new binary does not work, the old one goes on.

`

// Main runs the command and returns its exit status.
func Main(prog string, argv []string) int {
	fs := flag.NewFlagSet(prog, flag.ContinueOnError)
	fs.SetOutput(os.Stderr)
	fs.Usage = func() {
		fmt.Fprintf(os.Stderr, usage, prog)
		fs.PrintDefaults()
	}
	file := fs.String("c", "", "the configuration `FILE` of the daemon; searched for when it is not given")
	wait := fs.Duration("wait", time.Minute, "how long to wait for the outcome")
	if len(argv) == 0 || argv[0] != "upgrade" {
		fs.Usage()
		return statusUsage
	}
	if err := fs.Parse(argv[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return statusUsage
	}
	c, err := client(prog, *file)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", prog, err)
		return statusUsage
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), *wait)
	defer cancel()
	return upgrade(ctx, prog, c, os.Stdout, os.Stderr)
}

// client is a connection to the daemon of a configuration, over its first server of this machine.
func client(prog, file string) (*supervisor.Client, error) {
	env, err := conf.SystemEnviron()
	if err != nil {
		return nil, err
	}
	var words []string
	if file != "" {
		words = []string{"-c", file}
	}
	args, err := conf.ParseArgsIn(env, prog, words)
	if err != nil {
		return nil, err
	}
	location, err := conf.Locate(args, env)
	if err != nil {
		return nil, err
	}
	c, err := conf.LoadFrom(args, location, env)
	if err != nil {
		return nil, err
	}
	url := c.ServerURL()
	for i := range c.Servers {
		if s := &c.Servers[i]; s.URL() == url {
			return supervisor.New(supervisor.Options{URL: url, Username: s.Username, Password: s.Password})
		}
	}
	return nil, fmt.Errorf("%s: the daemon has no server that could answer; send its pid the signal USR1 instead", location.Given)
}

// look is how often the daemon is asked whether it is another process by now.
const look = 100 * time.Millisecond

// upgrade asks for the upgrade and waits for its outcome.
func upgrade(ctx context.Context, prog string, c *supervisor.Client, out, trouble io.Writer) int {
	before, err := c.Info(ctx)
	if err != nil {
		fmt.Fprintf(trouble, "%s: no daemon answers: %v\n", prog, err)
		return statusAbsent
	}
	if err := signals.SendUpgrade(before.PID); err != nil {
		fmt.Fprintf(trouble, "%s: pid %d: %v\n", prog, before.PID, err)
		return statusFailed
	}
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			fmt.Fprintf(trouble, "%s: the daemon (pid %d) has not been replaced in time; its activity log says why\n", prog, before.PID)
			return statusFailed
		case <-tick.C:
		}
		now, err := c.Info(ctx)
		switch {
		case err != nil || now.Manager == before.Manager && before.Manager != before.PID:
			continue // it is on its way
		case now.RolledBack != "":
			fmt.Fprintf(trouble, "%s: not upgraded, %s runs on: %s\n", prog, now.Version, now.RolledBack)
			return statusFailed
		}
		fmt.Fprintf(out, "upgraded from %s to %s (pid %d)\n", before.Version, now.Version, now.PID)
		return 0
	}
}
