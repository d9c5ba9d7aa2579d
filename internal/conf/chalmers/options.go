package chalmers

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/conf/tree"
)

// Options is what a definition means. Source: spec/chalmers 3.
type Options struct {
	Command      []string
	OneText      bool // the command was one text, which the tool would have taken for the name of a program
	Dir          string
	Env          []EnvVar // in the order of the file
	StartSecs    float64
	StartRetries int64 // launches in all
	ExitCodes    []int64
	StopWaitSecs float64
	StopSignal   string // without SIG
	MergeStderr  bool
	Stdout       string // empty = not kept
	Stderr       string // empty = not kept, or merged
	DaemonLog    string
	Umask        int64 // -1 = unset
	User         string
	Merged       tree.Value // templates, defaults and definition, with braces filled in
	Unknown      []string   // keys that mean nothing
}

// EnvVar is one variable.
type EnvVar struct{ Name, Value string }

// defaults are the built-in values in their order. Source: spec/chalmers 3.
func defaults(name, logs string) tree.Value {
	v := tree.Value{Kind: tree.Map}
	put := func(key string, value tree.Value) { v.Put(tree.Field{Key: key, Value: value}) }
	text := func(s string) tree.Value { return tree.Value{Kind: tree.String, Text: s} }
	put("name", text(name))
	put("startsecs", tree.V11.Plain("3"))
	put("startretries", tree.V11.Plain("3"))
	put("stopwaitsecs", tree.V11.Plain("10"))
	put("stopsignal", tree.V11.Plain("15"))
	put("exitcodes", tree.Value{Kind: tree.List, Items: []tree.Value{tree.V11.Plain("0")}})
	put("redirect_stderr", tree.V11.Plain("true"))
	put("log_dir", text(logs))
	put("stdout", text("{log_dir}/{name}.stdout.log"))
	put("stderr", text("{log_dir}/{name}.stderr.log"))
	put("daemon_log", text("{log_dir}/{name}.daemon.log"))
	return v
}

// resolve reads the stored definition into options.
func (p *Program) resolve(d Dirs) {
	merged := defaults(p.Name, d.Logs)
	overlay := func(from tree.Value) {
		for _, f := range from.Fields {
			merged.Put(f)
		}
	}
	for _, name := range templates(p.Stored) {
		file := filepath.Join(d.Data, "template", filepath.Base(filepath.FromSlash(name))+".yaml")
		if filepath.Base(filepath.FromSlash(name)) != name {
			p.bad(p.Stored.Get("extends"), "the template %q is not a plain name", name)
			continue
		}
		t, problem := readMap(file)
		if problem != nil {
			// The tool takes a missing one for an empty one; a program without its defaults would surprise.
			p.Problems = append(p.Problems, Problem{File: problem.File, Line: problem.Line, Text: "template: " + problem.Text})
			continue
		}
		overlay(t)
	}
	overlay(p.Stored)
	for i, f := range merged.Fields {
		if f.Value.Kind != tree.String {
			continue
		}
		text, err := fillIn(f.Value.Text, merged)
		if err != nil {
			p.bad(f.Value, "%s: %v", f.Key, err)
			continue
		}
		merged.Fields[i].Value.Text = text
	}
	p.Options.Merged = merged
	p.read(merged)
}

// templates are the names in extends.
func templates(v tree.Value) []string {
	e := v.Get("extends")
	if e.Kind == tree.String {
		return []string{e.Text}
	}
	var names []string
	for _, i := range e.Items {
		names = append(names, i.Text)
	}
	return names
}

// bad records what makes the program useless.
func (p *Program) bad(v tree.Value, format string, args ...any) {
	p.Problems = append(p.Problems, Problem{File: p.File, Line: v.Line, Text: fmt.Sprintf(format, args...)})
}

// note records a value that is of no use.
func (p *Program) note(v tree.Value, format string, args ...any) {
	p.Notes = append(p.Notes, Problem{File: p.File, Line: v.Line, Text: fmt.Sprintf(format, args...)})
}

// known are the keys that read looks at, or that mean nothing without it.
func known() []string {
	return strings.Fields(`name command cwd env startsecs startretries exitcodes stopwaitsecs stopsignal redirect_stderr stdout stderr
		daemon_log log_dir extends umask user bufsize paused`)
}

// read takes the options out of the merged mapping.
func (p *Program) read(m tree.Value) {
	o := &p.Options
	p.command(m.Get("command"))
	o.Dir = p.text(m, "cwd")
	o.StartSecs, o.StopWaitSecs = p.number(m, "startsecs", 3), p.number(m, "stopwaitsecs", 10)
	o.StartRetries = 3
	switch v := m.Get("startretries"); v.Kind {
	case tree.Int:
		o.StartRetries = v.Int
	default:
		p.bad(v, "startretries: %s where a whole number belongs", v.Kind)
	}
	codes := m.Get("exitcodes")
	if codes.Kind != tree.List {
		p.bad(codes, "exitcodes: %s where a list of whole numbers belongs", codes.Kind)
	}
	for _, c := range codes.Items {
		if c.Kind != tree.Int {
			p.bad(c, "exitcodes: %s in the list", c.Kind)
		}
		o.ExitCodes = append(o.ExitCodes, c.Int)
	}
	p.signal(m.Get("stopsignal"))
	merge := m.Get("redirect_stderr")
	o.MergeStderr = truth(merge)
	o.Stdout, o.Stderr, o.DaemonLog = p.text(m, "stdout"), p.text(m, "stderr"), p.text(m, "daemon_log")
	if o.MergeStderr {
		o.Stderr = ""
	}
	o.Umask = -1
	switch v := m.Get("umask"); {
	case v.Kind == tree.Int && v.Int > 0 && v.Int <= 0o777:
		o.Umask = v.Int
	case v.Kind == tree.Null || v.Kind == tree.Int && v.Int == 0:
	default:
		p.bad(v, "umask: %q is not a whole number from 0 to 0777", v.Text)
	}
	o.User = p.text(m, "user")
	p.env(m.Get("env"))
	for _, f := range m.Fields {
		if !slices.Contains(known(), f.Key) {
			o.Unknown = append(o.Unknown, f.Key)
		}
	}
}

// command reads the words to execute.
func (p *Program) command(v tree.Value) {
	o := &p.Options
	switch v.Kind {
	case tree.List:
		for _, i := range v.Items {
			if !i.Scalar() {
				p.bad(i, "command: %s in the list", i.Kind)
			}
			o.Command = append(o.Command, Text(i))
		}
	case tree.String:
		o.Command, o.OneText = []string{v.Text}, true
	}
	if len(o.Command) == 0 || o.Command[0] == "" {
		p.bad(v, "there is no command")
	}
}

// text is an option that names something; numbers are taken by their digits.
func (p *Program) text(m tree.Value, key string) string {
	v := m.Get(key)
	switch v.Kind {
	case tree.Null:
		return ""
	case tree.Bool, tree.List, tree.Map:
		p.bad(v, "%s: %s where a text belongs", key, v.Kind)
	}
	return v.Text
}

// number is an option in seconds.
func (p *Program) number(m tree.Value, key string, otherwise float64) float64 {
	v := m.Get(key)
	if (v.Kind != tree.Int && v.Kind != tree.Float) || math.IsNaN(v.Float) {
		p.bad(v, "%s: %s where a number of seconds belongs", key, v.Kind)
		return otherwise
	}
	return v.Float
}

// signal reads the stop signal; names are full ones there, and one that does not exist means TERM.
func (p *Program) signal(v tree.Value) {
	name := v.Text
	n, err := units.Signal(v.Text)
	if err == nil && v.Kind != tree.Int && !strings.HasPrefix(v.Text, "SIG") {
		err = errors.New("names begin with SIG")
	}
	full := units.SignalName(n)
	if err != nil || n == 0 || !strings.HasPrefix(full, "SIG") {
		if v.Kind != tree.Null {
			p.note(v, "stopsignal: there is no signal %q; SIGTERM is sent instead", name)
		}
		full = "SIGTERM"
	}
	p.Options.StopSignal = strings.TrimPrefix(full, "SIG")
}

// env reads the variables; values become text as the tool's language prints them.
func (p *Program) env(v tree.Value) {
	if v.Kind != tree.Map && v.Kind != tree.Null {
		p.bad(v, "env: %s where a mapping belongs", v.Kind)
	}
	for _, f := range v.Fields {
		if f.Value.Kind >= tree.List {
			p.note(f.Value, "env: %s is %s, which no program can use; it is left out", f.Key, f.Value.Kind)
			continue
		}
		p.Options.Env = append(p.Options.Env, EnvVar{Name: f.Key, Value: Text(f.Value)})
	}
}

// truth is whether a value counts as true.
func truth(v tree.Value) bool {
	switch v.Kind {
	case tree.Bool:
		return v.Bool
	case tree.Int, tree.Float:
		return v.Float != 0
	case tree.String:
		return v.Text != ""
	case tree.List:
		return len(v.Items) > 0
	case tree.Map:
		return len(v.Fields) > 0
	}
	return false
}

// Text is a scalar as the tool hands it to a program: True and False, None, numbers in decimal.
// Source: one-model 5.
func Text(v tree.Value) string {
	switch v.Kind {
	case tree.Null:
		return "None"
	case tree.Bool:
		if v.Bool {
			return "True"
		}
		return "False"
	case tree.Int:
		return strconv.FormatInt(v.Int, 10)
	case tree.Float:
		return floatText(v.Float)
	}
	return v.Text
}

// floatText is the shortest text of a number, with a point or an exponent.
func floatText(f float64) string {
	switch abs := math.Abs(f); {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 0):
		return strings.TrimPrefix(strings.ToLower(strconv.FormatFloat(f, 'f', -1, 64)), "+")
	case abs != 0 && (abs < 1e-4 || abs >= 1e16):
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// maxText bounds what braces may grow to.
const maxText = 64 << 10

// fillIn replaces {key} by the text of that key; {{ and }} are braces. Conversions and attributes, which the tool's
// language would carry out, are refused. Source: spec/chalmers 3, CH-20.
func fillIn(text string, m tree.Value) (string, error) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		twice := i+1 < len(text) && text[i+1] == c
		switch {
		case c != '{' && c != '}':
			b.WriteByte(c)
			continue
		case twice:
			b.WriteByte(c)
			i++
			continue
		case c == '}':
			return "", errors.New("a single } is not allowed")
		}
		end := strings.IndexByte(text[i:], '}')
		if end < 0 {
			return "", errors.New("a { without }")
		}
		name := text[i+1 : i+end]
		v, ok := m.Find(name)
		if !ok || v.Kind >= tree.List {
			return "", fmt.Errorf("{%s} cannot be filled in", name)
		}
		b.WriteString(Text(v))
		if i += end; b.Len() > maxText {
			return "", fmt.Errorf("longer than %d bytes", maxText)
		}
	}
	return b.String(), nil
}
