package native

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/base/termtext"
	"github.com/upkeep-project/upkeep/internal/base/words"
)

func (c *command) notifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "notify", Short: "who is told of what happens", GroupID: groupSystem,
		Long: "Who is told of what happens to programs: the [notify:NAME] sections of the configuration, and what has become of their\n" +
			"messages. test sends one that says that it is a test, and shows the dialogue with the server where that fails.",
		Example: "  upkeep notify ls\n  upkeep notify test ops",
		Args:    noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "ls", Aliases: []string{"list"}, Short: "the notifiers, and what has become of their messages", Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return c.notifiers(cmd.Context()) },
		},
		&cobra.Command{
			Use: "test NAME", Short: "send a test to all destinations of a notifier",
			Args: func(_ *cobra.Command, args []string) error {
				if len(args) != 1 {
					return usageError{errors.New("test which notifier?  upkeep notify test NAME   All of them: upkeep notify ls")}
				}
				return nil
			},
			RunE:              func(cmd *cobra.Command, args []string) error { return c.testNotifier(cmd.Context(), args[0]) },
			ValidArgsFunction: c.completeNotifiers,
		},
	)
	return cmd
}

// notifiers prints the notifiers.
func (c *command) notifiers(ctx context.Context) error {
	client, _, err := c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	list, err := client.Notifiers(ctx)
	if err != nil {
		return err
	}
	return printAll(c, list, func(n *upkeep.Notifier) string { return n.Name }, func(bool) error {
		c.notifierTable(list)
		return nil
	})
}

func (c *command) notifierTable(list []upkeep.Notifier) {
	if len(list) == 0 {
		c.talk("nobody is told of anything: there is no [notify:NAME] section.")
		return
	}
	columns := []column{
		{title: "NAME"},
		{title: "TO"},
		{title: "ON", drop: 1},
		{title: "SENT", right: true},
		{title: "WAITING", right: true},
		{title: "FAILED", right: true},
		{title: "NOTE", drop: 2, least: 20},
	}
	var rows [][]cell
	for i := range list {
		n := &list[i]
		note := ""
		if n.LastError != "" {
			note = oneLine(n.LastError)
		}
		rows = append(rows, []cell{
			{text: n.Name},
			{text: oneLine(strings.Join(n.To, " "))},
			{text: strings.Join(n.On, " ")},
			{text: strconv.FormatUint(n.Sent, 10)},
			{text: strconv.Itoa(n.Waiting)},
			{text: strconv.FormatUint(n.Failed, 10)},
			{text: note},
		})
	}
	c.table(columns, rows)
}

// testNotifier sends a test and prints what came of it.
func (c *command) testNotifier(ctx context.Context, name string) error {
	client, _, err := c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	list, err := client.TestNotifier(ctx, name)
	var p *upkeep.Problem
	if errors.As(err, &p) && p.Code == "not_found" {
		all, _ := client.Notifiers(ctx) // without them no name is suggested
		return statusError{statusNoProgram, noNotifier(name, all)}
	}
	if err != nil {
		return err
	}
	failed := slices.ContainsFunc(list, func(d upkeep.Delivery) bool { return d.Error != "" })
	if c.jsonWanted() {
		c.printJSON(c.out, list)
	} else {
		for i := range list {
			c.delivery(&list[i])
		}
	}
	if failed {
		return statusError{statusFailed, errQuiet}
	}
	return nil
}

// delivery prints what came of a test at one destination; the dialogue where it has failed.
func (c *command) delivery(d *upkeep.Delivery) {
	if d.Error == "" {
		fmt.Fprintf(c.out, "delivered to %s\n", oneLine(d.To))
		return
	}
	fmt.Fprintf(c.out, "not delivered to %s: %s\n", oneLine(d.To), oneLine(d.Error))
	for _, l := range d.Transcript {
		fmt.Fprintf(c.out, "  %s\n", termtext.String(l, termtext.Plain))
	}
}

// noNotifier says that there is none of that name that could be tested, and which ones there are.
func noNotifier(name string, list []upkeep.Notifier) error {
	var names []string
	for i := range list {
		if list[i].Name == name { // email_alerts
			return fmt.Errorf("%s are addresses of single programs and cannot be tested. A section can: [notify:NAME] with to=mailto:ADDRESS", name)
		}
		names = append(names, list[i].Name)
	}
	text := fmt.Sprintf("no notifier is named %q.", name)
	if close := words.Close(name, names, 1); len(close) > 0 {
		text += " Did you mean " + close[0] + "?"
	}
	return errors.New(text + "   All of them: upkeep notify ls")
}

// completeNotifiers completes the names of notifiers. It starts nothing and says nothing about errors.
func (c *command) completeNotifiers(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	client, _, err := c.client()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer client.Close()
	list, err := client.Notifiers(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for i := range list {
		out = append(out, list[i].Name+"\t"+strings.Join(list[i].To, " "))
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// undelivered says how many alerts did not reach people, where the last attempt has failed; empty = none.
func undelivered(list []upkeep.Notifier) string {
	n := 0
	for i := range list {
		if list[i].LastError != "" {
			n += list[i].Waiting + int(list[i].Failed)
		}
	}
	if n == 0 {
		return ""
	}
	return plural(n, "alert", "alerts") + " could not be delivered.   upkeep notify ls"
}
