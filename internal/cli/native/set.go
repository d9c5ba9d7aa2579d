package native

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/conf/ini"
	"github.com/upkeep-project/upkeep/internal/conf/keys"
	"github.com/upkeep-project/upkeep/internal/conf/managed"
)

// setting is one KEY=VALUE; nil value: the key goes.
type setting struct {
	key   string
	value *string
}

func (c *command) setCommand() *cobra.Command {
	var unset []string
	now := false
	cmd := &cobra.Command{
		Use: "set NAME KEY=VALUE...", Short: "change settings of a program", GroupID: groupPrograms,
		Long: "Changes the definition of a program; comments in it stay. What needs no restart counts at once; for the rest say --now, or\n" +
			"upkeep apply when it suits. Environment variables are env.NAME=VALUE.",
		Example: "  upkeep set web startsecs=5 stopwaitsecs=30\n  upkeep set web env.PORT=8080 --now\n  upkeep set web --unset user",
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := settings(args, unset)
			if err != nil {
				return err
			}
			return c.set(cmd.Context(), args[0], list, now)
		},
		ValidArgsFunction: c.completeSettings,
	}
	cmd.Flags().StringSliceVar(&unset, "unset", nil, "take these keys out")
	cmd.Flags().BoolVar(&now, "now", false, "apply it at once, with a restart where one is needed")
	return cmd
}

// settings reads the arguments of set. Keys that nothing has are refused before anything else is looked at.
func settings(args, unset []string) ([]setting, error) {
	if len(args) == 0 || len(args) == 1 && len(unset) == 0 {
		return nil, usageError{errors.New("set what? upkeep set NAME KEY=VALUE, such as  upkeep set web startsecs=5   All keys: upkeep explain")}
	}
	var list []setting
	for _, a := range args[1:] {
		key, value, ok := strings.Cut(a, "=")
		if !ok {
			return nil, usageError{fmt.Errorf("%q is no KEY=VALUE; upkeep set NAME --unset KEY takes a key out", a)}
		}
		value = strings.TrimSpace(value)
		list = append(list, setting{keys.Fold(strings.TrimSpace(key)), &value})
	}
	for _, k := range unset {
		list = append(list, setting{keys.Fold(k), nil})
	}
	known := programKeys()
	for i := range list {
		s := &list[i]
		if known.Key(s.key) == nil && s.value != nil {
			return nil, unknownKey(s.key, known.Names())
		}
		if s.value != nil && keys.IsVariable(s.key) {
			text := managed.Literal(s.key, *s.value)
			s.value = &text
		}
	}
	return list, nil
}

// sectionOf is the section, without brackets, that a definition's text has for its program.
func sectionOf(text, name string) string {
	table := keys.Sections()
	for _, l := range ini.Scan(text, keys.Fold) {
		if s := table.Find(l.Section); l.Kind == ini.KindHeader && s != nil && s.Process() {
			return l.Section
		}
	}
	return managed.Section(name)
}

// set edits a definition.
func (c *command) set(ctx context.Context, name string, list []setting, now bool) error {
	d, err := c.desk(ctx)
	if err != nil {
		return err
	}
	defer d.Close()
	def, err := d.managed(ctx, name)
	if err != nil {
		return err
	}
	text, lines, err := c.edited(&def, list)
	if err != nil {
		return err
	}
	e := editOf(&def, "unchanged")
	if text == def.Text {
		c.say(lines...)
		c.talk("nothing has changed")
		if !now {
			c.told(e)
			return nil
		}
	}
	stored, err := d.Define(ctx, def.Name, []byte(text), def.ETag)
	if err != nil {
		return c.notStored(err)
	}
	e.Steps = stored.Steps
	if text != def.Text {
		e.Result = "stored"
		c.say(lines...)
	}
	err = d.settle(ctx, e, now)
	c.told(e)
	return err
}

// say prints lines for people.
func (c *command) say(lines ...string) {
	for i := 0; i < len(lines) && !c.jsonWanted(); i++ {
		fmt.Fprintln(c.out, lines[i])
	}
}

// notStored says why a definition was refused.
func (c *command) notStored(err error) error {
	var p *upkeep.Problem
	if c.jsonWanted() || !errors.As(err, &p) || p.Code != "invalid_config" || len(p.Errors) == 0 {
		return err
	}
	for _, m := range p.Errors {
		c.mistake(m)
	}
	c.talk("nothing was changed")
	return statusError{statusInvalid, errQuiet}
}

// edited is the text of a definition after settings, and what has changed in it, for people.
func (c *command) edited(def *upkeep.Definition, list []setting) (text string, lines []string, err error) {
	text = def.Text
	section := sectionOf(text, def.Name)
	for _, s := range list {
		before := text
		var old string
		var line int
		if s.value == nil {
			text, old, line, err = managed.Unset(text, section, s.key)
		} else {
			text, old, line, err = managed.Set(text, section, s.key, *s.value)
		}
		if err != nil {
			return "", nil, usageError{err}
		}
		if s.value == nil && line == 0 {
			lines = append(lines, fmt.Sprintf("%s  %s is not set in its definition", def.Name, s.key))
			continue
		}
		lines = append(lines, fmt.Sprintf("%s  %s      %s:%d", def.Name, c.changed(def, s, old, before != text), c.path(def.Origin.File), line))
	}
	return text, lines, nil
}

// changed says what a setting changes. What may be a secret is not shown.
func (c *command) changed(def *upkeep.Definition, s setting, old string, differs bool) string {
	secret := keys.IsVariable(s.key) || s.key == "environment"
	if old == "" {
		old = "(none)"
		if i := slices.IndexFunc(def.Values, func(v upkeep.Value) bool { return v.Key == s.key }); i >= 0 && def.Values[i].Value != "" && !secret {
			old = def.Values[i].Value
		}
	} else if secret {
		old = "…"
	}
	value := "(default)"
	if s.value != nil {
		value = *s.value
		if secret {
			value = "…"
		}
	}
	arrow := " → "
	if !c.unicodeWanted() {
		arrow = " -> "
		old, value = strings.ReplaceAll(old, "…", "..."), strings.ReplaceAll(value, "…", "...")
	}
	if !differs {
		return s.key + ": " + value + ", as it was"
	}
	return s.key + ": " + c.clean(old+arrow+value)
}

// completeSettings completes the name of a program, and then keys with their defaults and values.
func (c *command) completeSettings(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return c.completePrograms(cmd, args, word)
	}
	table := programKeys()
	if key, _, ok := strings.Cut(word, "="); ok {
		var out []string
		if k := table.Key(key); k != nil {
			for _, w := range k.Words() {
				out = append(out, key+"="+w)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for i := range table.All {
		k := &table.All[i]
		name := k.Name + "="
		if family := keys.Family(k.Name); family != "" {
			name = family
		}
		note := k.Allowed()
		if k.Default != "" {
			note += ", default " + k.Default
		}
		out = append(out, name+"\t"+note)
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}
