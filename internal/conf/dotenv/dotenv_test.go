package dotenv

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	text := strings.Join([]string{
		"\ufeff# comment", "", "A=1", "export B = two words # note", "  C=", "D='a # b", `c\n'`, `E="x\n\"y\" \$z \q\\" # said`,
		"F=a#b;c", "G=k=v", "\tH='' ", "I=it's", "export=1", "A=2\r", `J="a`, `b"`, "K=#none", "L=x",
	}, "\n")
	want := []Var{
		{"A", "1", 3},
		{"B", "two words", 4},
		{"C", "", 5},
		{"D", "a # b\nc\\n", 6},
		{"E", "x\n\"y\" $z \\q\\", 8},
		{"F", "a#b;c", 9},
		{"G", "k=v", 10},
		{"H", "", 11},
		{"I", "it's", 12},
		{"export", "1", 13},
		{"A", "2", 14},
		{"J", "a\nb", 15},
		{"K", "", 17},
		{"L", "x", 18},
	}
	got, bad := Parse(text)
	if d := cmp.Diff(want, got); d != "" || bad != nil {
		t.Error(d, bad)
	}
}

// TestBadLines: what is no assignment is said, and spoils nothing after it.
func TestBadLines(t *testing.T) {
	for text, want := range map[string]struct {
		bad  []Bad
		vars []Var
	}{
		"A=1\nB":               {[]Bad{{2, "there is no = in it"}}, []Var{{"A", "1", 1}}},
		"B C\nD=1":             {[]Bad{{1, "there is no = in it"}}, []Var{{"D", "1", 2}}},
		"A=1\n\n=2":            {[]Bad{{3, "what stands before = is no name"}}, []Var{{"A", "1", 1}}},
		"a b=2":                {[]Bad{{1, "what stands before = is no name"}}, nil},
		"A=1\nB='x\n\ny=\nC=2": {[]Bad{{2, "a quote is not closed"}}, []Var{{"A", "1", 1}, {"y", "", 4}, {"C", "2", 5}}},
		"A=\"x\" y\nB=2":       {[]Bad{{1, "there is text after the closing quote"}}, []Var{{"B", "2", 2}}},
		"A=\x00\nexport\nB=\"": {[]Bad{{1, "a value cannot have a NUL character in it"}, {2, "there is no = in it"}, {3, "a quote is not closed"}}, nil},
	} {
		vars, bad := Parse(text)
		if d := cmp.Diff(want.bad, bad) + cmp.Diff(want.vars, vars); d != "" {
			t.Errorf("%q: %s", text, d)
		}
	}
}

// FuzzParse: any text ends, lines count up, and quoted values come back as they were.
func FuzzParse(f *testing.F) {
	f.Add("A=1\nexport B='x\ny' # z\nC=\"\\n\\\\\"")
	f.Fuzz(func(t *testing.T, text string) {
		vars, bad := Parse(text)
		lines := strings.Count(text, "\n") + 1
		last := 0
		for _, v := range vars {
			if v.Line <= last || v.Line > lines || v.Name == "" || strings.ContainsAny(v.Name, "=\n") {
				t.Errorf("%+v after line %d of %d", v, last, lines)
			}
			last = v.Line
		}
		last = 0
		for _, b := range bad {
			if b.Line <= last || b.Line > lines || b.Reason == "" {
				t.Errorf("%+v after line %d of %d", b, last, lines)
			}
			last = b.Line
		}
		if strings.ContainsRune(text, 0) {
			return
		}
		quoted := "X=\"" + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + "\"\nY=1"
		got, bad := Parse(quoted)
		if bad != nil || len(got) != 2 || got[0].Value != text || got[1].Value != "1" {
			t.Errorf("%q came back as %+v, %v", text, got, bad)
		}
	})
}
