package model

import (
	"strings"
	"testing"
)

func TestSplitNamespec(t *testing.T) {
	tests := []struct {
		in     string
		id     ID
		single bool
	}{
		{"a", ID{"a", "a"}, true},
		{"g:a", ID{"g", "a"}, true},
		{"g:a:b", ID{"g", "a:b"}, true},
		{":a", ID{"", "a"}, true},
		{"", ID{}, true},
		{"g:", ID{Group: "g"}, false},
		{"g:*", ID{Group: "g"}, false},
		{"g:**", ID{"g", "**"}, true},
	}
	for _, tt := range tests {
		if id, single := SplitNamespec(tt.in); id != tt.id || single != tt.single {
			t.Errorf("%q: got %v %v", tt.in, id, single)
		}
	}
}

// FuzzSplitNamespec: what is read is what was written, and there is one way to read it.
func FuzzSplitNamespec(f *testing.F) {
	for _, s := range []string{"", "a", "a:b", "a:*", "a:", ":", ":b", "a:b:c", "g/../x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, single := SplitNamespec(s)
		ok := s == id.Namespec()
		switch {
		case !single:
			ok = id.Name == "" && (ok || s == id.Group+":*")
		case !strings.Contains(s, ":"):
			ok = s == id.Name && s == id.Group
		case id.Name == "" || id.Name == "*":
			ok = false
		}
		if !ok || strings.Contains(id.Group, ":") {
			t.Fatalf("%q: %q, %v", s, id, single)
		}
	})
}
