package usrsvc

import (
	"regexp"
	"strings"
	"testing"
)

// TestShellPattern: a text that a shell runs is known as that shell, or as its last command, as a whole; where the shell does
// more with that command than run it, nothing is guessed. Source: spec/usrsvc US-41.
func TestShellPattern(t *testing.T) {
	for text, lines := range map[string]map[string]bool{
		"prog -a.b": {
			"/bin/sh -c prog -a.b": true, "prog -a.b": true, "prog -axb": false, "prog -a.b c": false, "/opt/prog -a.b": false, "sh -c prog -a.b": false,
		},
		"cd /srv && exec prog 1":       {"prog 1": true, "exec prog 1": false, "/bin/sh -c cd /srv && exec prog 1": true, "cd /srv": false},
		"a 1 && b 2 && c 3":            {"c 3": true, "b 2 && c 3": false, "b 2": false, "/bin/sh -c a 1 && b 2 && c 3": true},
		"cd /srv && exec":              {"exec": true, "cd /srv": false},
		"cd /srv; A=1 x && prog 'a b'": {"prog a b": true},
	} {
		p := shellPattern(text)
		re, err := regexp.Compile(p)
		if err != nil || p == "" {
			t.Errorf("%s: %q, %v", text, p, err)
			continue
		}
		for line, want := range lines {
			if re.MatchString(line) != want {
				t.Errorf("%s: %q in %q: %v", text, p, line, !want)
			}
		}
	}
	for _, text := range []string{
		"prog >log", "prog <in", "a | b", "a; b", "prog &", "prog $HOME", "(prog)", "`prog`", "ls *", "ls ?", "ls [a]", "{ prog", "~/prog", "prog #x",
		"! prog", "a\nb", "A=1 prog", "cd /srv && A=1 prog", "", "a &&", "prog 'a",
	} {
		if p := shellPattern(text); p != "" {
			t.Errorf("%q: %q is guessed", text, p)
		}
	}
}

// TestPatternRefused: what cannot be done in linear time is named.
func TestPatternRefused(t *testing.T) {
	for python, want := range map[string]string{
		`(a)\1`: "earlier group", `(a)\9`: "earlier group", "(?=a)": "looking ahead", "(?!a)": "looking ahead", "(?<=a)": "looking behind", "(?<!a)": "looking behind",
		"(?P<n>a)(?P=n)": "earlier group", "(a)?(?(1)b)": "condition", "(?>a)": "atomic", "a*+": "possessive", "a{2}+": "possessive", "a++": "possessive",
		"(?x)a b": "flag x", "(?#a": "has no )", "(?i": "has no )", "[a": "no ]", "a\\": "backslash", "(": "no regular expression",
	} {
		if _, err := Pattern(python); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", python, err, want)
		}
	}
}
