package script

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSteps(t *testing.T) {
	got := steps("before\n$ one\n$ two \\\n  more\nsaid\n\nagain\n[exit 3]\n$ three\n")
	want := []step{{"one", ""}, {"two \\\n  more", "said\n\nagain\n[exit 3]\n"}, {"three", ""}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(step{})); d != "" {
		t.Error(d)
	}
}

func TestBlocks(t *testing.T) {
	got := blocks("text\n\n```console\n$ a\nb\n```\n\n```sh\nno\n```\nmore\n```console\n$ c\n```\n")
	if d := cmp.Diff([]string{"$ a\nb\n", "$ c\n"}, got); d != "" {
		t.Error(d)
	}
}

// TestPlain holds what may differ against what may not.
func TestPlain(t *testing.T) {
	for _, c := range []struct {
		one, other string
		same       bool
	}{
		{"✓ web is running   pid 1 · 1.0s", "✓ web is running   pid 48110 · 934ms\n\n", true},
		{"db  ● running  9s  0.8%  38 MB  :1", "db   ● running   1m 12s   12.0%   1.5 GB   :1", true},
		{"22:01:59  started", "07:00:00  started", true},
		{"3 restarts, last: exit 3", "1 restart, last: exit 3", true},
		{"exited with code 3 after 0.2s, twice", "exited with code 3 each time, after 0.1s and 0.3s", true},
		{"exited with code 3 after 0.2s, twice", "exited with code 4 each time, after 0.1s and 0.3s", false},
		{"exited with code 3", "exited with code 4", false},
		{"listening on :8000", "listening on :8001", false},
		{"try 1 of 4", "try 2 of 4", false},
		{"3 programs: 3 running", "3 programs: 2 running", false},
		{"  indented", "indented", false},
		{"a\n\nb", "a\nb", false},
	} {
		if got := plain(c.one) == plain(c.other); got != c.same {
			t.Errorf("%q and %q: %v\n%q\n%q", c.one, c.other, got, plain(c.one), plain(c.other))
		}
	}
}
