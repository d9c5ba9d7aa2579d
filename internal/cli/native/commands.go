package native

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/client/upkeep"
)

const longHelp = "upkeep keeps programs running: it starts them, keeps them alive, keeps their output, and says why when something fails.\n" +
	"No root, no configuration file and nothing to set up is needed to begin."

const examples = "  upkeep add -- npm start          keep a command running\n" +
	"  upkeep                           what runs\n" +
	"  upkeep why web                   why it does not"

// commands are all verbs.
func (c *command) commands() []*cobra.Command {
	return slices.Concat(c.programCommands(), c.controlCommands(), c.lookCommands(), c.workCommands(), c.configCommands(),
		c.projectCommands(), c.systemCommands())
}

// controlCommands are the verbs that act on what runs.
func (c *command) controlCommands() []*cobra.Command {
	return []*cobra.Command{
		c.actCommand("start", "start programs and wait for the outcome", nil),
		c.actCommand("stop", "stop programs and wait until they are gone", func(cmd *cobra.Command, a *upkeep.Action) {
			cmd.Flags().BoolVar(&a.Now, "now", false, "kill at once instead of asking")
		}),
		c.actCommand("restart", "stop and start programs", nil),
		c.reloadCommand(),
		c.signalCommand(),
		c.adoptCommand(),
		c.actCommand("release", "let processes go: they run on, and nobody watches them", func(cmd *cobra.Command, _ *upkeep.Action) {
			cmd.Long = "Lets the processes of programs go: they run on, and are nobody's then. The programs are stopped until somebody\n" +
				"starts or adopts them. What such a process writes into a pipe of the daemon is logged until the daemon ends."
		}),
	}
}

// completePrograms completes names of programs. It starts nothing and says nothing about errors.
func (c *command) completePrograms(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	client, _, err := c.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer client.Close()
	list, err := client.Processes(cmd.Context(), upkeep.Filter{Fields: []string{"id", "state", "summary"}}) // for a person who waits for a key
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for i := range list {
		note := list[i].State
		if list[i].Summary != "" {
			note += ", " + list[i].Summary
		}
		out = append(out, list[i].ID+"\t"+note)
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
