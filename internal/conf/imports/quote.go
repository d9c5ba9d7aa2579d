package imports

import (
	"strings"
	"unicode/utf8"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
)

// Characters beside ASCII letters and digits that need no quotes: in a pair of environment=, and in a word of a
// command line. Both leave out what begins a comment.
const (
	pairBare = "_/.+-():"
	wordBare = "_/.+-():=,@^{}[]!?*~|&<>$"
)

// CommandLine writes words as a command line that the dialect splits into the same words. The text is also safe as
// the value of an option: nothing in it looks like a comment, and lines keep their blanks.
func CommandLine(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w, wordBare)
	}
	return strings.Join(quoted, " ")
}

// ShellLine is the command line that has a shell run a script, as tools do that take a command as one text.
func ShellLine(script string) string { return CommandLine([]string{"/bin/sh", "-c", script}) }

// quote writes a text as one word.
func quote(s, bare string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(bare, r)
	}
	switch {
	// A bracket first on a line of its own would be a section.
	case s != "" && s[0] != '[' && strings.IndexFunc(s, func(r rune) bool { return r == utf8.RuneError || !plain(r) }) < 0 && !strings.Contains(s, here):
		return s
	case !strings.Contains(s, "'") && strings.ContainsAny(s, `"\`):
		return "'" + breaks(s, "''") + "'"
	}
	return `"` + inDouble(s) + `"`
}

// inDouble is a text between double quotes.
func inDouble(s string) string {
	return breaks(strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s), `""`)
}

// breaks closes and opens the quotes again where the text would be taken apart by the INI reader: before a
// comment character after a blank, around the end of a line, whose blanks are cut, and inside %(here)s.
func breaks(s, again string) string {
	s = strings.ReplaceAll(s, here, "%"+again+here[1:])
	var b strings.Builder
	last := ' '
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\n':
			b.WriteString(again + "\n" + again)
		case (r == ';' || r == '#') && pytext.IsSpace(last):
			b.WriteString(again + s[i:i+n])
		default:
			b.WriteString(s[i : i+n])
		}
		last, i = r, i+n
	}
	return b.String()
}
