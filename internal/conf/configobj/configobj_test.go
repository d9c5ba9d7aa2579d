package configobj

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestValues: what a value means, and what is kept of how it was written.
func TestValues(t *testing.T) {
	for in, want := range map[string]Value{
		"":                      {},
		"# c":                   {Comment: "# c"},
		"x":                     {Text: "x", Raw: "x"},
		"x  # c":                {Text: "x", Raw: "x", Comment: "# c"},
		"x#c":                   {Text: "x", Raw: "x", Comment: "#c", Glued: true},
		"'x # y'":               {Text: "x # y", Raw: "'x # y'", Quoted: true},
		`"a, b"  #`:             {Text: "a, b", Raw: `"a, b"`, Comment: "#", Quoted: true},
		"a, b":                  {Text: "a, b", Raw: "a, b", List: true, Items: []string{"a", "b"}},
		`"a", b, # c`:           {Text: `"a", b,`, Raw: `"a", b,`, List: true, Items: []string{"a", "b"}, Comment: "# c"},
		",":                     {Text: ",", Raw: ",", List: true},
		`prog "a b" c`:          {Text: `prog "a b" c`, Raw: `prog "a b" c`},
		`prog "a, b"`:           {Text: `prog "a, b"`, Raw: `prog "a, b"`, List: true, Items: []string{`prog "a`, `b"`}},
		"\"\"\"a, # b\"\"\" #c": {Text: "a, # b", Raw: "a, # b", Comment: "#c", Quoted: true},
		"'''a\n b \n'''":        {Text: "a\n b \n", Raw: "a\n b \n", Quoted: true},
		"%(x)s":                 {Text: "%(x)s", Raw: "%(x)s"},
	} {
		root, errors := Parse("f", "\n[s]\n k = "+in+"\n")
		if len(errors) > 0 {
			t.Errorf("%q: %v", in, errors[0])
			continue
		}
		got, ok := root.Section("s").Get("k")
		want.File, want.Line = "f", 3
		if d := cmp.Diff(want, got); d != "" || !ok {
			t.Errorf("%q: %s", in, d)
		}
	}
}

// TestMistakes: each is told with its line and with the section that it hurts, and what stands elsewhere is read.
func TestMistakes(t *testing.T) {
	for in, want := range map[string]string{
		"[a]\nk\n[b]\nx=1":               "f:2: this is neither [SECTION] nor KEY = VALUE: 'k' (a) /a /b/x",
		"nothing\n[b]\nx=1":              "f:1: this is neither [SECTION] nor KEY = VALUE: 'nothing' () /b/x",
		"[a]\nk=1\n[b\nx=1\n[c]\ny=1":    "f:3: this is no header of a section: '[b' () /a/k /c/y",
		"[a]\n[[b\nx=1\n[[c]]\ny=1":      "f:2: this is no header of a section: '[[b' (a) /a /a/c/y",
		"[a]\n[[b]\nx=1\n[c]\ny=1":       "f:2: [b] has 2 opening and 1 closing brackets (a) /a /c/y",
		"[[b]]\nx=1\n[[[c]]]\n[d]":       "f:1: [b] has 2 brackets, and is in a section that has 0 () /d",
		"[a]\nx=1\n[b]\n[a]\ny=1\n[[c]]": "f:4: the section 'a' is there already, at line 1 (a) /a/x /b",
		"[a]\nx=1\nx=2\ny=3":             "f:3: the key 'x' is there twice (a) /a/x /a/y",
		"[a]\nx=1\n[[x]]\ny=3\n[b]":      "f:3: the section 'x' has the name of a key (a) /a/x /b",
		"[a]\n[[x]]\n[b]\n[[x]]\nz=":     "/a/x /b/x/z",
		"[a]\nk='x\n[b]":                 `f:2: the value of 'k': a quote begins it, and none ends it: "'x" (a) /a /b`,
		"[a]\nk='x' y\n[b]":              `f:2: the value of 'k': something follows the closing quote: 'y'; put quotes of the other kind around all of it (a) /a /b`,
		"[a]\nk=a,,b\n[b]":               "f:2: the value of 'k': nothing stands before a comma (a) /a /b",
		"[a]\nk='''x\ny=1\n[b]\nz=1":     "f:2: three quotes begin a text that does not end (a) /a/y /b/z",
		"[a]\nk='''x''' y\n[b]":          `f:2: something follows the three quotes that end the text: "x''' y" (a) /a /b`,
		"[a]\nk=\xff\nl=a\x00\nm=1":      "f:2: the line is not UTF-8: save the file as UTF-8 (a) f:3: the line has a NUL character in it (a) /a/m",
		"[a]\nk='''x\n\xff\n'''\nm=1": "f:2: the text is not UTF-8: save the file as UTF-8 (a) f:3: the line is not UTF-8: save the file as UTF-8 (a) " +
			"f:4: this is neither [SECTION] nor KEY = VALUE: \"'''\" (a) /a/m",
		"\ufeff[a]\r\nk=1\r\n[b]\rl=2": "/a/k /b/l",
	} {
		root, errors := Parse("f", in)
		var got []string
		for _, e := range errors {
			name := ""
			if top := e.Section.Top(); top != nil {
				name = top.Name
			}
			got = append(got, e.Error()+" ("+name+")")
		}
		got = append(got, paths(root, "")...)
		text := strings.Join(got, " ")
		if text != want {
			t.Errorf("%q:\n%s\nwant\n%s", in, text, want)
		}
	}
	if _, errors := Parse("f", strings.Repeat("x\n", maxErrors+9)); len(errors) != maxErrors {
		t.Errorf("%d mistakes", len(errors))
	}
	// What stands after so many is read, and what a mistake hurts is known.
	text := "[a]\n" + strings.Repeat("x\n", maxErrors+9) + "[b]\ny=1\n[c]\nx\nx\n[d\nx\n"
	root, errors := Parse("f", text)
	if len(errors) != maxErrors+2 || errors[maxErrors].Section != root.Section("c") || errors[maxErrors+1].Section != root {
		t.Errorf("%d mistakes, %v", len(errors), errors[len(errors)-1])
	}
	if v, ok := root.Section("b").Get("y"); !ok || v.Text != "1" {
		t.Error("what follows many mistakes is not read")
	}
	deep := ""
	for i := 1; i < maxDepth+3; i++ {
		deep += strings.Repeat("[", i) + "x" + strings.Repeat("]", i) + "\n"
	}
	if _, errors := Parse("f", deep); len(errors) != 2 || !strings.Contains(errors[0].Text, "nested") {
		t.Errorf("%v", errors)
	}
}

// TestLongLines: a line costs by its length, not by the square of it.
func TestLongLines(t *testing.T) {
	const n = 200_000
	if root, _ := Parse("f", `["`+strings.Repeat(" ", n)+strings.Repeat(`"x`, n)+`"]`); len(root.Sections()) != 1 || len(root.Sections()[0].Name) != 3*n {
		t.Errorf("%d sections", len(root.Sections()))
	}
}

// paths are the sections without anything in them and all keys.
func paths(s *Section, at string) (out []string) {
	if s.Depth > 0 {
		at += "/" + s.Name
	}
	if s.Depth > 0 && len(s.Entries())+len(s.Sections()) == 0 {
		out = append(out, at)
	}
	for _, e := range s.Entries() {
		out = append(out, at+"/"+e.Key)
	}
	if s.Depth > 0 && len(s.Entries()) == 0 && len(s.Sections()) > 0 && s.Sections()[0].Name == "c" {
		out = append(out, at)
	}
	for _, sub := range s.Sections() {
		out = append(out, paths(sub, at)...)
	}
	return out
}

func TestExpand(t *testing.T) {
	root, errors := Parse("f", `
base = /srv
log = %(base)s/%(name)s.log
list = a, b
[DEFAULT]
far = away
[s]
name = web
circle = %(turn)s
turn = %(circle)s
x = %(x)s
[[DEFAULT]]
near = by
[[t]]
own = 1
`)
	if len(errors) > 0 {
		t.Fatal(errors)
	}
	extra := func(name string) (string, bool) { return "/home/me", name == "ENV_HOME" }
	inner := root.Section("s").Section("t")
	for in, want := range map[string]string{
		"":                       "",
		"100% %d %(x %%":         "100% %d %(x %%",
		"%(log)s":                "/srv/web.log",
		"<%(near)s%(far)s>":      "<byaway>",
		"%(own)s%(own)s":         "11",
		"%(ENV_HOME)s/x":         "/home/me/x",
		"%(own)d":                "%(own)d",
		"%%(own)s":               "%1",
		"%(a(%(own)s":            "! %(a(%(own)s: nothing of that name is in this section or around it",
		"%(nope)s":               "! %(nope)s: nothing of that name is in this section or around it",
		"%()s":                   "! %()s: nothing of that name is in this section or around it",
		"%(circle)s":             "! %(circle)s stands for itself in a circle",
		"%(x)s":                  "! %(x)s stands for itself in a circle",
		"%(list)s":               "! %(list)s: its value has a comma and is a list, line 4",
		"%(s)s":                  "! %(s)s: nothing of that name is in this section or around it",
		"%(ENV_PATH)s %(own)s %": "! %(ENV_PATH)s: nothing of that name is in this section or around it",
	} {
		got, err := inner.Expand(in, extra, nil)
		if err != nil {
			got = "! " + err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	var used []string
	if _, err := inner.Expand("%(log)s", nil, func(e Entry) { used = append(used, e.Key) }); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"log", "base", "name"}, used); d != "" {
		t.Error(d)
	}
}

// TestExpandBounds: a small text that would become a huge one is refused, at once.
func TestExpandBounds(t *testing.T) {
	text := "a0 = x\n"
	for i := 1; i < 10; i++ {
		text += "a" + string(rune('0'+i)) + " = " + strings.Repeat("%(a"+string(rune('0'+i-1))+")s", 50) + "\n"
	}
	root, _ := Parse("f", text)
	if _, err := root.Expand("%(a9)s", nil, nil); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Error(err)
	}
	text = "ba = x\n"
	for i := 1; i < 20; i++ {
		text += "b" + string(rune('a'+i)) + " = %(b" + string(rune('a'+i-1)) + ")s\n"
	}
	root, _ = Parse("f", text)
	if _, err := root.Expand("%(bt)s", nil, nil); err == nil || !strings.Contains(err.Error(), "too deep") {
		t.Error(err)
	}
}

// FuzzParse holds what must be true of any text: reading it ends, sections and keys have names of their own and stand where
// they say, and expanding is bounded.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"", "[a]\nk = v # c\n[[b]]\nk = 'x', y\n", "k = '''a\nb''' # c\n", "a = %(b)s\nb = %(a)s", "[[x]]\n[[[", "[ [\"a\" b]", "\ufeff[x]\r\n", "a=\"\"\"\"\"\"\"", "[\"  \"]", "[\"  \"x\"]",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		root, errors := Parse("f", text)
		lines := strings.Count(text, "\n") + strings.Count(text, "\r") + 1
		for _, e := range errors {
			if e.Line < 1 || e.Line > lines || e.Section == nil || e.Text == "" {
				t.Fatalf("%+v", e)
			}
		}
		var walk func(s *Section)
		walk = func(s *Section) {
			names := map[string]bool{}
			last := s.Line
			for _, e := range s.entries {
				if names[e.Key] || e.Line <= last || e.Line > lines || e.File != "f" || e.List != (len(e.Items) > 0 || e.Raw == ",") {
					t.Fatalf("%+v", e)
				}
				names[e.Key], last = true, e.Line
				if v, ok := s.Get(e.Key); !ok || v.Line != e.Line {
					t.Fatalf("%+v", e)
				}
				if got, err := s.Expand(e.Text, nil, nil); err == nil && len(got) > len(e.Text)+maxLength {
					t.Fatalf("%d characters", len(got))
				}
			}
			for _, sub := range s.sections {
				if names[sub.Name] || sub.Depth != s.Depth+1 || sub.Parent != s || s.Section(sub.Name) != sub {
					t.Fatalf("%+v", sub)
				}
				names[sub.Name] = true
				walk(sub)
			}
		}
		walk(root)
	})
}
