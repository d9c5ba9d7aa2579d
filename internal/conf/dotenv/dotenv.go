// Package dotenv reads .env files: one NAME=VALUE on a line, as the tools of web frameworks and containers write them.
//
// The syntax in short: blank lines and lines that begin with # are passed over, "export " before a name too. A value
// without quotes reaches to the end of the line or to a # behind a blank, and loses the blanks around it. In '…' all is
// text; in "…" a backslash makes \n, \r, \t and protects ", \ and $. Both may go over several lines. Nothing is expanded.
package dotenv

import "strings"

// Var is one variable. Of two with the same name the later one counts; that is the caller's business.
type Var struct {
	Name, Value string
	Line        int // of the name, from 1
}

// Bad is a line that is no assignment. It never holds a value.
type Bad struct {
	Line   int // from 1
	Reason string
}

// Parse reads the text of a file: what is in it, and the lines that are no assignments. A quote that is not closed spoils
// its own line alone.
func Parse(text string) ([]Var, []Bad) {
	p := &parser{rest: strings.TrimPrefix(text, "\ufeff"), line: 1}
	var vars []Var
	var bad []Bad
	for p.rest != "" {
		begin := *p
		switch v, reason := p.next(); {
		case reason != "":
			bad = append(bad, Bad{begin.line, reason})
			*p = begin
			p.endLine()
		case v.Name != "":
			vars = append(vars, v)
		}
	}
	return vars, bad
}

type parser struct {
	rest string
	line int
}

const blanks = " \t\r\v\f"

// next reads one line, or several when a quoted value goes over them: a variable, none without a name, or the reason why it
// is none.
func (p *parser) next() (v Var, bad string) {
	v.Line = p.line
	p.rest = strings.TrimLeft(p.rest, blanks)
	if p.rest == "" || p.rest[0] == '\n' || p.rest[0] == '#' {
		p.endLine()
		return Var{}, ""
	}
	if rest, ok := strings.CutPrefix(p.rest, "export"); ok && rest != "" && strings.IndexByte(" \t", rest[0]) >= 0 {
		p.rest = strings.TrimLeft(rest, " \t")
	}
	end := strings.IndexAny(p.rest, "=\n")
	if end < 0 || p.rest[end] == '\n' {
		return Var{}, "there is no = in it"
	}
	v.Name = strings.TrimRight(p.rest[:end], blanks)
	if v.Name == "" || strings.ContainsAny(v.Name, blanks+"'\"\x00") {
		return Var{}, "what stands before = is no name"
	}
	p.rest = strings.TrimLeft(p.rest[end+1:], blanks)
	v.Value, bad = p.value()
	if bad == "" && strings.ContainsRune(v.Value, 0) {
		bad = "a value cannot have a NUL character in it"
	}
	return v, bad
}

// endLine drops the rest of the line and returns it.
func (p *parser) endLine() string {
	line, rest, _ := strings.Cut(p.rest, "\n")
	p.rest = rest
	p.line++
	return line
}

// value reads what follows the = and its blanks.
func (p *parser) value() (value, bad string) {
	if p.rest == "" || (p.rest[0] != '"' && p.rest[0] != '\'') {
		return plain(p.endLine()), ""
	}
	quote := p.rest[0]
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		c := p.rest[i]
		switch {
		case c == quote:
			p.rest = p.rest[i+1:]
			if after := strings.Trim(p.endLine(), blanks); after != "" && after[0] != '#' {
				return "", "there is text after the closing quote"
			}
			return b.String(), ""
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
	return "", "a quote is not closed"
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
