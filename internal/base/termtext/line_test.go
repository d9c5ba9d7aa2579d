package termtext

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		"":                                     "",
		" \n\r\n":                              "",
		"one":                                  "one",
		"\n one \ntwo":                         "one ",
		"one\rtwo":                             "one",
		"\x1b[2Jone\x07":                       "one",
		"0123456789":                           "01234567",
		"0123456é":                             "0123456",
		"012345é":                              "012345é",
		"\xff":                                 `\xff`,
		"\x80\x80\x80\x80\x80\x80\x80\x80\x80": `\x80\x80\x80\x80`,
	} {
		if got := Line([]byte(in), 8); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

// FuzzLine: whatever the text is, it is one line, and safe.
func FuzzLine(f *testing.F) {
	for _, text := range []string{"", "a\nb", "é\xff\x80", "\x1b]0;x\x07", "\u202e"} {
		f.Add(text, 3)
	}
	f.Fuzz(func(t *testing.T, text string, most int) {
		most = max(0, min(most, 1000))
		got := Line([]byte(text), most)
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\r\n\x1b") || len(got) > 10*most || got != String(got, Plain) {
			t.Fatalf("%q", got)
		}
	})
}
