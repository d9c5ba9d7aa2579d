package pytext

import (
	"testing"
	"unicode/utf8"
)

func TestRepr(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"", `''`},
		{"abc", `'abc'`},
		{"it's", `"it's"`},
		{`say "x"`, `'say "x"'`},
		{`it's "x"`, `'it\'s "x"'`},
		{`a\b`, `'a\\b'`},
		{"a\tb\nc\rd", `'a\tb\nc\rd'`},
		{"\x00\x1b\x7f", `'\x00\x1b\x7f'`},
		{"é", `'é'`},
		{"\u00a0\u0085\u00ad", `'\xa0\x85\xad'`},
		{"\u2028\ufeff\u3000", `'\u2028\ufeff\u3000'`},
		{"日本", `'日本'`},
		{"😀", `'😀'`},
		{"\U000e0001", `'\U000e0001'`},
		{"a\xffb", `'a\udcffb'`},
		{"\ufffd", "'\ufffd'"},
		{"garbage\n", `'garbage\n'`},
	} {
		if got := Repr(tc.in); got != tc.want {
			t.Errorf("Repr(%q) = %s, want %s", tc.in, got, tc.want)
		}
	}
}

func TestReprBytes(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"", `b''`},
		{"READY\n", `b'READY\n'`},
		{"it's", `b"it's"`},
		{`it's "x"`, `b'it\'s "x"'`},
		{"\\\t\n\r", `b'\\\t\n\r'`},
		{"\x00\x1b\x7f\xff", `b'\x00\x1b\x7f\xff'`},
		{"é", `b'\xc3\xa9'`},
		{" ~", `b' ~'`},
	} {
		if got := ReprBytes([]byte(tc.in)); got != tc.want {
			t.Errorf("ReprBytes(%q) = %s, want %s", tc.in, got, tc.want)
		}
	}
}

func TestReprList(t *testing.T) {
	if got, want := ReprList([]string{"foo", "it's"}), `['foo', "it's"]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := ReprList(nil); got != "[]" {
		t.Errorf("empty list: %s", got)
	}
}

func TestASCII(t *testing.T) {
	if got, want := ASCII("aé日😀'"), `"a\xe9\u65e5\U0001f600'"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestStrip(t *testing.T) {
	const in = "\x1c\u00a0 \t\nx y\v\f\r\u2003"
	if got := Strip(in); got != "x y" {
		t.Errorf("Strip = %q", got)
	}
	if got, want := StripRight(in), "\x1c\u00a0 \t\nx y"; got != want {
		t.Errorf("StripRight = %q, want %q", got, want)
	}
}

func TestLen(t *testing.T) {
	for _, s := range []string{
		"", "a", "é", "12345678", "123456789", "1234567é", "éééé", "a\xffb", "\xc3", "12345678\xe2\x82", "€uro 12345678 €", "\U0001F600\x80",
	} {
		if got, want := Len([]byte(s)), utf8.RuneCountInString(s); got != want {
			t.Errorf("%q: %d, want %d", s, got, want)
		}
	}
}

func FuzzLen(f *testing.F) {
	f.Add([]byte("12345678é\xff"))
	f.Fuzz(func(t *testing.T, p []byte) {
		if got, want := Len(p), utf8.RuneCount(p); got != want {
			t.Errorf("%q: %d, want %d", p, got, want)
		}
	})
}
