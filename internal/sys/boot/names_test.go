package boot

import (
	"strings"
	"testing"
)

// TestNames: what is a name, a variable, and a word that needs no quotes.
func TestNames(t *testing.T) {
	for _, c := range []struct {
		text           string
		name, variable bool
		word           string
	}{
		{"", false, false, `""`},
		{"upkeep-alice", true, false, "upkeep-alice"},
		{"PATH_2", true, true, "PATH_2"},
		{"_x", false, true, "_x"},
		{"2x", true, false, "2x"},
		{".hidden", false, false, ".hidden"},
		{"-n", false, false, "-n"},
		{"a b", false, false, `"a b"`},
		{"a\n", false, false, "\"a\n\""},
		{"ä", false, false, `"ä"`},
		{"a\xff", false, false, "\"a\xff\""},
		{"/usr/bin/x:y,z=1+2@3%", false, false, "/usr/bin/x:y,z=1+2@3%%"},
		{strings.Repeat("x", 100), true, true, strings.Repeat("x", 100)},
		{strings.Repeat("x", 101), false, true, strings.Repeat("x", 101)},
	} {
		if got := isName(c.text); got != c.name {
			t.Errorf("%q is a name: %t", c.text, got)
		}
		if got := isVariable(c.text); got != c.variable {
			t.Errorf("%q is a variable: %t", c.text, got)
		}
		if got := unitWord(c.text); got != c.word {
			t.Errorf("%q is the word %s", c.text, got)
		}
	}
}
