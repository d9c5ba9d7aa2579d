package supervisord

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/conf/dotenv"
	"github.com/upkeep-project/upkeep/internal/conf/ini"
	"github.com/upkeep-project/upkeep/internal/conf/keys"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// surroundings reads the environment and the directory of one process. Of variables with one name, those of env.NAME
// come first, then those of environment, of env_file, and the global ones. All but the global ones may be used in the
// options that are read later; the directory, and the names of env_file, cannot use those of the files.
func (r *reader) surroundings(o *options, c *model.Command, environment string, global map[string]string) {
	text, err := r.expand(environment, "environment", o.sc)
	o.fail("environment", err)
	if o.err != nil {
		return
	}
	own := o.environment(text)
	if own == nil {
		own = map[string]string{}
	}
	o.offer(own, nil)
	o.variables(own)
	o.offer(own, nil)
	c.Dir, _ = o.text("directory")
	files := o.envFiles(c.Dir)
	o.offer(files, own)
	c.Env = envList(global, files, own)
}

// offer lets the options that are read from now on use variables, unless others have their names.
func (o *options) offer(vars, except map[string]string) {
	for name, v := range vars {
		if _, taken := except[name]; !taken {
			o.sc["ENV_"+name] = v
		}
	}
}

// variables adds the env.NAME options. An error never holds the value, which may be a secret.
func (o *options) variables(to map[string]string) {
	for _, e := range o.sect.All() {
		if !keys.IsVariable(e.Key) {
			continue
		}
		name := strings.TrimPrefix(e.Key, keys.EnvPrefix)
		if strings.ContainsFunc(name, func(c rune) bool { return pytext.IsSpace(c) || c == 0 }) {
			o.fail(e.Key, errors.New("the name of a variable cannot have a blank in it: "+pytext.Repr(name)))
			continue
		}
		text, err := o.r.expand(e.Text, o.sect.Name+"."+e.Key, o.sc)
		var template *templateError
		if errors.As(err, &template) {
			template.text = "..."
		}
		o.fail(e.Key, err)
		to[name] = text
	}
}

// maxEnvFile bounds a file of variables; more than this cannot be given to a program anyway.
const maxEnvFile = 1 << 20

// envFiles reads the files that env_file names; what is relative counts from the program's directory.
func (o *options) envFiles(dir string) map[string]string {
	list, ok := o.text("env_file")
	if !ok {
		return nil
	}
	all := map[string]string{}
	for _, name := range units.List(list) {
		if name == "" {
			continue
		}
		path := o.r.env.expandUser(name)
		path = o.r.env.abs(joinPath(o.r.env.abs(dir), path))
		vars, err := readEnvFile(path)
		if err != nil {
			o.fail("env_file", fmt.Errorf("env_file %s: %w", name, err))
			return nil
		}
		maps.Copy(all, vars)
	}
	return all
}

// readEnvFile reads one file; only a regular one, as others may never end.
func readEnvFile(path string) (map[string]string, error) {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, errors.New(reason(err) + " (" + path + ")")
	case !st.Mode().IsRegular():
		return nil, errors.New("not a regular file (" + path + ")")
	case st.Size() > maxEnvFile:
		return nil, errors.New("larger than 1 MB (" + path + ")")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, errors.New(reason(err) + " (" + path + ")")
	}
	list, bad := dotenv.Parse(string(text))
	if len(bad) > 0 {
		return nil, fmt.Errorf("%s:%d: %s", path, bad[0].Line, bad[0].Reason)
	}
	vars := make(map[string]string, len(list))
	for _, v := range list {
		vars[v.Name] = v.Value
	}
	return vars, nil
}

// The sections that hold defaults.
const (
	defaultsSection = "defaults"
	defaultsPrefix  = "defaults:"
	defaultsAlias   = "program-default"
)

// inherit gives the sections of processes what they do not say themselves: from the [defaults:NAME] sections that they
// name, and, for programs, from [defaults]. shared are sections of other files, for which those of this one come first.
// Source: interfaces 2.8.
func (r *reader) inherit(shared map[string]*ini.Section) error {
	find := r.defaultsIn(shared)
	for _, sect := range r.doc.Sections() {
		kind := r.table.Find(sect.Name)
		if kind == nil || !kind.Process() {
			continue
		}
		o := r.options(sect, scope{"here": r.here})
		list, _ := o.text("defaults")
		parents := o.chain(list, find, func() []string { return r.defaultNames(shared) })
		if err := o.failure(); err != nil {
			return err
		}
		if kind.Kind != "eventlistener" { // the general ones may have what listeners must not have
			for _, name := range [...]string{defaultsSection, defaultsAlias} {
				if parent := find(name); parent != nil {
					parents = append(parents, parent)
				}
			}
		}
		sect.Inherit(parents...)
	}
	return nil
}

// defaultsIn finds sections of defaults: those of the files that are read, then shared ones.
func (r *reader) defaultsIn(shared map[string]*ini.Section) func(name string) *ini.Section {
	return func(name string) *ini.Section {
		if s := r.doc.Section(name); s != nil {
			return s
		}
		return shared[name]
	}
}

// chain is the sections that a list names, the last one first, each followed by those that it names itself.
func (o *options) chain(list string, find func(string) *ini.Section, known func() []string) (parents []*ini.Section) {
	var follow func(list string, path []string)
	follow = func(list string, path []string) {
		for _, name := range slices.Backward(trimmed(list)) {
			if slices.Contains(path, name) {
				o.fail("defaults", refuse("defaults: these name each other: "+strings.Join(append(path, name), " -> ")))
				continue
			}
			parent := find(defaultsPrefix + name)
			if parent == nil {
				o.fail("defaults", &noDefaultsError{name, known()})
				continue
			}
			if slices.Contains(parents, parent) {
				continue // it has its place already
			}
			o.r.named[name] = true
			parents = append(parents, parent)
			for _, e := range parent.Own() { // what [DEFAULT] says of it is not its own
				if e.Key == "defaults" {
					follow(e.Text, append(slices.Clone(path), name))
				}
			}
		}
	}
	follow(list, nil)
	return parents
}

// noDefaultsError is a name behind defaults= for which there is no section.
type noDefaultsError struct {
	name  string
	known []string
}

func (e *noDefaultsError) Error() string {
	return "there is no section [" + defaultsPrefix + e.name + "]" + suggestion(e.name, e.known)
}

// defaultNames are the names that defaults= can have.
func (r *reader) defaultNames(shared map[string]*ini.Section) []string {
	var names []string
	for _, s := range r.doc.Sections() {
		if name, ok := strings.CutPrefix(s.Name, defaultsPrefix); ok {
			names = append(names, name)
		}
	}
	for s := range shared {
		if name, ok := strings.CutPrefix(s, defaultsPrefix); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// shared is what a main file says for files of programs beside it; environment holds its variables for all programs.
func (r *reader) shared(environment []model.EnvVar) Shared {
	s := Shared{Environment: map[string]string{}, defaults: map[string]*ini.Section{}}
	for _, v := range environment {
		s.Environment[v.Name] = v.Value
	}
	for _, sect := range r.doc.Sections() {
		if sect.Name == defaultsSection || sect.Name == defaultsAlias || strings.HasPrefix(sect.Name, defaultsPrefix) {
			s.defaults[sect.Name] = sect
		}
	}
	return s
}
