// Package pagetest reads the tables of the documentation, so that tests can hold them against the code.
package pagetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Page is one page of the documentation.
type Page struct {
	Name     string // from the top of the tree, with slashes
	Text     string
	Sections []Section
}

// Section is what stands between two headings.
type Section struct {
	Title string // without # and the marks of code
	Text  string // without its heading
	Rows  []Row  // of all its tables, without their heads
}

// Row is one line of a table: its cells, trimmed.
type Row []string

// Code is the text of a cell that is wholly code; false for other cells.
func (r Row) Code(i int) (string, bool) {
	if i >= len(r) {
		return "", false
	}
	text, ok := strings.CutPrefix(r[i], "`")
	text, ok2 := strings.CutSuffix(text, "`")
	return text, ok && ok2 && text != "" && !strings.Contains(text, "`")
}

// Names are the pieces of code in a cell, in order.
func (r Row) Names(i int) []string {
	if i >= len(r) {
		return nil
	}
	var names []string
	for k, piece := range strings.Split(r[i], "`") {
		if k%2 == 1 {
			names = append(names, piece)
		}
	}
	return names
}

// Read reads a page of the project, named from the top of the tree.
func Read(t testing.TB, name string) *Page {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(Root(t), filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return Parse(name, string(text))
}

// Root is the folder of go.mod, at or above the current one.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the current folder")
		}
		dir = up
	}
}

// Parse takes the text of a page apart. What stands before the first heading is a section without a title.
func Parse(name, text string) *Page {
	p := &Page{Name: name, Text: text, Sections: []Section{{}}}
	fenced, head := false, true
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		row, isRow := strings.CutPrefix(line, "|")
		switch {
		case fenced:
		case strings.HasPrefix(line, "#"):
			title := strings.TrimSpace(strings.TrimLeft(line, "#"))
			p.Sections = append(p.Sections, Section{Title: strings.ReplaceAll(title, "`", "")})
		case isRow && strings.HasPrefix(strings.TrimSpace(row), "---"):
			head = false
		case isRow && !head:
			s := &p.Sections[len(p.Sections)-1]
			s.Rows = append(s.Rows, cells(row))
		}
		if !isRow {
			head = true
		}
		if fenced || !strings.HasPrefix(line, "#") {
			p.Sections[len(p.Sections)-1].Text += line + "\n"
		}
	}
	return p
}

// cells are the cells of a line; \| is a bar in one of them.
func cells(line string) Row {
	const bar = "\x00"
	line = strings.TrimSuffix(strings.ReplaceAll(line, `\|`, bar), "|")
	var row Row
	for _, c := range strings.Split(line, "|") {
		row = append(row, strings.ReplaceAll(strings.TrimSpace(c), bar, "|"))
	}
	return row
}

// Section is the section of that title, or nil.
func (p *Page) Section(title string) *Section {
	for i := range p.Sections {
		if p.Sections[i].Title == title {
			return &p.Sections[i]
		}
	}
	return nil
}

// Mentions reports whether a piece of code in the section is name.
func (s *Section) Mentions(name string) bool { return strings.Contains(s.Text, "`"+name+"`") }

// Find is the row in whose first cell a piece of code is name, or begins with the word name; or nil.
func (s *Section) Find(name string) Row {
	for _, r := range s.Rows {
		for _, n := range r.Names(0) {
			if word, _, _ := strings.Cut(n, " "); word == name || n == name {
				return r
			}
		}
	}
	return nil
}

// Find is the section and the row of the whole page in which a name is described.
func (p *Page) Find(name string) (*Section, Row) {
	for i := range p.Sections {
		if r := p.Sections[i].Find(name); r != nil {
			return &p.Sections[i], r
		}
	}
	return nil, nil
}

// Anchor is the part of an address that leads to the section.
func (s *Section) Anchor() string {
	keep := func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		case r == ' ':
			return '-'
		}
		return -1
	}
	return strings.Map(keep, strings.ToLower(s.Title))
}
