package supervisord

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestProgramFileTellsAllProblems: one reading names every mistake with its line, and what is right in other sections stays.
func TestProgramFileTellsAllProblems(t *testing.T) {
	dir := t.TempDir()
	path := dir + "/web.conf"
	groups, _, problems := ReadProgramFile(path, []byte(`[program:web]
command = /bin/cat %(nope)s
autorestrat = true
stopsignal = TREM
startsecs = soon
numprocs = 2
nonsense
[program:good]
command = %(here)s/x
[supervisrd]
[upkeep]
strict = true
`), testEnv(dir))
	type told struct {
		Line            int
		Key, Suggestion string
	}
	var got []told
	for _, p := range problems {
		if p.File != path || p.Text == "" {
			t.Errorf("%+v", p)
		}
		got = append(got, told{p.Line, p.Key, p.Suggestion})
	}
	want := []told{
		{2, "command", ""},
		{3, "autorestrat", "autorestart"},
		{4, "stopsignal", ""},
		{5, "startsecs", ""},
		{6, "numprocs", ""},
		{7, "", ""},
		{10, "", ""},
		{11, "", ""},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if len(groups) != 1 || groups[0].Name != "good" || groups[0].Programs[0].Command.Line != dir+"/x" {
		t.Errorf("%+v", groups)
	}
}
