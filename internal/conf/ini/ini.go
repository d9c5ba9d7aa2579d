// Package ini reads the INI dialect of supervisord configuration files and keeps where every value was
// written. Source: spec/supervisor 1.3.
//
// The dialect in short: sections in brackets, keys before the first = or :, ; and # begin a comment at the
// start of a line or after a blank (quotes do not protect), lines indented deeper than their key continue
// its value, repeated sections merge, later keys win, keys are lower-cased, [DEFAULT] supplies missing keys.
package ini

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
)

// DefaultSection is the section whose keys are the defaults of all others.
const DefaultSection = "DEFAULT"

// Value is the text of an option and where it was written.
type Value struct {
	Text string // lines of a continued value are joined by newlines
	File string // the name given to Parse
	Line int    // of the key, from 1
}

// Entry is a key, lower-case unless FoldKeys said otherwise, and its value.
type Entry struct {
	Key string
	Value
}

// Section is one section, merged from all its pieces.
type Section struct {
	Name     string
	File     string // where it was opened first
	Line     int
	entries  []Entry
	index    map[string]int
	parents  []*Section // what they say is the section's too, the first one's first
	defaults *Section   // nil for the default section itself
}

// Document is what one or several files say together. The zero value is not usable; see New.
type Document struct {
	sections []*Section
	index    map[string]*Section
	defaults *Section
	fold     func(string) string
}

// New makes an empty document.
func New() *Document {
	return &Document{
		index: map[string]*Section{}, defaults: &Section{Name: DefaultSection, index: map[string]int{}}, fold: strings.ToLower,
	}
}

// FoldKeys says how keys that mean the same are made equal, instead of by lower case. It counts for what is parsed later.
func (d *Document) FoldKeys(fold func(string) string) { d.fold = fold }

// Sections are all sections but [DEFAULT], in the order in which they were opened first.
func (d *Document) Sections() []*Section { return d.sections }

// Section finds a section by its exact name; nil when there is none, and for DEFAULT.
func (d *Document) Section(name string) *Section { return d.index[name] }

// Defaults is the [DEFAULT] section; never nil.
func (d *Document) Defaults() *Section { return d.defaults }

// Get finds the value of a key in the section or, failing that, in those it inherits from and in [DEFAULT].
func (s *Section) Get(key string) (Value, bool) {
	v, from := s.Find(key)
	return v, from != nil
}

// Find is Get, and tells which section says it; nil when none does.
func (s *Section) Find(key string) (Value, *Section) {
	if i, ok := s.index[key]; ok {
		return s.entries[i].Value, s
	}
	for _, from := range s.parents {
		if i, ok := from.index[key]; ok {
			return from.entries[i].Value, from
		}
	}
	if s.defaults != nil {
		return s.defaults.Find(key)
	}
	return Value{}, nil
}

// Inherit makes the section say what others say and it does not, the first of them first; [DEFAULT] comes last. What
// the others inherit themselves does not count.
func (s *Section) Inherit(from ...*Section) { s.parents = append(s.parents, from...) }

// sources are the sections that say something for this one, the strongest first.
func (s *Section) sources() []*Section {
	list := append([]*Section{s}, s.parents...)
	if s.defaults != nil {
		list = append(list, s.defaults)
	}
	return list
}

// Own are the entries written in the section itself, in order.
func (s *Section) Own() []Entry { return s.entries }

// All are the section's entries followed by what it inherits.
func (s *Section) All() []Entry {
	var all []Entry
	seen := map[string]bool{}
	for _, from := range s.sources() {
		for _, e := range from.entries {
			if !seen[e.Key] {
				seen[e.Key] = true
				all = append(all, e)
			}
		}
	}
	return all
}

// Set gives the section a value of its own.
func (s *Section) Set(key string, v Value) {
	if i, ok := s.index[key]; ok {
		s.entries[i].Value = v
		return
	}
	s.index[key] = len(s.entries)
	s.entries = append(s.entries, Entry{Key: key, Value: v})
}

// HeaderError reports text before the first section. Parsing stopped there.
type HeaderError struct {
	File string
	Line int
	Text string // the line, with its newline
}

// Error is the dialect's message, three lines.
func (e *HeaderError) Error() string {
	return fmt.Sprintf("File contains no section headers.\nfile: %s, line: %d\n%s", pytext.Repr(e.File), e.Line, pytext.Repr(e.Text))
}

// SyntaxError reports lines that are neither section, option nor comment.
type SyntaxError struct {
	File  string
	Lines []BadLine
}

// BadLine is one of them.
type BadLine struct {
	Line int
	Text string // with its newline
}

// Error is the dialect's message, one line more than there are bad ones.
func (e *SyntaxError) Error() string {
	var b strings.Builder
	b.WriteString("Source contains parsing errors: " + pytext.Repr(e.File))
	for _, l := range e.Lines {
		fmt.Fprintf(&b, "\n\t[line %2d]: %s", l.Line, pytext.Repr(l.Text))
	}
	return b.String()
}

// parser is the state while one file is read.
type parser struct {
	doc    *Document
	file   string
	sect   *Section // nil before the first header
	key    string   // of the open option; empty: none
	lines  []string // of its value
	at     int      // its line number
	indent int      // of the line that opened it, in characters
	bad    []BadLine
	opened Kind // what the last line was
}

// Parse adds a file's text to the document. The name appears in values and errors. Errors: *HeaderError;
// *SyntaxError, after everything that could be read was added.
func (d *Document) Parse(name, text string) error {
	p := &parser{doc: d, file: name}
	number := 0
	for text != "" {
		var line string
		line, text = cutLine(text)
		number++
		if err := p.line(number, line); err != nil {
			return err
		}
	}
	p.closeOption()
	if p.bad != nil {
		return &SyntaxError{File: name, Lines: p.bad}
	}
	return nil
}

// cutLine takes the first line with its end; all three kinds of ends become a newline.
func cutLine(text string) (line, rest string) {
	i := strings.IndexAny(text, "\r\n")
	if i < 0 {
		return text, ""
	}
	line, rest = text[:i]+"\n", text[i+1:]
	if text[i] == '\r' {
		rest = strings.TrimPrefix(rest, "\n")
	}
	return line, rest
}

// line reads one physical line.
func (p *parser) line(number int, line string) error {
	content, comment := cutComment(line)
	content = pytext.Strip(content)
	if content == "" {
		p.opened = KindBlank
		if comment {
			p.opened = KindComment
		}
		if !comment && p.key != "" {
			p.lines = append(p.lines, "")
		}
		return nil
	}
	indent := indentation(line)
	if p.key != "" && indent > p.indent {
		p.lines, p.opened = append(p.lines, content), KindContinued
		return nil
	}
	p.indent = indent
	if name, ok := header(content); ok {
		p.closeOption()
		p.open(name, number)
		p.opened = KindHeader
		return nil
	}
	if p.sect == nil {
		return &HeaderError{File: p.file, Line: number, Text: line}
	}
	p.opened = KindBad
	i := delimiter(content)
	if i <= 0 { // no delimiter, or nothing before it
		p.bad = append(p.bad, BadLine{Line: number, Text: line})
		if i == 0 {
			p.closeOption()
		}
		return nil
	}
	p.closeOption()
	p.key, p.at = p.doc.fold(pytext.StripRight(content[:i])), number
	p.lines, p.opened = []string{pytext.Strip(content[i+1:])}, KindOption
	return nil
}

// delimiter is where the character between key and value stands; -1 when there is none.
func delimiter(line string) int { return strings.IndexAny(line, "=:") }

// closeOption stores the open option.
func (p *parser) closeOption() {
	if p.key == "" {
		return
	}
	text := pytext.StripRight(strings.Join(p.lines, "\n"))
	p.sect.Set(p.key, Value{Text: text, File: p.file, Line: p.at})
	p.key, p.lines = "", nil
}

// open makes a section the current one.
func (p *parser) open(name string, number int) {
	d := p.doc
	switch {
	case d.index[name] != nil:
		p.sect = d.index[name]
	case name == DefaultSection:
		p.sect = d.defaults
		if p.sect.Line == 0 {
			p.sect.File, p.sect.Line = p.file, number
		}
	default:
		p.sect = &Section{Name: name, File: p.file, Line: number, index: map[string]int{}, defaults: d.defaults}
		d.index[name] = p.sect
		d.sections = append(d.sections, p.sect)
	}
}

// header reads [name]; the name reaches to the last bracket of the line.
func header(content string) (string, bool) {
	end := strings.LastIndexByte(content, ']')
	if content[0] != '[' || end < 2 {
		return "", false
	}
	return content[1:end], true
}

// indentation counts the blanks before the text of a line.
func indentation(line string) int {
	n := 0
	for _, r := range line {
		if !pytext.IsSpace(r) {
			return n
		}
		n++
	}
	return 0
}

// cutComment removes a comment from a line and reports whether there was one.
//
// The comment characters are looked at in rounds, the first ; and the first #, then the second of each,
// and so on; the first round with a valid one decides. This differs from "the leftmost valid one" only
// for a line such as "a;b ;c #d", where "; c" stays.
func cutComment(line string) (string, bool) {
	if text := pytext.Strip(line); text != "" && (text[0] == ';' || text[0] == '#') {
		return "", true
	}
	at := [2]int{-1, -1}
	for {
		end, found := -1, false
		for i, c := range [2]byte{';', '#'} {
			if at[i] == len(line) {
				continue
			}
			n := strings.IndexByte(line[at[i]+1:], c)
			if n < 0 {
				at[i] = len(line)
				continue
			}
			at[i] += 1 + n
			found = true
			if startsComment(line, at[i]) && (end < 0 || at[i] < end) {
				end = at[i]
			}
		}
		switch {
		case end >= 0:
			return line[:end], true
		case !found:
			return line, false
		}
	}
}

// startsComment reports whether the comment character at i stands first or behind a blank.
func startsComment(line string, i int) bool {
	if i == 0 {
		return true
	}
	before, _ := utf8.DecodeLastRuneInString(line[:i])
	return pytext.IsSpace(before)
}
