package streams

import (
	"regexp"
	"testing"
)

func stripAll(pieces ...string) string {
	var a ansi
	var out []byte
	for _, p := range pieces {
		out = a.strip(out, []byte(p))
	}
	return string(a.end(out))
}

func TestANSI(t *testing.T) {
	for in, want := range map[string]string{
		"":                               "",
		"plain":                          "plain",
		"a\x1b[1mB":                      "aB",
		"\x1b[31;1mred\x1b[0m.":          "red.",
		"\x1b[2J\x1b[1;1Htop":            "top",
		"\x1b[12Xno ent m.":              ".",                 // X does not end it: up to the m
		"\x1b]0;title\x07x":              "\x1b]0;title\x07x", // not a sequence of this kind
		"\x1b":                           "\x1b",
		"\x1b\x1b[mx":                    "\x1bx",
		"end\x1b[":                       "end",
		"end\x1b[123":                    "end",
		"\x1b[H\x1b[f\x1b[A\x1b[B\x1b[C": "",
		"\x1b[D\x1b[R\x1b[s\x1b[u\x1b[J": "",
		"\x1b[K\x1b[h\x1b[l\x1b[p\x1b[m": "",
	} {
		if got := stripAll(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// The result is that of the original on the whole text, however the text is cut into pieces.
func FuzzANSI(f *testing.F) {
	f.Add("a\x1b[1mB\x1b", 3)
	f.Add("\x1b\x1b[[mm\x1b[", 1)
	f.Add("\xff\x1b[\u65e5m\x1b[\xe6\x97", 9)
	whole := regexp.MustCompile(`(?s)\x1b\[[^HfABCDRsuJKhlpm]*([HfABCDRsuJKhlpm]|$)`)
	f.Fuzz(func(t *testing.T, text string, cut int) {
		cut = int(uint(cut) % uint(len(text)+1))
		var chars []rune // as characters, on which the expression works
		for _, c := range []byte(text) {
			chars = append(chars, rune(c))
		}
		var want []byte
		for _, r := range whole.ReplaceAllString(string(chars), "") {
			want = append(want, byte(r))
		}
		if got := stripAll(text[:cut], text[cut:]); got != string(want) {
			t.Errorf("%q cut at %d: %q, want %q", text, cut, got, want)
		}
	})
}
