package native

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/client/upkeep"
)

// workCommands are the verbs with which one works with programs.
func (c *command) workCommands() []*cobra.Command {
	return []*cobra.Command{c.execCommand(), c.attachCommand(), c.waitCommand(), c.shellCommand()}
}

// goal is what is waited for: the states that are it, and those that rule it out once they are entered.
type goal struct {
	word      string
	met, over []string
	once      bool // it counts that it was so, not that it is
}

// goals are what can be waited for.
var goals = []goal{
	{word: "running", met: []string{"RUNNING"}, over: []string{"EXITED", "STOPPED", "FATAL"}},
	{word: "stopped", met: []string{"STOPPED", "EXITED", "FATAL"}},
	{word: "exited", met: []string{"EXITED", "FATAL"}, over: []string{"STOPPED"}, once: true},
}

func (c *command) waitCommand() *cobra.Command {
	word := "running"
	var f upkeep.Filter
	var groups []string
	cmd := &cobra.Command{
		Use: "wait SELECTOR... --for running|stopped|exited", Short: "wait until programs are in a state", GroupID: groupWork,
		Long: "Waits until all of the selected programs are running, or stopped, or have ended by themselves at least once.\n\n" +
			"Exit status: 0 it is so, 3 it will not be, 4 nobody can tell, 124 the time given by --timeout is over.",
		Example: "  upkeep wait web --for running --timeout 30s",
		RunE: func(cmd *cobra.Command, args []string) error {
			i := slices.IndexFunc(goals, func(g goal) bool { return g.word == word })
			if i < 0 {
				return usageError{fmt.Errorf("--for %s: there are running, stopped and exited", word)}
			}
			f.Select = withGroups(args, groups)
			return c.waitFor(cmd.Context(), f, goals[i])
		},
		ValidArgsFunction: c.completePrograms,
	}
	selecting(cmd, &f, &groups)
	cmd.Flags().StringVar(&word, "for", word, "running, stopped or exited")
	_ = cmd.RegisterFlagCompletionFunc("for", cobra.FixedCompletions([]string{"running", "stopped", "exited"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// waiting is a wait under way: which programs, and which are there already.
type waiting struct {
	goal goal
	ids  []string
	is   map[string]bool
}

// see notes a state; fresh tells that it was entered now. lost tells that the program will not come to where it should be.
func (w *waiting) see(id, state string, fresh bool) (lost bool) {
	if !slices.Contains(w.ids, id) {
		return false
	}
	met := slices.Contains(w.goal.met, state)
	w.is[id] = met || w.goal.once && w.is[id]
	return !met && slices.Contains(w.goal.over, state) && (fresh || state == "FATAL")
}

func (w *waiting) done() bool {
	return !slices.ContainsFunc(w.ids, func(id string) bool { return !w.is[id] })
}

// errReached and errLost end the watching of events.
var errReached, errLost = errors.New("it is so"), errors.New("it will not be so")

// waitFor waits until all selected programs are where they should be.
func (c *command) waitFor(ctx context.Context, f upkeep.Filter, g goal) error {
	client, _, err := c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	if len(f.Select) == 0 {
		return c.nothingSelected(ctx, client, "wait for")
	}
	limited, cancel := ctx, context.CancelFunc(func() {})
	if c.timeout > 0 {
		limited, cancel = context.WithTimeout(ctx, c.timeout)
	}
	defer cancel()
	w := &waiting{goal: g, is: map[string]bool{}}
	err = c.watchStates(limited, client, f, w)
	var absent *upkeep.AbsentError
	switch {
	case errors.As(err, &absent):
		c.absent(absent)
		return statusError{statusUnknown, errQuiet}
	case ctx.Err() != nil:
		return ctx.Err()
	case limited.Err() == nil && !errors.Is(err, errReached) && !errors.Is(err, errLost):
		return err
	}
	list, lerr := client.Processes(ctx, upkeep.Filter{Select: w.ids})
	if lerr != nil {
		return lerr
	}
	if terr := c.tellWait(list, w); terr != nil {
		return terr
	}
	switch {
	case errors.Is(err, errReached):
		return nil
	case errors.Is(err, errLost):
		return statusError{statusNotRunning, errQuiet}
	}
	c.talk("not %s after %s", g.word, c.timeout)
	return statusError{statusTimeout, errQuiet}
}

// watchStates looks at the programs, and then at what happens to them, until the answer is errReached or errLost. A daemon
// that is replaced meanwhile is asked again.
func (c *command) watchStates(ctx context.Context, client *upkeep.Client, f upkeep.Filter, w *waiting) error {
	again := time.NewTicker(look)
	defer again.Stop()
	for {
		s, err := client.System(ctx)
		if err != nil {
			return err
		}
		list, err := client.Processes(ctx, f)
		if err != nil {
			return err
		}
		for i := range list {
			if len(w.is) < len(list) && !slices.Contains(w.ids, list[i].ID) {
				w.ids = append(w.ids, list[i].ID)
			}
			if w.see(list[i].ID, list[i].State, false) {
				return errLost
			}
		}
		if w.done() {
			return errReached
		}
		err = client.Watch(ctx, upkeep.EventFilter{Select: w.ids, After: s.LastEvent}, func(e upkeep.Event, dropped uint64) error {
			state, ok := strings.CutPrefix(e.Type, "PROCESS_STATE_")
			switch {
			case dropped > 0:
				return io.ErrUnexpectedEOF // what is missing is looked up
			case ok && w.see(e.ID, state, true):
				return errLost
			case ok && w.done():
				return errReached
			}
			return nil
		})
		if errors.Is(err, errLost) || errors.Is(err, errReached) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again.C:
		}
	}
}

// tellWait shows where the programs are.
func (c *command) tellWait(list []upkeep.Process, w *waiting) error {
	return printAll(c, list, func(p *upkeep.Process) string { return p.ID }, func(bool) error {
		for i := range list {
			p := &list[i]
			sign := c.bad()
			if w.is[p.ID] {
				sign = c.good()
			}
			text := p.ID + " is " + strings.ToLower(p.State)
			if p.PID != nil {
				text += fmt.Sprintf("   pid %d", *p.PID)
			} else if p.Summary != "" {
				text += "   " + p.Summary
			}
			fmt.Fprintf(c.out, "%s %s\n", sign, text)
		}
		return nil
	})
}
