package dotenv

import (
	"errors"
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
	got, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]SyntaxError{
		"A=1\nB":         {2, "there is no = in it"},
		"B C\nD=1":       {1, "there is no = in it"},
		"A=1\n\n=2":      {3, "what stands before = is no name"},
		"a b=2":          {1, "what stands before = is no name"},
		"A=1\nB='x\n\ny": {2, "a quote is not closed"},
		`A="x" y`:        {1, "there is text after the closing quote"},
		"A=\x00":         {1, "a value cannot have a NUL character in it"},
	} {
		_, err := Parse(text)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || *syntax != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzParse: any text ends, lines count up, and quoted values come back as they were.
func FuzzParse(f *testing.F) {
	f.Add("A=1\nexport B='x\ny' # z\nC=\"\\n\\\\\"")
	f.Fuzz(func(t *testing.T, text string) {
		vars, err := Parse(text)
		last := 0
		for _, v := range vars {
			if v.Line <= last || v.Name == "" || strings.ContainsAny(v.Name, "=\n") {
				t.Errorf("%+v after line %d", v, last)
			}
			last = v.Line
		}
		if err == nil && last > strings.Count(text, "\n")+1 {
			t.Errorf("line %d", last)
		}
		if strings.ContainsRune(text, 0) {
			return
		}
		quoted := "X=\"" + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + "\"\nY=1"
		got, err := Parse(quoted)
		if err != nil || len(got) != 2 || got[0].Value != text || got[1].Value != "1" {
			t.Errorf("%q came back as %+v, %v", text, got, err)
		}
	})
}
