package native

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/cli/instance"
	"github.com/upkeep-project/upkeep/internal/conf/keys"
)

// programs is what programs are made of: of an instance that runs (*upkeep.Client), or of one that does not.
type programs interface {
	Processes(ctx context.Context, f upkeep.Filter) ([]upkeep.Process, error)
	Program(ctx context.Context, name string) (upkeep.Definition, error)
	Define(ctx context.Context, name string, text []byte, etag string) (upkeep.Edited, error)
	Forget(ctx context.Context, name string) error
	Diff(ctx context.Context) (upkeep.Plan, error)
	Apply(ctx context.Context, only ...string) (upkeep.Plan, error)
	Close()
}

// desk is where definitions are looked at and edited. Nothing is started for that: whoever says `off` does not want the
// programs to start.
type desk struct {
	programs
	c       *command
	i       instance.Instance
	running bool
}

// desk opens the instance that the flags select.
func (c *command) desk(ctx context.Context) (*desk, error) {
	client, i, err := c.client()
	if err != nil {
		return nil, err
	}
	d := &desk{programs: client, c: c, i: i, running: true}
	var absent *upkeep.AbsentError
	_, err = i.Running(ctx)
	if err == nil {
		return d, nil
	}
	d.Close()
	if !errors.As(err, &absent) || errors.Is(err, os.ErrPermission) || i.Config != "" || i.Run != "" || c.socket != "" || c.system && os.Getuid() != 0 {
		return nil, err
	}
	resting, err := i.Resting()
	if err != nil {
		return nil, c.badConfig(err)
	}
	d.programs, d.running = resting, false
	return d, nil
}

// managed is a definition that may be edited. One of a file of the user's own is refused with its place.
func (d *desk) managed(ctx context.Context, name string) (upkeep.Definition, error) {
	def, err := d.Program(ctx, name)
	if err != nil {
		return def, d.unknown(ctx, name, err)
	}
	if def.ETag == "" {
		return def, statusError{statusInvalid, fmt.Errorf("%s is defined in a file of yours, which upkeep does not touch: edit %s:%d, then  upkeep apply",
			name, d.c.path(def.Origin.File), def.Origin.Line)}
	}
	return def, nil
}

// unknown says which names there are when there is no program of a name.
func (d *desk) unknown(ctx context.Context, name string, err error) error {
	var p *upkeep.Problem
	if !errors.As(err, &p) || p.Code != "not_found" {
		return err
	}
	text := fmt.Sprintf("no program named %q.", name)
	if list, lerr := d.Processes(ctx, upkeep.Filter{}); lerr == nil {
		var known []string
		for i := range list {
			known = append(known, list[i].Program)
		}
		slices.Sort(known)
		if close := words.Close(name, slices.Compact(known), 3); len(close) > 0 {
			text += " Close: " + strings.Join(close, ", ") + "."
		}
	}
	return statusError{statusNoProgram, errors.New(text + "   All names: upkeep status -q")}
}

// chosen is a definition that selectors stand for, with its programs.
type chosen struct {
	name  string
	procs []upkeep.Process
}

// choose finds the definitions that selectors stand for, in the order of the programs. One that is not active yet is
// found by its name.
func (d *desk) choose(ctx context.Context, selectors []string) ([]chosen, error) {
	var list []chosen
	for _, s := range selectors {
		procs, err := d.Processes(ctx, upkeep.Filter{Select: []string{s}})
		if err != nil {
			var p *upkeep.Problem
			if !errors.As(err, &p) || p.Code != "not_found" {
				return nil, err
			}
			if _, derr := d.Program(ctx, s); derr != nil {
				return nil, d.unknown(ctx, s, derr)
			}
			procs = []upkeep.Process{{ID: s, Program: s}}
		}
		for i := range procs {
			at := slices.IndexFunc(list, func(c chosen) bool { return c.name == procs[i].Program })
			if at < 0 {
				at, list = len(list), append(list, chosen{name: procs[i].Program})
			}
			if procs[i].Group != "" && !slices.ContainsFunc(list[at].procs, func(p upkeep.Process) bool { return p.ID == procs[i].ID }) {
				list[at].procs = append(list[at].procs, procs[i])
			}
		}
	}
	return list, nil
}

// edit is what a verb has done to a definition, as programs are told it.
type edit struct {
	Name   string `json:"name"`
	Result string `json:"result"` // stored, unchanged, forgotten
	File   string `json:"file,omitempty"`
	// Steps are what it is to what runs, and Applied says that they are carried out.
	Steps   []upkeep.Step `json:"steps"`
	Applied bool          `json:"applied"`
}

// editOf is an edit of a definition, without what it is to what runs.
func editOf(def *upkeep.Definition, result string) *edit {
	return &edit{Name: def.Name, Result: result, File: def.Origin.File, Steps: []upkeep.Step{}}
}

// told tells programs what a verb has done, once it is all done.
func (c *command) told(what any) {
	if c.jsonWanted() {
		c.printJSON(c.out, what)
	}
}

// toldAll is told of several definitions. Where a later one has failed, which is told by itself, those before it count.
func (c *command) toldAll(done []*edit, err error) {
	if err == nil || len(done) > 0 {
		c.told(done)
	}
}

// groups are the groups of a definition's programs.
func groupsOf(steps []upkeep.Step) []string {
	var names []string
	for i := range steps {
		g, _, _ := strings.Cut(steps[i].ID, ":")
		if !slices.Contains(names, g) {
			names = append(names, g)
		}
	}
	return names
}

// settle makes an edit count where nothing that runs has to be stopped for it, or now in any case, and says when it
// counts.
func (d *desk) settle(ctx context.Context, e *edit, now bool) error {
	name, steps, n := e.Name, e.Steps, map[string]int{}
	for i := range steps {
		n[steps[i].Action]++
	}
	switch {
	case !d.running:
		d.c.talk("takes effect when the daemon starts")
		return nil
	case len(steps) == 0:
		d.c.talk("changes nothing that runs")
		return nil
	case !now && n["restart"] > 0:
		d.c.talk("takes effect when it is applied, which restarts it:   upkeep apply %s", name)
		return nil
	case !now && (n["remove"] > 0 || n["add"] > 0 && !d.active(ctx, name)):
		d.c.talk("takes effect when it is applied:   upkeep apply %s", name)
		return nil
	}
	plan, err := d.Apply(ctx, groupsOf(steps)...)
	if err != nil {
		return err
	}
	e.Steps, e.Applied = plan.Steps, true
	if n["restart"]+n["remove"]+n["add"] > 0 {
		return d.c.appliedSteps(plan.Steps)
	}
	for i := range plan.Steps {
		if plan.Steps[i].Error != nil {
			return plan.Steps[i].Error
		}
	}
	for i := range steps {
		for _, f := range steps[i].Fields {
			if f.Effect == "restart" {
				d.c.talk("takes effect at its next start")
				return nil
			}
		}
	}
	d.c.talk("takes effect at once")
	return nil
}

// active reports whether a definition has programs already: further ones of it are what an edit has asked for.
func (d *desk) active(ctx context.Context, name string) bool {
	list, err := d.Processes(ctx, upkeep.Filter{})
	return err == nil && slices.ContainsFunc(list, func(p upkeep.Process) bool { return p.Program == name })
}

// path shows a path as people write it.
func (c *command) path(p string) string { return shortPath(p, c.environ("HOME")) }

// unknownKey is the answer to a key that nothing has.
func unknownKey(key string, known []string) error {
	text := fmt.Sprintf("unknown key %q.", key)
	if close := words.Close(key, known, 1); len(close) > 0 {
		return usageError{fmt.Errorf("%s Did you mean %s?   upkeep explain %s", text, close[0], close[0])}
	}
	return usageError{errors.New(text + "   All keys: upkeep explain")}
}

// programKeys are the keys of everything that makes processes.
func programKeys() *keys.Section { return keys.Sections().Kind("defaults") }

// noArgs refuses arguments. Where there are verbs below a verb, it is one of those that was mistyped.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 || !cmd.HasAvailableSubCommands() {
		return atMost(0)(cmd, args)
	}
	text := fmt.Sprintf("%s has no verb %q.", cmd.CommandPath(), args[0])
	cmd.SuggestionsMinimumDistance = 2
	if s := cmd.SuggestionsFor(args[0]); len(s) > 0 {
		text += " Close: " + strings.Join(s, ", ") + "."
	}
	return usageError{fmt.Errorf("%s   All of them: upkeep help %s", text, cmd.Name())}
}

// atMost bounds the number of arguments.
func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return usageError{fmt.Errorf("%q is one too many:  %s", args[n], cmd.UseLine())}
		}
		return nil
	}
}
