// Package dotenv reads .env files: one NAME=VALUE on a line, as the tools of web frameworks and containers write them.
//
// The syntax in short: blank lines and lines that begin with # are passed over, "export " before a name too. A value
// without quotes reaches to the end of the line or to a # behind a blank, and loses the blanks around it. In '…' all is
// text; in "…" a backslash makes \n, \r, \t and protects ", \ and $. Both may go over several lines. Nothing is expanded.
package dotenv

import (
	"fmt"
	"strings"
)

// Var is one variable. Of two with the same name the later one counts; that is the caller's business.
type Var struct {
	Name, Value string
	Line        int // of the name, from 1
}

// SyntaxError is a line that is no assignment. It never holds a value.
type SyntaxError struct {
	Line   int
	Reason string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// Parse reads the text of a file. Errors: *SyntaxError, the first one.
func Parse(text string) ([]Var, error) {
	p := &parser{rest: strings.TrimPrefix(text, "\ufeff"), line: 1}
	var vars []Var
	for p.rest != "" {
		v, ok, err := p.next()
		if err != nil {
			return nil, err
		}
		if ok {
			vars = append(vars, v)
		}
	}
	return vars, nil
}

type parser struct {
	rest string
	line int
}

const blanks = " \t\r\v\f"

// next reads one line, or several when a quoted value goes over them; false when there is nothing in it.
func (p *parser) next() (Var, bool, error) {
	p.rest = strings.TrimLeft(p.rest, blanks)
	v := Var{Line: p.line}
	if p.rest == "" || p.rest[0] == '\n' || p.rest[0] == '#' {
		p.endLine()
		return v, false, nil
	}
	if rest, ok := strings.CutPrefix(p.rest, "export"); ok && rest != "" && strings.IndexByte(" \t", rest[0]) >= 0 {
		p.rest = strings.TrimLeft(rest, " \t")
	}
	end := strings.IndexAny(p.rest, "=\n")
	if end < 0 || p.rest[end] == '\n' {
		return v, false, p.fail(v.Line, "there is no = in it")
	}
	v.Name = strings.TrimRight(p.rest[:end], blanks)
	if v.Name == "" || strings.ContainsAny(v.Name, blanks+"'\"\x00") {
		return v, false, p.fail(v.Line, "what stands before = is no name")
	}
	p.rest = strings.TrimLeft(p.rest[end+1:], blanks)
	var err error
	if v.Value, err = p.value(); err != nil {
		return v, false, err
	}
	if strings.ContainsRune(v.Value, 0) {
		return v, false, p.fail(v.Line, "a value cannot have a NUL character in it")
	}
	return v, true, nil
}

func (p *parser) fail(line int, reason string) error { return &SyntaxError{Line: line, Reason: reason} }

// endLine drops the rest of the line and returns it.
func (p *parser) endLine() string {
	line, rest, _ := strings.Cut(p.rest, "\n")
	p.rest = rest
	p.line++
	return line
}

// value reads what follows the = and its blanks.
func (p *parser) value() (string, error) {
	if p.rest == "" || (p.rest[0] != '"' && p.rest[0] != '\'') {
		return plain(p.endLine()), nil
	}
	begin, quote := p.line, p.rest[0]
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		c := p.rest[i]
		switch {
		case c == quote:
			p.rest = p.rest[i+1:]
			if after := strings.Trim(p.endLine(), blanks); after != "" && after[0] != '#' {
				return "", p.fail(begin, "there is text after the closing quote")
			}
			return b.String(), nil
		case c == '\\' && quote == '"' && i+1 < len(p.rest):
			i++
			b.WriteString(escaped(p.rest[i]))
			c = p.rest[i]
		default:
			b.WriteByte(c)
		}
		if c == '\n' {
			p.line++
		}
	}
	return "", p.fail(begin, "a quote is not closed")
}

// escaped is what a backslash and a character stand for; unknown pairs stay as they are.
func escaped(c byte) string {
	switch c {
	case 'n':
		return "\n"
	case 'r':
		return "\r"
	case 't':
		return "\t"
	case '"', '\\', '$':
		return string(c)
	}
	return "\\" + string([]byte{c})
}

// plain is a value without quotes: no comment, no blanks around it.
func plain(line string) string {
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || strings.IndexByte(blanks, line[i-1]) >= 0) {
			line = line[:i]
			break
		}
	}
	return strings.Trim(line, blanks)
}
