package imports

import (
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/conf/ini"
	"github.com/upkeep-project/upkeep/internal/conf/keys"
)

// readSupervisor reads a supervisord.conf with the files it includes from its own folder and below. Options keep
// their text, references included: the dialect is the same.
func readSupervisor(r *reader) error {
	text, err := r.file(r.path)
	if err != nil {
		return err
	}
	s := &supervisor{r: r, doc: ini.New(), known: keys.Sections().Kind("program")}
	s.doc.FoldKeys(keys.Fold)
	if err := s.doc.Parse(r.path, string(text)); err != nil {
		var syntax *ini.SyntaxError
		if !errors.As(err, &syntax) {
			return err
		}
		s.syntax(syntax)
	}
	if err := s.includes(); err != nil {
		return err
	}
	members := map[string]string{}
	for _, sect := range s.doc.Sections() {
		if group, ok := strings.CutPrefix(sect.Name, "group:"); ok {
			v, _ := sect.Get("programs")
			for _, name := range units.List(v.Text) {
				members[name] = group
			}
		}
	}
	for _, sect := range s.doc.Sections() {
		kind, name, _ := strings.Cut(sect.Name, ":")
		switch kind {
		case "program":
			s.program(sect, strings.TrimSpace(name), members)
		case "eventlistener", "fcgi-program", "rpcinterface", "ctlplugin":
			if kind != "rpcinterface" || name != "supervisor" {
				r.problem(sect.File, sect.Line, "[%s] is not imported; it works in a file that is run with -c", sect.Name)
			}
		}
	}
	return nil
}

// supervisor is the state of reading a supervisord.conf.
type supervisor struct {
	r   *reader
	doc *ini.Document
	// known are the options of programs.
	known *keys.Section
}

// syntax reports lines that are neither sections nor options.
func (s *supervisor) syntax(e *ini.SyntaxError) {
	for _, l := range e.Lines {
		s.r.problem(e.File, l.Line, "neither a section nor key = value: %s", strings.TrimSpace(l.Text))
	}
}

// includes adds the files that [include] names, as far as they lie in the folder.
func (s *supervisor) includes() error {
	sect := s.doc.Section("include")
	if sect == nil {
		return nil
	}
	v, _ := sect.Get("files")
	n := 0
	for pattern := range strings.FieldsSeq(s.text(v, false)) {
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(s.r.dir, pattern)
		}
		names, err := filepath.Glob(pattern)
		if err != nil {
			s.r.problem(v.File, v.Line, "%s: %v", pattern, err)
		}
		slices.Sort(names)
		for _, name := range names {
			if !s.r.inside(name) {
				s.r.problem(v.File, v.Line, "%s lies outside of the folder and is not read; import it by itself", name)
				continue
			}
			if n++; n > maxFiles {
				return errors.New("too many files are included")
			}
			s.include(name)
		}
	}
	return nil
}

// include adds one file.
func (s *supervisor) include(name string) {
	text, err := s.r.file(name)
	if err != nil {
		s.r.problem(name, 0, "%v", err)
		return
	}
	var syntax *ini.SyntaxError
	if err := s.doc.Parse(name, string(text)); errors.As(err, &syntax) {
		s.syntax(syntax)
	} else if err != nil {
		s.r.problem(name, 0, "%s", strings.SplitN(err.Error(), "\n", 2)[0])
	}
}

// text is an option with the folder of its file in it. In a template the folder's percent signs are doubled.
func (s *supervisor) text(v ini.Value, template bool) string {
	dir := filepath.Dir(v.File)
	if template {
		dir = strings.ReplaceAll(dir, "%", "%%")
	}
	return strings.ReplaceAll(v.Text, here, dir)
}

// program carries one section over.
func (s *supervisor) program(sect *ini.Section, name string, members map[string]string) {
	r := s.r
	p := r.program(name, sect.File, sect.Line)
	for _, e := range sect.All() {
		text := s.text(e.Value, true)
		switch {
		case e.Key == "autostart":
			on, err := units.Bool(text)
			if err != nil {
				r.problem(e.File, e.Line, "%s: autostart: %v", name, err)
				continue
			}
			p.On = on
			p.keep(e.Key)
		case e.Key == "user":
			p.user(e.Key, text)
		case e.Key == "defaults" || e.Key == "notify":
			p.drop(e.Key, "the sections that it names are not carried over")
		case s.known.Key(e.Key) != nil:
			p.put(Key{Name: e.Key, Value: text, Template: true})
			p.keep(e.Key)
		default:
			p.drop(e.Key, "not an option of programs")
		}
	}
	if p.Name != name {
		// The name of the process follows the section's unless it is said.
		if _, ok := p.Get("process_name"); ok {
			p.change("process_name", name, p.Name, "%(program_name)s in any option is the new name")
		}
	}
	if group, ok := members[name]; ok {
		p.change("group", group+":"+name, p.Name, "groups are not carried over")
	}
	s.global(p)
	for _, key := range [...]string{"directory", "stdout_logfile", "stderr_logfile"} {
		s.relative(p, key)
	}
	p.done()
}

// global adds what the daemon's own section says for all programs.
func (s *supervisor) global(p *pending) {
	sect := s.doc.Section("supervisord")
	if sect == nil {
		return
	}
	if v, ok := sect.Get("environment"); ok && strings.TrimSpace(v.Text) != "" {
		text := strings.TrimRight(s.text(v, true), ", \t\n")
		if own, ok := p.Get("environment"); ok && strings.TrimSpace(own) != "" {
			text += "\n," + own
		}
		p.put(Key{Name: "environment", Value: text, Template: true})
		p.change("environment", "[supervisord] environment", "environment", "it held for all programs")
	}
	if v, ok := sect.Get("user"); ok {
		if _, own := p.Get("user"); !own && v.Text != "root" && v.Text != "0" {
			p.user("user", s.text(v, true))
		}
	}
	if v, ok := sect.Get("umask"); ok {
		if _, own := p.Get("umask"); !own {
			p.put(Key{Name: "umask", Value: s.text(v, true), Template: true})
			p.change("umask", "[supervisord] umask", v.Text, "programs had the daemon's")
		}
	}
}

// relative makes a path absolute that was taken from the daemon's folder.
func (s *supervisor) relative(p *pending, key string) {
	text, ok := p.Get(key)
	word := strings.ToUpper(text)
	if !ok || text == "" || text[0] == '~' || text[0] == '%' || slices.Contains([]string{"AUTO", "NONE", "OFF", "SYSLOG"}, word) {
		return
	}
	if text[0] == '/' {
		s.folder(p, key, text)
		return
	}
	dir := ""
	if sect := s.doc.Section("supervisord"); sect != nil {
		if v, ok := sect.Get("directory"); ok {
			dir = s.text(v, true)
		}
	}
	if !filepath.IsAbs(dir) {
		p.change(key, text, text, "it is relative: it was taken from the folder the daemon ran in, and is now from this instance's")
		return
	}
	full := filepath.Join(dir, text)
	p.put(Key{Name: key, Value: full, Template: true})
	p.change(key, text, full, "it was taken from the daemon's folder")
	s.folder(p, key, full)
}

// folder takes a log file out whose folder does not exist: the dialect refuses it.
func (s *supervisor) folder(p *pending, key, path string) {
	if key != "directory" && !strings.Contains(path, "%") && !folderOf(path) {
		p.Keys = slices.DeleteFunc(p.Keys, func(k Key) bool { return k.Name == key })
		p.change(key, path, "AUTO", "the folder does not exist")
	}
}

// pidFile is the number in a file that a daemon writes; 0 when there is none.
func (r *reader) pidFile(path string) int {
	text, err := r.file(path)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 32)
	if err != nil || n < 2 {
		return 0
	}
	return int(n)
}
