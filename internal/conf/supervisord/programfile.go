package supervisord

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/internal/conf/ini"
	"github.com/upkeep-project/upkeep/internal/conf/keys"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Shared is what the files of programs of one instance have in common. The zero value is nothing.
type Shared struct {
	Environment map[string]string // for all programs
	defaults    map[string]*ini.Section
	// others are the programs of the instance and its notifiers, nil = not known; missing are names of what cannot be used.
	others  *model.Config
	missing map[string]bool
	named   map[string]bool // sections of defaults that something names; nil = nobody wants to know
}

// ReadProgramFile reads the definitions of one file by itself; see Shared.ReadProgramFile.
func ReadProgramFile(path string, text []byte, env Environ) (groups []*model.Group, messages []Message, problems []*Error) {
	return Shared{}.ReadProgramFile(path, text, env)
}

// ReadProgramFile reads the definitions of one file: what is to run by it, messages for the activity log, and all problems
// at once, in the order of the lines. A section with a problem gives nothing; the others give what they say. The path
// names the file in problems and is the base of %(here)s; it is not read.
//
// Such a file holds [program:x], [eventlistener:x], [fcgi-program:x] and [group:x] sections, and defaults for them. Other
// than in supervisord.conf, sections and options that mean nothing are problems. Source: one-model C5, C7.
func (s Shared) ReadProgramFile(path string, text []byte, env Environ) (groups []*model.Group, messages []Message, problems []*Error) {
	r := newReader(&env, Location{Given: path, Path: path})
	groups = r.programFile(path, text, s)
	return groups, r.sorted(), r.problems
}

// programFile reads the file and leaves its problems in order.
func (r *reader) programFile(path string, text []byte, s Shared) []*model.Group {
	r.collect = true
	r.parseAll(path, text)
	r.expandHere(r.here)
	r.unknownInPrograms()
	err := r.inherit(s.defaults)
	config := &model.Config{}
	if err == nil {
		config, err = r.groups(s.Environment)
	}
	if err != nil {
		r.problem(asError(path, err))
		config = &model.Config{}
	}
	r.sharedLogs(config)
	r.relateTo(s, config)
	r.misread()
	r.unnamed(s.defaults)
	if s.named != nil {
		maps.Copy(s.named, r.named)
	}
	slices.SortStableFunc(r.problems, func(a, b *Error) int { return cmp.Compare(a.Line, b.Line) })
	return config.Groups
}

// parseAll adds a file's text to the document; every line that cannot be read is a problem.
func (r *reader) parseAll(name string, text []byte) {
	err := r.doc.Parse(name, string(text))
	var header *ini.HeaderError
	var syntax *ini.SyntaxError
	switch {
	case errors.As(err, &header):
		what := "text before the first [section]: " + strings.TrimSpace(header.Text)
		for _, mark := range [...]string{"\ufeff", "\xff\xfe", "\xfe\xff"} { // what others do not see, or not as text
			if strings.HasPrefix(header.Text, mark) {
				what = "the file begins with a byte order mark: save it as UTF-8 without one"
			}
		}
		r.problem(&Error{Text: what, File: name, Line: header.Line})
	case errors.As(err, &syntax):
		for _, l := range syntax.Lines {
			r.problem(&Error{Text: "neither a section nor key = value: " + strings.TrimSpace(l.Text), File: name, Line: l.Line})
		}
	case err != nil:
		r.problem(asError(name, err))
	}
}

// asError is an error of a reading with its place, as far as it is known.
func asError(file string, err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	return &Error{Text: err.Error(), File: file}
}

// problem keeps a mistake, unless there is one already for that option.
func (r *reader) problem(e *Error) {
	for _, other := range r.problems {
		if other.File == e.File && other.Line == e.Line && other.Section == e.Section && other.Key == e.Key {
			return
		}
	}
	r.problems = append(r.problems, e)
}

// unknownInPrograms makes sections and options that mean nothing in a file of programs problems.
func (r *reader) unknownInPrograms() {
	belongs := func(s *keys.Section) bool { return s.Runs() || s.Kind == "defaults" || s.Kind == "program-default" }
	for _, sect := range r.doc.Sections() {
		kind := r.table.Find(sect.Name)
		if kind == nil || !belongs(kind) {
			prefix, _, _ := strings.Cut(sect.Name, ":")
			r.problem(&Error{
				Text: "[" + sect.Name + "] does not belong in a file of programs", File: sect.File, Line: sect.Line, Section: sect.Name,
				Suggestion: closest(prefix, r.kindNames(belongs)),
			})
			continue
		}
		r.unknownKeys(sect, kind)
	}
}

// unknownKeys makes options that mean nothing in a section problems.
func (r *reader) unknownKeys(sect *ini.Section, kind *keys.Section) {
	for _, e := range sect.Own() {
		if kind.Key(e.Key) == nil {
			r.problem(&Error{
				Text: "unknown key " + `"` + e.Key + `"`, File: e.File, Line: e.Line, Section: sect.Name, Key: e.Key,
				Suggestion: closest(e.Key, kind.Names()),
			})
		}
	}
}

// plain says what is wrong with an option in the words of the table of keys, and what may have been meant. What the table
// knows nothing about is said as supervisord.conf's errors are.
func (r *reader) plain(sect *ini.Section, key string, err error) (text, suggestion string) {
	var template *templateError
	var missing *noDefaultsError
	var bad *valueError
	switch {
	case errors.As(err, &template) && template.unknown != nil:
		return key + ": there is no %(" + template.unknown.Key + ")s to fill in", closest(template.unknown.Key, template.names)
	case errors.As(err, &template):
		return key + ": a per cent sign of its own is written %% (" + template.err.Error() + ")", ""
	case errors.As(err, &missing):
		return "there is no section [" + defaultsPrefix + missing.name + "]", closest(missing.name, missing.known)
	case !errors.As(err, &bad):
		return inWords(err)
	}
	kind := r.table.Find(sect.Name)
	if kind == nil || kind.Key(key) == nil {
		return err.Error(), ""
	}
	k, word := kind.Key(key), bad.value
	if k.Type == keys.Signal {
		word = strings.TrimPrefix(strings.ToUpper(word), "SIG")
	}
	return key + "=" + bad.value + " is not " + k.Allowed(), closest(word, k.Words())
}
