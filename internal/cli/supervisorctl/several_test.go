package supervisorctl

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSeveral: names, groups and patterns; quick commands wait for nothing, and a serial restart ends with the first
// program that does not come back.
func TestSeveral(t *testing.T) {
	programs := []any{
		program("cat", "cat", 20, "RUNNING", 7, ""), program("web", "a", 20, "RUNNING", 8, ""),
		program("web", "b", 20, "RUNNING", 9, ""), program("web", "c", 0, "STOPPED", 0, ""),
	}
	ok := []any{true}
	for _, c := range []struct {
		line        string
		start, stop []any // answers, one after the other
		out         string
		status      int
		calls       []string
	}{
		{"quickstart cat", ok, nil, "cat: started\n", 0, []string{"startProcess cat:cat false"}},
		{
			"quickstop web:*", nil, ok, "web:a: stopped\nweb:b: stopped\nweb:c: stopped\n", 0,
			[]string{"stopProcess web:a false", "stopProcess web:b false", "stopProcess web:c false"},
		},
		{
			"quickrestart web:[ab] web:a", ok, ok, "web:a: stopped\nweb:b: stopped\nweb:a: started\nweb:b: started\n", 0,
			[]string{"stopProcess web:a false", "stopProcess web:b false", "startProcess web:a false", "startProcess web:b false"},
		},
		{"quickstart cat x* y", ok, nil, "x*: ERROR (no such process)\ny: ERROR (no such process)\ncat: started\n", 1, []string{"startProcess cat:cat false"}},
		{"quickstart", nil, nil, "Error: quickstart requires a process name\n" + quickStartHelp + "\n", 1, nil},
		{
			"serialrestart w*", ok,
			[]any{true, true, fault(70, "NOT_RUNNING")},
			"web:a: stopped\nweb:a: started\nweb:b: stopped\nweb:b: started\nweb:c: ERROR (not running)\nweb:c: started\n", 0,
			[]string{
				"stopProcess web:a", "startProcess web:a", "stopProcess web:b", "startProcess web:b", "stopProcess web:c",
				"startProcess web:c",
			},
		},
		{
			"serialrestart all",
			[]any{true, fault(50, "SPAWN_ERROR")},
			ok,
			"cat: stopped\ncat: started\nweb:a: stopped\nweb:a: ERROR (spawn error)\n2 more are left as they are\n", 7,
			[]string{"stopProcess cat:cat", "startProcess cat:cat", "stopProcess web:a", "startProcess web:a"},
		},
		{"serialrestart cat nobody", nil, nil, "nobody: ERROR (no such process)\n", 1, nil},
		{"help serialrestart", nil, nil, serialHelp + "\n", 0, nil},
	} {
		f, url := newFake(t, map[string][]any{"getAllProcessInfo": {programs}, "startProcess": c.start, "stopProcess": c.stop})
		var out bytes.Buffer
		status := Run("ctl", append([]string{"-s", url}, strings.Fields(c.line)...), Streams{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out}, plainEnviron())
		calls := slices.DeleteFunc(f.taken(), func(s string) bool { return strings.HasPrefix(s, "get") })
		if d := cmp.Diff(c.out, out.String()); d != "" || status != c.status || fmt.Sprint(calls) != fmt.Sprint(c.calls) {
			t.Errorf("%s: status %d, calls %q\n%s", c.line, status, calls, d)
		}
	}
}
