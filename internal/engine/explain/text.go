package explain

import (
	"strings"
	"unicode/utf8"

	"github.com/upkeep-project/upkeep/internal/base/termtext"
)

// clean makes foreign text one line, safe and short.
func clean(s string) string {
	if len(s) > 4*maxText { // before the work, since what is shown of it may be less
		s = s[:4*maxText]
	}
	s = strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' {
			return ' '
		}
		return r
	}, termtext.String(s, termtext.Plain))
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
