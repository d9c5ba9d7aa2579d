package ini

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sections is what a document says, as plain maps.
type sections map[string]map[string]string

// read parses a text and gives its values or the error's text.
func read(text string) (sections, string) {
	d := New()
	if err := d.Parse("x.conf", text); err != nil {
		return nil, err.Error()
	}
	got := sections{}
	for _, s := range d.Sections() {
		got[s.Name] = map[string]string{}
		for _, e := range s.All() {
			got[s.Name][e.Key] = e.Text
		}
	}
	return got, ""
}

// one is a document with the section s alone.
func one(kv ...string) sections {
	m := map[string]string{}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i]] = kv[i+1]
	}
	return sections{"s": m}
}

func values() map[string]sections {
	return map[string]sections{
		"":                                     {},
		"# only\n;comments\n\n":                {},
		"[s]":                                  one(),
		"[s]\na=b;c":                           one("a", "b;c"),
		"[s]\na=b #c\n":                        one("a", "b"),
		"[s]\na=b#c\n":                         one("a", "b#c"),
		"[s]\na=b ;c\n":                        one("a", "b"),
		"[s]\na=b\t;c\n":                       one("a", "b"),
		"[s]\ne: colon\n":                      one("e", "colon"),
		"[s]\nf = x = y ; z # w\n":             one("f", "x = y"),
		"[s]\nG = Upper\n":                     one("g", "Upper"),
		"[s]\ni = \"quoted\"\n":                one("i", `"quoted"`),
		"[s]\nk=;x\nl= ;x\n":                   one("k", ";x", "l", ""),
		"[s]\nn = a;b # c ; d\n":               one("n", "a;b"),
		"[s]\nq = 'a ; b'\n":                   one("q", "'a"),
		"[s]\nk=x;a ;b #c\n":                   one("k", "x;a ;b"),
		"[s]\na=1\n  [x]\n":                    one("a", "1\n[x]"),
		"[s]\nb: \n  1\n\n\n":                  one("b", "\n1"),
		"[s]\na=1\n\n\n [b]\n":                 one("a", "1\n\n\n[b]"),
		"[s]\na=1\n ;c\n b\n":                  one("a", "1\nb"),
		"[s]\na=1\n;c\n\n b\n":                 one("a", "1\n\nb"),
		"[s]\n a=1\n b=2\n  c=3\n":             one("a", "1", "b", "2\nc=3"),
		"[s]\n  a=1\n b=2\n":                   one("a", "1", "b", "2"),
		"[s]\na=1\nA=2\n":                      one("a", "2"),
		"[s]\na=1\n[t]\n[s]\nb=2\na=3\n":       {"s": {"a": "3", "b": "2"}, "t": {}},
		"[s] trailing\n":                       one(),
		"[t]] x\n[s]\n":                        {"t]": {}, "s": {}},
		"[]]\n":                                {"]": {}},
		"[S]\n[s]\n[ s ]\n":                    {"S": {}, "s": {}, " s ": {}},
		"[s]\na:b=c\nd=e:f\n":                  one("a", "b=c", "d", "e:f"),
		"[s]\nkey with blanks = 1\n":           one("key with blanks", "1"),
		"[s]\rk=1\r\nl=2":                      one("k", "1", "l", "2"),
		"[s]\n\u00a0k\u00a0=\u00a01\u00a0#x\n": one("k", "1"),
		"[s]\na =1\n\x1c b\n":                  one("a", "1\nb"),
		"[s]\nÀB=1\n":                          one("àb", "1"),
		"[DEFAULT]\nz=1\na=0\n[s]\na=2\n[DEFAULT]\ny=3":                                   one("a", "2", "z", "1", "y", "3"),
		"[s]\nh = first\n   second ; comment\n   ; full comment\n   third\n\n   fourth\n": one("h", "first\nsecond\nthird\n\nfourth"),
		"[s]\na=%(x)s %% %\n": one("a", "%(x)s %% %"),
		"[s]\na=\xff\n":       one("a", "\xff"),
		"[s]\na=1\nb=2 \\\n":  one("a", "1", "b", `2 \`),
	}
}

func failures() map[string]string {
	const head = "File contains no section headers.\nfile: 'x.conf', line: "
	const bad = "Source contains parsing errors: 'x.conf'"
	return map[string]string{
		"a=b\n":                       head + "1\n'a=b\\n'",
		"# x\n\n  a\n[s]\n":           head + "3\n'  a\\n'",
		"a;b ;c #d":                   head + "1\n'a;b ;c #d'",
		"[]\na=1\n":                   head + "1\n'[]\\n'",
		"\ufeff[s]\n":                 head + "1\n'\\ufeff[s]\\n'",
		"[s]\na=1\r\n\rgarbage\rx":    bad + "\n\t[line  4]: 'garbage\\n'\n\t[line  5]: 'x'",
		"[s]\n\n\n\n\ngarbage\nm\n[x": bad + "\n\t[line  6]: 'garbage\\n'\n\t[line  7]: 'm\\n'\n\t[line  8]: '[x'",
		"[s]\n=1\n 2\n":               bad + "\n\t[line  2]: '=1\\n'\n\t[line  3]: ' 2\\n'",
		"[s]\na=1\nbad\n  more\n":     bad + "\n\t[line  3]: 'bad\\n'",
		"[s]\na\n=1\n":                bad + "\n\t[line  2]: 'a\\n'\n\t[line  3]: '=1\\n'",
		"[s]\nk=1\n[t\n k2=3\n":       bad + "\n\t[line  3]: '[t\\n'",
		"[s]\n" + strings.Repeat("\n", 120) + "it's\n": bad + "\n\t[line 122]: \"it's\\n\"",
	}
}

func TestValues(t *testing.T) {
	for text, want := range values() {
		got, err := read(text)
		if err != "" {
			t.Errorf("%q: %s", text, err)
		} else if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q:\n%s", text, d)
		}
	}
}

func TestErrors(t *testing.T) {
	for text, want := range failures() {
		if got, err := read(text); err != want {
			t.Errorf("%q: %q %v, want %q", text, err, got, want)
		}
	}
}

func TestErrorTypes(t *testing.T) {
	err := New().Parse("f", "[s]\n\nx\n")
	var syntax *SyntaxError
	if !errors.As(err, &syntax) || cmp.Diff(&SyntaxError{File: "f", Lines: []BadLine{{3, "x\n"}}}, syntax) != "" {
		t.Errorf("%#v", err)
	}
	err = New().Parse("f", "\nx\n")
	var header *HeaderError
	if !errors.As(err, &header) || cmp.Diff(&HeaderError{File: "f", Line: 2, Text: "x\n"}, header) != "" {
		t.Errorf("%#v", err)
	}
}

func TestProvenance(t *testing.T) {
	d := New()
	for _, f := range [][2]string{
		{"main", "; c\n[s]\na=1\n\nb=2\n  3\n[DEFAULT]\nz=0\n"},
		{"more", "[t]\nb=9\n[s]\n\nb=4\n[DEFAULT]\ny=1\n"},
	} {
		if err := d.Parse(f[0], f[1]); err != nil {
			t.Fatal(err)
		}
	}
	s := d.Section("s")
	want := []Entry{
		{"a", Value{"1", "main", 3}},
		{"b", Value{"4", "more", 5}},
		{"z", Value{"0", "main", 8}},
		{"y", Value{"1", "more", 7}},
	}
	if diff := cmp.Diff(want, s.All()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[:2], s.Own()); diff != "" {
		t.Error(diff)
	}
	if s.File != "main" || s.Line != 2 {
		t.Errorf("s at %s:%d", s.File, s.Line)
	}
	if u := d.Section("t"); u.File != "more" || u.Line != 1 {
		t.Errorf("t at %s:%d", u.File, u.Line)
	}
	if def := d.Defaults(); def.File != "main" || def.Line != 7 || len(def.All()) != 2 {
		t.Errorf("defaults %+v", def)
	}
	if v, ok := s.Get("z"); !ok || v.Line != 8 {
		t.Errorf("z: %v %v", v, ok)
	}
	if _, ok := s.Get("nope"); ok {
		t.Error("nope found")
	}
	if d.Section("nope") != nil || d.Section(DefaultSection) != nil {
		t.Error("sections that are none")
	}
	s.Set("z", Value{Text: "own"})
	if v, _ := d.Section("t").Get("z"); v.Text != "0" {
		t.Error("a set reached the defaults")
	}
}

// TestAgainstReference reads every text of the tables with the original's parser too.
func TestAgainstReference(t *testing.T) {
	const python = "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import supervisor.options").Run(); err != nil {
		t.Skipf("the original is not importable by %s: %v", python, err)
	}
	var texts []string
	for text := range values() {
		if !strings.Contains(text, "\xff") { // JSON cannot carry it
			texts = append(texts, text)
		}
	}
	for text := range failures() {
		texts = append(texts, text)
	}
	in, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "testdata/reference.py")
	cmd.Stdin, cmd.Stderr = strings.NewReader(string(in)), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var answers []struct {
		Sections sections
		Error    string
	}
	if err := json.Unmarshal(out, &answers); err != nil {
		t.Fatal(err)
	}
	if len(answers) != len(texts) {
		t.Fatalf("%d answers for %d texts", len(answers), len(texts))
	}
	for i, text := range texts {
		got, err := read(text)
		if err != answers[i].Error || cmp.Diff(answers[i].Sections, got) != "" {
			t.Errorf("%q: %v %q, reference %v %q", text, got, err, answers[i].Sections, answers[i].Error)
		}
	}
}

func FuzzParse(f *testing.F) {
	for text := range values() {
		f.Add(text)
	}
	for text := range failures() {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d := New()
		err := d.Parse("f", text)
		lines := 1 + strings.Count(text, "\n") + strings.Count(text, "\r")
		var syntax *SyntaxError
		if errors.As(err, &syntax) {
			for _, l := range syntax.Lines {
				if l.Line < 1 || l.Line > lines {
					t.Errorf("line %d of %d", l.Line, lines)
				}
			}
		}
		for _, s := range d.Sections() {
			if s.Name == "" || s.Name == DefaultSection || d.Section(s.Name) != s {
				t.Errorf("section %q", s.Name)
			}
			for _, e := range s.Own() {
				if e.Line < 1 || e.Line > lines || e.Key == "" || strings.ContainsAny(e.Text, "\r") {
					t.Errorf("entry %+v of %d lines", e, lines)
				}
				if v, ok := s.Get(e.Key); !ok || v != e.Value {
					t.Errorf("%q is listed but not found", e.Key)
				}
			}
		}
	})
}

func TestInherit(t *testing.T) {
	d := New()
	d.FoldKeys(func(key string) string { return strings.TrimPrefix(key, "Old") })
	if err := d.Parse("f", "[DEFAULT]\na=0\nz=0\n[one]\na=1\nb=1\n[two]\nb=2\nc=2\n[x]\nOldc=own\nC=upper\n"); err != nil {
		t.Fatal(err)
	}
	x := d.Section("x")
	x.Inherit(d.Section("one"), d.Section("two"))
	var got []string
	for _, e := range x.All() {
		v, from := x.Find(e.Key)
		if v != e.Value {
			t.Errorf("%s: %+v and %+v", e.Key, v, e.Value)
		}
		got = append(got, from.Name+"."+e.Key+"="+v.Text)
	}
	if d := cmp.Diff([]string{"x.c=own", "x.C=upper", "one.a=1", "one.b=1", "DEFAULT.z=0"}, got); d != "" {
		t.Error(d)
	}
	if _, from := x.Find("nope"); from != nil || len(x.Own()) != 2 {
		t.Error(from, x.Own())
	}
}

func TestScan(t *testing.T) {
	text := "junk\n[a]\r\nK = 1 ; note\n\n  more # x\n; c\n  end\nbad\n [b\n[b];x\nv:\n  2"
	var got []string
	joined := ""
	for _, l := range Scan(text, strings.ToLower) {
		joined += l.Raw
		got = append(got, fmt.Sprintf("%d %s %s %q %q", l.Kind, l.Section, l.Key, l.Raw[:l.Content], l.Raw[l.Value:l.Content]))
	}
	if joined != text {
		t.Errorf("%q", joined)
	}
	want := []string{
		`5   "junk" "junk"`, `2 a  "[a]" "[a]"`, `3 a k "K = 1 " " 1 "`, `0 a  "" ""`, `4 a k "  more " "  more "`, `1 a  "" ""`, `4 a k "  end" "  end"`,
		`5 a  "bad" "bad"`, `4 a k " [b" " [b"`, `2 b  "[b];x" "[b];x"`, `3 b v "v:" ""`, `4 b v "  2" "  2"`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// FuzzScan: lines one after the other are the text, and options are those that Parse finds.
func FuzzScan(f *testing.F) {
	f.Add("[a]\nk = 1 ; note\n  more\n\n[b]\nv:\n")
	f.Add("[a\x00b]\nc=1\n[a]\nb\x00c=2")
	f.Fuzz(func(t *testing.T, text string) {
		var joined strings.Builder
		found := map[[2]string]bool{}
		for _, l := range Scan(text, strings.ToLower) {
			joined.WriteString(l.Raw)
			if l.Content > len(l.Raw) || l.Value > len(l.Raw) {
				t.Fatalf("%+v", l)
			}
			if l.Kind == KindOption {
				found[[2]string{l.Section, l.Key}] = true
			}
		}
		if joined.String() != text {
			t.Errorf("%q became %q", text, joined.String())
		}
		d := New()
		if errors.As(d.Parse("", text), new(*HeaderError)) {
			return
		}
		for _, s := range append(d.Sections(), d.Defaults()) {
			for _, e := range s.Own() {
				at := [2]string{s.Name, e.Key}
				if !found[at] {
					t.Errorf("%q: %s.%s was not found", text, s.Name, e.Key)
				}
				delete(found, at)
			}
		}
		if len(found) > 0 {
			t.Errorf("%q: %v", text, found)
		}
	})
}
