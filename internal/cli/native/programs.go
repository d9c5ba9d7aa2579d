package native

import "github.com/spf13/cobra"

// programCommands are the verbs about what programs are.
func (c *command) programCommands() []*cobra.Command { return []*cobra.Command{c.addCommand()} }
