package piece

import (
	"strings"
	"testing"
)

func TestTrim(t *testing.T) {
	smile := "\U0001F600"
	tests := []struct {
		in     string
		before bool
		want   string
	}{
		{"plain", true, "plain"},
		{"", true, ""},
		{smile[1:] + "x", true, "x"},
		{smile[3:] + "x", true, "x"},
		{smile[1:] + "x", false, smile[1:] + "x"},
		{"x" + smile[:3], true, "x"},
		{"x" + smile[:1], false, "x"},
		{"x" + smile, true, "x" + smile},
		{smile[2:] + smile[:2], true, ""},
		{"\x80\x80\x80\x80x", true, "\x80\x80\x80\x80x"},
		{"x\x80\x80\x80\x80", true, "x\x80\x80\x80\x80"},
		{"x\xff", true, "x\xff"},
		{"caf\xc3", true, "caf"},
	}
	for _, tt := range tests {
		if got := string(Trim([]byte(tt.in), tt.before)); got != tt.want {
			t.Errorf("%q %v: %q, want %q", tt.in, tt.before, got, tt.want)
		}
	}
	// Every window into a text comes out as a part of it, without replacements.
	text := strings.Repeat("a\u00e9\u4e16"+smile, 5)
	for i := 0; i <= len(text); i++ {
		for j := i; j <= len(text); j++ {
			if got := string(Trim([]byte(text[i:j]), i > 0)); strings.ToValidUTF8(got, "?") != got || !strings.Contains(text, got) || j-i-len(got) > 6 {
				t.Fatalf("%d:%d: %q", i, j, got)
			}
		}
	}
}
