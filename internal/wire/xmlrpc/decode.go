package xmlrpc

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// ParseCall reads a request document. The errors are ErrNoMethodName and *SyntaxError.
// Source: spec/supervisor 5.3.
func ParseCall(body []byte, lim Limits) (method string, params []any, err error) {
	defer guard(&err)
	p := newScanner(body, lim.or(DefaultCallElements))
	if p.expect("methodCall") {
		p.finish()
		return "", nil, ErrNoMethodName
	}
	for !p.endOf("methodCall") {
		name, empty := p.open()
		switch {
		case name == "methodName" && method == "" && params == nil:
			method = p.leaf(name, empty)
		case name == "params" && params == nil:
			params = p.params(empty)
		default:
			p.fail("unexpected <" + name + ">")
		}
	}
	p.finish()
	if method == "" {
		return "", nil, ErrNoMethodName
	}
	return method, params, nil
}

// ParseResponse reads a response document. The error is a *Fault when the document is one, else a
// *SyntaxError.
func ParseResponse(body []byte, lim Limits) (v any, err error) {
	defer guard(&err)
	p := newScanner(body, lim.or(DefaultResponseElements))
	if p.expect("methodResponse") {
		p.fail("empty response")
	}
	p.between()
	name, empty := p.open()
	var fault *Fault
	switch {
	case name == "params" && !empty:
		if p.expect("param") {
			p.fail("empty response")
		}
		v = p.valueElement()
		p.end("param")
		p.end("params")
	case name == "fault" && !empty:
		s, ok := p.valueElement().(Struct)
		code, isInt := s.Get("faultCode").(int)
		text, isText := s.Get("faultString").(string)
		if !ok || !isInt || !isText {
			p.fail("malformed fault")
		}
		fault = &Fault{Code: code, Text: text}
		p.end("fault")
	default:
		p.fail("unexpected <" + name + ">")
	}
	p.end("methodResponse")
	p.finish()
	if fault != nil {
		return nil, fault
	}
	return v, nil
}

// endOf skips to the next tag; when it is the end tag of name it is read and the answer is true.
func (p *scanner) endOf(name string) bool {
	p.between()
	if !p.atClose() {
		return false
	}
	p.close(name)
	return true
}

func (p *scanner) params(empty bool) []any {
	params := []any{}
	if empty {
		return params
	}
	for !p.endOf("params") {
		if p.expect("param") {
			p.fail("empty parameter")
		}
		params = append(params, p.valueElement())
		p.end("param")
	}
	return params
}

// valueElement reads <value>…</value>.
func (p *scanner) valueElement() any {
	if p.expect("value") {
		return ""
	}
	s := p.text()
	if p.atClose() {
		p.close("value")
		return s
	}
	if !blank(s) {
		p.fail("text beside an element")
	}
	name, empty := p.open()
	v := p.typed(name, empty)
	p.end("value")
	return v
}

// typed reads the rest of a type element whose start tag has been read.
func (p *scanner) typed(name string, empty bool) any {
	switch name {
	case "array":
		return p.array(empty)
	case "struct":
		return p.structure(empty)
	}
	from := p.pos
	s := p.leaf(name, empty)
	var v any = s
	ok := true
	switch name {
	case "int", "i4", "i8":
		v, ok = parseInt(trim(s))
	case "boolean":
		s = trim(s)
		v, ok = s == "1", s == "1" || s == "0"
	case "double":
		v, ok = parseFloat(trim(s))
	case "dateTime.iso8601":
		v, ok = parseTime(trim(s))
	case "base64":
		v, ok = parseBase64(s)
	case "nil":
		v, ok = nil, blank(s)
	}
	if !ok {
		p.pos = from
		p.fail("malformed " + name)
	}
	return v
}

func (p *scanner) array(empty bool) any {
	items := []any{}
	if empty || p.expect("data") {
		if !empty {
			p.end("array")
		}
		return items
	}
	for !p.endOf("data") {
		items = append(items, p.valueElement())
	}
	p.end("array")
	return items
}

func (p *scanner) structure(empty bool) any {
	s := Struct{}
	if empty {
		return s
	}
	for !p.endOf("struct") {
		if p.expect("member") {
			p.fail("empty member")
		}
		name := p.leaf("name", p.expect("name"))
		if len(s) == 0 {
			s = make(Struct, 0, 16)
		}
		s = append(s, Member{Name: name, Value: p.valueElement()})
		p.end("member")
	}
	return s
}

func trim(s string) string {
	for len(s) > 0 && isSpace(s[0]) {
		s = s[1:]
	}
	for len(s) > 0 && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func parseInt(s string) (any, bool) {
	n, err := strconv.ParseInt(s, 10, strconv.IntSize)
	return int(n), err == nil
}

func parseFloat(s string) (any, bool) {
	for i := 0; i < len(s); i++ {
		if strings.IndexByte("0123456789+-.eE", s[i]) < 0 {
			return nil, false
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

func parseTime(s string) (any, bool) {
	s = strings.TrimSuffix(s, "Z")
	for _, layout := range []string{"20060102T15:04:05", "2006-01-02T15:04:05"} {
		if len(s) == len(layout) {
			if t, err := time.Parse(layout, s); err == nil {
				return t, true
			}
		}
	}
	return nil, false
}

func parseBase64(s string) (any, bool) {
	s = strings.Map(func(r rune) rune {
		if r == ' ' || r == '\t' {
			return -1 // the decoder skips line ends itself
		}
		return r
	}, s)
	b, err := base64.StdEncoding.DecodeString(s)
	return b, err == nil
}
