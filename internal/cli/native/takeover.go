package native

import (
	"context"
	"fmt"
	"slices"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/cli/instance"
	"github.com/upkeep-project/upkeep/internal/conf/imports"
)

// takeProcess goes on with the running process of a program that has just been defined: its monitor is asked to end, which
// leaves the process alone, and the process is adopted. What usrsvc has started has no monitor of its own. Source: one-model 5.
func (c *command) takeProcess(ctx context.Context, client *upkeep.Client, p *imports.Program) error {
	if _, err := client.Apply(ctx, p.Name); err != nil {
		return err
	}
	var ignores []string
	if p.Live.Match+p.Live.Command != "" {
		var err error
		if ignores, err = instance.TakeOverLeft(ctx, client, p.Name, p.Live); err != nil {
			return err
		}
	} else if err := instance.TakeOver(ctx, client, p.Name, p.Live); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%s %s is managed: pid %d, not restarted\n", c.good(), p.Name, p.Live.PID)
	if p.Live.Stdout != "" {
		fmt.Fprintf(c.out, "  its output goes to %s until its next start\n", c.path(p.Live.Stdout))
	}
	if slices.Contains(ignores, "TERM") {
		fmt.Fprintf(c.out, "  it ignores %s: a stop will need KILL, until its next start\n", words.List(ignores))
	}
	if !p.On {
		return nil
	}
	return c.startsByItself(ctx, client, p.Name)
}
