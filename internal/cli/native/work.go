package native

import "github.com/spf13/cobra"

// workCommands are the verbs with which one works with programs.
func (c *command) workCommands() []*cobra.Command { return nil }

// projectCommands run the programs of a folder.
func (c *command) projectCommands() []*cobra.Command { return nil }
