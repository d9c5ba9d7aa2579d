package pagetest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const page = "# Title\n\nText | with bars.\n\n" +
	"## `[a:x]`, plain\n\n| key | default |\n| --- | --- |\n| `one`, `two` (*) | `1` |\n| `three` | as `one` |\n\n" +
	"```\n| no | table |\n| --- | --- |\n| `four` | 4 |\n```\n\n" +
	"| another |\n| --- |\n| `a \\| b` |\n\n| a head alone |\n"

func TestParse(t *testing.T) {
	p := Parse("page.md", page)
	want := []Section{
		{},
		{Title: "Title"},
		{Title: "[a:x], plain", Rows: []Row{{"`one`, `two` (*)", "`1`"}, {"`three`", "as `one`"}, {"`a | b`"}}},
	}
	ignore := cmpopts.IgnoreFields(Section{}, "Text")
	if diff := cmp.Diff(want, p.Sections, ignore); diff != "" {
		t.Fatal(diff)
	}
	s, row := p.Find("two")
	if s == nil || s.Title != "[a:x], plain" || s.Anchor() != "ax-plain" {
		t.Errorf("section %+v", s)
	}
	if diff := cmp.Diff([]string{"one", "two"}, row.Names(0)); diff != "" {
		t.Error(diff)
	}
	if text, ok := row.Code(1); text != "1" || !ok {
		t.Errorf("%q %v", text, ok)
	}
	if _, ok := s.Find("three").Code(1); ok {
		t.Error("a cell that is partly code is code")
	}
	if _, ok := row.Code(2); ok || row.Names(2) != nil {
		t.Error("a cell that is not there has a text")
	}
	if _, row := p.Find("a"); row == nil {
		t.Error("a first word is not found")
	}
	for _, name := range []string{"four", "key", "on", "|"} {
		if s, _ := p.Find(name); s != nil {
			t.Errorf("%s found in %s", name, s.Title)
		}
	}
	if s := p.Section("Title"); s.Text != "\nText | with bars.\n\n" {
		t.Errorf("text %q", s.Text)
	}
	if !p.Sections[2].Mentions("one") || p.Sections[1].Mentions("one") || p.Sections[2].Mentions("wo") {
		t.Error("what is mentioned is not found, or more than that")
	}
	if p.Section("Title") == nil || p.Section("Other") != nil {
		t.Error("sections are found by their title")
	}
}

func TestRead(t *testing.T) {
	if p := Read(t, "docs/reference/differences.md"); p.Section("Configuration") == nil {
		t.Error("a page of the project has lost its sections")
	}
}
