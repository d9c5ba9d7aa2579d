package web

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestParseForm(t *testing.T) {
	tests := []struct {
		name, query, body string
		want              form
	}{
		{"nothing", "", "", form{}},
		{"query", "action=stop&processname=g%3Aa", "", form{"action": "stop", "processname": "g:a"}},
		{"body", "", "action=stop&processname=g:a", form{"action": "stop", "processname": "g:a"}},
		{"the body wins", "a=1&b=2", "a=3", form{"a": "3", "b": "2"}},
		{"first of the query", "a=1&a=2", "", form{"a": "1"}},
		{"last of the body", "", "a=1&a=2", form{"a": "2"}},
		{"empty values are none", "a=&b&=&a=2", "b=", form{"a": "2"}},
		{"an empty value does not win", "a=1", "a=", form{"a": "1"}},
		{"value with an equals sign", "a=b=c", "", form{"a": "b=c"}},
		{"semicolons separate nothing", "a=1;b=2", "", form{"a": "1;b=2"}},
		{"blanks", "a=x+y%20z", "", form{"a": "x y z"}},
		{"broken escapes stand for themselves", "a=%zz%4&b=%&c=%e", "", form{"a": "%zz%4", "b": "%", "c": "%e"}},
		{"either case", "a=%c3%A9", "", form{"a": "é"}},
		{"no UTF-8", "a=x%ffy&b=\xff", "", form{"a": "x\uFFFDy", "b": "\uFFFD"}},
		{"escaped name", "%61ction=stop", "", form{"action": "stop"}},
		{"line ends", "a=%0d%0aX", "", form{"a": "\r\nX"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, parseForm(tt.query, tt.body)); d != "" {
				t.Error(d)
			}
		})
	}
	if f := parseForm(strings.Repeat("a=1&", 5000)+"b=2", ""); len(f) != 1 {
		t.Errorf("not bounded: %v", f)
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "cat": "cat", "g:a": "g%3Aa", "g:*": "g%3A%2A", "a b/c?d&e=f#%": "a%20b%2Fc%3Fd%26e%3Df%23%25", "AZaz09_.-~": "AZaz09_.-~",
		"é\x00\xff": "%C3%A9%00%FF", "@[`{": "%40%5B%60%7B", "\r\nSet-Cookie: x": "%0D%0ASet-Cookie%3A%20x",
	} {
		if got := quote(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// FuzzParseForm compares with the standard library where that accepts the text.
func FuzzParseForm(f *testing.F) {
	for _, s := range []string{"", "a=1&b=2", "action=stop&processname=g%3Aa", "%&%4=%zz", "a=+%2B", "&&==", "a=%ff", "a;b=1"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, query, body string) {
		got := parseForm(query, body)
		for name, value := range got {
			if value == "" || !utf8.ValidString(name) || !utf8.ValidString(value) {
				t.Fatalf("%q: %q = %q", query, name, value)
			}
		}
		if len(got) > 2*maxFields {
			t.Fatalf("%d fields", len(got))
		}
		want, err := url.ParseQuery(query)
		if err != nil || strings.Count(query, "&") >= maxFields || !utf8.ValidString(query) {
			return
		}
		for name, values := range want {
			first := ""
			for _, v := range values {
				if first == "" {
					first = v
				}
			}
			if !utf8.ValidString(name) || !utf8.ValidString(first) {
				continue // replaced, and several names may become one
			}
			if g := parseForm(query, "")[name]; g != first && !strings.Contains(name, "\uFFFD") {
				t.Fatalf("%q: %q = %q, want %q", query, name, g, first)
			}
		}
	})
}

func FuzzQuote(f *testing.F) {
	f.Add("g:a b%/\xff")
	f.Fuzz(func(t *testing.T, s string) {
		q := quote(s)
		if back, err := url.PathUnescape(q); err != nil || back != s {
			t.Fatalf("%q: %q, %v", s, back, err)
		}
		if unescape(q) != strings.ToValidUTF8(s, "\uFFFD") {
			t.Fatalf("%q: %q", s, unescape(q))
		}
	})
}
