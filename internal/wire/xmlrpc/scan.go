package xmlrpc

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// scanner walks over one document. Its errors are panics of type *SyntaxError, caught once in guard:
// every step can fail, and the steps are hot.
type scanner struct {
	s        string
	pos      int
	depth    int
	elements int
	lim      Limits

	plain bool // the document has no reference and no "]]>": texts need no second look
}

// newScanner checks the document as a whole: size of the alphabet, line ends, declaration.
func newScanner(doc []byte, lim Limits) *scanner {
	p := &scanner{s: string(doc), lim: lim}
	if !utf8.ValidString(p.s) {
		p.fail("invalid UTF-8")
	}
	cr := false
	for i := 0; i < len(p.s); i++ {
		if c := p.s[i]; c < ' ' {
			if c == '\r' {
				cr = true
			} else if c != '\n' && c != '\t' {
				p.pos = i
				p.fail("character that XML does not allow")
			}
		} else if c == 0xEF && (p.s[i:i+3] == "\uFFFE" || p.s[i:i+3] == "\uFFFF") {
			p.pos = i
			p.fail("character that XML does not allow")
		}
	}
	if cr {
		p.s = strings.ReplaceAll(strings.ReplaceAll(p.s, "\r\n", "\n"), "\r", "\n")
	}
	p.s = strings.TrimPrefix(p.s, "\uFEFF")
	p.plain = strings.IndexByte(p.s, '&') < 0 && !strings.Contains(p.s, "]]>")
	p.declaration()
	return p
}

func (p *scanner) fail(text string) { panic(&SyntaxError{Offset: p.pos, Text: text}) }

// guard turns a panic of fail into the error.
func guard(err *error) {
	switch e := recover().(type) {
	case nil:
	case *SyntaxError:
		*err = e
	default:
		panic(e)
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func blank(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isSpace(s[i]) {
			return false
		}
	}
	return true
}

func (p *scanner) has(prefix string) bool { return strings.HasPrefix(p.s[p.pos:], prefix) }

// declaration reads <?xml …?> when the document begins with one.
func (p *scanner) declaration() {
	if !p.has("<?xml") || len(p.s) < 6 || !isSpace(p.s[5]) {
		return
	}
	p.pos = 5
	for n := 0; ; n++ {
		spaced := p.space()
		if p.has("?>") {
			if n == 0 {
				p.fail("XML declaration without a version")
			}
			p.pos += 2
			return
		}
		if !spaced {
			p.fail("malformed XML declaration")
		}
		name, value := p.attribute()
		switch {
		case name == "version" && n == 0:
			if value != "1.0" {
				p.fail("unknown XML version")
			}
		case name == "encoding" && n == 1:
			switch strings.ToLower(value) {
			case "utf-8", "utf8", "us-ascii", "ascii":
			default:
				p.fail("encoding other than UTF-8")
			}
		case name == "standalone" && n >= 1 && (value == "yes" || value == "no"):
		default:
			p.fail("malformed XML declaration")
		}
	}
}

// space skips blanks and reports whether there were any.
func (p *scanner) space() bool {
	from := p.pos
	for p.pos < len(p.s) && isSpace(p.s[p.pos]) {
		p.pos++
	}
	return p.pos > from
}

// name reads an element or attribute name: those of XML-RPC are plain, and may have a prefix.
func (p *scanner) name() string {
	from := p.pos
	for p.pos < len(p.s) {
		c := p.s[p.pos]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c == ':' && !strings.Contains(p.s[from:p.pos], ":")
		if !letter && (p.pos == from || (c < '0' || c > '9') && c != '-' && c != '.') {
			break
		}
		p.pos++
	}
	if p.pos == from {
		p.fail("name expected")
	}
	return p.s[from:p.pos]
}

// attribute reads name="value"; the value is checked, its references are left as they are.
func (p *scanner) attribute() (name, value string) {
	name = p.name()
	p.space()
	if !p.has("=") {
		p.fail("= expected")
	}
	p.pos++
	p.space()
	if p.pos >= len(p.s) || p.s[p.pos] != '"' && p.s[p.pos] != '\'' {
		p.fail("quote expected")
	}
	quote := p.s[p.pos]
	p.pos++
	n := strings.IndexByte(p.s[p.pos:], quote)
	if n < 0 {
		p.fail("unfinished attribute")
	}
	value = p.s[p.pos : p.pos+n]
	if strings.IndexByte(value, '<') >= 0 {
		p.fail("< in an attribute")
	}
	p.unescape(value)
	p.pos += n + 1
	return name, value
}

// skipAside skips a comment or processing instruction and reports whether there was one.
func (p *scanner) skipAside() bool {
	switch {
	case p.has("<!--"):
		n := strings.Index(p.s[p.pos+4:], "--")
		if n < 0 || !strings.HasPrefix(p.s[p.pos+4+n:], "-->") {
			p.fail("malformed comment")
		}
		p.pos += 4 + n + 3
	case p.has("<?"):
		p.pos += 2
		if name := p.name(); strings.EqualFold(name, "xml") {
			p.fail("XML declaration in the middle")
		}
		n := strings.Index(p.s[p.pos:], "?>")
		if n < 0 || n > 0 && !isSpace(p.s[p.pos]) {
			p.fail("malformed processing instruction")
		}
		p.pos += n + 2
	default:
		return false
	}
	return true
}

// between skips what may stand between elements.
func (p *scanner) between() {
	for {
		p.space()
		if p.pos+1 < len(p.s) && p.s[p.pos+1] != '!' && p.s[p.pos+1] != '?' || !p.skipAside() {
			return
		}
	}
}

// text reads character data up to the next tag, with references and CDATA sections resolved.
func (p *scanner) text() string {
	first, joined := "", []byte(nil)
	add := func(s string) {
		switch {
		case s == "":
		case joined != nil:
			joined = append(joined, s...)
		case first == "":
			first = s
		default:
			joined = append([]byte(first), s...)
		}
	}
	for {
		n := strings.IndexByte(p.s[p.pos:], '<')
		if n < 0 {
			p.fail("unexpected end")
		}
		raw := p.s[p.pos : p.pos+n]
		if !p.plain {
			if strings.Contains(raw, "]]>") {
				p.fail("]]> in text")
			}
			raw = p.unescape(raw)
		}
		add(raw)
		p.pos += n
		switch c := p.s[min(p.pos+1, len(p.s)-1)]; {
		case c != '!' && c != '?':
			if joined != nil {
				return string(joined)
			}
			return first
		case p.has("<![CDATA["):
			p.pos += 9
			n := strings.Index(p.s[p.pos:], "]]>")
			if n < 0 {
				p.fail("unfinished CDATA section")
			}
			add(p.s[p.pos : p.pos+n])
			p.pos += n + 3
		case p.skipAside():
		default:
			if joined != nil {
				return string(joined)
			}
			return first
		}
	}
}

// unescape resolves the references in raw, which is returned as it is when there are none.
func (p *scanner) unescape(raw string) string {
	i := strings.IndexByte(raw, '&')
	if i < 0 {
		return raw
	}
	out := make([]byte, 0, len(raw))
	for i >= 0 {
		out = append(out, raw[:i]...)
		raw = raw[i+1:]
		n := strings.IndexByte(raw, ';')
		if n <= 0 {
			p.fail("malformed reference")
		}
		out = p.reference(out, raw[:n])
		raw = raw[n+1:]
		i = strings.IndexByte(raw, '&')
	}
	return string(append(out, raw...))
}

func (p *scanner) reference(out []byte, name string) []byte {
	switch name {
	case "amp":
		return append(out, '&')
	case "lt":
		return append(out, '<')
	case "gt":
		return append(out, '>')
	case "apos":
		return append(out, '\'')
	case "quot":
		return append(out, '"')
	}
	if name[0] != '#' {
		p.fail("unknown entity")
	}
	digits, base := name[1:], 10
	if strings.HasPrefix(digits, "x") {
		digits, base = digits[1:], 16
	}
	// ParseUint takes no sign; underscores are only for base 0.
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil || !allowed(rune(min(n, utf8.MaxRune+1))) {
		p.fail("malformed reference")
	}
	return utf8.AppendRune(out, rune(n))
}

// allowed reports whether XML can carry the character.
func allowed(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || r >= ' ' && r != 0xFFFE && r != 0xFFFF && utf8.ValidRune(r)
}

// open reads a start tag, counting it, and says whether it was an empty-element tag. The caller stands
// on a '<'.
func (p *scanner) open() (name string, empty bool) {
	if p.pos >= len(p.s) {
		p.fail("unexpected end")
	}
	if p.s[p.pos] != '<' {
		p.fail("element expected")
	}
	p.pos++
	if p.has("!") {
		p.fail("declarations are not accepted")
	}
	if p.elements++; p.elements > p.lim.Elements {
		p.fail("too many elements")
	}
	if p.depth++; p.depth > p.lim.Depth {
		p.fail("elements nested too deeply")
	}
	name = p.name()
	for {
		spaced := p.space()
		switch {
		case p.has(">"):
			p.pos++
			return name, false
		case p.has("/>"):
			p.pos += 2
			p.depth--
			return name, true
		case !spaced:
			p.fail("malformed tag")
		}
		p.attribute()
	}
}

// atClose reports whether an end tag comes next.
func (p *scanner) atClose() bool { return p.has("</") }

// close reads the end tag of name.
func (p *scanner) close(name string) {
	if !p.has("</") || !strings.HasPrefix(p.s[p.pos+2:], name) {
		p.fail("</" + name + "> expected")
	}
	p.pos += 2 + len(name)
	p.space()
	if !p.has(">") {
		p.fail("</" + name + "> expected")
	}
	p.pos++
	p.depth--
}

// expect skips to the start tag of name and reads it.
func (p *scanner) expect(name string) (empty bool) {
	p.between()
	got, empty := p.open()
	if got != name {
		p.fail("<" + name + "> expected")
	}
	return empty
}

// end skips to the end tag of name and reads it.
func (p *scanner) end(name string) {
	p.between()
	p.close(name)
}

// leaf reads the text of an element whose start tag has been read, and its end tag.
func (p *scanner) leaf(name string, empty bool) string {
	if empty {
		return ""
	}
	s := p.text()
	p.close(name)
	return s
}

// finish makes sure that nothing follows.
func (p *scanner) finish() {
	p.between()
	if p.pos != len(p.s) {
		p.fail("text after the document")
	}
}
