package usrsvc

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/conf/configobj"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// The bounds of a configuration.
const (
	maxFile  = 1 << 20
	maxFiles = 10_000
)

// The names of sections.
const (
	mainSection     = "Main"
	defaultName     = "DEFAULT" // of ConfigObj: names for %(name)s
	programSection  = "Program"
	settingsSection = "DefaultSettings"
	envSection      = "Env"
)

// monitorSections are the two names of the section of checks: that of the documents, and the one that the original took.
var monitorSections = [...]string{"Monitor", "Monitoring"}

// Load reads the configuration whose main file is at a path, which is absolute. An error means that the main file cannot
// be read at all; every other mistake is told in the result.
func Load(path string, o Options) (*Config, error) {
	text, err := o.read(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return load(path, text, o), nil
}

// load reads the text of the main file and what it names.
func load(path, text string, o Options) *Config {
	l := &loader{
		o: o, c: &Config{File: path, Model: &model.Config{}, Said: map[string][]string{}}, programs: map[string]*layer{}, settings: map[string]*layer{},
		owners: map[*configobj.Section]*layer{}, used: map[place]bool{}, told: map[Problem]bool{},
	}
	l.c.Main.PIDFile = filepath.Join(o.Home, fmt.Sprintf("%d_usrsvcd.pid", o.UID))
	root := l.parse(path, text)
	l.main(root)
	l.folder()
	for _, root := range l.roots {
		l.collect(root)
	}
	l.syntax()
	l.all()
	l.unusedNames()
	l.sort()
	return l.c
}

// loader is the state of one reading.
type loader struct {
	o        Options
	c        *Config
	roots    []*configobj.Section
	mistakes []*configobj.Error // of the syntax
	programs map[string]*layer
	settings map[string]*layer // the general one is ""
	owners   map[*configobj.Section]*layer
	used     map[place]bool // values that %(name)s has taken
	told     map[Problem]bool
	expanded int // bytes that %(name)s have made
}

// place is a line.
type place struct {
	file string
	line int
}

// read reads a regular file of bounded size that is text.
func (o *Options) read(path string) (string, error) {
	tooLarge := fmt.Errorf("it is larger than %d bytes", maxFile)
	switch st, err := os.Stat(path); {
	case err != nil:
		return "", bare(err)
	case !st.Mode().IsRegular():
		return "", errors.New("it is not a regular file")
	case st.Size() > maxFile:
		return "", tooLarge
	}
	get := o.ReadFile
	if get == nil {
		get = os.ReadFile
	}
	text, err := get(path)
	switch {
	case err != nil:
		return "", bare(err)
	case len(text) > maxFile:
		return "", tooLarge
	case strings.HasPrefix(string(text), "\xff\xfe"), strings.HasPrefix(string(text), "\xfe\xff"):
		return "", errors.New("it is UTF-16 text: write it as UTF-8")
	}
	return string(text), nil
}

// bare is an error without the path, which whoever shows it says.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// parse reads the text of a file. Mistakes are kept until it is known whose they are.
func (l *loader) parse(path, text string) *configobj.Section {
	l.c.Files = append(l.c.Files, path)
	root, mistakes := configobj.Parse(path, text)
	l.roots = append(l.roots, root)
	l.mistakes = append(l.mistakes, mistakes...)
	return root
}

// problem records a mistake; the same one counts once.
func (l *loader) problem(p Problem) {
	if alone := (Problem{File: p.File, Line: p.Line, Key: p.Key, Text: p.Text}); !l.told[alone] {
		l.told[alone] = true
		l.c.Problems = append(l.c.Problems, p)
	}
}

// warn records a warning; the same one counts once.
func (l *loader) warn(p Problem) {
	if alone := (Problem{File: p.File, Line: p.Line, Key: p.Key, Text: "warning: " + p.Text}); !l.told[alone] {
		l.told[alone] = true
		l.c.Warnings = append(l.c.Warnings, p)
	}
}

// folder reads the files of config_dir, in the order of their names.
func (l *loader) folder() {
	dir := l.c.Main.ConfigDir
	if dir == "" {
		return
	}
	at, _ := l.roots[0].Section(mainSection).Get("config_dir")
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.warn(Problem{File: l.c.File, Line: at.Line, Key: "config_dir", Text: "there is no folder " + dir})
		return
	case err != nil:
		l.problem(Problem{File: l.c.File, Line: at.Line, Key: "config_dir", Text: fmt.Sprintf("%s: %v", dir, bare(err))})
		return
	}
	main, _ := os.Stat(l.c.File) // nil when it has gone: then it is not in the folder either
	files := 0
	for _, e := range entries { // sorted by name
		if !strings.HasSuffix(e.Name(), ".cfg") {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), ".") {
			if e.Type().IsRegular() { // the marks that editors make beside a file are links
				l.warn(Problem{File: path, Text: "a file whose name begins with a dot is not read"})
			}
			continue
		}
		if st, err := os.Stat(path); err == nil && os.SameFile(st, main) {
			continue
		}
		if files++; files > maxFiles {
			l.problem(Problem{File: path, Text: fmt.Sprintf("there are more than %d files; this one and those after it are not read", maxFiles)})
			return
		}
		text, err := l.o.read(path)
		if _, gone := os.Lstat(path); errors.Is(gone, fs.ErrNotExist) {
			continue // it went while the folder was read
		}
		if err != nil {
			l.problem(Problem{File: path, Text: err.Error()})
			continue
		}
		l.parse(path, text)
	}
}

// layer is a section that says something about programs: that of a program, or of settings that several have in common.
type layer struct {
	name     string
	program  bool
	section  *configobj.Section
	problems []Problem // of its syntax, and of being there twice
}

// title is the name of the section.
func (y *layer) title() string { return "[" + y.section.Name + "]" }

// collect finds the sections of a file.
func (l *loader) collect(root *configobj.Section) {
	for _, s := range root.Sections() {
		kind, name, named := strings.Cut(s.Name, ":")
		name = pytext.Strip(name)
		switch {
		case s.Name == mainSection:
			if root.File != l.c.File {
				l.problem(Problem{File: s.File, Line: s.Line, Text: "[Main] counts in " + l.c.File + " alone"})
			}
		case s.Name == defaultName:
		case kind == programSection && named:
			l.add(l.programs, &layer{name: name, program: true, section: s})
		case kind == programSection:
			l.problem(Problem{File: s.File, Line: s.Line, Text: noName})
		case kind == settingsSection:
			if named && name == "" {
				l.problem(Problem{File: s.File, Line: s.Line, Text: "[" + s.Name + "] has no name; without the colon it counts for all programs"})
				continue
			}
			l.add(l.settings, &layer{name: name, section: s})
		default:
			text := "there is no section of that kind: [" + s.Name + "]"
			if like := words.Close(kind, []string{mainSection, programSection, settingsSection}, 1); len(like) > 0 {
				text += "; is " + like[0] + " meant?"
			}
			l.problem(Problem{File: s.File, Line: s.Line, Text: text})
		}
	}
}

// syntax tells the mistakes of the syntax to those that they hurt.
func (l *loader) syntax() {
	for _, e := range l.mistakes {
		p := Problem{File: e.File, Line: e.Line, Text: e.Text}
		if y := l.owner(e.Section); y != nil {
			if y.program {
				p.Program = y.name
			}
			y.problems = append(y.problems, p)
		}
		l.problem(p)
	}
}

// owner is the layer that a section is in; nil when there is none.
func (l *loader) owner(s *configobj.Section) *layer {
	top := s.Top()
	if top == nil {
		return nil
	}
	return l.owners[top]
}

// add adds a layer. Of two with one name neither can be used.
func (l *loader) add(to map[string]*layer, y *layer) {
	s := y.section
	if y.program {
		if why := badName(y.name); why != "" {
			l.problem(Problem{File: s.File, Line: s.Line, Program: y.name, Text: why})
			if y.name == "" {
				return
			}
			y.problems = append(y.problems, Problem{File: s.File, Line: s.Line, Program: y.name, Text: why})
		}
	}
	other := to[y.name]
	if other == nil {
		to[y.name], l.owners[s] = y, y
		if y.program {
			l.c.Names = append(l.c.Names, y.name)
		}
		return
	}
	p := Problem{
		File: s.File, Line: s.Line,
		Text: fmt.Sprintf("%s is there twice: the other one is at %s:%d, and neither counts", y.title(), other.section.File, other.section.Line),
	}
	if y.program {
		p.Program = y.name
	}
	l.problem(p)
	other.problems = append(other.problems, p)
}

// noName is what is wrong with a program without a name.
const noName = "the program has no name: [Program:NAME]"

// badName says why a program cannot have a name; empty = it can.
func badName(name string) string {
	switch {
	case name == "":
		return noName
	case name == "all":
		return "a program cannot be called all: that stands for every one"
	case strings.ContainsAny(name, "/:*?[]\\\"'"):
		return "the name of a program has no / : * ? [ ] \\ and no quotes in it"
	case strings.HasPrefix(name, "-"), strings.HasPrefix(name, "."):
		return "the name of a program does not begin with - or ."
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "the name of a program has no control characters in it"
	case len(name) > 200:
		return "the name of a program has at most 200 bytes"
	}
	return ""
}

// all makes the programs, and checks the settings that they have in common whether somebody uses them or not.
func (l *loader) all() {
	for _, y := range sorted(l.settings) {
		b := &builder{l: l, layers: []*layer{y}}
		b.settings()
	}
	for _, y := range sorted(l.programs) {
		b := &builder{l: l, own: y}
		p := b.program()
		if len(b.problems) > 0 {
			l.c.Broken = append(l.c.Broken, Broken{Name: y.name, Origin: b.origin(), Problems: b.problems})
			continue
		}
		l.c.Said[y.name] = b.said
		l.c.Model.Groups = append(l.c.Model.Groups, &model.Group{
			Name: y.name, Priority: p.Priority, Programs: []*model.Program{p}, Origin: p.Origin,
		})
	}
	l.shared()
}

// shared warns of programs that have one pid file.
func (l *loader) shared() {
	first := map[string]*model.Program{}
	for _, g := range l.c.Model.Groups {
		p := g.Programs[0]
		if other := first[p.Attach.PIDFile]; other != nil {
			l.warn(Problem{
				File: p.Origin.File, Line: p.Origin.Line, Program: p.ID.Name, Key: "pidfile",
				Text: p.Attach.PIDFile + " is also that of " + other.ID.Name,
			})
			continue
		}
		first[p.Attach.PIDFile] = p
	}
}

// sorted are layers in the order of their names.
func sorted(all map[string]*layer) []*layer {
	list := make([]*layer, 0, len(all))
	for _, y := range all {
		list = append(list, y)
	}
	slices.SortFunc(list, func(a, b *layer) int { return cmp.Compare(a.name, b.name) })
	return list
}

// unusedNames warns of keys before the first section that nothing refers to.
func (l *loader) unusedNames() {
	for _, root := range l.roots {
		for _, e := range root.Entries() {
			if !l.used[place{e.File, e.Line}] {
				l.warn(Problem{File: e.File, Line: e.Line, Key: e.Key, Text: "it stands before the first section, where only %(name)s would find it, and none does"})
			}
		}
	}
}

// sort puts problems in the order of the files.
func (l *loader) sort() {
	at := map[string]int{}
	for i, file := range l.c.Files {
		at[file] = i
	}
	byPlace := func(a, b Problem) int {
		return cmp.Or(cmp.Compare(at[a.File], at[b.File]), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Text, b.Text))
	}
	slices.SortStableFunc(l.c.Problems, byPlace)
	slices.SortStableFunc(l.c.Warnings, byPlace)
	for i := range l.c.Broken {
		slices.SortStableFunc(l.c.Broken[i].Problems, byPlace)
	}
}
