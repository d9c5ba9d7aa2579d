package native

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/internal/cli/instance"
)

// systemCommands are the verbs about upkeep itself.
func (c *command) systemCommands() []*cobra.Command { return []*cobra.Command{c.daemonCommand()} }

// hintBoot says that the programs do not survive a logout, as long as nothing is set up for that.
func (c *command) hintBoot(context.Context, instance.Instance) {}
