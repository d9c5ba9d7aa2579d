// Package piece handles pieces of UTF-8 text that were cut out at any byte.
package piece

import "unicode/utf8"

// Start is how many bytes at the start of data belong to a character that began before it.
func Start(data []byte) int {
	for i := 0; i < min(len(data), utf8.UTFMax-1); i++ {
		if utf8.RuneStart(data[i]) {
			return i
		}
	}
	switch {
	case len(data) < utf8.UTFMax:
		return len(data)
	case utf8.RuneStart(data[utf8.UTFMax-1]):
		return utf8.UTFMax - 1
	}
	return 0 // not the rest of a character: bytes of something else
}

// End is how many bytes at the end of data begin a character that goes on after it.
func End(data []byte) int {
	for i := 1; i <= min(len(data), utf8.UTFMax-1); i++ {
		if tail := data[len(data)-i:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return i
		}
	}
	return 0
}

// Trim removes the halves of characters at both ends of a piece of a log; before says that the piece
// does not begin at the start of the log. Source: spec/supervisor F7.
func Trim(data []byte, before bool) []byte {
	if before {
		data = data[Start(data):]
	}
	return data[:len(data)-End(data)]
}
