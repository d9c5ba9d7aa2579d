package native

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/base/termtext"
	"github.com/upkeep-project/upkeep/internal/base/words"
)

// eventsFlags is what `upkeep events` is told.
type eventsFlags struct {
	follow bool
	lines  int
	since  string
	groups []string
	filter upkeep.Filter
}

func (c *command) eventsCommand() *cobra.Command {
	var e eventsFlags
	cmd := &cobra.Command{
		Use: "events [SELECTOR...]", Short: "what has happened", GroupID: groupLook,
		Long:    "What has happened to programs and to the daemon since it runs, as far back as it remembers: starts, ends, and what they meant.",
		Example: "  upkeep events -f\n  upkeep events web -S yesterday",
		RunE: func(cmd *cobra.Command, args []string) error {
			e.filter.Select = withGroups(args, e.groups)
			return c.events(cmd.Context(), e)
		},
		ValidArgsFunction: c.completePrograms,
	}
	f := cmd.Flags()
	f.BoolVarP(&e.follow, "follow", "f", false, "go on with what happens")
	f.IntVarP(&e.lines, "lines", "n", 0, "the last so many events (default 20; all with --since)")
	f.StringVarP(&e.since, "since", "S", "", "what happened from this time on: 10m, 14:02, yesterday")
	f.StringSliceVar(&e.groups, "group", nil, "only programs of these groups")
	return cmd
}

// defaultEvents is how many events are shown when nothing is said about it.
const defaultEvents = 20

// events shows what has happened, and what happens.
func (c *command) events(ctx context.Context, e eventsFlags) error {
	q := upkeep.EventFilter{Select: e.filter.Select, Limit: e.lines}
	if e.lines < 0 {
		return usageError{errors.New("-n is a number of events")}
	}
	if e.since != "" {
		at, err := parseWhen(e.since, c.now())
		if err != nil {
			return usageError{err}
		}
		q.Since = at
	} else if e.lines == 0 {
		q.Limit = defaultEvents
	}
	client, _, err := c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	known, err := client.Processes(ctx, e.filter) // names that nothing has are an error
	if err != nil {
		return err
	}
	width := 0
	for i := range known {
		width = max(width, min(textWidth(known[i].ID), maxPrefix))
	}
	s, err := client.System(ctx)
	if err != nil {
		return err
	}
	list, err := client.Events(ctx, q)
	if err != nil {
		return err
	}
	show := func(e *upkeep.Event) { c.showEvent(e, width) }
	if !e.follow {
		return printAll(c, list, func(e *upkeep.Event) string { return e.ID }, func(bool) error {
			for i := range list {
				show(&list[i])
			}
			if len(list) == 0 {
				c.talk("nothing has happened")
			}
			return nil
		})
	}
	form, text, err := c.form()
	if err != nil {
		return err
	}
	put := func(e *upkeep.Event) error { show(e); return nil }
	if form != "table" && form != "wide" && form != "name" {
		if form == "json" {
			form = "ndjson" // there is no end
		}
		print, err := c.printer(form, text)
		if err != nil {
			return err
		}
		put = func(e *upkeep.Event) error { return print(e) }
	}
	at := s.LastEvent
	for i := range list {
		at = max(at, list[i].Seq)
		if err := put(&list[i]); err != nil {
			return err
		}
	}
	return c.watch(ctx, client, upkeep.EventFilter{Select: e.filter.Select, After: at}, put)
}

// watch shows events until the end, also those of another daemon in the place of one that has ended.
func (c *command) watch(ctx context.Context, client *upkeep.Client, q upkeep.EventFilter, put func(*upkeep.Event) error) error {
	newest := c.now()
	var failed error // of showing
	see := func(e upkeep.Event, dropped uint64) error {
		if dropped > 0 {
			c.talk("%s missing here", plural(int(dropped), "event is", "events are"))
		}
		q.After, newest = max(q.After, e.Seq), e.Time
		failed = put(&e)
		return failed
	}
	for {
		err := client.Watch(ctx, q, see)
		var p *upkeep.Problem
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case failed != nil || errors.As(err, &p) && !broken(err):
			return errors.Join(failed, err)
		}
		c.talk("the daemon has gone away; waiting until it is back. End with Ctrl-C")
		for {
			if !pause(ctx, reconnectEvery) {
				return ctx.Err()
			}
			if s, err := client.System(ctx); err == nil {
				q.After = s.LastEvent // it may count anew: the time tells what is new
				break
			}
		}
		missed, err := client.Events(ctx, upkeep.EventFilter{Select: q.Select, Since: newest.Add(1)})
		for i := range missed {
			if err == nil {
				err = see(missed[i], 0)
			}
		}
		if failed != nil {
			return failed
		}
	}
}

// showEvent shows an event in one line: when, whose, what.
func (c *command) showEvent(e *upkeep.Event, width int) {
	if c.quiet && c.output == "" {
		fmt.Fprintln(c.out, e.ID)
		return
	}
	who, colour := e.ID, plain
	switch {
	case who == "" && e.Group != "":
		who = e.Group + ":*"
	case who == "":
		who = "upkeep"
	}
	switch e.Type {
	case "PROCESS_STATE_FATAL":
		colour = red
	case "PROCESS_STATE_BACKOFF":
		colour = yellow
	case "PROCESS_STATE_EXITED":
		if e.Expected != nil && !*e.Expected {
			colour = yellow
		}
	}
	width = max(width, len("upkeep"))
	fmt.Fprintf(c.out, "%s  %s%s  %s\n", c.paint(dim, fmt.Sprintf("%-12s", words.Clock(e.Time, c.now()))), who,
		spaces(width-textWidth(who)), c.paint(colour, termtext.String(e.Text, termtext.Plain)))
}
