package supervisorctl

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/client/supervisor"
)

// step is an entry of the answer to upkeep.plan; fields are written "field old new effect".
func step(group, name, action, reason, refused string, fields ...string) supervisor.Struct {
	list := []any{}
	for _, f := range fields {
		w := strings.Split(f, " ")
		list = append(list, supervisor.Struct{
			{Name: "field", Value: w[0]}, {Name: "old", Value: w[1]}, {Name: "new", Value: w[2]}, {Name: "effect", Value: w[3]},
		})
	}
	return supervisor.Struct{
		{Name: "group", Value: group},
		{Name: "name", Value: name},
		{Name: "action", Value: action},
		{Name: "reason", Value: reason},
		{Name: "refused", Value: refused},
		{Name: "fields", Value: list},
	}
}

func applied(group, name, action string, status int, text string) supervisor.Struct {
	return append(result(group, name, status, text), supervisor.Member{Name: "action", Value: action})
}

func TestChange(t *testing.T) {
	for _, c := range []struct {
		line   string
		answer any // of the one method that is called
		out    string
		status int
		calls  []string
	}{
		{
			"plan",
			[]any{
				step("cat", "cat", "change", "at once", "", "stopsignal TERM INT live", "umask  022 restart"),
				step("g", "a", "restart", "why", "", "environment -A,~B ~B,+C restart"),
				step("g", "", "change", "at once", "", "priority 1 2 live"),
				step("x", "x", "restart", "why", "x: no such file", "command a b restart"),
			},
			"cat: change (at once)\n  stopsignal: TERM -> INT\n  umask: (empty) -> 022\ng:a: restart (why)\n  environment: -A ~B +C\n" +
				"g: change (at once)\n  priority: 1 -> 2\nx: restart (why)\n  command: a -> b\nx: ERROR (apply would refuse: x: no such file)\n",
			1,
			[]string{"upkeep.plan"},
		},
		{"plan", []any{}, "No config updates to processes\n", 0, []string{"upkeep.plan"}},
		{"plan x", nil, "Error: plan accepts no arguments\n" + planHelp + "\n", 1, nil},
		{"plan", fault(92, "CANT_REREAD: bad"), "ERROR: CANT_REREAD: bad\n", 1, []string{"upkeep.plan"}},
		{"plan", fault(6, "SHUTDOWN_STATE"), "ERROR: supervisor shutting down\n", 1, []string{"upkeep.plan"}},
		{
			"plan", fault(1, "UNKNOWN_METHOD"), "ERROR: this server cannot do that, reread and update are the way\n", 3,
			[]string{"upkeep.plan"},
		},
		{
			"apply",
			[]any{
				applied("old", "old", "remove", 80, "OK"), applied("cat", "cat", "change", 80, "OK"), applied("g", "", "change", 80, "OK"),
				applied("g", "a", "restart", 80, "OK"), applied("g", "b", "add", 80, "OK"),
			},
			"old: removed\ncat: changed\ng: changed\ng:a: restarted\ng:b: added\n", 0,
			[]string{"upkeep.apply []"},
		},
		{
			"apply g x",
			[]any{applied("g", "a", "restart", 50, "SPAWN_ERROR: g:a"), applied("x", "x", "remove", 30, "FAILED: no")},
			"g:a: ERROR (spawn error)\nx: ERROR (FAILED: no)\n", 1,
			[]string{"upkeep.apply [g x]"},
		},
		{"apply all", []any{applied("g", "a", "add", 40, "")}, "g:a: ERROR (abnormal termination)\n", 7, []string{"upkeep.apply []"}},
		{"apply", []any{}, "No config updates to processes\n", 0, []string{"upkeep.apply []"}},
		{"apply x", fault(10, "BAD_NAME: x"), "ERROR: no such group: x\n", 1, []string{"upkeep.apply [x]"}},
		{"apply", fault(20, "NO_FILE: x: no y"), "ERROR: nothing is changed, x: no y\n", 1, []string{"upkeep.apply []"}},
		{"apply", fault(6, "SHUTDOWN_STATE"), "ERROR: already shutting down\n", 1, []string{"upkeep.apply []"}},
		{"apply", fault(30, "FAILED: disk"), "error: FAILED: disk (fault 30)\n", 1, []string{"upkeep.apply []"}},
		{"help plan", nil, planHelp + "\n", 0, nil},
		{"help apply", nil, applyHelp + "\n", 0, nil},
	} {
		f, url := newFake(t, map[string][]any{"upkeep.plan": {c.answer}, "upkeep.apply": {c.answer}})
		var out bytes.Buffer
		status := Run("ctl", append([]string{"-s", url}, strings.Fields(c.line)...), Streams{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out}, plainEnviron())
		calls := slices.DeleteFunc(f.taken(), func(s string) bool { return s == "getVersion" })
		if d := cmp.Diff(c.out, out.String()); d != "" || status != c.status || fmt.Sprint(calls) != fmt.Sprint(c.calls) {
			t.Errorf("%s: status %d, calls %q\n%s", c.line, status, calls, d)
		}
	}
}

// TestUpdateOfSettings: where no group is to be changed, update has what stands outside of programs put into force, which the
// original neither has nor knows a method for.
func TestUpdateOfSettings(t *testing.T) {
	none, old := []any{[]any{[]any{}, []any{}, []any{}}}, []any{[]any{[]any{}, []any{}, []any{"old"}}}
	for _, c := range []struct {
		line         string
		read, answer any
		out          string
		status       int
		calls        string
	}{
		{"update", none, []any{}, "", 0, "[reloadConfig upkeep.apply []]"},
		{"update all", none, []any{}, "", 0, "[reloadConfig upkeep.apply []]"},
		{"update", none, []any{applied("g", "a", "add", 80, "OK")}, "g:a: added\n", 0, "[reloadConfig upkeep.apply []]"}, // written in between
		{"update", none, fault(1, "UNKNOWN_METHOD"), "", 0, "[reloadConfig upkeep.apply []]"},
		{"update", none, fault(6, "SHUTDOWN_STATE"), "ERROR: already shutting down\n", 1, "[reloadConfig upkeep.apply []]"},
		{"update", none, fault(92, "CANT_REREAD: bad"), "ERROR: CANT_REREAD: bad\n", 1, "[reloadConfig upkeep.apply []]"},
		{"update cat", none, nil, "", 0, "[reloadConfig getAllProcessInfo]"},
		{"update", old, nil, "old: stopped\nold: removed process group\n", 0, "[reloadConfig stopProcessGroup old removeProcessGroup old]"},
		{"reread", none, nil, "No config updates to processes\n", 0, "[reloadConfig]"},
	} {
		f, url := newFake(t, map[string][]any{
			"reloadConfig": {c.read}, "upkeep.apply": {c.answer}, "getAllProcessInfo": {[]any{program("cat", "cat", 20, "RUNNING", 1, "")}},
			"stopProcessGroup": {[]any{}}, "removeProcessGroup": {true},
		})
		var out bytes.Buffer
		status := Run("ctl", append([]string{"-s", url}, strings.Fields(c.line)...), Streams{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out}, plainEnviron())
		calls := slices.DeleteFunc(f.taken(), func(s string) bool { return s == "getVersion" })
		if out.String() != c.out || status != c.status || fmt.Sprint(calls) != c.calls {
			t.Errorf("%s: status %d, calls %q, %q", c.line, status, calls, out.String())
		}
	}
}

// The list of commands is the original's.
func TestOwnCommandsAreNotListed(t *testing.T) {
	list := strings.Fields(overview())
	for _, name := range []string{"plan", "apply", "quickstart", "quickstop", "quickrestart", "serialrestart"} {
		if slices.Contains(list, name) {
			t.Errorf("%s is listed", name)
		}
		if find(name) == nil {
			t.Errorf("no %s", name)
		}
	}
}
