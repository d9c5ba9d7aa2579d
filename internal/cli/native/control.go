package native

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/base/termtext"
	"github.com/upkeep-project/upkeep/internal/base/words"
)

// actCommand is a verb that acts on selected programs.
func (c *command) actCommand(verb, short string, more func(*cobra.Command, *upkeep.Action)) *cobra.Command {
	order := upkeep.Action{Action: verb}
	var f upkeep.Filter
	var groups []string
	cmd := &cobra.Command{
		Use: verb + " SELECTOR...", Short: short, GroupID: groupControl,
		RunE: func(cmd *cobra.Command, args []string) error {
			order.Select, order.States = withGroups(args, groups), f.States
			return c.act(cmd.Context(), order)
		},
		ValidArgsFunction: c.completePrograms,
	}
	selecting(cmd, &f, &groups)
	cmd.Flags().BoolVar(&c.noWait, "no-wait", false, "do not wait for the outcome")
	if more != nil {
		more(cmd, &order)
	}
	return cmd
}

func (c *command) signalCommand() *cobra.Command {
	var f upkeep.Filter
	var groups []string
	cmd := &cobra.Command{
		Use: "signal SIGNAL SELECTOR...", Short: "send a signal", GroupID: groupControl,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 {
				return usageError{errors.New("which signal? upkeep signal HUP web")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.act(cmd.Context(), upkeep.Action{
				Action: "signal", Signal: args[0], Select: withGroups(args[1:], groups), States: f.States,
			})
		},
	}
	selecting(cmd, &f, &groups)
	return cmd
}

// act gives an order and shows what came of it, program by program.
func (c *command) act(ctx context.Context, order upkeep.Action) error {
	client, _, err := c.client()
	if order.Action == "start" || order.Action == "restart" {
		client, _, err = c.started(ctx)
	}
	if err != nil {
		return err
	}
	defer client.Close()
	if len(order.Select) == 0 {
		return c.nothingSelected(ctx, client, order.Action)
	}
	if order.Action == "stop" && len(order.Select) == 1 && order.Select[0] == "all" && len(order.States) == 0 {
		if err := c.confirm("Stop every program?"); err != nil {
			return err
		}
	}
	began := c.now()
	wait := c.wait()
	over := c.tellSlow(ctx, client, order)
	op, err := client.Do(ctx, order, wait)
	over()
	if err != nil {
		return err
	}
	return c.outcome(order, op, c.now().Sub(began))
}

// slow is after how long a stop is explained to whoever waits for it.
const slow = 3 * time.Second

// tellSlow says, once, which programs take their time to stop, until when, and how to end it. The answer ends that.
func (c *command) tellSlow(ctx context.Context, client *upkeep.Client, order upkeep.Action) (over func()) {
	if order.Action != "stop" && order.Action != "restart" || c.quiet || c.wait() == 0 || c.jsonWanted() {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return
		}
		list, err := client.Processes(ctx, upkeep.Filter{Select: order.Select, States: []string{"stopping"}})
		for i := 0; err == nil && i < min(len(list), slowAtMost); i++ {
			var x upkeep.Explanation
			if x, err = client.Why(ctx, list[i].ID); err == nil && x.State == "STOPPING" {
				text := strings.Join(append([]string{x.Headline}, x.Facts[:min(1, len(x.Facts))]...), ", ") // not who has asked for it
				c.talk("%s %s %s.   Kill it now:  upkeep stop %s --now", c.ellipsis(), x.ID, termtext.String(text, termtext.Plain), words.Quote(x.ID))
			}
		}
	}()
	return func() { cancel(); <-done }
}

// slowAtMost is of how many programs that is said.
const slowAtMost = 5

// nothingSelected says which programs there are: no selector never means all of them.
func (c *command) nothingSelected(ctx context.Context, client *upkeep.Client, verb string) error {
	list, err := client.Processes(ctx, upkeep.Filter{})
	if err != nil {
		return err
	}
	var names []string
	for i := range list {
		names = append(names, list[i].ID)
	}
	if len(names) == 0 {
		return usageError{fmt.Errorf("%s what? There are no programs%s", verb, reloadNothing(verb))}
	}
	return usageError{fmt.Errorf("%s what? There is %s; \"all\" stands for everything%s", verb, words.List(names), reloadNothing(verb))}
}

// outcome shows what an operation has done.
func (c *command) outcome(order upkeep.Action, op upkeep.Operation, took time.Duration) error {
	if c.jsonWanted() {
		c.printJSON(c.out, op)
	}
	if op.State == "running" {
		if c.noWait || c.environ("UPKEEP_NO_WAIT") != "" {
			c.talk("ordered; not waited for")
			return nil
		}
		c.talk("not done after %s; it goes on:   upkeep status", words.Duration(took))
		return statusError{statusTimeout, errQuiet}
	}
	failed := 0
	for i := range op.Results {
		if c.jsonWanted() {
			if op.Results[i].Error != nil {
				failed++
			}
			continue
		}
		if !c.result(order, &op.Results[i], len(op.Results) == 1) {
			failed++
		}
	}
	if n := len(op.Results); n > 1 && !c.jsonWanted() {
		if failed == 0 {
			c.talk("%s %d %s in %s", c.good(), n, past[order.Action], words.Duration(took))
		} else {
			c.talk("%s %d of %d could not be %s", c.bad(), failed, n, past[order.Action])
		}
	}
	if failed > 0 {
		return statusError{statusFailed, errQuiet}
	}
	return nil
}

// past is what has been done to a program.
var past = map[string]string{"start": "started", "stop": "stopped", "restart": "restarted", "reload": "reloaded", "signal": "signalled", "release": "released", "clear": "cleared"}

// fine are the problems that say that what was wanted is so already.
var fine = map[string]string{"already_running start": "is running already", "not_running stop": "is not running"}

// result shows what came of an order for one program; false when that is a failure.
func (c *command) result(order upkeep.Action, r *upkeep.Result, alone bool) bool {
	if r.Error == nil {
		fmt.Fprintf(c.out, "%s %s\n", c.good(), c.achieved(order, r))
		return true
	}
	if text, ok := fine[r.Error.Code+" "+order.Action]; ok {
		fmt.Fprintf(c.out, "%s %s %s\n", c.good(), r.ID, text)
		return true
	}
	if !alone {
		text := r.Error.Title
		if r.Error.Detail != "" {
			text += ": " + r.Error.Detail
		}
		fmt.Fprintf(c.out, "%s %s   upkeep why %s\n", c.bad(), text, r.ID)
		return false
	}
	fmt.Fprintf(c.out, "%s ", c.bad())
	p := *r.Error
	title, detail := headline(&p)
	fmt.Fprintln(c.out, title)
	if detail != "" || len(p.Evidence)+len(p.Checked)+len(p.Hints) > 0 {
		c.explain(c.out, detail, nil, p.Evidence, p.Checked, p.Hints)
	}
	if r.Process != nil && r.Process.State == "BACKOFF" {
		fmt.Fprintf(c.out, "\n  upkeep keeps trying.   upkeep why %s   upkeep logs %s -f\n", r.ID, r.ID)
	} else {
		fmt.Fprintf(c.out, "\n  upkeep why %s   upkeep logs %s\n", r.ID, r.ID)
	}
	return false
}

// achieved is what an order has achieved for one program.
func (c *command) achieved(order upkeep.Action, r *upkeep.Result) string {
	p := r.Process
	switch {
	case p == nil:
		return r.ID + " " + past[order.Action]
	case order.Action == "reload" && p.Reload != "":
		return fmt.Sprintf("%s was sent %s (reload_signal)", r.ID, p.Reload)
	case order.Action == "start", order.Action == "restart", order.Action == "reload":
		return c.runningLine(p, r.Took)
	case order.Action == "stop":
		text := fmt.Sprintf("%s stopped after %s", r.ID, seconds(r.Took))
		if p.LastExit != nil && p.LastExit.Code != nil {
			text += fmt.Sprintf(" (exit %d)", *p.LastExit.Code)
		} else if p.LastExit != nil && p.LastExit.Signal != nil {
			text += " (" + *p.LastExit.Signal + ")"
		}
		return text
	}
	if order.Action == "release" {
		return r.ID + " was let go of: its process runs on, and nobody watches it.   Undo:  upkeep adopt " + words.Quote(r.ID)
	}
	return r.ID + " " + past[order.Action]
}

// runningLine says that a program runs: pid, how long it took, where it listens.
func (c *command) runningLine(p *upkeep.Process, took float64) string {
	text := p.ID + " is " + strings.ToLower(p.State)
	var facts []string
	if p.PID != nil {
		facts = append(facts, fmt.Sprintf("pid %d", *p.PID))
	}
	facts = append(facts, seconds(took))
	if len(p.Listen) > 0 {
		facts = append(facts, "listening on "+strings.Join(p.Listen, ", "))
	}
	if p.State == "EXITED" {
		facts = append(facts, p.Summary)
	}
	return text + "   " + strings.Join(facts, " · ")
}

func seconds(s float64) string { return words.Duration(time.Duration(s * float64(time.Second))) }
