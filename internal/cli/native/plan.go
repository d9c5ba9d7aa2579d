package native

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/client/upkeep"
)

func (c *command) diffCommand() *cobra.Command {
	return &cobra.Command{
		Use: "diff", Short: "what apply would do", GroupID: groupConfig, Args: atMost(0),
		Long: "Reads the configuration and compares it with what runs: what is new, gone or changed, and what has to be restarted for it.\nNothing is done.",
		RunE: func(cmd *cobra.Command, _ []string) error { return c.diff(cmd.Context()) },
	}
}

func (c *command) applyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "apply [GROUP...]", Short: "make the configuration the running one", GroupID: groupConfig,
		Long: "Reads the configuration and makes it the running one, or that of some groups. Each program is touched no more than its own\n" +
			"changes ask for. On a terminal it asks before something that runs is stopped or restarted.",
		RunE:              func(cmd *cobra.Command, args []string) error { return c.apply(cmd.Context(), args) },
		ValidArgsFunction: c.completePrograms,
	}
}

// diff shows what apply would do.
func (c *command) diff(ctx context.Context) error {
	client, _, err := c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	plan, err := client.Diff(ctx)
	if err != nil {
		return err
	}
	err = printAll(c, plan.Steps, func(s *upkeep.Step) string { return s.ID }, func(bool) error {
		if len(plan.Steps) == 0 {
			fmt.Fprintln(c.out, "nothing differs: what runs is what is configured")
			return nil
		}
		c.showSteps(c.out, plan.Steps)
		c.talk("%s   upkeep apply", summary(plan.Steps))
		return nil
	})
	if err == nil {
		err = c.mistakes(plan.Problems)
	}
	return err
}

// mistakes shows what is wrong in files of definitions.
func (c *command) mistakes(list []upkeep.Mistake) error {
	if len(list) == 0 {
		return nil
	}
	for i := 0; i < len(list) && !c.jsonWanted(); i++ { // programs have them with the rest
		c.mistake(list[i])
	}
	c.talk("%s. What those files define is left as it is.", plural(len(list), "problem", "problems"))
	return statusError{statusInvalid, errQuiet}
}

// apply makes the configuration the running one, or that of some groups, and shows what came of it.
func (c *command) apply(ctx context.Context, only []string) error {
	client, _, err := c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	plan, err := client.Diff(ctx)
	if err != nil {
		return err
	}
	if len(only) > 0 {
		plan.Steps = slices.DeleteFunc(plan.Steps, func(s upkeep.Step) bool { return !slices.Contains(only, groupOf(s.ID)) })
	}
	if slices.ContainsFunc(plan.Steps, stops) && c.inTTY && !c.yes {
		c.showSteps(c.err, plan.Steps)
		if err := c.confirm(summary(plan.Steps) + "  Apply?"); err != nil {
			return err
		}
	}
	wrong := c.mistakes(plan.Problems)
	done, err := client.Apply(ctx, only...)
	if err != nil {
		return err
	}
	if len(done.Steps) == 0 && !c.jsonWanted() && wrong == nil {
		fmt.Fprintf(c.out, "%s nothing differs: what runs is what is configured\n", c.good())
	}
	if err := c.applied(done); err != nil {
		return err
	}
	return wrong
}

// stops reports whether something that runs is stopped by a step.
func stops(s upkeep.Step) bool { return s.Action == "restart" || s.Action == "remove" }

func groupOf(id string) string {
	group, _, _ := strings.Cut(id, ":")
	return group
}

// applied shows what applying has done.
func (c *command) applied(plan upkeep.Plan) error {
	c.told(plan)
	return c.appliedSteps(plan.Steps)
}

// appliedSteps shows people what applying has done. It fails when a step has.
func (c *command) appliedSteps(steps []upkeep.Step) error {
	failed := false
	for i := range steps {
		s := &steps[i]
		failed = failed || s.Error != nil
		switch {
		case c.jsonWanted():
		case s.Error != nil:
			r := upkeep.Result{ID: s.ID, Error: s.Error}
			c.result(upkeep.Action{Action: "apply"}, &r, len(steps) == 1)
		default:
			done := map[string]string{"add": "is there", "remove": "is gone", "change": "is changed", "restart": "is restarted with its new settings"}
			fmt.Fprintf(c.out, "%s %s %s\n", c.good(), s.ID, done[s.Action])
		}
	}
	if failed {
		return statusError{statusFailed, errQuiet}
	}
	return nil
}

// showSteps lists steps: what, to which program, and what it takes.
func (c *command) showSteps(w io.Writer, steps []upkeep.Step) {
	signs := map[string]struct{ sign, colour string }{
		"add": {"+", green}, "remove": {"-", red}, "change": {"~", plain}, "restart": {"~", yellow},
	}
	width := 0
	for i := range steps {
		width = max(width, len(steps[i].ID))
	}
	for i := range steps {
		s := &steps[i]
		var changes []string
		for _, f := range s.Fields {
			changes = append(changes, c.change(f))
		}
		what := strings.Join(changes, ", ")
		switch {
		case s.Refused != "":
			what += "   refused: " + s.Refused
		case s.Action == "restart":
			what += "   restart needed"
		case what == "":
			what = s.Reason
		default:
			what += "   " + s.Reason
		}
		fmt.Fprintf(w, "%s %-*s  %s\n", c.paint(signs[s.Action].colour, signs[s.Action].sign), width, s.ID, c.clean(strings.TrimSpace(what)))
	}
}

// change is one value that differs, in a few words. Environments show names alone.
func (c *command) change(f upkeep.Change) string {
	arrow := " → "
	if !c.unicodeWanted() {
		arrow = " -> "
	}
	old, now := f.Old, f.New
	if f.Key == "environment" { // names with a sign each: gone, come, changed
		names := slices.Concat(strings.Split(old, ","), strings.Split(now, ","))
		names = slices.DeleteFunc(names, func(n string) bool { return n == "" })
		slices.Sort(names)
		return f.Key + " " + strings.Join(slices.Compact(names), " ")
	}
	if old == "" {
		old = "(none)"
	}
	if now == "" {
		now = "(none)"
	}
	return f.Key + " " + old + arrow + now
}

// summary counts steps.
func summary(steps []upkeep.Step) string {
	n := map[string]int{}
	for i := range steps {
		n[steps[i].Action]++
	}
	var parts []string
	for _, p := range []struct {
		n    int
		word string
	}{{n["change"] + n["restart"], "changed"}, {n["add"], "new"}, {n["remove"], "removed"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.word))
		}
	}
	text := "config: " + strings.Join(parts, ", ") + "."
	if n["restart"] > 0 {
		text += "  " + plural(n["restart"], "restart", "restarts") + "."
	}
	return text
}
