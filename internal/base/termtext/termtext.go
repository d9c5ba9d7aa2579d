// Package termtext makes text of others safe to show on a terminal: output of programs, names, error messages. What it
// lets through is printable text, tabs and line ends, and colours where they are asked for. Nothing of it moves the cursor,
// sets a title, writes the clipboard, asks the terminal for an answer that would then be typed, turns the direction of the
// text, or hides it. Source: spec/reliability S23.
package termtext

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// Keep says what remains besides plain text.
type Keep bool

// The two ways.
const (
	Plain   Keep = false
	Colours Keep = true // SGR sequences, which are ended at the end of each line
)

const (
	esc = 0x1b
	bel = 0x07
	can = 0x18
	sub = 0x1a
	// reset ends all colours.
	reset = "\x1b[0m"
	// maxParams bounds the parameters of a colour: longer ones are none.
	maxParams = 64
)

// String is s made safe.
func String(s string, keep Keep) string { return string(Append(nil, []byte(s), keep)) }

// Line is the first line that says something, made safe, of which at most so many bytes are taken: foreign text in a line of ours.
func Line(text []byte, most int) string {
	text = bytes.TrimSpace(text)
	if end := bytes.IndexAny(text, "\r\n"); end >= 0 {
		text = text[:end]
	}
	if len(text) > most {
		for least := most - utf8.UTFMax; most > max(least, 0) && !utf8.RuneStart(text[most]); {
			most--
		}
		text = text[:most]
	}
	return string(Append(nil, text, Plain))
}

// Append appends text, made safe, to dst. Terminal sequences and control characters are dropped, except tab and line
// end; a carriage return becomes a space, unless it belongs to the line end. Bytes that are no UTF-8 are shown as \xNN, characters that
// are invisible or turn the direction of the text as \u{NNNN}.
func Append(dst, text []byte, keep Keep) []byte {
	styled := false
	for len(text) > 0 {
		c := text[0]
		switch {
		case c >= ' ' && c < 0x7f || c == '\t':
			n := 1
			for n < len(text) && (text[n] >= ' ' && text[n] < 0x7f) {
				n++
			}
			dst, text = append(dst, text[:n]...), text[n:]
		case c == '\n':
			dst = append(unstyle(dst, styled), '\n')
			styled, text = false, text[1:]
		case c == '\r':
			if len(text) > 1 && text[1] != '\n' {
				dst = append(dst, ' ')
			}
			text = text[1:]
		case c == esc:
			var sgr []byte
			sgr, text = sequence(text[1:])
			dst, styled = style(dst, sgr, styled, keep)
		case c < utf8.RuneSelf: // other controls
			text = text[1:]
		default:
			r, n := utf8.DecodeRune(text)
			switch {
			case r == utf8.RuneError && n <= 1:
				dst = append(dst, '\\', 'x')
				dst = append(dst, "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
			case r < 0xa0: // a control character of the upper half: the same as ESC and the character 0x40 lower
				var sgr []byte
				sgr, text = introduced(byte(r-0x40), text[n:])
				dst, styled = style(dst, sgr, styled, keep)
				continue
			case invisible(r):
				dst = append(dst, `\u{`...)
				dst = append(strconv.AppendInt(dst, int64(r), 16), '}')
			default:
				dst = append(dst, text[:n]...)
			}
			text = text[n:]
		}
	}
	return unstyle(dst, styled)
}

// style appends the colour, nil for none, and says whether one is in force after it.
func style(dst, sgr []byte, styled bool, keep Keep) ([]byte, bool) {
	if sgr == nil || keep == Plain {
		return dst, styled
	}
	dst = append(dst, esc, '[')
	dst = append(append(dst, sgr...), 'm')
	return dst, !ends(sgr)
}

// ends reports whether a colour is none: the last parameter resets all.
func ends(sgr []byte) bool {
	list := bytes.Split(sgr, []byte{';'})
	reset := false
	for i := 0; i < len(list); i++ {
		p := string(bytes.TrimLeft(list[i], "0"))
		if reset = p == ""; p == "38" || p == "48" || p == "58" {
			i += operands(list[i+1:])
		}
	}
	return reset
}

func unstyle(dst []byte, styled bool) []byte {
	if styled {
		dst = append(dst, reset...)
	}
	return dst
}

// sequence reads what follows an ESC: the parameters when that is a colour, else nil, and the rest of the text.
func sequence(text []byte) (sgr, rest []byte) {
	if len(text) == 0 || text[0] < ' ' || text[0] > '~' {
		return nil, text // no sequence: what follows counts for itself
	}
	n := 1
	if text[0] > '/' {
		return introduced(text[0], text[1:])
	}
	for n < len(text) && text[n] >= ' ' && text[n] <= '/' { // more is to come: character sets and the like
		n++
	}
	if n < len(text) && text[n] >= '0' && text[n] <= '~' {
		n++
	}
	return nil, text[n:]
}

// introduced reads what follows a character that may introduce a longer sequence.
func introduced(kind byte, text []byte) (sgr, rest []byte) {
	switch kind {
	case '[':
		return control(text)
	case ']', 'P', 'X', '^', '_':
		return nil, afterString(text)
	}
	return nil, text
}

// control reads a control sequence: parameters, intermediate bytes, and a final one.
func control(text []byte) (sgr, rest []byte) {
	n := 0
	for n < len(text) && text[n] >= '0' && text[n] <= '?' {
		n++
	}
	params := text[:n]
	for n < len(text) && text[n] >= ' ' && text[n] <= '/' {
		n++
	}
	if n == len(text) || text[n] < '@' || text[n] > '~' {
		return nil, text[n:]
	}
	if text[n] != 'm' || n != len(params) || n > maxParams {
		return nil, text[n+1:]
	}
	return visible(params), text[n+1:]
}

// visible is the parameters of a colour, nil when they are none or when text would be hidden by them.
func visible(params []byte) []byte {
	if bytes.ContainsAny(params, "<=>?") {
		return nil
	}
	list := bytes.Split(params, []byte{';'})
	for i := 0; i < len(list); i++ {
		switch string(bytes.TrimLeft(list[i], "0")) {
		case "8": // concealed
			return nil
		case "38", "48", "58": // what follows is a kind of colour and its numbers
			i += operands(list[i+1:])
		}
	}
	return append([]byte{}, params...)
}

// operands is how many parameters belong to an extended colour.
func operands(list [][]byte) int {
	if len(list) == 0 {
		return 0
	}
	switch string(bytes.TrimLeft(list[0], "0")) {
	case "5":
		return 2
	case "2":
		return 4
	}
	return 0
}

// afterString is what follows a command string: a title, a clipboard, a device's data. It ends at the latest with the
// line.
func afterString(text []byte) []byte {
	for i, c := range text {
		switch {
		case c == bel || c == can || c == sub:
			return text[i+1:]
		case c == '\n':
			return text[i:]
		case c == esc && i+1 < len(text) && text[i+1] == '\\':
			return text[i+2:]
		case c == esc:
			return text[i:]
		case c == 0xc2 && i+1 < len(text) && text[i+1] == 0x9c:
			return text[i+2:]
		}
	}
	return nil
}

// invisible reports whether a character is not seen, or changes how others are: marks of direction, separators that are line ends
// for some, tags, and what no font has.
func invisible(r rune) bool {
	switch {
	case r == 0x61c, r == 0x200e, r == 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069: // direction
	case r == 0x2028, r == 0x2029, r == 0xfeff:
	case r >= 0xfff9 && r <= 0xfffb: // notes between the lines
	case r >= 0xe0000 && r <= 0xe007f: // tags
	case r&0xfffe == 0xfffe, r >= 0xfdd0 && r <= 0xfdef: // no characters
	default:
		return false
	}
	return true
}
