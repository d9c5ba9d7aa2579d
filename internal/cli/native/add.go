package native

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/conf/imports"
	"github.com/upkeep-project/upkeep/internal/conf/managed"
)

// addition is what `upkeep add` is told.
type addition struct {
	name    string
	dir     string
	env     []string
	envFile string
	set     []string
	noStart bool
	off     bool
}

func (c *command) addCommand() *cobra.Command {
	var a addition
	cmd := &cobra.Command{
		Use: "add [NAME] -- COMMAND [ARGUMENT...]", Short: "register a program and start it", GroupID: groupPrograms,
		Long: "Registers a program, which is kept running from then on, and starts it. The answer is the outcome: that it runs, or why not.\n\n" +
			"The name is that of the command unless another one is given. The program runs in the current directory.",
		Example: "  upkeep add -- npm start\n  upkeep add web -e PORT=8000 --env-file .env -- python3 app.py",
		Args: func(cmd *cobra.Command, args []string) error {
			at := cmd.ArgsLenAtDash()
			switch {
			case at < 0:
				return usageError{errors.New("put the command behind two dashes:  upkeep add NAME -- COMMAND")}
			case at > 1:
				return usageError{errors.New("one name at the most:  upkeep add NAME -- COMMAND")}
			case len(args) == at:
				return usageError{errors.New("no command is given:  upkeep add NAME -- COMMAND")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			at := cmd.ArgsLenAtDash()
			if at == 1 {
				a.name = args[0]
			}
			return c.add(cmd.Context(), a, args[at:])
		},
	}
	f := cmd.Flags()
	f.StringVarP(&a.dir, "directory", "C", "", "run it there instead of here")
	f.StringArrayVarP(&a.env, "env", "e", nil, "NAME=VALUE, NAME (its value here and now) or NAME=@FILE")
	f.StringVar(&a.envFile, "env-file", "", "a .env file, read at every start")
	f.StringArrayVarP(&a.set, "set", "s", nil, "KEY=VALUE of the configuration, such as startsecs=5")
	f.BoolVar(&a.noStart, "no-start", false, "register it only")
	f.BoolVar(&a.off, "off", false, "do not start it with upkeep")
	return cmd
}

// add registers a program and starts it.
func (c *command) add(ctx context.Context, a addition, argv []string) error {
	name := a.name
	if name == "" {
		name = managed.NameOf(argv[0])
	}
	if err := managed.CheckName(name); err != nil {
		return usageError{fmt.Errorf("%w:  upkeep add NAME -- %s", err, argv[0])}
	}
	text, dir, err := a.definition(name, argv, c.environ)
	if err != nil {
		return err
	}
	client, _, err := c.started(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := client.Define(ctx, name, []byte(text), ""); err != nil {
		var p *upkeep.Problem
		if errors.As(err, &p) {
			return c.notAdded(p, name, "upkeep add "+words.Quote(name), argv)
		}
		return err
	}
	c.talk("added  %s   %s   in %s", name, imports.CommandLine(argv), shortPath(dir, c.environ("HOME")))
	return c.takeOver(ctx, client, name, !a.noStart && !a.off)
}

// takeOver applies a definition that is new, and starts it where it does not start by itself.
func (c *command) takeOver(ctx context.Context, client *upkeep.Client, name string, start bool) error {
	plan, err := client.Apply(ctx, name)
	if err != nil {
		return err
	}
	if !start {
		return nil
	}
	order := upkeep.Action{Action: "start", Select: []string{name + ":"}}
	res := upkeep.Operation{Action: "start", State: "done"}
	for _, s := range plan.Steps {
		p, err := client.Process(ctx, s.ID)
		if err != nil {
			return err
		}
		r := upkeep.Result{ID: s.ID, Done: true, Process: &p, Error: s.Error}
		if p.Since != nil {
			r.Took = c.now().Sub(*p.Since).Seconds()
		}
		res.Results = append(res.Results, r)
	}
	if len(res.Results) == 0 {
		if res, err = client.Do(ctx, order, c.wait()); err != nil {
			return err
		}
	}
	return c.outcome(order, res, 0)
}

// notAdded says why a program was not added; again is the command without what stands behind the two dashes.
func (c *command) notAdded(p *upkeep.Problem, name, again string, argv []string) error {
	switch {
	case c.jsonWanted() && (p.Code == "name_taken" || p.Code == "invalid_config"):
		c.problem(p)
		return statusError{statusFailed, errQuiet}
	case p.Code == "name_taken":
		fmt.Fprintf(c.err, "there is a program named %s already.   upkeep show %s   or choose another name:  upkeep add NAME -- %s\n", name, name, argv[0])
		return statusError{statusFailed, errQuiet}
	case p.Code == "invalid_config":
		for _, m := range p.Errors {
			text := m.Message
			if at, err := exec.LookPath(argv[0]); err == nil && m.Key == "command" && m.Suggestion == "" && !strings.Contains(argv[0], "/") {
				m.Suggestion = at // where the caller's shell finds it
			}
			if m.Suggestion != "" {
				text += "\n  close by: " + m.Suggestion
				if m.Key == "command" {
					text += "\n  Use:  " + again + " -- " + imports.CommandLine(append([]string{m.Suggestion}, argv[1:]...))
				}
			}
			fmt.Fprintln(c.err, text)
		}
		fmt.Fprintln(c.err, "Nothing was added.")
		return statusError{statusFailed, errQuiet}
	}
	return p
}

// definition is the text of the definition, and the directory in which the program runs.
func (a addition) definition(name string, argv []string, environ func(string) string) (text, dir string, err error) {
	if dir, err = filepath.Abs(a.dir); err != nil {
		return "", "", err
	}
	options := []managed.Pair{
		{Key: "command", Value: managed.Literal("command", imports.CommandLine(argv))},
		{Key: "directory", Value: managed.Literal("directory", dir)},
		{Key: "stop_reach", Value: "tree"},
	}
	if a.off {
		options = append(options, managed.Pair{Key: "autostart", Value: "false"})
	}
	if a.envFile != "" {
		file, err := filepath.Abs(a.envFile)
		if err != nil {
			return "", "", err
		}
		options = append(options, managed.Pair{Key: "env_file", Value: managed.Literal("env_file", file)})
	}
	for _, e := range a.env {
		k, v, err := variable(e, environ)
		if err != nil {
			return "", "", err
		}
		options = append(options, managed.Pair{Key: "env." + k, Value: managed.Literal("env."+k, v)})
	}
	for _, s := range a.set {
		k, v, ok := strings.Cut(s, "=")
		if !ok {
			return "", "", usageError{fmt.Errorf("--set needs KEY=VALUE: %q", s)}
		}
		options = setPair(options, strings.TrimSpace(k), strings.TrimSpace(v))
	}
	text, err = managed.New(name, options)
	return text, dir, err
}

// setPair replaces an option, or adds it.
func setPair(options []managed.Pair, key, value string) []managed.Pair {
	for i := range options {
		if options[i].Key == key {
			options[i].Value = value
			return options
		}
	}
	return append(options, managed.Pair{Key: key, Value: value})
}

// variable reads NAME=VALUE, NAME or NAME=@FILE: secrets need not stand in the shell's history.
func variable(text string, environ func(string) string) (name, value string, err error) {
	name, value, given := strings.Cut(text, "=")
	switch {
	case !given:
		value = environ(name)
		if value == "" {
			return "", "", usageError{fmt.Errorf("%s is not set here; say --env %s=VALUE", name, name)}
		}
	case strings.HasPrefix(value, "@"):
		b, err := os.ReadFile(value[1:])
		if err != nil {
			return "", "", err
		}
		value = strings.TrimRight(string(b), "\r\n")
	}
	if name == "" {
		return "", "", usageError{fmt.Errorf("--env needs a name: %q", text)}
	}
	return name, value, nil
}

// shortPath shows a path below the home directory as people write it.
func shortPath(path, home string) string {
	if home != "" && path == home {
		return "~"
	}
	if rest, ok := strings.CutPrefix(path, home+"/"); ok && home != "" {
		return "~/" + rest
	}
	return path
}
