package supervisord

import (
	"cmp"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Native is where a native instance has its configuration and everything else that it keeps. All paths are absolute.
// Source: interfaces 2.8.
type Native struct {
	File     string // read when it exists
	Programs string // the directory of the managed definitions, one file for each program; need not exist
	Logs     string // of the activity log and of what programs write
	Socket   string // where the instance answers
	PIDFile  string
}

// NativeSection is the section of the server that every native instance has.
const NativeSection = "unix_http_server:upkeep"

// Invalid is a file of managed definitions that cannot be used: what it defines stays as it is.
type Invalid struct {
	File string
	// Group is the one group that the problems are about; empty = all that the file defines.
	Group    string `json:",omitempty"`
	Problems []*Error
}

// LoadNative reads the configuration of a native instance. Its own file is read as any supervisord.conf, on top of
// settings that make it work without one. A mistake there is an error; a mistake in the file of a program concerns that
// program alone and is told in Invalid. Source: one-model C5, C7.
func LoadNative(n Native, env Environ) (*Config, error) {
	r, c, err := readNative(&n, &env, nil)
	if err != nil {
		return nil, err
	}
	c.Native, c.Shared = &n, r.shared(c.Settings.Environment)
	c.Messages = slices.DeleteFunc(c.Messages, func(m Message) bool { return m.Text == rootText })
	for _, file := range slices.Sorted(maps.Keys(r.broken)) {
		c.invalid(file, "", []*Error{r.broken[file]})
	}
	c.Shared.named = r.named
	if err := c.readPrograms(n.Programs, env, r); err != nil {
		return nil, err
	}
	c.Shared.named, r.messages = nil, nil
	r.unnamed(nil)
	c.Messages = append(c.Messages, r.messages...)
	c.separate(r)
	for _, text := range doubtful(c.Model) {
		c.Say(units.LevelWarn, text)
	}
	c.fixLogs()
	c.Shared.others = &model.Config{Groups: slices.Clone(c.Model.Groups), Notifiers: c.Model.Notifiers}
	c.Shared.missing = r.missing
	slices.SortStableFunc(c.Messages, func(a, b Message) int { return cmp.Compare(b.Level, a.Level) })
	return c, nil
}

// readNative reads the instance's own file and what it includes. An included file with a mistake is left out; which ones is
// in the reader.
func readNative(n *Native, env *Environ, w *watch) (*reader, *Config, error) {
	broken := map[string]*Error{}
	for {
		r := newReader(env, Location{Given: n.File, Path: n.File})
		r.watch, r.later, r.broken = w, true, broken
		c, err := r.native(n)
		var e *Error
		if !errors.As(err, &e) || e.File == n.File || broken[e.File] != nil || !slices.Contains(r.files, e.File) {
			return r, c, err
		}
		broken[e.File] = e
	}
}

// separate takes the groups out whose programs say something about others that cannot be: they stay as they are.
func (c *Config) separate(r *reader) {
	for {
		bad := relate(c.Model, r.missing).check(programsOf(c.Model.Groups))
		if len(bad) == 0 {
			return
		}
		out := map[string]bool{}
		for _, u := range bad {
			out[u.p.ID.Group] = true
			r.missing[u.p.ID.Group], r.missing[u.p.Section], r.missing[u.p.ID.Name] = true, true, true
			c.invalid(u.p.Origin.File, u.p.ID.Group, []*Error{r.misplaced(u)})
		}
		c.Model.Groups = slices.DeleteFunc(c.Model.Groups, func(g *model.Group) bool { return out[g.Name] })
	}
}

// native reads the instance's own file.
func (r *reader) native(n *Native) (*Config, error) {
	if err := r.parse("the settings of a native instance", n.settings()); err != nil {
		return nil, err
	}
	if exists(n.File) {
		if err := r.parseMain(); err != nil {
			return nil, err
		}
		if err := r.includes(); err != nil {
			return nil, err
		}
		r.expandHere(strings.ReplaceAll(r.here, "%", "%%")) // of defaults too, which files elsewhere use
	}
	return r.config(&Args{})
}

// settings are what holds unless the instance's own file says something else.
func (n *Native) settings() []byte {
	p := func(path string) string { return strings.ReplaceAll(path, "%", "%%") }
	return []byte("[supervisord]\nnodaemon=true\nnocleanup=true\nidentifier=upkeep\nlogfile=" + p(filepath.Join(n.Logs, "upkeep.log")) +
		"\npidfile=" + p(n.PIDFile) + "\nchildlogdir=" + p(n.Logs) +
		"\n[" + NativeSection + "]\nfile=" + p(n.Socket) + "\nchmod=0600\n" +
		"[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=" + StandardFactory + "\n")
}

// readPrograms adds what the files of a directory define.
func (c *Config) readPrograms(dir string, env Environ, r *reader) error {
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return &Error{Text: "cannot read the definitions: " + reason(err), File: dir}
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".conf") || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		path := filepath.Join(dir, e.Name())
		text, err := env.readRegular(path)
		if _, gone := os.Lstat(path); os.IsNotExist(gone) {
			continue // it went while the directory was read
		}
		name := strings.TrimSuffix(e.Name(), ".conf")
		if err != nil {
			r.missing[name] = true
			c.invalid(path, "", []*Error{{Text: reason(err), File: path}})
			continue
		}
		c.Files = append(c.Files, path)
		groups, messages, problems := c.Shared.ReadProgramFile(path, text, env)
		c.Messages = append(c.Messages, messages...)
		for _, g := range groups {
			if other := c.Model.Group(g.Name); other != nil {
				problems = append(problems, &Error{
					Text: "a group named " + g.Name + " is defined already: " + place(other.Origin.File, other.Origin.Line),
					File: path, Line: g.Origin.Line,
				})
			}
		}
		if len(problems) > 0 {
			r.missing[name] = true
			r.lack(text)
			c.invalid(path, "", problems)
			continue
		}
		c.Model.Groups = append(c.Model.Groups, groups...)
	}
	c.sortGroups()
	return nil
}

// invalid notes that a file cannot be used, or one group in it.
func (c *Config) invalid(path, group string, problems []*Error) {
	c.Invalid = append(c.Invalid, Invalid{File: path, Group: group, Problems: problems})
	what := "this file defines"
	if group != "" {
		what = "is running of " + group
	}
	for _, p := range problems {
		c.Messages = append(c.Messages, Message{Level: units.LevelError, Text: p.Text + " (" + place(path, p.Line) + "); what " + what + " is left as it is"})
	}
}

// KeepLast lets what unusable files defined before stay as it is: the groups of now that come from them, and programs from
// them in groups that others define. Of another tool's main file that is everything: it says which others there are.
func (c *Config) KeepLast(now []*model.Group) {
	for _, in := range c.Invalid {
		for _, g := range now {
			next := c.Model.Group(g.Name)
			switch {
			case in.Group != "" && in.Group != g.Name:
			case next == nil && (in.Group == g.Name || g.Origin.File == in.File || c.Foreign != nil && in.File == c.Settings.ConfigFile):
				c.Model.Groups = append(c.Model.Groups, g)
			case next != nil && in.Group == "":
				keepMembers(next, g, in.File)
			}
		}
	}
	c.sortGroups()
}

// keepMembers adds to a group the programs of its last definition that come from a file.
func keepMembers(next, last *model.Group, file string) {
	for _, p := range last.Programs {
		if p.Origin.File == file && !slices.ContainsFunc(next.Programs, func(q *model.Program) bool { return q.ID == p.ID }) {
			next.Programs = append(next.Programs, p)
		}
	}
}

// sortGroups restores the order of evaluation.
func (c *Config) sortGroups() {
	slices.SortStableFunc(c.Model.Groups, func(a, b *model.Group) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Name, b.Name))
	})
}

// fixLogs gives automatic logs names that stay the same: what a program wrote is found after a restart of the machine.
func (c *Config) fixLogs() {
	for _, g := range c.Model.Groups {
		for _, p := range g.Programs {
			base := filepath.Join(c.Settings.ChildLogDir, strings.ReplaceAll(p.ID.String(), ":", "."))
			for _, s := range [...]struct {
				name   string
				stream *model.Stream
			}{{"stdout", &p.IO.Stdout}, {"stderr", &p.IO.Stderr}} {
				if s.stream.Log == model.LogAuto {
					s.stream.Log, s.stream.Path = model.LogFile, base+"."+s.name+".log"
				}
			}
		}
	}
}
