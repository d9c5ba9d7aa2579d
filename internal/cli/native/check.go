package native

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/app"
	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/conf/ini"
	"github.com/upkeep-project/upkeep/internal/conf/keys"
	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
)

// checked is what was found in a configuration.
type checked struct {
	Files    []string         `json:"files"`
	Programs int              `json:"programs"`
	Problems []upkeep.Mistake `json:"problems"`
	Warnings []string         `json:"warnings"`
}

func (c *command) checkCommand() *cobra.Command {
	var strict, compat bool
	cmd := &cobra.Command{
		Use: "check [FILE]", Short: "find mistakes in the configuration", GroupID: groupConfig, Args: atMost(1),
		Long: "Reads the configuration as the daemon would, and tells everything that is wrong with it; no daemon is needed. FILE is a\n" +
			"supervisord.conf, or the definition of one program.\n\nExit status: 0 nothing is wrong, 6 something is.",
		RunE: func(_ *cobra.Command, args []string) error { return c.check(args, strict, compat) },
	}
	cmd.Flags().BoolVar(&strict, "strict", false, "warnings count as mistakes")
	cmd.Flags().BoolVar(&compat, "compat", false, "also list what Supervisor would pass over")
	return cmd
}

// check reads a configuration and tells what is wrong with it.
func (c *command) check(args []string, strict, compat bool) error {
	found, err := c.checking(args)
	if err != nil {
		return c.badConfig(err)
	}
	if compat {
		for _, f := range found.Files {
			found.Warnings = append(found.Warnings, incompatible(f)...)
		}
	}
	bad := len(found.Problems)
	if strict {
		bad += len(found.Warnings)
	}
	if c.jsonWanted() {
		found.Files = append([]string{}, found.Files...) // nothing is a list too
		c.printJSON(c.out, found)
	} else {
		for _, m := range found.Problems {
			c.mistake(m)
		}
		for _, w := range found.Warnings {
			fmt.Fprintln(c.err, w)
		}
		switch {
		case bad > 0:
			c.talk("%s.", plural(bad, "problem", "problems"))
		case len(found.Warnings) > 0:
			fmt.Fprintf(c.out, "%s %s, %s\n", c.good(), plural(found.Programs, "program", "programs"), plural(len(found.Warnings), "warning", "warnings"))
		default:
			fmt.Fprintf(c.out, "%s %s, no mistakes\n", c.good(), plural(found.Programs, "program", "programs"))
		}
	}
	if bad > 0 {
		return statusError{statusInvalid, errQuiet}
	}
	return nil
}

// checking reads what is to be checked. Errors are mistakes because of which nothing can be used.
func (c *command) checking(args []string) (*checked, error) {
	i, err := c.instance()
	if err != nil && (c.config == "" || len(args) > 0) {
		return nil, err
	}
	file := c.config
	if len(args) > 0 {
		if file, err = filepath.Abs(args[0]); err != nil {
			return nil, err
		}
	}
	if file == "" || file == i.File || filepath.Dir(file) == i.Programs {
		r, err := i.Resting()
		if err != nil {
			return nil, err
		}
		var found *checked
		if file == "" || file == i.File {
			found = checkedConfig(r.Config())
			found.Problems, err = r.Mistakes()
		} else {
			found, err = checkDefinition(file, r)
		}
		if err == nil && found.Problems == nil {
			found.Problems = []upkeep.Mistake{}
		}
		return found, err
	}
	env, err := supervisord.SystemEnviron()
	if err != nil {
		return nil, err
	}
	a := &supervisord.Args{Configuration: &file}
	location, err := supervisord.Locate(a, env)
	if err != nil {
		return nil, err
	}
	conf, err := supervisord.LoadFrom(a, location, app.Settled(env))
	if err != nil {
		return nil, err
	}
	return checkedConfig(conf), nil
}

// checkDefinition judges the file of one program.
func checkDefinition(file string, r *app.Resting) (*checked, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	conf, mistakes := r.Judge(file, text)
	found := checkedConfig(conf)
	found.Problems = mistakes
	return found, nil
}

// checkedConfig is what the reading of a configuration has told.
func checkedConfig(conf *supervisord.Config) *checked {
	found := &checked{Files: conf.Files, Problems: []upkeep.Mistake{}, Warnings: []string{}}
	for _, g := range conf.Model.Groups {
		found.Programs += len(g.Programs)
	}
	for _, m := range conf.Messages {
		unknown := m.Level == units.LevelDebug && strings.HasPrefix(m.Text, "unknown ")
		if unknown || m.Hint || m.Level == units.LevelWarn {
			found.Warnings = append(found.Warnings, m.Text)
		}
	}
	return found
}

// badConfig is an error of reading a configuration, with its place.
func (c *command) badConfig(err error) error {
	var e *supervisord.Error
	if !errors.As(err, &e) {
		return err
	}
	if e.File == "" || strings.Contains(e.Text, e.File) {
		return statusError{statusInvalid, err}
	}
	m := upkeep.Mistake{File: e.File, Line: e.Line, Message: e.Text, Suggestion: e.Suggestion}
	if c.jsonWanted() {
		return &upkeep.Problem{Type: "about:blank", Title: "mistake in the configuration", Status: 422, Code: "invalid_config", Errors: []upkeep.Mistake{m}}
	}
	c.mistake(m)
	return statusError{statusInvalid, errQuiet}
}

// incompatible lists what Supervisor passes over in a file.
func incompatible(file string) []string {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil // it was told already
	}
	var out []string
	table := keys.Sections()
	for i, l := range ini.Scan(string(text), keys.Fold) {
		s := table.Find(l.Section)
		if s == nil {
			continue
		}
		switch k := s.Key(l.Key); {
		case l.Kind == ini.KindHeader && s.Ours:
			out = append(out, fmt.Sprintf("%s:%d: Supervisor passes over [%s]", file, i+1, l.Section))
		case l.Kind == ini.KindOption && !s.Ours && k != nil && k.Ours:
			out = append(out, fmt.Sprintf("%s:%d: Supervisor passes over %s", file, i+1, l.Key))
		}
	}
	return out
}
