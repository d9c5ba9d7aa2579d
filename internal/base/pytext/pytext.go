// Package pytext renders and reads text the way the original's language does, where that shows through
// in messages and files: quoted literals, blank trimming and %-templates.
//
// A Go string stands for the decoded text; bytes that are not UTF-8 stand for themselves and appear in
// literals as the lone surrogates U+DC80…U+DCFF, as they do there.
package pytext

import (
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// Repr is the quoted, escaped literal of a text: 'abc', "it's", 'a\nb'. Single quotes are used unless the
// text has one and no double quote. Source: spec/supervisor 1.3, 1.4.
func Repr(s string) string {
	quote := quoteFor(s)
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte(quote)
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n <= 1:
			b.WriteString(`\udc`)
			hex2(&b, s[i])
			n = 1
		case r < utf8.RuneSelf:
			reprASCII(&b, byte(r), quote)
		case unicode.IsPrint(r):
			b.WriteString(s[i : i+n])
		default:
			escape(&b, r)
		}
		i += n
	}
	b.WriteByte(quote)
	return b.String()
}

// ReprBytes is the literal of a byte string: b'READY\n'. Everything that is not printable ASCII is
// escaped. Source: spec/supervisor 3.4.
func ReprBytes(p []byte) string {
	quote := quoteFor(string(p))
	var b strings.Builder
	b.Grow(len(p) + 3)
	b.WriteByte('b')
	b.WriteByte(quote)
	for _, c := range p {
		if c >= utf8.RuneSelf {
			b.WriteString(`\x`)
			hex2(&b, c)
			continue
		}
		reprASCII(&b, c, quote)
	}
	b.WriteByte(quote)
	return b.String()
}

// ReprList is the literal of a list of texts: ['a', 'b'].
func ReprList(list []string) string {
	lits := make([]string, len(list))
	for i, s := range list {
		lits[i] = Repr(s)
	}
	return "[" + strings.Join(lits, ", ") + "]"
}

// quoteFor chooses the quote of a literal.
func quoteFor(s string) byte {
	if strings.IndexByte(s, '\'') >= 0 && strings.IndexByte(s, '"') < 0 {
		return '"'
	}
	return '\''
}

func reprASCII(b *strings.Builder, c, quote byte) {
	switch {
	case c == quote || c == '\\':
		b.WriteByte('\\')
		b.WriteByte(c)
	case c == '\t':
		b.WriteString(`\t`)
	case c == '\n':
		b.WriteString(`\n`)
	case c == '\r':
		b.WriteString(`\r`)
	case c < ' ' || c == 0x7f:
		b.WriteString(`\x`)
		hex2(b, c)
	default:
		b.WriteByte(c)
	}
}

func hex2(b *strings.Builder, c byte) {
	b.WriteByte(hexDigits[c>>4])
	b.WriteByte(hexDigits[c&15])
}

// ASCII is Repr with every character beyond ASCII escaped.
func ASCII(s string) string {
	var b strings.Builder
	for _, r := range Repr(s) {
		if r < utf8.RuneSelf {
			b.WriteByte(byte(r))
		} else {
			escape(&b, r)
		}
	}
	return b.String()
}

// escape writes a character by its number, as short as the language has it.
func escape(b *strings.Builder, r rune) {
	switch {
	case r < 0x100:
		b.WriteString(`\x`)
	case r < 0x10000:
		b.WriteString(`\u`)
		hex2(b, byte(r>>8))
	default:
		b.WriteString(`\U00`)
		hex2(b, byte(r>>16))
		hex2(b, byte(r>>8))
	}
	hex2(b, byte(r))
}

// IsSpace reports whether r is a blank: what Unicode calls white space, and the four ASCII separators
// U+001C…U+001F.
func IsSpace(r rune) bool { return unicode.IsSpace(r) || (r >= 0x1c && r <= 0x1f) }

// Strip removes blanks at both ends.
func Strip(s string) string { return strings.TrimFunc(s, IsSpace) }

// StripRight removes blanks at the end.
func StripRight(s string) string { return strings.TrimRightFunc(s, IsSpace) }

// Len is how many characters a text has; a byte that belongs to none counts as one.
func Len(p []byte) (n int) {
	for len(p) > 0 {
		k := ascii(p)
		n += k
		if p = p[k:]; len(p) == 0 {
			break
		}
		_, size := utf8.DecodeRune(p)
		n++
		p = p[size:]
	}
	return n
}

// ascii is how many bytes at the beginning are ASCII for sure: most texts are, as a whole.
func ascii(p []byte) (n int) {
	for len(p)-n >= 8 && binary.LittleEndian.Uint64(p[n:])&0x8080808080808080 == 0 {
		n += 8
	}
	for n < len(p) && p[n] < utf8.RuneSelf {
		n++
	}
	return n
}
