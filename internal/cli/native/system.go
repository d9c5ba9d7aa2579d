package native

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

// systemCommands are the verbs about upkeep itself.
func (c *command) systemCommands() []*cobra.Command {
	return []*cobra.Command{c.daemonCommand(), c.bootCommand(), c.notifyCommand(), c.doctorCommand(), c.linksCommand(), c.manCommand(), c.versionCommand()}
}

func (c *command) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "which version this is", GroupID: groupSystem, Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if c.jsonWanted() {
				c.printJSON(c.out, map[string]string{"version": c.version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH})
				return nil
			}
			fmt.Fprintf(c.out, "upkeep %s\n", c.version)
			return nil
		},
	}
}
