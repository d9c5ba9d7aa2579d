// Package daemon upgrades the daemon of a supervisord.conf over the servers that it has.
package daemon

import (
	"context"
	"fmt"
	"io"
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

// Upgrade has the daemon of a supervisord.conf replaced by the binary that is at its path now, and waits for the outcome: the
// exit status. The daemon may have any kind of server.
func Upgrade(ctx context.Context, prog, file string, out, trouble io.Writer) int {
	c, err := client(prog, file)
	if err != nil {
		fmt.Fprintf(trouble, "%s: %v\n", prog, err)
		return statusUsage
	}
	defer c.Close()
	return upgrade(ctx, prog, c, out, trouble)
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
