package explain

import (
	"strings"
	"unicode/utf8"
)

// clean makes one line of foreign text safe and short: escape sequences and control characters go, a tab becomes a
// blank, and what is no UTF-8 becomes a question mark.
func clean(s string) string {
	if len(s) > 4*maxText {
		s = s[:4*maxText]
	}
	var b strings.Builder
	for i := 0; i < len(s) && b.Len() < maxText; {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == 0x1b:
			n = escape(s[i:])
		case r == utf8.RuneError && n == 1:
			b.WriteByte('?')
		case r == '\t' || r == '\n':
			b.WriteByte(' ')
		case r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || bidi(r):
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// bidi reports whether a character turns the direction of the text around it.
func bidi(r rune) bool {
	return r == 0x200e || r == 0x200f || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069)
}

// escape is the length of the escape sequence at the begin of s: CSI up to its final byte, OSC and the like up to their
// end, others two bytes.
func escape(s string) int {
	if len(s) < 2 {
		return len(s)
	}
	switch s[1] {
	case '[':
		for i := 2; i < len(s); i++ {
			if s[i] >= 0x40 && s[i] <= 0x7e {
				return i + 1
			}
		}
		return len(s)
	case ']', 'P', 'X', '^', '_':
		for i := 2; i < len(s); i++ {
			if s[i] == 0x07 {
				return i + 1
			}
			if s[i] == 0x1b {
				return min(i+2, len(s))
			}
		}
		return len(s)
	}
	return 2
}
