package supervisord

import (
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/base/words"
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
