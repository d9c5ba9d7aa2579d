package model

import "testing"

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

func FuzzSplitNamespec(f *testing.F) {
	for _, s := range []string{"", "a", "a:b", "a:*", "a:", ":", ":b", "a:b:c", "g/../x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, single := SplitNamespec(s)
		switch {
		case !single && (s != id.Group+":" && s != id.Group+":*" || id.Name != ""):
			t.Fatalf("%q: %v", s, id)
		case single && s != id.Namespec() && (s != id.Name || s != id.Group):
			t.Fatalf("%q: %v", s, id)
		}
	})
}
