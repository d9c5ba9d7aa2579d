// Package managed edits the text of one program's definition, the files programs/NAME.conf that the product writes itself,
// and judges such a text. It works on text alone: no file is written, and what a person has put into one (comments, order,
// blank lines, the way in which keys are aligned) stays as it is.
//
// Values are the text of an option as the configuration has it: %(NAME)s stands for something else, %% for a per cent
// sign. Literal makes such a text of a value that means itself. Everything else that the dialect would take from a value
// (a comment inside it, blanks at its ends, line ends) is protected when it is written. Source: one-model C5, interfaces 2.8.
package managed

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/conf/ini"
	"github.com/upkeep-project/upkeep/internal/conf/keys"
)

// guard is a text that the dialect, the original's too, fills in with nothing. Where it stands, the reader of lines sees no
// blank at an end, and no blank before a comment sign.
const guard = "%(here).0s"

// here is replaced wherever it stands, even behind a per cent sign that is written twice.
const here = "%(here)s"

// Pair is one option of a section.
type Pair struct{ Key, Value string }

// Section is the header, without brackets, of the section that a definition has.
func Section(name string) string { return "program:" + name }

// Literal is the text of an option that means exactly the value. Commands are made of words first.
func Literal(key, value string) string {
	percent := "%%"
	if key = keys.Fold(key); key == "stdout_logfile" || key == "stderr_logfile" {
		percent = "%%%%" // these two are read as if they were filled in twice, as they once were
	}
	text := strings.ReplaceAll(value, "%", percent)
	return strings.ReplaceAll(text, percent[1:]+here[1:], percent[1:]+guard+here[1:])
}

// New is the text of a definition with one section, [program:NAME].
func New(name string, options []Pair) (string, error) {
	text := "[" + Section(name) + "]\n"
	for _, p := range options {
		next, _, _, err := Set(text, Section(name), p.Key, p.Value)
		if err != nil {
			return "", err
		}
		text = next
	}
	return text, nil
}

// Values are the options that a section says itself, in their order, each as the dialect reads it. Errors: the text cannot
// be read.
func Values(text, section string) ([]ini.Entry, error) {
	doc, err := parse(text)
	if err != nil {
		return nil, err
	}
	if s := find(doc, section); s != nil {
		return s.Own(), nil
	}
	return nil, nil
}

// Set gives an option of a section a value. It returns the new text, the value that the section had before (empty when it
// had none), and the line, from 1, where the option stands now. A section or option that is not there is added, the
// option behind the last one of its section. Errors: the key or the value is such that no text can hold it, or the text
// cannot be read.
func Set(text, section, key, value string) (out, old string, line int, err error) {
	if err := writable(key, value); err != nil {
		return "", "", 0, err
	}
	before, err := parse(text)
	if err != nil {
		return "", "", 0, err
	}
	d := scan(text, section, keys.Fold(key))
	if at := d.option; at >= 0 {
		old = own(before, section, keys.Fold(key))
		line = at + 1
		out = d.replace(value)
	} else {
		out, line = d.add(key, value)
	}
	if err := check(before, out, section, keys.Fold(key), &value); err != nil {
		return "", "", 0, err
	}
	return out, old, line, nil
}

// Unset takes an option out of a section, wherever the section has it, and returns the new text, the value that it had,
// and the line where it stood; 0 when it was not there, and nothing is changed. Errors: the text cannot be read.
func Unset(text, section, key string) (out, old string, line int, err error) {
	before, err := parse(text)
	if err != nil {
		return "", "", 0, err
	}
	out = text
	for folded := keys.Fold(key); ; {
		d := scan(out, section, folded)
		if d.option < 0 {
			break
		}
		if line == 0 {
			old, line = own(before, section, folded), d.option+1
		}
		out = join(d.lines[:d.option]) + d.comments() + join(d.lines[d.end:])
	}
	if line == 0 {
		return text, "", 0, nil
	}
	if err := check(before, out, section, keys.Fold(key), nil); err != nil {
		return "", "", 0, err
	}
	return out, old, line, nil
}

// writable says why no text can hold an option.
func writable(key, value string) error {
	switch {
	case key == "" || strings.ContainsFunc(key, func(r rune) bool { return pytext.IsSpace(r) || strings.ContainsRune("=:[]\x00", r) }) ||
		strings.IndexAny(key, ";#") == 0 || !utf8.ValidString(key):
		return fmt.Errorf("%q cannot be a key", key)
	case strings.ContainsRune(value, '\r'):
		return errors.New("a value cannot have a carriage return in it")
	case strings.ContainsRune(value, 0):
		return errors.New("a value cannot have a NUL character in it")
	case !utf8.ValidString(value):
		return errors.New("a value must be UTF-8")
	}
	return nil
}

func parse(text string) (*ini.Document, error) {
	doc := ini.New()
	doc.FoldKeys(keys.Fold)
	return doc, doc.Parse("", text)
}

// find finds a section, that of the defaults too; nil when there is none.
func find(doc *ini.Document, section string) *ini.Section {
	if section == ini.DefaultSection {
		return doc.Defaults()
	}
	return doc.Section(section)
}

// own is what a section says itself.
func own(doc *ini.Document, section, key string) string {
	if s := find(doc, section); s != nil {
		for _, e := range s.Own() {
			if e.Key == key {
				return e.Text
			}
		}
	}
	return ""
}

// check makes sure that an edit has changed what it should and nothing else; it catches texts whose blanks make a line
// belong to another one. want nil: the option is to be gone.
func check(before *ini.Document, text, section, key string, want *string) error {
	failed := errors.New("this text cannot be changed without changing the meaning of another line; edit it by hand")
	after, err := parse(text)
	if err != nil {
		return failed
	}
	values := func(doc *ini.Document) map[[2]string]string {
		all := map[[2]string]string{}
		for _, s := range append([]*ini.Section{doc.Defaults()}, doc.Sections()...) {
			for _, e := range s.Own() {
				all[[2]string{s.Name, e.Key}] = e.Text
			}
		}
		return all
	}
	old, now := values(before), values(after)
	at := [2]string{section, key}
	got, there := now[at]
	if there != (want != nil) || there && strings.ReplaceAll(got, guard, "") != strings.ReplaceAll(*want, guard, "") {
		return failed
	}
	delete(old, at)
	delete(now, at)
	if len(old) != len(now) {
		return failed
	}
	for k, v := range old {
		if other, ok := now[k]; !ok || other != v {
			return failed
		}
	}
	return nil
}
