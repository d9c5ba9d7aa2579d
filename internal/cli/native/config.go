package native

import "github.com/spf13/cobra"

// configCommands are the verbs about the configuration as a whole.
func (c *command) configCommands() []*cobra.Command {
	return []*cobra.Command{c.checkCommand(), c.diffCommand(), c.applyCommand(), c.explainCommand()}
}
