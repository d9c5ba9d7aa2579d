package shellwords

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSplit(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{" \t\r\n", nil},
		{"/bin/cat", []string{"/bin/cat"}},
		{"a  b\tc\nd", []string{"a", "b", "c", "d"}},
		{`'a b' "c d"`, []string{"a b", "c d"}},
		{`a'b'"c"d`, []string{"abcd"}},
		{`''`, []string{""}},
		{`a "" b`, []string{"a", "", "b"}},
		{`a\ b`, []string{"a b"}},
		{`'a\b'`, []string{`a\b`}},
		{`"a\"b\\c\d\$e"`, []string{`a"b\c\d\$e`}},
		{`"it's"`, []string{"it's"}},
		{"a\\\nb", []string{"a\nb"}},
		{"\"a\\\nb\"", []string{"a\\\nb"}},
		{`#x 'a' # b`, []string{"#x", "a", "#", "b"}},
		{`echo $HOME ~ * ; ls`, []string{"echo", "$HOME", "~", "*", ";", "ls"}},
		{"é\u00a0日 \\é", []string{"é\u00a0日", "é"}},
		{"a\xffb", []string{"a\xffb"}},
		{"a\vb", []string{"a\vb"}},
	} {
		got, err := Split(tc.in)
		if err != nil {
			t.Errorf("%q: %v", tc.in, err)
		}
		if d := cmp.Diff(tc.want, got); d != "" {
			t.Errorf("%q: %s", tc.in, d)
		}
	}
}

func TestSplitPlain(t *testing.T) {
	got, err := SplitPlain(`C:\a\b "C:\c d\" '\e' \`)
	if d := cmp.Diff([]string{`C:\a\b`, `C:\c d\`, `\e`, `\`}, got); d != "" || err != nil {
		t.Error(d, err)
	}
	if _, err := SplitPlain(`"a\"b"`); !errors.Is(err, ErrQuote) {
		t.Errorf("no end: %v", err)
	}
}

func TestSplitErrors(t *testing.T) {
	for in, want := range map[string]error{
		`'a`: ErrQuote, `"a`: ErrQuote, `a "b' c`: ErrQuote, `"a\"`: ErrQuote, `a\`: ErrEscape, `"a\`: ErrEscape,
	} {
		words, err := Split(in)
		if !errors.Is(err, want) || words != nil {
			t.Errorf("%q: %q, %v", in, words, err)
		}
	}
	if ErrQuote.Error() != "No closing quotation" || ErrEscape.Error() != "No escaped character" {
		t.Error("texts")
	}
}

// TestPairs holds every row of the table in spec/supervisor 1.6, and more.
func TestPairs(t *testing.T) {
	one := func(v string) []Pair { return []Pair{{"A", v}} }
	two := []Pair{{"A", "1"}, {"B", "2"}}
	stray := func(s ...string) (list []Stray) {
		for _, text := range s {
			list = append(list, Stray{Text: text, Comment: text[0] == '#'})
		}
		return list
	}
	for _, tc := range []struct {
		in    string
		want  []Pair
		stray []Stray
	}{
		{``, nil, nil},
		{" \n", nil, nil},
		{`A="1",B="2"`, two, nil},
		{"A=\"1\",\nB=\"2\"", two, nil},
		{`A=1 , B = 2,`, two, nil},
		{`A=http://x:80/a+b-c.d(e)`, one("http://x:80/a+b-c.d(e)"), nil},
		{`A="it's"`, one("it's"), nil},
		{`A='x,y'`, one("x,y"), nil},
		{`A="a#b"`, one("a#b"), nil},
		{`A=""`, one(""), nil},
		{`A='',B=2`, []Pair{{"A", ""}, {"B", "2"}}, nil},
		{`A=a#b,B=2`, one("a"), stray("#b,B=2")},
		{"A=1,# one\nB=2", two, stray("# one")},
		{`A=1;B=2`, two, stray(";")},
		{`A=b c`, one("b"), stray("c")},
		{`A=$HOME`, one("$"), stray("HOME")},
		{`A=~/x`, one("~"), stray("/x")},
		{`A="a\"b"`, one(`a"b`), nil},
		{`A="x"y`, one("xy"), nil},
		{`A=x"y"`, one("xy"), nil},
		{`A='"x"'`, one(`"x"`), nil},
		{`A="a\\b"`, one(`a\b`), nil},
		{`A="a\b"`, one(`a\b`), nil},
		{`A=a\b`, one("ab"), nil},
		{`A=é`, one("é"), nil},
		{`A=čx`, one("č"), stray("x")},
		{`A=1×`, one("1"), stray("×")},
		{`A="a%b",A=2`, []Pair{{"A", "a%b"}, {"A", "2"}}, nil},
		{`"a b"=c`, []Pair{{"a b", "c"}}, nil},
		{`(x)-1.y:/+=c`, []Pair{{"(x)-1.y:/+", "c"}}, nil},
	} {
		pairs, got, err := Pairs(tc.in)
		if err != nil {
			t.Errorf("%q: %v", tc.in, err)
		}
		if d := cmp.Diff(tc.want, pairs); d != "" {
			t.Errorf("%q: %s", tc.in, d)
		}
		if d := cmp.Diff(tc.stray, got); d != "" {
			t.Errorf("%q: %s", tc.in, d)
		}
	}
}

func TestPairsErrors(t *testing.T) {
	for _, in := range []string{
		`A=a@b`, `A=a*b`, `A=a%b`, `A=1 B=2`, `A=`, `A=,B=2`, `A=1,,B=2`, `A=1,B`, `A`, `=`, `A:1`, `,A=1`,
	} {
		pairs, _, err := Pairs(in)
		if want := "Unexpected end of key/value pairs in value '" + in + "'"; err == nil || err.Error() != want {
			t.Errorf("%q: %v, %v", in, pairs, err)
		}
	}
	for in, want := range map[string]error{`A="x`: ErrQuote, `A='x`: ErrQuote, `A=\`: ErrEscape} {
		if _, _, err := Pairs(in); !errors.Is(err, want) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// quote makes a word that reads back as w.
func quote(w string) string { return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'" }

func FuzzSplit(f *testing.F) {
	f.Add(`a 'b c' "d\"e" f\ g`)
	f.Add(`"\`)
	f.Add("'\xff")
	f.Fuzz(func(t *testing.T, s string) {
		words, err := Split(s)
		if err != nil {
			if !errors.Is(err, ErrQuote) && !errors.Is(err, ErrEscape) {
				t.Error(err)
			}
			return
		}
		var quoted []string
		for _, w := range words {
			quoted = append(quoted, quote(w))
		}
		again, err := Split(strings.Join(quoted, " "))
		if err != nil || !slices.Equal(words, again) {
			t.Errorf("%q -> %q -> %q, %v", s, words, again, err)
		}
	})
}

func FuzzPairs(f *testing.F) {
	f.Add(`A=1,B="x y" # c`)
	f.Add(`A=$x;B='`)
	f.Fuzz(func(t *testing.T, s string) {
		pairs, _, err := Pairs(s)
		if err != nil {
			return
		}
		var list []string
		for _, p := range pairs {
			list = append(list, quote(p.Name)+"="+quote(p.Value))
		}
		again, stray, err := Pairs(strings.Join(list, ","))
		if err != nil || len(stray) > 0 || !slices.Equal(pairs, again) {
			t.Errorf("%q -> %q -> %q, %v, %v", s, pairs, again, stray, err)
		}
	})
}
