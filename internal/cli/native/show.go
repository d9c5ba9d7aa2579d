package native

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/conf/keys"
)

func (c *command) showCommand() *cobra.Command {
	var all, env, text bool
	cmd := &cobra.Command{
		Use: "show NAME", Short: "the settings of a program and where each comes from", GroupID: groupPrograms,
		Long: "The settings of a program with the place where each is written; of those that are nowhere, with -a, the default. Values of\n" +
			"environment variables are not shown, except by --text, which is the definition as it stands in its file.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("show which program? upkeep show NAME   All names: upkeep status -q")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.show(cmd.Context(), args[0], all, env, text)
		},
		ValidArgsFunction: c.completePrograms,
	}
	f := cmd.Flags()
	f.BoolVarP(&all, "all", "a", false, "with those that have their defaults")
	f.BoolVar(&env, "env", false, "the names of its environment variables")
	f.BoolVar(&text, "text", false, "the definition as it stands in its file")
	return cmd
}

// show prints a definition.
func (c *command) show(ctx context.Context, name string, all, env, text bool) error {
	d, err := c.desk(ctx)
	if err != nil {
		return err
	}
	defer d.Close()
	def, err := d.Program(ctx, name)
	if err != nil {
		return d.unknown(ctx, name, err)
	}
	switch {
	case text && def.ETag == "":
		return statusError{statusInvalid, fmt.Errorf("%s is defined in a file of yours: %s:%d", name, c.path(def.Origin.File), def.Origin.Line)}
	case text:
		if c.outTTY {
			def.Text = c.cleanText(def.Text)
		}
		fmt.Fprint(c.out, def.Text)
		return nil
	case env:
		for _, v := range variables(&def) {
			fmt.Fprintln(c.out, v)
		}
		return nil
	}
	def.Text = "" // it has what may be secrets in it
	if !all {
		def.Values = slices.DeleteFunc(def.Values, func(v upkeep.Value) bool { return v.Source == "default" })
	}
	if c.jsonWanted() {
		c.printJSON(c.out, def)
		return nil
	}
	return printAll(c, def.Values, func(v *upkeep.Value) string { return v.Key }, func(bool) error { return c.showTable(&def, d.running) })
}

// variables are the names of a program's environment variables.
func variables(def *upkeep.Definition) []string {
	var names []string
	for _, v := range def.Values {
		switch {
		case keys.IsVariable(v.Key):
			names = append(names, v.Key[len(keys.EnvPrefix):])
		case v.Key == "environment" && v.Value != "":
			names = append(names, strings.Split(v.Value, ",")...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (c *command) showTable(def *upkeep.Definition, running bool) error {
	kind := "a file of yours"
	if def.Origin.Managed {
		kind = "upkeep set and edit change it"
	}
	fmt.Fprintf(c.out, "%s   %s:%d   %s\n", c.paint(bold, def.Name), c.path(def.Origin.File), def.Origin.Line, kind)
	if def.Invalid != "" {
		fmt.Fprintf(c.out, "  cannot be used: %s\n", def.Invalid)
	}
	if len(def.Values) == 0 {
		c.talk("nothing can be told of its settings:   upkeep check   upkeep show %s --text", def.Name)
		return nil
	}
	var rows [][]cell
	for _, v := range def.Values {
		value := v.Value
		if keys.IsVariable(v.Key) || v.Key == "environment" && value != "" {
			value = "(set)"
			if v.Key == "environment" {
				value = "(" + v.Value + ")"
			}
		}
		source := strings.TrimPrefix(v.Source, def.Origin.File+":")
		if source != v.Source {
			source = "line " + source
		}
		rows = append(rows, []cell{{text: "  " + v.Key}, {text: c.clean(strings.ReplaceAll(value, "\n", " "))}, {text: c.path(source), colour: dim}})
	}
	c.table([]column{{title: "  KEY"}, {title: "VALUE"}, {title: "FROM", drop: 1}}, rows)
	if !running {
		c.talk("no daemon runs; this is what it would use")
	}
	return nil
}

// cleanText makes a text of several lines safe to show.
func (c *command) cleanText(text string) string {
	lines := strings.SplitAfter(text, "\n")
	for i, l := range lines {
		body, end, _ := strings.Cut(l, "\n")
		if strings.HasSuffix(l, "\n") {
			end = "\n"
		}
		lines[i] = c.clean(body) + end
	}
	return strings.Join(lines, "")
}
