package native

import (
	"errors"

	"github.com/spf13/cobra"
)

// reloadCommand is what has programs take over what has changed outside of their definitions. Source: interfaces 2.2.
func (c *command) reloadCommand() *cobra.Command {
	var config bool
	cmd := c.actCommand("reload", "have programs read their own configuration anew", nil)
	cmd.Use = "reload SELECTOR... | --config"
	cmd.Long = "Sends each program the signal that its reload_signal names. The processes of a section that has several and no such signal\n" +
		"are restarted one after the other, the next when the one before it runs again; when one does not come back, the others\n" +
		"are left as they are.\n\n" +
		"What has changed in the definitions themselves is made the running configuration by --config, which is upkeep apply."
	cmd.Example = "  upkeep set web reload_signal=HUP\n  upkeep reload web\n  upkeep reload --config"
	cmd.Flags().BoolVar(&config, "config", false, "read upkeep's own configuration and apply it, as upkeep apply does")
	programs := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case !config:
			return programs(cmd, args)
		case len(args) > 0 || cmd.Flags().Changed("state") || cmd.Flags().Changed("group"):
			return usageError{errors.New("--config is about all of the configuration; that of one group:  upkeep apply GROUP")}
		}
		return c.apply(cmd.Context(), nil)
	}
	return cmd
}

// reloadNothing adds to the question which program is meant that the configuration may be.
func reloadNothing(verb string) string {
	if verb != "reload" {
		return ""
	}
	return "; upkeep's own configuration:  upkeep reload --config"
}
