package supervisord

import (
	"cmp"
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/base/shellwords"
	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/conf/ini"
	"github.com/upkeep-project/upkeep/internal/conf/keys"
)

// unknown reports sections and options that mean nothing: as debug messages, or as an error in strict mode.
func (r *reader) unknown(strict bool) error {
	for _, sect := range r.doc.Sections() {
		kind := r.table.Find(sect.Name)
		if kind == nil {
			prefix, _, _ := strings.Cut(sect.Name, ":")
			text := "unknown section " + pytext.Repr(sect.Name) + " (" + place(sect.File, sect.Line) + ")" + suggestion(prefix, r.kindNames(nil))
			if strict {
				return &Error{Text: text, File: sect.File, Line: sect.Line, Section: sect.Name}
			}
			r.say(units.LevelDebug, text)
			continue
		}
		if kind.Open {
			continue
		}
		for _, e := range sect.Own() {
			if kind.Key(e.Key) != nil {
				continue
			}
			text := "unknown option " + pytext.Repr(e.Key) + " in section " + pytext.Repr(sect.Name) + " (" + place(e.File, e.Line) + ")" +
				suggestion(e.Key, kind.Names())
			if closest(e.Key, kind.Names()) == "" {
				text += r.elsewhere(e.Key)
			}
			if strict {
				return &Error{Text: text, File: e.File, Line: e.Line, Section: sect.Name, Key: e.Key}
			}
			r.say(units.LevelDebug, text)
		}
	}
	return nil
}

// kindNames are the names of the kinds of sections that are wanted; nil: of all.
func (r *reader) kindNames(want func(*keys.Section) bool) []string {
	var names []string
	for i := range r.table {
		if s := &r.table[i]; want == nil || want(s) {
			names = append(names, s.Kind)
		}
	}
	return names
}

// suggestion is ", did you mean 'x'?" when a known word is close.
func suggestion(word string, known []string) string {
	best := closest(word, known)
	if best == "" {
		return ""
	}
	return ", did you mean " + pytext.Repr(best) + "?"
}

// closest is the known word that may have been meant; empty when none is close, or it is that word.
func closest(word string, known []string) string {
	for _, k := range words.Close(word, known, 1) {
		return k
	}
	return ""
}

// hint tells people who check a configuration that something in it may mean something else than they think.
func (r *reader) hint(text string) {
	if !r.said[text] {
		r.said[text] = true
		r.messages = append(r.messages, Message{Level: units.LevelDebug, Text: text, Hint: true})
	}
}

// misread looks for what is valid and unlikely to be meant: a key of the section as the name of an environment variable, as
// by a line too far down. Source: spec/usrsvc US-13.
func (r *reader) misread() {
	for _, sect := range r.doc.Sections() {
		kind := r.table.Find(sect.Name)
		if kind == nil || kind.Key(keys.EnvPrefix+"x") == nil {
			continue
		}
		known := kind.Names()
		tell := func(name string, e *ini.Entry) {
			if slices.Contains(known, name) {
				r.hint("For [" + sect.Name + "], " + name + " is set as an environment variable (" + place(e.File, e.Line) + "); the option is written without env., in a line of its own")
			}
		}
		for _, e := range sect.Own() {
			if keys.IsVariable(e.Key) {
				tell(strings.TrimPrefix(e.Key, keys.EnvPrefix), &e)
			}
			if e.Key != "environment" {
				continue
			}
			pairs, _, _ := shellwords.Pairs(e.Text) // what is wrong with them is told where they are read
			for _, p := range pairs {
				tell(p.Name, &e)
			}
		}
	}
}

// unnamed finds sections of defaults that nothing names, and what is wrong with them all the same. shared are sections of other
// files. Source: spec/usrsvc US-14.
func (r *reader) unnamed(shared map[string]*ini.Section) {
	for _, sect := range r.doc.Sections() {
		name, ok := strings.CutPrefix(sect.Name, defaultsPrefix)
		if !ok || r.named[name] {
			continue
		}
		r.hint("Nothing names [" + sect.Name + "] (" + place(sect.File, sect.Line) + "): what it says counts nowhere")
		for _, e := range r.idle(sect, shared) {
			if r.collect {
				r.problem(e)
				continue
			}
			text := "For [" + sect.Name + "], " + e.Text + " (" + place(e.File, e.Line) + ")"
			if e.Suggestion != "" {
				text += ", did you mean " + pytext.Repr(e.Suggestion) + "?"
			}
			r.hint(text)
		}
	}
}

// idleFill completes defaults to a program about which nothing is missing.
const idleFill = `[defaults]
command=x
process_name=%(program_name)s_%(process_num)d
pidfile=/%(process_num)d
socket=unix:///x
events=EVENT
`

// idle finds what is wrong with the values of defaults that nothing names, by a program that they would make. What depends on
// the program, as values with names to fill in, is not judged.
func (r *reader) idle(sect *ini.Section, shared map[string]*ini.Section) []*Error {
	own := map[string]ini.Entry{}
	for _, e := range sect.Own() {
		own[e.Key] = e
	}
	probe := newReader(r.env, r.loc)
	probe.collect, probe.vars = true, r.vars
	kind, read := "program", probe.single
	if _, ok := own["socket"]; ok {
		kind, read = "fcgi-program", probe.fastCGI
	} else if _, ok := own["events"]; ok {
		kind, read = "eventlistener", probe.listener
	}
	if err := probe.doc.Parse(sect.File, "["+kind+":x]\n"+idleFill); err != nil {
		return []*Error{asError(sect.File, err)}
	}
	made := probe.doc.Sections()
	made[0].Inherit(sect, made[1])
	if n, err := units.Int(own["numprocs"].Text); err == nil && n > 1 && n <= maxProcs {
		made[0].Set("numprocs", ini.Value{Text: "1"}) // one of them says all there is to say
	}
	probe.options(sect, nil).chain(own["defaults"].Text, r.defaultsIn(shared), func() []string { return r.defaultNames(shared) })
	if _, err := read(made[0], nil); err != nil {
		probe.problem(asError(sect.File, err))
	}
	slices.SortStableFunc(probe.problems, func(a, b *Error) int { return cmp.Compare(a.Line, b.Line) })
	return slices.DeleteFunc(probe.problems, func(e *Error) bool {
		at, ok := own[e.Key]
		e.Section = sect.Name
		return !ok || at.Line != e.Line || strings.Contains(at.Text, "%(") || e.Key == "env_file"
	})
}

// elsewhere says which sections have a key; empty when none has.
func (r *reader) elsewhere(key string) string {
	uses := r.table.Explain(key)
	if len(uses) == 0 {
		return ""
	}
	var headers []string
	for _, u := range uses {
		headers = append(headers, u.Section.Header())
	}
	return "; it is a key of " + words.Either(headers)
}
