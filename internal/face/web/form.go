package web

import (
	"strings"
)

// maxFields bounds what is looked at of a request's parameters; the pages know five.
const maxFields = 100

// form is the parameters of a request.
type form map[string]string

// parseForm reads a query and a urlencoded body. The body wins; of several values of one name the first of
// the query and the last of the body count. Fields without a value are left out, what is no proper escape
// stands for itself, and bytes that are not UTF-8 are replaced. Source: spec/supervisor 7.1.
func parseForm(query, body string) form {
	f := form{}
	eachField(query, func(name, value string) {
		if _, ok := f[name]; !ok {
			f[name] = value
		}
	})
	eachField(body, func(name, value string) { f[name] = value })
	return f
}

// eachField calls add for the first maxFields fields that have a value.
func eachField(s string, add func(name, value string)) {
	n := 0
	for field := range strings.SplitSeq(s, "&") {
		name, value, _ := strings.Cut(field, "=")
		if value == "" {
			continue
		}
		if n++; n > maxFields {
			return
		}
		add(unescape(name), unescape(value))
	}
}

// unescape decodes one part of a query.
func unescape(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			b = append(b, ' ')
		case s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			b = append(b, fromHex(s[i+1])<<4|fromHex(s[i+2]))
			i += 2
		default:
			b = append(b, s[i])
		}
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

func fromHex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// quote escapes everything but letters, digits and _.-~ for a part of an address.
func quote(s string) string {
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9', strings.IndexByte("_.-~", c) >= 0:
			b = append(b, c)
		default:
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}
