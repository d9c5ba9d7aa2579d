// Package configobj reads the dialect of Python's ConfigObj 5 as configuration files of usrsvc use it, and keeps where every
// value was written.
//
// The dialect in short: [name] begins a section and [[name]] one inside of it, whatever the indentation; key = value, both
// with or without quotes; # begins a comment, after a value too, wherever it stands outside of quotes that the value begins
// with; commas make a list; three quotes hold a text of several lines; %(name)s stands for another value. Names are
// case-sensitive, and no name may come twice.
//
// A mistake is told with its line and the section that it hurts, and reading goes on, so that what stands elsewhere can be
// used. In four points it is stricter than the original: what follows a closing quote is a mistake even where the original
// would take the quotes for a part of the text (or look for them in the comment), and so are keys of blanks or of a quote alone;
// text has to be UTF-8 without NUL; and there are bounds. A line ends with LF, CR or both, and with nothing else.
// Source: spec/usrsvc 3, US-10 to US-12.
package configobj

import (
	"fmt"
	"strings"
)

// The bounds of a file, far beyond what people write.
const (
	maxDepth  = 32
	maxErrors = 100 // that are told; after them the first of each section of depth 1
)

// Value is what stands after a key.
type Value struct {
	// Text is the value without quotes; of a list it is Raw.
	Text string
	// Raw is the value as it was written, without the comment that follows it; of three quotes what they hold.
	Raw string
	// Quoted says that quotes are around all of it.
	Quoted bool
	// List says that the original takes the value for a list, because it has a comma outside of quotes. Items are its
	// elements without their quotes.
	List  bool
	Items []string
	// Comment is what stands after it from the # on; empty = nothing. Glued says that no blank stands before the #: the
	// text was probably meant to go on.
	Comment string
	Glued   bool
	File    string // the name given to Parse
	Line    int    // of the key, from 1
}

// Entry is a key and its value.
type Entry struct {
	Key string
	Value
}

// Section is one section, or the file itself: Depth 0, without a name.
type Section struct {
	Name     string
	Depth    int // how many brackets it has
	Parent   *Section
	File     string
	Line     int
	entries  []Entry
	sections []*Section
	keys     map[string]int // place among entries
	names    map[string]int // place among sections
}

// Entries are the values of the section in their order.
func (s *Section) Entries() []Entry { return s.entries }

// Sections are the sections inside of it in their order.
func (s *Section) Sections() []*Section { return s.sections }

// Get finds a value.
func (s *Section) Get(key string) (Value, bool) {
	if i, ok := s.keys[key]; ok {
		return s.entries[i].Value, true
	}
	return Value{}, false
}

// Section finds a section inside of it; nil when there is none.
func (s *Section) Section(name string) *Section {
	if i, ok := s.names[name]; ok {
		return s.sections[i]
	}
	return nil
}

// Top is the section of depth 1 that it belongs to; the file itself has none: nil.
func (s *Section) Top() *Section {
	for s != nil && s.Depth > 1 {
		s = s.Parent
	}
	if s == nil || s.Depth == 0 {
		return nil
	}
	return s
}

func newSection(name string, depth int, parent *Section, file string, line int) *Section {
	return &Section{Name: name, Depth: depth, Parent: parent, File: file, Line: line, keys: map[string]int{}, names: map[string]int{}}
}

// Error is a mistake.
type Error struct {
	File string
	Line int
	Text string
	// Section is where the mistake leaves something unknown: the section that the line stands in, or the one whose name
	// is there twice. The file itself when it is a section of depth 1 that cannot be told.
	Section *Section
}

// Error is file:line: text.
func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text) }

// parser is the state while one file is read.
type parser struct {
	file   string
	lines  []string
	line   int // index of the present one
	root   *Section
	cur    *Section
	errors []*Error
	hurt   map[*Section]bool // sections of depth 1 with a mistake; nil = what is in none
}

// Parse reads a text; file is its name in messages. The section that comes back is never nil. Its cost is linear in the
// length of the text.
func Parse(file, text string) (*Section, []*Error) {
	p := &parser{file: file, root: newSection("", 0, nil, file, 0), hurt: map[*Section]bool{}}
	p.cur = p.root
	text = strings.TrimPrefix(text, "\ufeff")
	if text != "" {
		p.lines = strings.Split(strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n"), "\n")
	}
	for ; p.line < len(p.lines); p.line++ {
		p.one(p.lines[p.line])
	}
	return p.root, p.errors
}

// fail records a mistake in the present line. Of too many, those remain without which a section would pass for whole.
func (p *parser) fail(hurts *Section, text string) {
	top := hurts.Top()
	if lost := top != nil && p.root.Section(top.Name) != top; len(p.errors) >= maxErrors && (lost || p.hurt[top]) {
		return
	}
	p.hurt[top] = true
	p.errors = append(p.errors, &Error{File: p.file, Line: p.line + 1, Text: text, Section: hurts})
}

// one reads a line.
func (p *parser) one(line string) {
	text := strip(line)
	if text == "" || text[0] == '#' {
		return
	}
	if why := unfit(line); why != "" {
		p.fail(p.cur, "the line "+why)
		return
	}
	if h, ok := header(text); ok {
		p.open(h)
		return
	}
	key, rest, ok := keyword(line)
	switch {
	case ok:
		p.value(key, rest)
	case text[0] == '[':
		n := brackets(text)
		p.fail(p.above(n), "this is no header of a section: "+quoted(text))
		p.lose(n)
	default:
		p.fail(p.cur, "this is neither [SECTION] nor KEY = VALUE: "+quoted(text))
	}
}

// above is the section that one of a depth would be in.
func (p *parser) above(depth int) *Section {
	s := p.cur
	for s.Depth >= max(depth, 1) {
		s = s.Parent
	}
	return s
}

// lose has what follows belong to no section that anybody can find, up to the next header of that depth or a lesser one.
func (p *parser) lose(depth int) {
	p.cur = newSection("", max(1, min(depth, maxDepth)), p.above(depth), p.file, p.line+1)
}

// open begins a section.
func (p *parser) open(h head) {
	in := p.above(h.depth)
	switch {
	case h.depth != h.closing:
		p.fail(in, fmt.Sprintf("[%s] has %d opening and %d closing brackets", h.name, h.depth, h.closing))
	case h.depth > maxDepth:
		p.fail(in, fmt.Sprintf("sections are nested more than %d deep", maxDepth))
	case h.depth > in.Depth+1:
		p.fail(in, fmt.Sprintf("[%s] has %d brackets, and is in a section that has %d", h.name, h.depth, in.Depth))
	case in.Section(h.name) != nil:
		p.fail(in.Section(h.name), fmt.Sprintf("the section %s is there already, at line %d", quoted(h.name), in.Section(h.name).Line))
	case in.taken(h.name):
		p.fail(in, fmt.Sprintf("the section %s has the name of a key", quoted(h.name)))
	default:
		p.cur = newSection(h.name, h.depth, in, p.file, p.line+1)
		in.names[h.name] = len(in.sections)
		in.sections = append(in.sections, p.cur)
		return
	}
	p.lose(h.depth)
}

// taken reports whether a section has a key or a section of that name.
func (s *Section) taken(name string) bool {
	_, key := s.keys[name]
	return key || s.Section(name) != nil
}

// value reads what stands after a key.
func (p *parser) value(key, rest string) {
	v := Value{File: p.file, Line: p.line + 1}
	in := p.cur
	if quotes := rest[:min(3, len(rest))]; quotes == `"""` || quotes == "'''" {
		if !p.long(&v, rest[3:], quotes) {
			return
		}
	} else if why := v.read(strip(rest)); why != "" {
		p.fail(in, fmt.Sprintf("the value of %s: %s", quoted(key), why))
		return
	}
	if in.taken(key) {
		p.fail(in, fmt.Sprintf("the key %s is there twice", quoted(key)))
		return
	}
	in.keys[key] = len(in.entries)
	in.entries = append(in.entries, Entry{Key: key, Value: v})
}

// long reads a text between three quotes. One that does not end hides nothing of what follows.
func (p *parser) long(v *Value, rest, quotes string) bool {
	var text []string
	for last := p.line; last < len(p.lines); last++ {
		if last > p.line {
			rest = p.lines[last]
		}
		if !strings.Contains(rest, quotes) {
			text = append(text, rest)
			continue
		}
		end, comment := closing(rest, quotes)
		if end < 0 {
			p.fail(p.cur, "something follows the three quotes that end the text: "+quoted(rest))
			return false
		}
		v.Text = strings.Join(append(text, rest[:end]), "\n")
		if why := unfit(v.Text); why != "" {
			p.fail(p.cur, "the text "+why)
			return false
		}
		v.Raw, v.Comment, v.Quoted = v.Text, comment, true
		p.line = last
		return true
	}
	p.fail(p.cur, "three quotes begin a text that does not end")
	return false
}

// closing finds the first three quotes that nothing follows but blanks and a comment; -1 = there are none.
func closing(line, quotes string) (end int, comment string) {
	for from := 0; ; {
		n := strings.Index(line[from:], quotes)
		if n < 0 {
			return -1, ""
		}
		end = from + n
		if after := skip(line[end+3:]); after == "" || after[0] == '#' {
			return end, after
		}
		from = end + 1
	}
}
