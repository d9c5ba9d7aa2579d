package chalmers

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/conf/tree"
)

func TestWord(t *testing.T) {
	for f, want := range map[Facts]Word{
		{}:                                      Stopped,
		{Off: true}:                             Off,
		{Failed: true, Off: true}:               Error,
		{Active: true, Failed: true, Off: true}: Running,
	} {
		if got := f.Word(); got != want {
			t.Errorf("%+v: %s", f, got)
		}
	}
}

func TestList(t *testing.T) {
	if got := List(nil); got != "No programs added\n" {
		t.Error(got)
	}
	rows := []Row{
		{Name: "zeta", Word: Stopped},
		{Name: "web", Word: Running, PID: 4711, Up: 26*time.Hour + 3*time.Minute + 4*time.Second},
		{Name: "a-name-that-is-much-too-long-for-its-column", Word: Running},
		{Name: "api", Word: Error, Reason: "exited unexpectedly with code 3", Stopped: true, Down: 49 * time.Hour},
		{Name: "alpha", Word: Stopped, Reason: "exited gracefully", Stopped: true, Down: time.Second},
	}
	want := `api                       ERROR          exited unexpectedly with code 3
                                         downtime 2 days, 1:00:00
a-name-that-is-much-too-  RUNNING        pid None  , uptime 0:00:00
web                       RUNNING        pid 4711  , uptime 1 day, 2:03:04
alpha                     STOPPED        exited gracefully
                                         downtime 0:00:01
zeta                      STOPPED
`
	if d := cmp.Diff(want, List(rows)); d != "" {
		t.Error(d)
	}
	if rows[0].Name != "zeta" {
		t.Error("the caller's rows were sorted")
	}
	if got := Duration(-time.Hour); got != "0:00:00" {
		t.Error(got)
	}
}

func TestShow(t *testing.T) {
	options, err := tree.YAML([]byte(`
colour: blue
command: [a-rather-long-program-name, --with-an-option=of-some-length, --and-one-more, "it's"]
startsecs: 3
name: web
env: {PORT: 80, DEBUG: true, NONE: }
stdout: /log/web
exitcodes: [0]
`), tree.V11)
	if err != nil {
		t.Fatal(err)
	}
	state := tree.Value{Kind: tree.Map, Fields: []tree.Field{{Key: "paused", Value: tree.V11.Plain("no")}, {Key: "pid", Value: tree.V11.Plain("5")}}}
	got := Shown{DefinitionFile: "/d/programs/web.yaml", StateFile: "/d/state/web.yaml", State: state, Options: options}.String()
	want := `Definition file: /d/programs/web.yaml
State file:      /d/state/web.yaml

State
      paused: False
         pid: 5

Primary Options
        name: 'web'
     command: ['a-rather-long-program-name', '--with-an-option=of-some-length',
              '--and-one-more', "it's"]
         env: {'PORT': 80, 'DEBUG': True, 'NONE': None}

Output Options
      stdout: '/log/web'

Process Control Options
   startsecs: 3
   exitcodes: [0]

Other Options
      colour: 'blue'
`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got := (Shown{}).String(); got != "" {
		t.Error(got)
	}
	long := "'" + strings.Repeat("x", 100) + "'"
	if d := cmp.Diff([]string{long}, wrap(long)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{long + ",", "1"}, wrap(long+", 1")); d != "" {
		t.Error(d)
	}
}

func TestAssignment(t *testing.T) {
	tests := []struct{ item, want, err string }{
		{"startsecs=5", "startsecs = 5", ""},
		{"umask=077", "umask = 63", ""},
		{"redirect_stderr=no", "redirect_stderr = False", ""},
		{"exitcodes=[0, 2]", "exitcodes = [0, 2]", ""},
		{"env.PORT=80", "env.PORT = 80", ""},
		{"env={A: b}", "env = {'A': 'b'}", ""},
		{"cwd=", "cwd = None", ""},
		{"cwd=a=b", "cwd = 'a=b'", ""},
		{"x=[unclosed", "x = '[unclosed'", ""},
		{"stdout={log_dir}/x", "stdout = '{log_dir}/x'", ""},
		{"env.URL='http://x/'", "env.URL = 'http://x/'", ""},
		{"novalue", "", "is not KEY=VALUE"},
		{"name=x", "", "cannot be set"},
		{".a=1", "", "is not a key"},
		{"a..b=1", "", "is not a key"},
		{"=1", "", "is not a key"},
	}
	for _, tt := range tests {
		a, err := ParseAssignment(tt.item)
		if (err == nil) != (tt.err == "") || (err != nil && !strings.Contains(err.Error(), tt.err)) || (err == nil && a.String() != tt.want) {
			t.Errorf("%s: %s, %v", tt.item, a, err)
		}
	}
	if _, err := ParseAssignment("name=x"); !errors.Is(err, ErrName) {
		t.Error(err)
	}
}

func TestApply(t *testing.T) {
	start := "command: [x]\nenv: {A: 1}\nempty:\n"
	tests := []struct{ items, want, err string }{
		{"startsecs=5", "{'command': ['x'], 'env': {'A': 1}, 'empty': None, 'startsecs': 5}", ""},
		{"env.A=2 env.B=x", "{'command': ['x'], 'env': {'A': 2, 'B': 'x'}, 'empty': None}", ""},
		{"empty.a.b=1", "{'command': ['x'], 'env': {'A': 1}, 'empty': {'a': {'b': 1}}}", ""},
		{"command.x=1", "{'command': ['x'], 'env': {'A': 1}, 'empty': None}", "command is a list and has no parts"},
		{"env.A.b=1", "{'command': ['x'], 'env': {'A': 1}, 'empty': None}", "A is a whole number and has no parts"},
	}
	for _, tt := range tests {
		v, err := tree.YAML([]byte(start), tree.V11)
		if err != nil {
			t.Fatal(err)
		}
		before := v
		for item := range strings.FieldsSeq(tt.items) {
			a, parseErr := ParseAssignment(item)
			if parseErr != nil {
				t.Fatal(parseErr)
			}
			err = a.Apply(&v)
		}
		if (err == nil) != (tt.err == "") || (err != nil && err.Error() != tt.err) || Literal(v) != tt.want {
			t.Errorf("%s: %s, %v", tt.items, Literal(v), err)
		}
		if got := Literal(before.Get("env")); got != "{'A': 1}" {
			t.Errorf("%s changed what was shared: %s", tt.items, got)
		}
	}
}

// FuzzAssignment: a value stands where its key says, and nothing else does.
func FuzzAssignment(f *testing.F) {
	for _, s := range []string{"a=1", "env.A=x", "=", "a.b.c=[1, {x: y}]", "x='"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, item string) {
		a, err := ParseAssignment(item)
		if err != nil {
			return
		}
		v := tree.Value{Kind: tree.Map}
		if err := a.Apply(&v); err != nil || len(v.Fields) != 1 {
			t.Errorf("%s: %s, %v", item, Literal(v), err)
		}
		for _, key := range a.Path {
			v = v.Get(key)
		}
		if got, want := Literal(v), Literal(a.Value); got != want {
			t.Errorf("%s: %s, want %s", item, got, want)
		}
	})
}
