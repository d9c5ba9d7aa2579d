package listener

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// listen feeds text in pieces of n bytes through a capture that is kept and taken up between any two of them.
func listen(t testing.TB, text string, n, bound int) (plain string, got []string) {
	c := Capture{Max: bound}
	var out strings.Builder
	put := func(p []byte) { out.Write(p) }
	for text != "" {
		k := min(n, len(text))
		c.Feed([]byte(text[:k]), put, func(p []byte) { got = append(got, string(p)) })
		text = text[k:]
		if len(c.Buf) > bound {
			t.Fatalf("%d bytes are kept", len(c.Buf))
		}
		value, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		c = Capture{}
		if err := json.Unmarshal(value, &c); err != nil {
			t.Fatal(err)
		}
		c.Max = bound
	}
	c.Flush(put)
	return out.String(), got
}

func TestCapture(t *testing.T) {
	b, e := CaptureBegin, CaptureEnd
	for _, tt := range []struct {
		name, text string
		plain      string
		got        []string
	}{
		{"none", "hello\n", "hello\n", nil},
		{"one", "before" + b + "inside" + e + "after", "beforeafter", []string{"inside"}},
		{"two", b + "1" + e + b + "2" + e, "", []string{"1", "2"}},
		{"empty", b + e + "x", "x", []string{""}},
		{"no end", "a" + b + "inside", "a", nil},
		{"no begin", "a" + e + "b", "a" + e + "b", nil},
		{"begin inside", b + "x" + b + "y" + e, "", []string{"x" + b + "y"}},
		{"half a mark", "a" + b[:10] + "b", "a" + b[:10] + "b", nil},
		{"half a mark at the end", "a" + b[:23], "a" + b[:23], nil},
		{"half marks in a row", b[:10] + b[:10] + b + "x" + e[:5] + e + ".", b[:10] + b[:10] + ".", []string{"x" + e[:5]}},
		{"<<", "<<" + b[1:] + "x" + e, "<", []string{"x"}},
		{"bounded", b + "abcd1abcd2abcd3abcd4" + e, "", []string{"3abcd4"[len("3abcd4")-6:]}},
	} {
		bound := 100
		if tt.name == "bounded" {
			bound = 6 // F9: exact
		}
		for n := 1; n <= len(tt.text); n++ {
			plain, got := listen(t, tt.text, n, bound)
			if d := cmp.Diff(tt.plain, plain) + cmp.Diff(tt.got, got); d != "" {
				t.Fatalf("%s, by %d: %s", tt.name, n, d)
			}
		}
	}
}

func FuzzCapture(f *testing.F) {
	f.Add("a"+CaptureBegin+"b"+CaptureEnd+"c", uint8(3), uint8(50))
	f.Add("<!--<!--"+CaptureBegin+"<"+CaptureEnd[:9]+CaptureEnd, uint8(1), uint8(2))
	f.Fuzz(func(t *testing.T, text string, n, bound uint8) {
		most := int(bound) + 1
		plain, got := listen(t, text, int(n)+1, most)
		var wantPlain string
		var want []string
		for rest := text; ; {
			before, after, found := strings.Cut(rest, CaptureBegin)
			wantPlain += before
			if !found {
				break
			}
			in, tail, found := strings.Cut(after, CaptureEnd)
			if !found {
				break
			}
			want = append(want, in[max(len(in)-most, 0):])
			rest = tail
		}
		if d := cmp.Diff(wantPlain, plain) + cmp.Diff(want, got); d != "" {
			t.Errorf("%q: %s", text, d)
		}
	})
}
