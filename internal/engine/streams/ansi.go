package streams

// esc begins a terminal sequence.
const esc = 0x1b

// ansi removes terminal sequences from a stream: from ESC [ through the next byte of the set H f A B C D R s
// u J K h l p m. What it has seen is carried over from one piece to the next. Source: spec/supervisor 3.4
// (the set), F9 (the carrying).
type ansi uint8

// What came last.
const (
	ansiText   ansi = iota
	ansiEscape      // ESC, held back
	ansiInside      // ESC [ and no final byte yet
)

// strip appends what remains of p to dst.
func (a *ansi) strip(dst, p []byte) []byte {
	for _, c := range p {
		switch *a {
		case ansiText:
			if c == esc {
				*a = ansiEscape
			} else {
				dst = append(dst, c)
			}
		case ansiEscape:
			switch c {
			case '[':
				*a = ansiInside
			case esc:
				dst = append(dst, esc)
			default:
				*a = ansiText
				dst = append(dst, esc, c)
			}
		case ansiInside:
			if ansiFinal(c) {
				*a = ansiText
			}
		}
	}
	return dst
}

// upto is how many bytes of p it takes for the first n that remain, fewer than there are.
func (a *ansi) upto(p []byte, n int) int {
	for i, c := range p {
		if n == 0 {
			return i
		}
		switch *a {
		case ansiText:
			if c == esc {
				*a = ansiEscape
			} else {
				n--
			}
		case ansiEscape:
			switch {
			case c == '[':
				*a = ansiInside
			case c == esc:
				n--
			case n == 1: // between the two
				*a = ansiText
				return i
			default:
				*a = ansiText
				n -= 2
			}
		case ansiInside:
			if ansiFinal(c) {
				*a = ansiText
			}
		}
	}
	return len(p)
}

// end appends what is held back when nothing more comes.
func (a *ansi) end(dst []byte) []byte {
	if *a == ansiEscape {
		dst = append(dst, esc)
	}
	*a = ansiText
	return dst
}

func ansiFinal(c byte) bool {
	switch c {
	case 'H', 'f', 'A', 'B', 'C', 'D', 'R', 's', 'u', 'J', 'K', 'h', 'l', 'p', 'm':
		return true
	}
	return false
}
