package chalmers

import (
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/shellwords"
	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/conf/chalmers"
	"github.com/upkeep-project/upkeep/internal/conf/imports"
	"github.com/upkeep-project/upkeep/internal/conf/managed"
	"github.com/upkeep-project/upkeep/internal/conf/tree"
)

// option is one key of chalmers as an option of ours.
type option struct {
	theirs, ours string
	to           func(v tree.Value, cwd string) (string, error)
	from         func(text string) tree.Value
}

// options is the table of keys in both languages. Source: interfaces 2.9, one-model 2.
func options() []option {
	return []option{
		{"command", "command", commandTo, commandFrom},
		{"cwd", "directory", pathTo, text},
		{"startsecs", "startsecs", secondsTo, tree.V11.Plain},
		{"startretries", "startretries", retriesTo, retriesFrom},
		{"exitcodes", "exitcodes", codesTo, codesFrom},
		{"stopwaitsecs", "stopwaitsecs", secondsTo, tree.V11.Plain},
		{"stopsignal", "stopsignal", signalTo, func(s string) tree.Value { return text("SIG" + s) }},
		{"redirect_stderr", "redirect_stderr", boolTo, tree.V11.Plain},
		{"stdout", "stdout_logfile", logTo, logFrom},
		{"stderr", "stderr_logfile", logTo, logFrom},
		{"umask", "umask", umaskTo, umaskFrom},
		{"user", "user", wordTo, text},
	}
}

// setting translates one assignment for the program of that name.
func setting(name string, a chalmers.Assignment, cwd string) ([]imports.Key, []imports.EnvVar, error) {
	switch {
	case a.Path[0] == "env":
		vars, err := variables(a)
		return nil, vars, err
	case a.Key() == "log_dir":
		dir, err := pathTo(a.Value, cwd)
		if err != nil {
			return nil, nil, fmt.Errorf("log_dir: %w", err)
		}
		return []imports.Key{
			{Name: "stdout_logfile", Value: filepath.Join(dir, name+".stdout.log")}, {Name: "stderr_logfile", Value: filepath.Join(dir, name+".stderr.log")},
		}, nil, nil
	}
	for _, o := range options() {
		if o.theirs != a.Key() {
			continue
		}
		value, err := o.to(a.Value, cwd)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", a.Key(), err)
		}
		return []imports.Key{{Name: o.ours, Value: value}}, nil, nil
	}
	return nil, nil, fmt.Errorf("there is no option %s", a.Key())
}

// variables reads env={A: 1} and env.A=1.
func variables(a chalmers.Assignment) ([]imports.EnvVar, error) {
	fields := a.Value.Fields
	switch {
	case len(a.Path) == 1 && a.Value.Kind != tree.Map:
		return nil, fmt.Errorf("env: %s where a mapping belongs", a.Value.Kind)
	case len(a.Path) > 1: // names may have dots
		fields = []tree.Field{{Key: strings.Join(a.Path[1:], "."), Value: a.Value}}
	}
	var vars []imports.EnvVar
	for _, f := range fields {
		if f.Value.Kind >= tree.List {
			return nil, fmt.Errorf("env.%s: %s is no value for a variable", f.Key, f.Value.Kind)
		}
		value := chalmers.Text(f.Value)
		if f.Value.Kind == tree.Null {
			value = ""
		}
		vars = append(vars, imports.EnvVar{Name: f.Key, Value: value})
	}
	return vars, nil
}

// stored is a definition as it stands in its file, in the keys of chalmers.
func stored(p Program, d Definition) (tree.Value, error) {
	entries, err := managed.Values(d.Text, "program:"+p.Section)
	if err != nil {
		return tree.Value{}, err
	}
	var keys []imports.Key
	var env []imports.EnvVar
	for _, e := range entries {
		k := imports.Key{Name: e.Key, Value: e.Text, Template: strings.Contains(strings.ReplaceAll(e.Text, "%%", ""), "%(")}
		if !k.Template {
			for strings.Contains(k.Value, "%%") {
				k.Value = strings.ReplaceAll(k.Value, "%%", "%") // twice for logs, which are expanded twice
			}
		}
		switch name, isVar := strings.CutPrefix(e.Key, "env."); {
		case isVar:
			env = append(env, imports.EnvVar{Name: name, Value: k.Value, Template: k.Template})
		case e.Key != "autostart":
			keys = append(keys, k)
		}
	}
	return shown(p.Name, keys, env), nil
}

// effective is a definition with the defaults of what it leaves out.
func effective(p Program, d Definition) (tree.Value, error) {
	v, err := stored(p, d)
	if err != nil {
		return v, err
	}
	for _, o := range options() {
		if _, ok := v.Find(o.theirs); ok {
			continue
		}
		for _, k := range d.Effective {
			if k.Name == o.ours && k.Value != "" {
				v.Put(tree.Field{Key: o.theirs, Value: o.from(k.Value)})
			}
		}
	}
	for key, file := range map[string]string{"stdout": p.Stdout, "stderr": p.Stderr} {
		if _, ok := v.Find(key); file != "" || ok {
			v.Put(tree.Field{Key: key, Value: logFrom(file)})
		}
	}
	return v, nil
}

// shown is a definition in the keys of chalmers. Keys of ours that have no word there keep theirs.
func shown(name string, keys []imports.Key, env []imports.EnvVar) tree.Value {
	v := tree.Value{Kind: tree.Map}
	v.Put(tree.Field{Key: "name", Value: text(name)})
	for _, k := range keys {
		f := tree.Field{Key: k.Name, Value: text(k.Value)}
		for _, o := range options() {
			if o.ours == k.Name && !k.Template {
				f = tree.Field{Key: o.theirs, Value: o.from(k.Value)}
			}
		}
		v.Put(f)
	}
	if len(env) > 0 {
		vars := tree.Value{Kind: tree.Map}
		for _, e := range env {
			vars.Put(tree.Field{Key: e.Name, Value: text(e.Value)})
		}
		v.Put(tree.Field{Key: "env", Value: vars})
	}
	return v
}

func text(s string) tree.Value { return tree.Value{Kind: tree.String, Text: s} }

// wrong is the error for a value of the wrong kind.
func wrong(v tree.Value, want string) error { return fmt.Errorf("%s where %s belongs", v.Kind, want) }

func commandTo(v tree.Value, _ string) (string, error) {
	if v.Kind == tree.String {
		words, err := shellwords.Split(v.Text)
		if err != nil || len(words) == 0 {
			return "", fmt.Errorf("%q is not a command", v.Text)
		}
		return imports.CommandLine(words), nil
	}
	var words []string
	for _, i := range v.Items {
		if !i.Scalar() {
			return "", wrong(i, "a word")
		}
		words = append(words, chalmers.Text(i))
	}
	if len(words) == 0 {
		return "", wrong(v, "a list of words")
	}
	return imports.CommandLine(words), nil
}

func commandFrom(line string) tree.Value {
	words, err := shellwords.Split(line)
	if err != nil {
		return text(line)
	}
	v := tree.Value{Kind: tree.List}
	for _, w := range words {
		v.Items = append(v.Items, text(w))
	}
	return v
}

func wordTo(v tree.Value, _ string) (string, error) {
	if v.Kind != tree.String && v.Kind != tree.Int {
		return "", wrong(v, "a text")
	}
	return v.Text, nil
}

func pathTo(v tree.Value, cwd string) (string, error) {
	if v.Kind == tree.Null {
		return string(filepath.Separator), nil
	}
	s, err := wordTo(v, cwd)
	if err != nil {
		return "", err
	}
	return absolute(cwd, s), nil
}

func logTo(v tree.Value, cwd string) (string, error) {
	if v.Kind == tree.Null {
		return "NONE", nil
	}
	return pathTo(v, cwd)
}

func logFrom(s string) tree.Value {
	if strings.EqualFold(s, "NONE") || s == "" {
		return tree.Value{}
	}
	return text(s)
}

func secondsTo(v tree.Value, _ string) (string, error) {
	if v.Kind != tree.Int && v.Kind != tree.Float || v.Float < 0 || v.Float > 1e9 || math.IsNaN(v.Float) {
		return "", wrong(v, "a number of seconds")
	}
	return strconv.FormatInt(int64(math.Ceil(v.Float)), 10), nil
}

func retriesTo(v tree.Value, _ string) (string, error) {
	if v.Kind != tree.Int || v.Int < 1 || v.Int > 1e9 {
		return "", fmt.Errorf("a number of launches is 1 or more, not %q", v.Text)
	}
	return strconv.FormatInt(v.Int-1, 10), nil
}

func retriesFrom(s string) tree.Value {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return text(s)
	}
	return tree.V11.Plain(strconv.FormatInt(n+1, 10))
}

func codesTo(v tree.Value, _ string) (string, error) {
	var codes []string
	for _, i := range v.Items {
		if i.Kind != tree.Int || i.Int < 0 || i.Int > 255 {
			return "", fmt.Errorf("%q is not an exit code from 0 to 255", i.Text)
		}
		codes = append(codes, strconv.FormatInt(i.Int, 10))
	}
	if v.Kind != tree.List {
		return "", wrong(v, "a list of exit codes")
	}
	return strings.Join(codes, ","), nil
}

func codesFrom(s string) tree.Value {
	v := tree.Value{Kind: tree.List}
	for _, code := range units.List(s) {
		v.Items = append(v.Items, tree.V11.Plain(code))
	}
	return v
}

func signalTo(v tree.Value, _ string) (string, error) {
	n, err := units.Signal(v.Text)
	if err != nil {
		return "", err
	}
	full := units.SignalName(n)
	if n == 0 || !strings.HasPrefix(full, "SIG") {
		return "", fmt.Errorf("%q is not a signal", v.Text)
	}
	return strings.TrimPrefix(full, "SIG"), nil
}

func boolTo(v tree.Value, _ string) (string, error) {
	if v.Kind != tree.Bool {
		return "", wrong(v, "a boolean")
	}
	return strconv.FormatBool(v.Bool), nil
}

func umaskTo(v tree.Value, _ string) (string, error) {
	if v.Kind != tree.Int || v.Int < 0 || v.Int > 0o777 {
		return "", fmt.Errorf("%q is not a whole number from 0 to 0777", v.Text)
	}
	return fmt.Sprintf("%03o", v.Int), nil
}

func umaskFrom(s string) tree.Value {
	n, err := units.Octal(s)
	if err != nil {
		return text(s)
	}
	return tree.Value{Kind: tree.Int, Int: n, Float: float64(n), Text: strconv.FormatInt(n, 10)}
}
