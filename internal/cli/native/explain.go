package native

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/internal/conf/keys"
)

// explained is a key as JSON tells it.
type explained struct {
	Key      string `json:"key"`
	Section  string `json:"section"`
	Allowed  string `json:"allowed"`
	Default  string `json:"default"`
	Required bool   `json:"required"`
	Native   bool   `json:"native"` // Supervisor passes over it
	Effect   string `json:"effect"`
	Text     string `json:"text"`
}

func (c *command) explainCommand() *cobra.Command {
	sample := false
	cmd := &cobra.Command{
		Use: "explain [KEY]", Short: "what a key of the configuration means", GroupID: groupConfig, Args: atMost(1),
		Long:    "Explains a key: what it takes, its default, when a change counts. Without a key: all of them, in a line each.",
		Example: "  upkeep explain autorestart\n  upkeep explain group.priority\n  upkeep explain --sample > upkeep.conf",
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case sample:
				writeSample(c.out)
				return nil
			case len(args) == 0:
				return c.explainAll()
			}
			return c.explainKey(args[0])
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return keys.Sections().Names(), cobra.ShellCompDirectiveNoFileComp
		},
	}
	cmd.Flags().BoolVar(&sample, "sample", false, "a configuration with everything in it, explained")
	return cmd
}

// uses are keys as JSON tells them.
func uses(list []keys.Use) []explained {
	var out []explained
	for _, u := range list {
		k := u.Key
		out = append(out, explained{
			Key: k.Name, Section: u.Section.Header(), Allowed: k.Allowed(), Default: k.Default, Required: k.Required,
			Native: k.Ours || u.Section.Ours, Effect: u.Section.Effect(k).String(), Text: k.Text,
		})
	}
	return out
}

// explainAll lists all keys.
func (c *command) explainAll() error {
	var list []explained
	table := keys.Sections()
	for i := range table {
		s := &table[i]
		for j := range s.Keys {
			list = append(list, uses([]keys.Use{{Section: s, Key: &s.Keys[j]}})...)
		}
	}
	return printAll(c, list, func(e *explained) string { return e.Key }, func(bool) error {
		section := ""
		for i := range list {
			e := &list[i]
			if e.Section != section {
				if section != "" {
					fmt.Fprintln(c.out)
				}
				section = e.Section
				fmt.Fprintln(c.out, c.paint(bold, section))
			}
			short, _, _ := strings.Cut(e.Text, ". ")
			fmt.Fprintf(c.out, "  %-24s %s\n", e.Key, fit(strings.TrimSuffix(short, "."), c.width-27))
		}
		c.talk("\nMore of one:   upkeep explain KEY")
		return nil
	})
}

// fit shortens a text to a width in characters; no positive width is none.
func fit(text string, width int) string {
	r := []rune(text)
	if width <= 1 || len(r) <= width {
		return text
	}
	return string(r[:width-1]) + "…"
}

// explainKey explains a key in all sections that have it.
func (c *command) explainKey(name string) error {
	table := keys.Sections()
	found := table.Explain(keys.Fold(name))
	if found == nil {
		return unknownKey(name, table.Names())
	}
	list := uses(found)
	return printAll(c, list, func(e *explained) string { return e.Section + " " + e.Key }, func(bool) error {
		for i := range list {
			if i > 0 {
				fmt.Fprintln(c.out)
			}
			c.explainOne(&list[i])
		}
		return nil
	})
}

func (c *command) explainOne(e *explained) {
	fmt.Fprintf(c.out, "%s   in %s\n\n", c.paint(bold, e.Key), e.Section)
	width := 76
	if c.width > 20 {
		width = min(100, c.width-4)
	}
	for _, l := range wrap(e.Text, width) {
		fmt.Fprintln(c.out, "  "+l)
	}
	fmt.Fprintf(c.out, "\n  %-8s %s\n", "takes", e.Allowed)
	switch {
	case e.Required:
		fmt.Fprintf(c.out, "  %-8s there is none: it must be said\n", "default")
	case e.Default != "":
		fmt.Fprintf(c.out, "  %-8s %s\n", "default", e.Default)
	}
	fmt.Fprintf(c.out, "  %-8s a change counts %s\n", "counts", e.Effect)
	if e.Native {
		fmt.Fprintf(c.out, "  %-8s Supervisor passes over it\n", "compat")
	}
}

// wrap breaks a text into lines of so many characters.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, w := range strings.Fields(text) {
		if line != "" && len([]rune(line))+1+len([]rune(w)) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += w
	}
	return append(lines, line)
}

// writeSample writes a configuration with every key, explained, and all of it as comments: used as it is, it says nothing.
func writeSample(w io.Writer) {
	table := keys.Sections()
	fmt.Fprint(w, "; Everything that a configuration can say. Take away the semicolons in front of what is needed.\n")
	for i := range table {
		s := &table[i]
		if len(s.Keys) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n;%s\n; %s\n", s.Header(), s.Text)
		for j := range s.Keys {
			k := &s.Keys[j]
			fmt.Fprintln(w, ";")
			for _, l := range wrap(k.Text+" Takes "+k.Allowed()+".", 100) {
				fmt.Fprintln(w, ";   "+l)
			}
			fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf(";%s = %s", k.Name, k.Default), " "))
		}
	}
}
