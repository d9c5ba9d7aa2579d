package native

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/base/termtext"
	"github.com/upkeep-project/upkeep/internal/base/words"
)

func (c *command) whyCommand() *cobra.Command {
	return c.looking(upkeep.Filter{}, c.why, &cobra.Command{
		Use: "why [SELECTOR...]", Short: "why a program is in its state, and what helps",
		Long: "Explains the state of programs: what happened, what was seen, what upkeep looked at, and what to do.\n" +
			"Without a name: of all that need attention.",
		Example: "  upkeep why web",
	})
}

// why explains programs, one after the other.
func (c *command) why(ctx context.Context, f upkeep.Filter) error {
	client, _, err := c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	list, err := client.Processes(ctx, f)
	if err != nil {
		return err
	}
	all := len(list)
	var out []upkeep.Explanation
	for i := range list {
		if len(f.Select) == 0 && !troubled(&list[i]) {
			continue
		}
		x, err := client.Why(ctx, list[i].ID)
		if err != nil {
			return err
		}
		out = append(out, x)
	}
	return printAll(c, out, func(x *upkeep.Explanation) string { return x.ID }, func(bool) error {
		if len(out) == 0 {
			c.talk("nothing needs attention among %s.   upkeep why NAME   explains one all the same", plural(all, "program", "programs"))
		}
		for i := range out {
			if i > 0 {
				fmt.Fprintln(c.out)
			}
			c.showWhy(c.out, &out[i])
		}
		return nil
	})
}

// troubled reports whether a program needs somebody.
func troubled(p *upkeep.Process) bool {
	switch p.State {
	case "FATAL", "BACKOFF", "UNKNOWN":
		return true
	case "EXITED":
		return p.LastExit != nil && !p.LastExit.Expected
	}
	return false
}

// showWhy shows an explanation: the headline, facts and evidence, what was looked at, what to do, what happened before.
func (c *command) showWhy(w io.Writer, x *upkeep.Explanation) {
	head := x.ID + " " + x.Headline
	if !slices.ContainsFunc([]string{"is ", "was ", "has "}, func(verb string) bool { return strings.HasPrefix(x.Headline, verb) }) {
		head = x.ID + " is " + x.State + ": " + x.Headline
	}
	if x.State == "FATAL" || x.State == "EXITED" {
		head += c.since(x)
	}
	colour := bold
	if x.Failed {
		colour = red
	}
	fmt.Fprintln(w, paint(c.coloured(c.outTTY), colour, termtext.String(head, termtext.Plain)))
	if len(x.Facts)+len(x.Evidence)+len(x.Checked)+len(x.Hints) > 0 {
		c.explain(w, "", x.Facts, x.Evidence, x.Checked, x.Hints)
	}
	if len(x.Timeline) > 0 {
		fmt.Fprintln(w)
	}
	for _, e := range x.Timeline {
		fmt.Fprintf(w, "  %s  %s\n", c.paint(dim, words.Clock(e.Time, c.now())), termtext.String(e.Text, termtext.Plain))
	}
	if x.Failed {
		fmt.Fprintf(w, "\n  upkeep events %s   upkeep logs %s\n", words.Quote(x.ID), words.Quote(x.ID))
	}
}

// since is when the state came, as far as the timeline tells.
func (c *command) since(x *upkeep.Explanation) string {
	if n := len(x.Timeline); n > 0 && x.Timeline[n-1].Type == "PROCESS_STATE_"+x.State {
		at := words.Clock(x.Timeline[n-1].Time, c.now())
		if strings.Contains(at, ":") && !strings.Contains(at, " ") {
			at = "today " + at
		}
		return " (" + at + ")"
	}
	return ""
}
