package supervisord

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/internal/conf/ini"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// ReadProgramFile reads the definitions of one file by itself: what is to run by it, messages for the activity log, and
// all problems at once, in the order of the lines. A section with a problem gives nothing; the others give what they say.
// The path names the file in problems and is the base of %(here)s; nothing is read from it.
//
// Such a file holds [program:x], [eventlistener:x], [fcgi-program:x] and [group:x] sections. Other than in
// supervisord.conf, sections and options that mean nothing are problems. Source: one-model C5, C7.
func ReadProgramFile(path string, text []byte, env Environ) (groups []*model.Group, messages []Message, problems []*Error) {
	r := newReader(&env, Location{Given: path, Path: path})
	r.collect = true
	r.parseAll(path, text)
	r.expandHere(r.here)
	r.unknownInPrograms()
	config, err := r.groups(nil)
	if err != nil {
		r.problem(asError(path, err))
		config = &model.Config{}
	}
	r.sharedLogs(config)
	slices.SortStableFunc(r.problems, func(a, b *Error) int { return cmp.Compare(a.Line, b.Line) })
	return config.Groups, r.sorted(), r.problems
}

// parseAll adds a file's text to the document; every line that cannot be read is a problem.
func (r *reader) parseAll(name string, text []byte) {
	err := r.doc.Parse(name, string(text))
	var header *ini.HeaderError
	var syntax *ini.SyntaxError
	switch {
	case errors.As(err, &header):
		r.problem(&Error{Text: "text before the first [section]: " + strings.TrimSpace(header.Text), File: name, Line: header.Line})
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
	var kinds []sectionKind
	var names []string
	for _, k := range sectionKinds() {
		if k.runs() {
			kinds, names = append(kinds, k), append(names, k.name)
		}
	}
	for _, sect := range r.doc.Sections() {
		prefix, _, named := strings.Cut(sect.Name, ":")
		i := slices.IndexFunc(kinds, func(k sectionKind) bool { return k.name == prefix && k.named == named })
		if i < 0 {
			r.problem(&Error{
				Text: "[" + sect.Name + "] does not belong in a file of programs", File: sect.File, Line: sect.Line, Section: sect.Name,
				Suggestion: closest(prefix, names),
			})
			continue
		}
		for _, e := range sect.Own() {
			if !slices.Contains(kinds[i].keys, e.Key) {
				r.problem(&Error{
					Text: "unknown key " + `"` + e.Key + `"`, File: e.File, Line: e.Line, Section: sect.Name, Key: e.Key,
					Suggestion: closest(e.Key, kinds[i].keys),
				})
			}
		}
	}
}

// runs reports whether sections of the kind say what is to run.
func (k sectionKind) runs() bool {
	return slices.Contains([]string{"program", "fcgi-program", "eventlistener", "group"}, k.name)
}
