package native

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestShellReadsLines: without a terminal the shell runs the lines of its input, and its status is that of the last failure.
func TestShellReadsLines(t *testing.T) {
	u := newUser(t)
	t.Setenv("LC_ALL", "C.UTF-8") // each line is a process of its own
	u.program("web", "[program:web]\ncommand=sleep 1000\nstartsecs=0\n")
	u.start()
	u.call("wait", "web")
	for _, c := range []struct {
		in     string
		status int
		out    string
		errors string
	}{
		{"", 0, "", ""},
		{"# nothing\n\nstatus -q\nupkeep status -o 'template={{.State}}'\n", 0, "web\nRUNNING\n", ""},
		{"statsu\nstatus -q\n", 2, "web\n", "there is no command \"statsu\". Close: status.   All of them: upkeep help\n"},
		{"stop web\nstatus -q\nexit\nstart web\n", 3, "✓ web stopped after TIME (SIGTERM)\nweb\n", ""},
		{"status 'web\n", 2, "", "No closing quotation\n"},
		{"shell\n", 2, "", "this is the shell already\n"},
		{"stop all\n", 2, "", "Stop every program?  Nobody can be asked here: say --yes\n"},
	} {
		u.in = c.in
		out, errs, status := u.call("shell")
		if status != c.status || out != c.out || errs != c.errors {
			t.Errorf("%q: %d\n%s%s", c.in, status, out, errs)
		}
	}
}

// TestShellCompletes: at the prompt Tab knows verbs, keys and the names of programs.
func TestShellCompletes(t *testing.T) {
	u := newUser(t)
	u.program("web", "[program:web]\ncommand=sleep 1000\nstartsecs=0\n")
	u.start()
	u.call("wait", "web")
	c := &command{version: "1.2.3", out: &strings.Builder{}, err: &strings.Builder{}, environ: func(name string) string { return u.vars[name] }}
	for _, k := range []struct {
		line string
		pos  int
		head string
		want []string
		tail string
	}{
		{"sta", 3, "", []string{"start ", "status "}, ""},
		{"stop w", 6, "stop ", []string{"web "}, ""},
		{"stop w now", 6, "stop ", []string{"web "}, " now"},
		{"set web startse", 15, "set web ", []string{"startsecs= "}, ""},
		{"frobnicate w", 12, "frobnicate ", nil, ""},
	} {
		head, got, tail := c.completeLine(k.line, k.pos)
		if d := cmp.Diff(k.want, got); d != "" || head != k.head || tail != k.tail {
			t.Errorf("%q: %q %q\n%s", k.line, head, tail, d)
		}
	}
}
