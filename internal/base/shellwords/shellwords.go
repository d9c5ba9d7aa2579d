// Package shellwords splits text into words by the quoting rules of the POSIX shell: '…' verbatim, "…"
// with backslash before " and \ only, backslash elsewhere. Nothing is expanded.
//
// It has two uses with slightly different rules: command lines (Split), and the token stream from which
// NAME=VALUE lists are read (Pairs). Source: spec/supervisor 1.6.
package shellwords

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// The two ways in which a text can be unfinished.
var (
	//lint:ignore ST1005 the dialect's words
	ErrQuote = errors.New("No closing quotation")
	//lint:ignore ST1005 the dialect's words
	ErrEscape = errors.New("No escaped character")
)

// Split splits a command line into its words. There are no comments. Errors: ErrQuote, ErrEscape.
func Split(line string) ([]string, error) { return split(lexer{rest: line}) }

// SplitPlain is Split where a backslash is a character like any other, as in the paths of Windows. Error: ErrQuote.
func SplitPlain(line string) ([]string, error) { return split(lexer{rest: line, plain: true}) }

func split(l lexer) ([]string, error) {
	l.isWord = func(rune) bool { return true }
	var words []string
	for {
		t, ok, err := l.next()
		switch {
		case err != nil:
			return nil, err
		case !ok:
			return words, nil
		}
		words = append(words, t)
	}
}

// lexer is a scanner over a text.
type lexer struct {
	rest     string
	isWord   func(rune) bool // may stand in a word without quotes; others are tokens of their own
	plain    bool            // a backslash is nothing but itself
	comments bool            // # outside quotes hides the rest of the line
	hidden   []string        // the comments that were skipped
}

func isBlank(c rune) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// skip drops blanks and comments.
func (l *lexer) skip() {
	for l.rest != "" {
		switch c := rune(l.rest[0]); {
		case isBlank(c):
			l.rest = l.rest[1:]
		case l.comments && c == '#':
			l.skipComment()
		default:
			return
		}
	}
}

func (l *lexer) skipComment() {
	n := strings.IndexByte(l.rest, '\n')
	if n < 0 {
		n = len(l.rest)
	}
	l.hidden = append(l.hidden, l.rest[:n])
	l.rest = l.rest[n:]
}

// next returns the next token: a word or one separate character; false at the end.
func (l *lexer) next() (string, bool, error) {
	l.skip()
	if l.rest == "" {
		return "", false, nil
	}
	var b strings.Builder
	for first := true; l.rest != ""; first = false {
		c, size := utf8.DecodeRuneInString(l.rest)
		switch {
		case isBlank(c), l.comments && c == '#':
			return b.String(), true, nil
		case c == '\'' || c == '"':
			l.rest = l.rest[1:]
			if err := l.quoted(&b, byte(c)); err != nil {
				return "", false, err
			}
		case c == '\\' && !l.plain:
			l.rest = l.rest[1:]
			if l.rest == "" {
				return "", false, ErrEscape
			}
			_, size = utf8.DecodeRuneInString(l.rest)
			b.WriteString(l.rest[:size])
			l.rest = l.rest[size:]
		case l.isWord(c):
			b.WriteString(l.rest[:size])
			l.rest = l.rest[size:]
		case first:
			t := l.rest[:size]
			l.rest = l.rest[size:]
			return t, true, nil
		default:
			return b.String(), true, nil
		}
	}
	return b.String(), true, nil
}

// quoted reads up to the closing quote.
func (l *lexer) quoted(b *strings.Builder, quote byte) error {
	for l.rest != "" {
		c := l.rest[0]
		switch {
		case c == quote:
			l.rest = l.rest[1:]
			return nil
		case c == '\\' && quote == '"' && !l.plain:
			l.rest = l.rest[1:]
			if l.rest == "" {
				return ErrEscape
			}
			if l.rest[0] != '\\' && l.rest[0] != quote {
				b.WriteByte('\\')
			}
			_, n := utf8.DecodeRuneInString(l.rest)
			b.WriteString(l.rest[:n])
			l.rest = l.rest[n:]
		default:
			b.WriteByte(c)
			l.rest = l.rest[1:]
		}
	}
	return ErrQuote
}
