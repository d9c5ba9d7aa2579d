package chalmers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/cli/instance"
	"github.com/upkeep-project/upkeep/internal/conf/managed"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/boot"
	"github.com/upkeep-project/upkeep/internal/sys/home"
)

// native is the instance of a user. What only looks, and what only edits, does without its daemon; what needs one starts it.
type native struct {
	instance.Instance
	say func(format string, args ...any) // to people, beside the outcome
}

// longest is how long an order is waited for.
const longest = time.Hour

// running is a client of the daemon, nil when there is none.
func (n *native) running(ctx context.Context) (*upkeep.Client, error) {
	c := n.Client()
	_, err := c.System(ctx)
	var absent *upkeep.AbsentError
	switch {
	case err == nil:
		return c, nil
	case errors.As(err, &absent) && !errors.Is(err, os.ErrPermission):
		err = nil
	}
	c.Close()
	return nil, err
}

// started is a client of the daemon, which is started unless it runs.
func (n *native) started(ctx context.Context) (*upkeep.Client, error) {
	s, fresh, err := n.Start(ctx)
	if err != nil {
		return nil, err
	}
	if fresh {
		n.say("started an upkeep daemon (pid %d); programs that are on start with it", s.PID)
	}
	return n.Client(), nil
}

// List is all programs, as the daemon knows them, or as they are defined where none runs.
func (n *native) List(ctx context.Context) ([]Program, error) {
	c, err := n.running(ctx)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return n.defined()
	}
	defer c.Close()
	list, err := c.Processes(ctx, upkeep.Filter{})
	if err != nil {
		return nil, err
	}
	var out []Program
	for i := range list {
		out = append(out, program(&list[i]))
	}
	s, err := c.System(ctx)
	return append(out, broken(s.Invalid, out)...), err
}

// program is a program in the words of chalmers.
func program(p *upkeep.Process) Program {
	out := Program{
		Name: p.ID, Section: p.Program, Off: !p.Boot, File: p.Origin.File, Stdout: p.Stdout, Stderr: p.Stderr,
		Active: p.State == "RUNNING" || p.State == "STARTING" || p.State == "BACKOFF" || p.State == "STOPPING",
		Failed: p.State == "FATAL" || p.State == "UNKNOWN" || p.State == "EXITED" && p.LastExit != nil && !p.LastExit.Expected,
	}
	if p.PID != nil {
		out.PID = *p.PID
	}
	switch {
	case out.Active && p.Since != nil:
		out.Started = *p.Since
	case out.Active || p.LastExit == nil && p.State == "STOPPED": // never started
	case p.State == "STOPPED":
		out.Reason = "stopped on request"
	default:
		out.Reason = p.Summary
	}
	if !out.Active && p.LastExit != nil && p.Since != nil {
		out.Ended = *p.Since
	}
	return out
}

// broken are the programs of definitions that cannot be used, beside those that are known.
func broken(files []string, known []Program) []Program {
	has := map[string]bool{}
	for _, p := range known {
		has[p.File] = true
	}
	var out []Program
	for _, f := range files {
		if !has[f] {
			name := strings.TrimSuffix(filepath.Base(f), managed.Suffix)
			out = append(out, Program{Name: name, Section: name, File: f, Failed: true, Reason: "its definition cannot be used: chalmers edit " + name})
		}
	}
	return out
}

// defined are the programs where no daemon runs: none of them does.
func (n *native) defined() ([]Program, error) {
	if !exists(n.Programs) && !exists(n.File) {
		return nil, nil // nothing was ever defined
	}
	c, _, err := n.load()
	if err != nil {
		return nil, err
	}
	var out []Program
	for _, g := range c.Model.Groups {
		for _, p := range g.Programs {
			q := Program{Name: p.ID.String(), Section: p.Section, Off: !p.Start.Auto, File: p.Origin.File}
			q.Stdout, q.Stderr = logFile(p.IO.Stdout), logFile(p.IO.Stderr)
			if p.IO.MergeStderr {
				q.Stderr = ""
			}
			out = append(out, q)
		}
	}
	var files []string
	for _, in := range c.Invalid {
		files = append(files, in.File)
	}
	return append(out, broken(files, out)...), nil
}

func logFile(s model.Stream) string {
	if s.Log != model.LogFile {
		return ""
	}
	return s.Path
}

// order has the daemon do something with programs.
func (n *native) order(ctx context.Context, c *upkeep.Client, a upkeep.Action) ([]Result, error) {
	op, err := c.Do(ctx, a, longest)
	if err != nil {
		return nil, err
	}
	var out []Result
	for i := range op.Results {
		r := Result{Name: op.Results[i].ID}
		if p := op.Results[i].Error; p != nil && p.Code != "already_running" && p.Code != "not_running" {
			r.Err = failed(r.Name, p)
		}
		out = append(out, r)
	}
	return out, nil
}

// failed is what went wrong with a program, with what was seen.
func failed(name string, p *upkeep.Problem) error {
	lines := []string{strings.TrimPrefix(p.Error(), name+" ")}
	for _, e := range p.Evidence {
		for _, l := range e.Lines {
			lines = append(lines, "  "+e.Kind+": "+l)
		}
	}
	return errors.New(strings.Join(lines, "\n"))
}

// Launch starts programs, with the definitions that they have by now.
func (n *native) Launch(ctx context.Context, names []string) ([]Result, error) {
	return n.up(ctx, "start", names)
}

// Restart restarts programs, with the definitions that they have by now.
func (n *native) Restart(ctx context.Context, names []string) ([]Result, error) {
	return n.up(ctx, "restart", names)
}

func (n *native) up(ctx context.Context, action string, names []string) ([]Result, error) {
	c, err := n.started(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if action == "restart" { // a changed definition takes the place of the old one when nothing runs
		if _, err := n.order(ctx, c, upkeep.Action{Action: "stop", Select: names}); err != nil {
			return nil, err
		}
	}
	if _, err := c.Apply(ctx, groups(names)...); err != nil {
		return nil, err
	}
	return n.order(ctx, c, upkeep.Action{Action: "start", Select: names})
}

// groups are the groups of programs.
func groups(names []string) []string {
	var out []string
	for _, name := range names {
		group, _, _ := strings.Cut(name, ":")
		out = append(out, group)
	}
	return out
}

// Stop stops programs.
func (n *native) Stop(ctx context.Context, names []string, force bool) ([]Result, error) {
	c, err := n.running(ctx)
	if c == nil || err != nil {
		return nil, err // nothing runs
	}
	defer c.Close()
	return n.order(ctx, c, upkeep.Action{Action: "stop", Select: names, Now: force})
}

// SetBoot switches programs on or off.
func (n *native) SetBoot(ctx context.Context, names []string, on bool) error {
	list, err := n.List(ctx)
	if err != nil {
		return err
	}
	for _, p := range named(list, names) {
		err = errors.Join(err, n.edit(ctx, p, func(text, section string) (string, error) {
			if on {
				text, _, _, err := managed.Unset(text, section, "autostart")
				return text, err
			}
			text, _, _, err := managed.Set(text, section, "autostart", "false")
			return text, err
		}))
	}
	return err
}

// Remove forgets programs.
func (n *native) Remove(ctx context.Context, names []string) ([]Result, error) {
	list, err := n.List(ctx)
	if err != nil {
		return nil, err
	}
	c, err := n.running(ctx)
	if err != nil {
		return nil, err
	}
	if c != nil {
		defer c.Close()
	}
	var out []Result
	for _, p := range named(list, names) {
		switch {
		case c != nil:
			err = c.Forget(ctx, p.Section)
		case filepath.Dir(p.File) != n.Programs:
			err = fmt.Errorf("it is defined in a file of yours: %s", p.File)
		default:
			err = os.Remove(p.File)
		}
		out = append(out, Result{p.Name, err})
	}
	return out, nil
}

// named are the programs of a list that have one of the names.
func named(list []Program, names []string) []Program {
	var out []Program
	for _, name := range names {
		for _, p := range list {
			if p.Name == name {
				out = append(out, p)
			}
		}
	}
	return out
}

// ClearLogs empties the logs of a program.
func (n *native) ClearLogs(ctx context.Context, p Program) error {
	c, err := n.running(ctx)
	if err != nil {
		return err
	}
	if c == nil {
		for _, file := range []string{p.Stdout, p.Stderr} {
			if e := os.Remove(file); file != "" && !errors.Is(e, os.ErrNotExist) {
				err = errors.Join(err, e)
			}
		}
		return err
	}
	defer c.Close()
	results, err := n.order(ctx, c, upkeep.Action{Action: "clear", Select: []string{p.Name}})
	for _, r := range results {
		err = errors.Join(err, r.Err)
	}
	return err
}

// LogDir is the folder of all logs.
func (n *native) LogDir() string { return n.Logs }

// Activity is the log of what happens to the programs.
func (n *native) Activity() string { return filepath.Join(n.Logs, "upkeep.log") }

// Entry is how the machine starts the instance, or that of another user.
func (n *native) Entry(at, user string) (boot.Target, error) {
	return n.BootEntry(at, user, os.Getenv(home.RootVariable), false)
}

// End stops all programs and the daemon.
func (n *native) End(ctx context.Context) error {
	c, err := n.running(ctx)
	if c == nil || err != nil {
		return err
	}
	defer c.Close()
	if err := c.Stop(ctx); err != nil {
		return err
	}
	for tick := time.NewTicker(look); ; {
		if _, err := c.System(ctx); err != nil {
			tick.Stop()
			return ctx.Err()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return ctx.Err()
		}
	}
}

// look is how often something is looked at that nobody reports.
const look = 100 * time.Millisecond
