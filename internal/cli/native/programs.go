package native

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/conf/managed"
)

// programCommands are the verbs about what programs are.
func (c *command) programCommands() []*cobra.Command {
	return []*cobra.Command{
		c.addCommand(), c.rmCommand(), c.setCommand(), c.editCommand(), c.showCommand(),
		c.bootFlagCommand("on", "start a program with upkeep", true), c.bootFlagCommand("off", "do not start a program with upkeep", false),
		c.importCommand(), c.exportCommand(),
	}
}

func (c *command) rmCommand() *cobra.Command {
	return &cobra.Command{
		Use: "rm SELECTOR...", Aliases: []string{"remove"}, Short: "stop programs and forget them", GroupID: groupPrograms,
		Long:              "Stops programs and deletes their definitions. Their logs stay. More than one is asked about, unless --yes is said.",
		RunE:              func(cmd *cobra.Command, args []string) error { return c.remove(cmd.Context(), args) },
		ValidArgsFunction: c.completePrograms,
	}
}

// remove stops programs and deletes their definitions.
func (c *command) remove(ctx context.Context, selectors []string) (err error) {
	d, list, err := c.chosen(ctx, "rm", selectors)
	if err != nil {
		return err
	}
	defer d.Close()
	for _, e := range list {
		if _, err := d.managed(ctx, e.name); err != nil {
			return err
		}
	}
	if len(list) > 1 {
		var names []string
		for _, e := range list {
			names = append(names, e.name)
		}
		if err := c.confirm(fmt.Sprintf("Stop and forget %s?", words.List(names))); err != nil {
			return err
		}
	}
	done := make([]*edit, 0, len(list))
	defer func() { c.toldAll(done, err) }()
	for _, e := range list {
		if err := d.Forget(ctx, e.name); err != nil {
			return err
		}
		done = append(done, &edit{Name: e.name, Result: "forgotten", Steps: []upkeep.Step{}, Applied: d.running})
		how := "forgotten"
		if slices.ContainsFunc(e.procs, func(p upkeep.Process) bool { return p.PID != nil }) {
			how = "stopped and forgotten"
		}
		c.say(fmt.Sprintf("%s %s is %s%s", c.good(), e.name, how, c.logsOf(e.procs)))
	}
	return nil
}

// logsOf says where the logs of programs are.
func (c *command) logsOf(procs []upkeep.Process) string {
	var logs []string
	for i := range procs {
		for _, l := range []string{procs[i].Stdout, procs[i].Stderr} {
			if _, err := os.Stat(l); err == nil && !slices.Contains(logs, l) {
				logs = append(logs, l)
			}
		}
	}
	switch len(logs) {
	case 0:
		return ""
	case 1:
		return "   its log stays: " + c.path(logs[0])
	}
	text := "   its logs stay: " + c.path(logs[0])
	for _, l := range logs[1:] {
		text += ", " + filepath.Base(l)
	}
	return text
}

// chosen opens the desk and finds the definitions that are meant.
func (c *command) chosen(ctx context.Context, verb string, selectors []string) (*desk, []chosen, error) {
	d, err := c.desk(ctx)
	if err != nil {
		return nil, nil, err
	}
	var list []chosen
	if len(selectors) == 0 {
		err = d.nothingSelected(ctx, verb)
	} else {
		list, err = d.choose(ctx, selectors)
	}
	if err != nil {
		d.Close()
		return nil, nil, err
	}
	return d, list, nil
}

// nothingSelected says which programs there are: no selector never means all of them.
func (d *desk) nothingSelected(ctx context.Context, verb string) error {
	list, err := d.choose(ctx, []string{"all"})
	var p *upkeep.Problem
	if err != nil && !errors.As(err, &p) {
		return err
	}
	var names []string
	for _, e := range list {
		names = append(names, e.name)
	}
	if len(names) == 0 {
		return usageError{fmt.Errorf("%s what? There are no programs", verb)}
	}
	return usageError{fmt.Errorf("%s what? There is %s; \"all\" stands for everything", verb, words.List(names))}
}

// bootFlagCommand is on or off.
func (c *command) bootFlagCommand(verb, short string, on bool) *cobra.Command {
	return &cobra.Command{
		Use: verb + " SELECTOR...", Short: short, GroupID: groupControl,
		Long: "Says whether programs start together with upkeep, at boot too. Nothing is started or stopped now:   upkeep start   upkeep stop",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.bootFlag(cmd.Context(), verb, args, on)
		},
		ValidArgsFunction: c.completePrograms,
	}
}

// bootFlag edits whether programs start with the instance.
func (c *command) bootFlag(ctx context.Context, verb string, selectors []string, on bool) (err error) {
	d, list, err := c.chosen(ctx, verb, selectors)
	if err != nil {
		return err
	}
	defer d.Close()
	done := make([]*edit, 0, len(list))
	defer func() { c.toldAll(done, err) }()
	for _, e := range list {
		edited, err := d.bootFlag(ctx, e, verb, on)
		if err != nil {
			return err
		}
		done = append(done, edited)
	}
	return nil
}

func (d *desk) bootFlag(ctx context.Context, e chosen, verb string, on bool) (*edit, error) {
	def, err := d.managed(ctx, e.name)
	if err != nil {
		return nil, err
	}
	if isOn(&def) == on {
		d.c.say(fmt.Sprintf("%s %s is %s already", d.c.good(), e.name, verb))
		return editOf(&def, "unchanged"), nil
	}
	text, _, _, err := managed.Set(def.Text, sectionOf(def.Text, e.name), "autostart", strconv.FormatBool(on))
	if err != nil {
		return nil, err
	}
	edited, err := d.Define(ctx, e.name, []byte(text), def.ETag)
	if err != nil {
		return nil, err
	}
	done := editOf(&def, "stored")
	done.Steps = edited.Steps
	// What else may be waiting in the definition is not applied with it.
	if alone := !slices.ContainsFunc(edited.Steps, func(s upkeep.Step) bool {
		return s.Action != "change" || len(s.Fields) != 1
	}); alone && len(edited.Steps) > 0 {
		plan, err := d.Apply(ctx, groupsOf(edited.Steps)...)
		if err != nil {
			return nil, err
		}
		done.Steps, done.Applied = plan.Steps, true
	}
	note := ""
	runs := slices.ContainsFunc(e.procs, func(p upkeep.Process) bool { return p.PID != nil })
	switch {
	case runs && !on:
		note = "   it runs until it is stopped:  upkeep stop " + e.name
	case !runs && on && d.running:
		note = "   start it now:  upkeep start " + e.name
	}
	does := map[bool]string{true: "starts with upkeep", false: "does not start with upkeep"}[on]
	d.c.say(fmt.Sprintf("%s %s is %s: it %s%s", d.c.good(), e.name, verb, does, note))
	return done, nil
}

// isOn reports whether a definition says that its programs start with the instance.
func isOn(def *upkeep.Definition) bool {
	for _, v := range def.Values {
		if v.Key == "autostart" {
			return slices.Contains([]string{"true", "yes", "on", "1"}, strings.ToLower(v.Value))
		}
	}
	return true
}
