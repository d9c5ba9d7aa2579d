package shellwords

import (
	"errors"
	"strings"
)

// Pair is one NAME=VALUE of a list.
type Pair struct{ Name, Value string }

// Stray is a piece of a list that had no effect on the result but was probably meant to have one.
type Stray struct {
	Text    string
	Comment bool // hidden by #; else it stood where a comma was expected
}

// Pairs reads a list such as A=1,B="x y". Names and values are one token each: a run of letters, digits
// and _/.+-(): , with quoted pieces; everything after a # outside quotes is a comment. What stands between
// two pairs is not checked: anything but a comma is reported as Stray. A later name is not merged with an
// earlier one; the caller decides. Errors: ErrQuote, ErrEscape, a pair that is not complete.
// Source: spec/supervisor 1.6 (the quoting rules of the development line).
func Pairs(list string) ([]Pair, []Stray, error) {
	l := lexer{rest: list, isWord: pairWord, comments: true}
	var tokens []string
	for {
		t, ok, err := l.next()
		if err != nil {
			return nil, nil, err
		}
		if !ok {
			break
		}
		tokens = append(tokens, t)
	}
	var pairs []Pair
	var stray []Stray
	for len(tokens) > 0 {
		if len(tokens) < 3 || tokens[1] != "=" {
			return nil, nil, errors.New("Unexpected end of key/value pairs in value '" + list + "'")
		}
		pairs = append(pairs, Pair{Name: tokens[0], Value: tokens[2]})
		if tokens = tokens[3:]; len(tokens) > 0 {
			if tokens[0] != "," {
				stray = append(stray, Stray{Text: tokens[0]})
			}
			tokens = tokens[1:]
		}
	}
	for _, text := range l.hidden {
		stray = append(stray, Stray{Text: text, Comment: true})
	}
	return pairs, stray, nil
}

// pairWord reports whether c may stand in a name or value without quotes: ASCII letters and digits, the
// letters of Latin-1, and some punctuation.
func pairWord(c rune) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	case c >= 'À' && c <= 'ÿ':
		return c != '×' && c != '÷'
	}
	return c < 0x80 && strings.ContainsRune("_/.+-():", c)
}
