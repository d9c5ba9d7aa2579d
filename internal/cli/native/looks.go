package native

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/base/termtext"
)

// lookCommands are the verbs that change nothing.
func (c *command) lookCommands() []*cobra.Command {
	return []*cobra.Command{c.statusCommand(), c.logsCommand(), c.whyCommand(), c.eventsCommand(), c.treeCommand()}
}

// looking completes a verb that looks at the programs selected.
func (c *command) looking(f upkeep.Filter, look func(context.Context, upkeep.Filter) error, cmd *cobra.Command) *cobra.Command {
	var groups []string
	cmd.GroupID, cmd.ValidArgsFunction = groupLook, c.completePrograms
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f.Select = withGroups(args, groups)
		return look(cmd.Context(), f)
	}
	selecting(cmd, &f, &groups)
	return cmd
}

// clean makes a line of a program's output safe to show.
func (c *command) clean(text string) string {
	return termtext.String(text, termtext.Keep(c.coloured(c.outTTY)))
}
