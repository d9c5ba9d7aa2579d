package native

import (
	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/internal/base/termtext"
)

// lookCommands are the verbs that change nothing.
func (c *command) lookCommands() []*cobra.Command {
	return []*cobra.Command{c.statusCommand(), c.logsCommand(), c.whyCommand(), c.eventsCommand(), c.treeCommand()}
}

// clean makes a line of a program's output safe to show.
func (c *command) clean(text string) string {
	return termtext.String(text, termtext.Keep(c.coloured(c.outTTY)))
}
