package chalmers

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/shellwords"
	"github.com/upkeep-project/upkeep/internal/conf/chalmers"
	"github.com/upkeep-project/upkeep/internal/conf/imports"
	"github.com/upkeep-project/upkeep/internal/conf/tree"
)

func everything(Program) bool { return true }
func isOn(p Program) bool     { return !p.Off }

// start starts what does not run.
func start(c *call) error {
	programs, err := c.selected(isOn)
	if err != nil {
		return err
	}
	names := c.split(programs, "started", func(p Program) bool { return p.Active })
	return c.launch(names)
}

// launch starts programs, in the foreground if that is wanted. What the original runs is taken over, not started twice.
func (c *call) launch(names []string) error {
	if len(names) == 0 {
		return nil
	}
	names, said, err := c.Instance.Recover(c.ctx, c.World, names)
	c.tell(said)
	switch {
	case err != nil || len(names) == 0:
		return err
	case c.has("wait", "no-daemon"):
		return c.foreground(names, !c.has("no-stream") && (c.Terminal || c.has("stream", "io")))
	}
	return c.each("Starting program", names, c.Instance.Launch)
}

// restart starts everything that is meant, whether it ran or not.
func restart(c *call) error {
	programs, err := c.selected(isOn)
	if err != nil {
		return err
	}
	var names, idle []string
	for _, p := range programs {
		if p.Active {
			names = append(names, p.Name)
		} else {
			idle = append(idle, p.Name)
		}
	}
	if idle, said, err := c.Instance.Recover(c.ctx, c.World, idle); err != nil {
		return err
	} else {
		c.tell(said)
		names = append(names, idle...)
	}
	if len(names) == 0 && len(programs) == 0 {
		c.warn("nothing to do")
	}
	return c.each("Restarting program", names, c.Instance.Restart)
}

// stop stops what runs.
func stop(c *call) error {
	programs, err := c.selected(everything)
	if err != nil {
		return err
	}
	names := c.split(programs, "stopped", func(p Program) bool { return !p.Active })
	return c.each("Stopping program", names, func(ctx context.Context, names []string) ([]Result, error) {
		return c.Instance.Stop(ctx, names, c.has("force"))
	})
}

// remove forgets programs that do not run.
func remove(c *call) error {
	programs, err := c.selected(everything)
	if err != nil {
		return err
	}
	var names []string
	var refused []Result
	for _, p := range programs {
		if p.Active {
			refused = append(refused, Result{p.Name, errors.New("it is running; stop it first")})
			continue
		}
		names = append(names, p.Name)
	}
	const verb = "Removing program"
	err = c.verdicts(verb, refused, nil)
	return errors.Join(err, c.each(verb, names, c.Instance.Remove))
}

// each carries out a verb for several programs.
func (c *call) each(verb string, names []string, do func(context.Context, []string) ([]Result, error)) error {
	if len(names) == 0 {
		return nil
	}
	results, err := do(c.ctx, names)
	return c.verdicts(verb, results, err)
}

// boot switches programs on or off; nothing is started or stopped. Source: spec/chalmers CH-40.
func (c *call) boot(on bool) error {
	programs, err := c.selected(everything)
	if err != nil {
		return err
	}
	word := map[bool]string{true: "on", false: "off"}[on]
	names := c.split(programs, word, func(p Program) bool { return p.Off != on })
	if len(names) == 0 {
		return nil
	}
	if err := c.Instance.SetBoot(c.ctx, names, on); err != nil {
		return err
	}
	for _, p := range programs {
		if !slices.Contains(names, p.Name) {
			continue
		}
		c.info("Turned %s: %s", word, p.Name)
		switch {
		case p.Active && !on:
			c.warn("%s keeps running now and will not start with the system", p.Name)
		case !p.Active && on:
			c.warn("%s is not running now and will start with the system", p.Name)
		}
	}
	return nil
}

// list prints all programs.
func list(c *call) error {
	if c.has("stashed") {
		return stashed(c)
	}
	if len(c.args) > 0 {
		return &usageError{"list takes no arguments"}
	}
	programs, err := c.Instance.List(c.ctx)
	if err != nil {
		return err
	}
	now := c.Now()
	rows := make([]chalmers.Row, len(programs))
	for i, p := range programs {
		rows[i] = chalmers.Row{Name: p.Name, Word: p.word(), PID: p.PID, Reason: p.Reason, Stopped: !p.Ended.IsZero(), Down: now.Sub(p.Ended)}
		if !p.Started.IsZero() {
			rows[i].Up = now.Sub(p.Started)
		}
	}
	_, err = fmt.Fprint(c.Stdout, chalmers.List(rows))
	return err
}

// one finds the program that a command is about.
func (c *call) one() (Program, error) {
	if len(c.args) != 1 {
		return Program{}, &usageError{"give the name of one program"}
	}
	programs, err := c.selected(everything)
	if err != nil {
		return Program{}, err
	}
	return programs[0], nil
}

// show prints a definition.
func show(c *call) error {
	p, err := c.one()
	if err != nil {
		return err
	}
	d, err := c.Instance.Definition(c.ctx, p)
	if err != nil {
		return err
	}
	options, err := effective(p, d)
	if c.has("raw") {
		options, err = stored(p, d)
	}
	if err != nil {
		return err
	}
	state := tree.Value{Kind: tree.Map}
	put := func(key, value string) { state.Put(tree.Field{Key: key, Value: tree.V11.Plain(value)}) }
	put("paused", strconv.FormatBool(p.Off))
	put("status", string(p.word()))
	if p.PID != 0 {
		put("child_pid", strconv.Itoa(p.PID))
	}
	if p.Reason != "" {
		state.Put(tree.Field{Key: "reason", Value: tree.Value{Kind: tree.String, Text: p.Reason}})
	}
	text := ""
	switch {
	case c.has("definition"):
		text = p.File + "\n"
	case c.has("status"):
		text = string(p.word()) + "\n"
	case c.has("command", "cmd"):
		var words []string
		for _, w := range options.Get("command").Items {
			words = append(words, w.Text)
		}
		text = strings.Join(words, " ") + "\n"
	case c.has("state"):
		text = chalmers.Shown{State: state}.String()
	default:
		text = chalmers.Shown{DefinitionFile: p.File, State: state, Options: options}.String()
	}
	_, err = fmt.Fprint(c.Stdout, text)
	return err
}

// set changes a definition.
func set(c *call) error {
	if len(c.args) < 2 {
		return &usageError{"give the name of a program and KEY=VALUE"}
	}
	items := c.args[1:]
	c.args = c.args[:1]
	var keys []imports.Key
	var env []imports.EnvVar
	var lines []string
	for _, item := range items {
		a, err := chalmers.ParseAssignment(item)
		if err != nil {
			if errors.Is(err, chalmers.ErrName) {
				return err
			}
			return &usageError{err.Error()}
		}
		if a.Key() == "daemon_log" {
			c.warn("daemon_log has no effect: what happens to a program is in the instance's own log, which  chalmers log -3 NAME  shows")
			continue
		}
		k, e, err := setting(c.args[0], a, c.Cwd)
		if err != nil {
			return err
		}
		keys, env, lines = append(keys, k...), append(env, e...), append(lines, a.String())
	}
	p, err := c.one()
	if err != nil {
		return err
	}
	if err := c.Instance.Set(c.ctx, p, keys, env); err != nil {
		return err
	}
	for _, l := range lines {
		c.info("Set %s", l)
	}
	if p.Active {
		c.warn("%s is running; restart it for this to take effect", p.Name)
	}
	c.info("Updated program %s", p.Name)
	return nil
}

// add stores a new program. Source: spec/chalmers CH-30, CH-31.
func add(c *call) error {
	words := c.args
	if line, ok := c.last("command"); ok {
		if len(words) > 0 {
			return errors.New("give a command or --command, not both")
		}
		var err error
		if words, err = shellwords.Split(line); err != nil {
			return fmt.Errorf("--command: %w", err)
		}
	}
	if len(words) == 0 {
		return errors.New("there is no command")
	}
	name, ok := c.last("name")
	if !ok {
		name = filepath.Base(words[0])
	}
	p := &imports.Program{Name: name, On: !c.has("off", "paused") || c.has("on", "un-paused")}
	dir := c.Cwd
	if d, ok := c.last("cwd"); ok {
		dir = absolute(c.Cwd, d)
	}
	put := func(key, value string) { p.Keys = append(p.Keys, imports.Key{Name: key, Value: value}) }
	put("command", imports.CommandLine(words))
	put("directory", dir)
	put("startsecs", "3")
	put("startretries", "2")
	put("stopwaitsecs", "10")
	put("stop_reach", "tree")
	merge := !c.has("dont-redirect-stderr")
	put("redirect_stderr", strconv.FormatBool(merge))
	if file, ok := c.last("stdout"); ok {
		put("stdout_logfile", absolute(c.Cwd, file))
	}
	if file, ok := c.last("stderr"); ok && !merge {
		put("stderr_logfile", absolute(c.Cwd, file))
	}
	if c.has("daemon-log") {
		c.warn("--daemon-log has no effect: what happens to a program is in the instance's own log")
	}
	for _, v := range c.given["save-env"] {
		value, set := c.Vars[v]
		if !set {
			c.warn("the variable %s is not set", v)
			continue
		}
		p.Env = append(p.Env, imports.EnvVar{Name: v, Value: value})
	}
	if err := c.Instance.Add(c.ctx, p); errors.Is(err, ErrExists) {
		return fmt.Errorf("%w: %s; choose another with --name, remove it, or change it with set", err, name)
	} else if err != nil {
		return err
	}
	c.info("Added program %s", name)
	if c.has("run-now", "wait") && !c.has("run-later", "dont-run-now") {
		return c.launch([]string{name})
	}
	return nil
}

// absolute takes a relative path from the working directory.
func absolute(cwd, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(cwd, path)
}
