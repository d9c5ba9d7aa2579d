package native

import (
	"context"

	"github.com/spf13/cobra"
)

// configCommands are the verbs about the configuration as a whole.
func (c *command) configCommands() []*cobra.Command { return nil }

// apply makes the configuration the running one, or that of some groups, and shows what came of it.
func (c *command) apply(ctx context.Context, only []string) error {
	client, _, err := c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = client.Apply(ctx, only...)
	return err
}
