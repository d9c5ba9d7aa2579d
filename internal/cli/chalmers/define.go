package chalmers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/conf/imports"
	"github.com/upkeep-project/upkeep/internal/conf/managed"
	conf "github.com/upkeep-project/upkeep/internal/conf/supervisord"
)

// Add stores a definition and does not start it: where programs that are new start by themselves, it is off until it is known.
func (n *native) Add(ctx context.Context, p *imports.Program) error {
	text, err := definition(p, false)
	if err != nil {
		return err
	}
	c, err := n.started(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Define(ctx, p.Name, []byte(text), ""); err != nil {
		return defining(err)
	}
	if _, err := c.Apply(ctx, p.Name); err != nil || !p.On {
		return err
	}
	return n.SetBoot(ctx, []string{p.Name}, true)
}

// definition is the text of a definition.
func definition(p *imports.Program, on bool) (string, error) {
	var pairs []managed.Pair
	if !on {
		pairs = append(pairs, managed.Pair{Key: "autostart", Value: "false"})
	}
	for _, k := range p.Keys {
		pairs = append(pairs, pair(k))
	}
	for _, v := range p.Env {
		pairs = append(pairs, variable(v))
	}
	return managed.New(p.Name, pairs)
}

func pair(k imports.Key) managed.Pair {
	if k.Template {
		return managed.Pair{Key: k.Name, Value: k.Value}
	}
	return managed.Pair{Key: k.Name, Value: managed.Literal(k.Name, k.Value)}
}

func variable(v imports.EnvVar) managed.Pair {
	return pair(imports.Key{Name: "env." + v.Name, Value: v.Value, Template: v.Template})
}

// defining is why a definition was refused.
func defining(err error) error {
	var p *upkeep.Problem
	if !errors.As(err, &p) {
		return err
	}
	if p.Code == "name_taken" {
		return ErrExists
	}
	if len(p.Errors) == 0 {
		return p
	}
	var lines []string
	for _, m := range p.Errors {
		lines = append(lines, mistake(m.File, m.Line, m.Message, m.Suggestion))
	}
	return errors.New(strings.Join(lines, "\n"))
}

func mistake(file string, line int, message, suggestion string) string {
	text := message
	if file != "" {
		text = fmt.Sprintf("%s:%d: %s", file, line, message)
	}
	if suggestion != "" && !strings.Contains(text, suggestion) {
		text += " (did you mean " + suggestion + "?)"
	}
	return text
}

// Definition is the definition of a program.
func (n *native) Definition(ctx context.Context, p Program) (Definition, error) {
	c, err := n.running(ctx)
	if err != nil {
		return Definition{}, err
	}
	if c == nil {
		text, err := os.ReadFile(p.File)
		return Definition{Text: string(text)}, err
	}
	defer c.Close()
	d, err := c.Program(ctx, p.Section)
	out := Definition{Text: d.Text, ETag: d.ETag}
	for _, v := range d.Values {
		out.Effective = append(out.Effective, imports.Key{Name: v.Key, Value: v.Value})
	}
	return out, err
}

// Replace puts a text in the place of a definition. What concerns a process that runs takes effect at its next start.
func (n *native) Replace(ctx context.Context, p Program, text, etag string) error {
	c, err := n.running(ctx)
	if err != nil {
		return err
	}
	if c == nil {
		return n.write(p, text)
	}
	defer c.Close()
	e, err := c.Define(ctx, p.Section, []byte(text), etag)
	if err != nil {
		return defining(err)
	}
	for _, s := range e.Steps {
		if s.Action == "restart" {
			return nil // later
		}
	}
	if len(e.Steps) > 0 {
		_, err = c.Apply(ctx, p.Section)
	}
	return err
}

// write replaces the file of a definition where no daemon does it.
func (n *native) write(p Program, text string) error {
	if filepath.Dir(p.File) != n.Programs {
		return fmt.Errorf("%s is defined in a file of yours: %s", p.Name, p.File)
	}
	c, env, err := n.load()
	if err != nil {
		return err
	}
	_, problems := managed.Check(p.File, text, managed.Surroundings{Environ: env, Shared: c.Shared})
	var lines []string
	for _, m := range problems {
		lines = append(lines, mistake(m.File, m.Line, m.Message, m.Suggestion))
	}
	if len(lines) > 0 {
		return errors.New(strings.Join(lines, "\n"))
	}
	f, err := os.CreateTemp(n.Programs, ".*")
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), p.File)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the other error counts
	}
	return err
}

// load reads the configuration of the instance.
func (n *native) load() (*conf.Config, conf.Environ, error) {
	env, err := conf.SystemEnviron()
	if err != nil {
		return nil, env, err
	}
	if err := os.MkdirAll(n.Logs, 0o700); err != nil { // the configuration names it
		return nil, env, err
	}
	c, err := n.Load()
	return c, env, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// edit changes the text of a definition.
func (n *native) edit(ctx context.Context, p Program, change func(text, section string) (string, error)) error {
	d, err := n.Definition(ctx, p)
	if err != nil {
		return err
	}
	if d.Text == "" {
		return fmt.Errorf("%s is defined in a file of yours: %s", p.Name, p.File)
	}
	text, err := change(d.Text, "program:"+p.Section)
	if err != nil || text == d.Text {
		return err
	}
	return n.Replace(ctx, p, text, d.ETag)
}

// Set changes options and variables.
func (n *native) Set(ctx context.Context, p Program, keys []imports.Key, env []imports.EnvVar) error {
	return n.edit(ctx, p, func(text, section string) (string, error) {
		var pairs []managed.Pair
		for _, k := range keys {
			pairs = append(pairs, pair(k))
		}
		for _, v := range env {
			pairs = append(pairs, variable(v))
		}
		var err error
		for _, q := range pairs {
			if text, _, _, err = managed.Set(text, section, q.Key, q.Value); err != nil {
				return "", err
			}
		}
		return text, nil
	})
}
