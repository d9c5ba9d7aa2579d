package chalmers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/goccy/go-yaml"

	"github.com/upkeep-project/upkeep/internal/conf/chalmers"
	"github.com/upkeep-project/upkeep/internal/conf/imports"
	"github.com/upkeep-project/upkeep/internal/conf/tree"
)

// export writes definitions as a list that import reads. Source: spec/chalmers CH-47.
func export(c *call) error {
	programs, err := c.selected(everything)
	if err != nil {
		return err
	}
	list := []yaml.MapSlice{}
	for _, p := range programs {
		d, err := c.Instance.Definition(c.ctx, p)
		if err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		v, err := stored(p, d)
		if err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		if p.Off {
			v.Put(tree.Field{Key: "paused", Value: tree.V11.Plain("true")})
		}
		list = append(list, yaml.MapSlice{{Key: "program", Value: plain(v)}})
	}
	text, err := yaml.Marshal(list)
	if err != nil {
		return err
	}
	if file, ok := c.last("output"); ok && file != "-" {
		return os.WriteFile(absolute(c.Cwd, file), text, 0o600) // there may be secrets in variables
	}
	_, err = c.Stdout.Write(text)
	return err
}

// plain is a value as the writer of YAML takes it.
func plain(v tree.Value) any {
	switch v.Kind {
	case tree.Bool:
		return v.Bool
	case tree.Int:
		return v.Int
	case tree.Float:
		return v.Float
	case tree.String:
		return v.Text
	case tree.List:
		out := []any{}
		for _, i := range v.Items {
			out = append(out, plain(i))
		}
		return out
	case tree.Map:
		out := yaml.MapSlice{}
		for _, f := range v.Fields {
			out = append(out, yaml.MapItem{Key: f.Key, Value: plain(f.Value)})
		}
		return out
	}
	return nil
}

// maxImport bounds a file with definitions, in bytes.
const maxImport = 1 << 20

// importFile adds the programs of a list; those that are there already stay as they are, and nothing is started.
func importFile(c *call) error {
	if len(c.args) != 1 {
		return &usageError{"give one file"}
	}
	file := absolute(c.Cwd, c.args[0])
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxImport+1))
	if err == nil && len(text) > maxImport {
		err = fmt.Errorf("%s: larger than %d bytes", file, maxImport)
	}
	if err != nil {
		return err
	}
	programs, err := definitions(file, text, c.Instance.LogDir())
	if err != nil {
		return err
	}
	report := imports.Chalmers(programs, c.World)
	for _, p := range report.Problems {
		c.warn("%s", p)
		err = errQuiet
	}
	for i := range report.Programs {
		p := &report.Programs[i]
		switch e := c.Instance.Add(c.ctx, p); {
		case errors.Is(e, ErrExists):
			c.warn("%s exists already; it was left as it is", p.Name)
		case e != nil:
			fmt.Fprintf(c.Stderr, "[ERROR] %s: %v\n", p.Name, e)
			err = errQuiet
		default:
			c.info("Added program %s", p.Name)
		}
	}
	return err
}

// definitions are the programs of an exported list; groups, which meant nothing, are left out.
func definitions(file string, text []byte, logs string) ([]chalmers.Program, error) {
	v, err := tree.YAML(text, tree.V11)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if v.Kind != tree.List {
		return nil, fmt.Errorf("%s: %s where a list of programs belongs", file, v.Kind)
	}
	var out []chalmers.Program
	for _, item := range v.Items {
		d, ok := item.Find("program")
		if _, group := item.Find("group"); group && !ok {
			continue
		}
		name := d.Get("name").Text
		if !ok || d.Kind != tree.Map || name == "" {
			return nil, fmt.Errorf("%s:%d: not a program with a name", file, item.Line)
		}
		out = append(out, chalmers.Define(chalmers.Dirs{Logs: logs}, name, file, d))
	}
	return out, nil
}

// stashed prints the definitions that lie in the system's folder; nothing uses them. Source: spec/chalmers CH-08.
func stashed(c *call) error {
	dir := "/etc/chalmers"
	if c.Stash != "" {
		dir = c.Stash
	}
	c.info("%s", dir)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		v, err := tree.YAML(text, tree.V11)
		if err != nil {
			c.warn("%s: %v", e.Name(), err)
			continue
		}
		fmt.Fprintf(c.Stdout, "%s\n%s\n", e.Name(), chalmers.Literal(v))
	}
	return err
}

// jsonHelp prints the options of a command, for programs.
func (e *Env) jsonHelp(cmds []command) int {
	type option struct {
		Long  string `json:"long"`
		Short string `json:"short,omitempty"`
		Value bool   `json:"takes_value"`
	}
	type entry struct {
		Name      string   `json:"name"`
		Arguments string   `json:"arguments,omitempty"`
		Help      string   `json:"help"`
		Options   []option `json:"options"`
	}
	var list []entry
	for _, cmd := range cmds {
		one := entry{cmd.name, cmd.arguments, cmd.help, []option{}}
		for _, o := range cmd.options {
			short := ""
			if o.Short != 0 {
				short = string(o.Short)
			}
			one.Options = append(one.Options, option{o.Long, short, o.Arg})
		}
		list = append(list, one)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	if err := enc.Encode(list); err != nil {
		fmt.Fprintf(e.Stderr, "[ERROR] %v\n", err)
		return exitFailed
	}
	_, _ = e.Stdout.Write(b.Bytes()) // who has closed the output does not want it
	return exitOK
}
