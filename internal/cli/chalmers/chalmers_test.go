package chalmers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/cli/instance"
	"github.com/upkeep-project/upkeep/internal/conf/chalmers"
	"github.com/upkeep-project/upkeep/internal/conf/imports"
	"github.com/upkeep-project/upkeep/internal/sys/boot"
)

// fake is an instance that writes down what it is asked for.
type fake struct {
	programs []Program
	fail     map[string]error // by the name of a program
	err      error            // of every call
	calls    []string
	text     string // of every definition
	dir      string // of the logs
	added    *imports.Program
}

func (f *fake) note(format string, args ...any) {
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
}

func (f *fake) results(names []string) ([]Result, error) {
	var list []Result
	for _, n := range names {
		list = append(list, Result{n, f.fail[n]})
	}
	return list, f.err
}

func (f *fake) List(context.Context) ([]Program, error) { return slices.Clone(f.programs), f.err }

func (f *fake) Launch(_ context.Context, names []string) ([]Result, error) {
	f.note("start %v", names)
	return f.results(names)
}

func (f *fake) Stop(_ context.Context, names []string, force bool) ([]Result, error) {
	f.note("stop %v %v", names, force)
	return f.results(names)
}

func (f *fake) Restart(_ context.Context, names []string) ([]Result, error) {
	f.note("restart %v", names)
	return f.results(names)
}

func (f *fake) Add(_ context.Context, p *imports.Program) error {
	f.added = p
	f.note("add %s", p.Name)
	return f.fail[p.Name]
}

func (f *fake) Definition(context.Context, Program) (Definition, error) {
	return Definition{Text: f.text, ETag: "tag", Effective: []imports.Key{{Name: "stopwaitsecs", Value: "10"}, {Name: "umask"}}}, nil
}

func (f *fake) Set(_ context.Context, p Program, keys []imports.Key, env []imports.EnvVar) error {
	f.note("set %s %v %v", p.Name, keys, env)
	return f.fail[p.Name]
}

func (f *fake) Replace(_ context.Context, p Program, text, etag string) error {
	f.note("replace %s %q %s", p.Name, text, etag)
	return f.fail["replace"]
}

func (f *fake) Remove(_ context.Context, names []string) ([]Result, error) {
	f.note("remove %v", names)
	return f.results(names)
}

func (f *fake) SetBoot(_ context.Context, names []string, on bool) error {
	f.note("boot %v %v", names, on)
	return f.err
}

func (f *fake) ClearLogs(_ context.Context, p Program) error {
	f.note("clear %s", p.Name)
	return nil
}

func (f *fake) LogDir() string   { return f.dir }
func (f *fake) Activity() string { return filepath.Join(f.dir, "upkeep.log") }
func (f *fake) Entry(at, user string) (boot.Target, error) {
	return instance.Instance{}.BootEntry(at, user, "", false)
}

func (f *fake) Inherit(context.Context, *imports.World) ([]string, error) { return nil, nil }

func (f *fake) Recover(_ context.Context, _ *imports.World, names []string) (left, said []string, err error) {
	return names, nil, nil
}

func (f *fake) End(context.Context) error { return nil }

// now is the time in tests.
func now() time.Time { return time.Unix(1700003600, 0) }

// three are a program that runs, one that is off, and one that failed.
func three() *fake {
	return &fake{
		programs: []Program{
			{
				Name: "web", Section: "web", Active: true, PID: 4711, Started: time.Unix(1700000000, 0), File: "/etc/programs/web.conf",
			},
			{Name: "idle", Section: "idle", Off: true, Stdout: "/nowhere/idle.out", Stderr: "/nowhere/idle.err"},
			{Name: "bad", Failed: true, Reason: "exited with code 3", Ended: time.Unix(1700003540, 0)},
		},
		text: "[program:web]\ncommand = python3 -m 'http server'\ndirectory = /srv\nautostart = true\nstartretries = 2\nexitcodes = 0,2\n" +
			"stopsignal = INT\nstdout_logfile = NONE\nredirect_stderr = true\numask = 077\nstop_reach = tree\nenv.PORT = 80%%\n",
		fail: map[string]error{"bad": errors.New("it does not stay up"), "taken": ErrExists},
	}
}

func run(f *fake, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	env := &Env{Instance: f, World: &imports.World{}, Cwd: "/here", Vars: map[string]string{"TOKEN": "x"}, Stdout: &out, Stderr: &errs, Now: now, Version: "1.2"}
	status = Main(context.Background(), env, args)
	return status, out.String(), errs.String()
}

func TestCommands(t *testing.T) {
	tests := []struct {
		args   string
		status int
		calls  string // joined by ;
		out    string // a part of it
		err    string // a part of it
	}{
		{"start idle", 0, "start [idle]", "Starting program idle                      [OK]\n", ""},
		{"start web", 0, "", "", "[WARNING] already started: web\n[WARNING] nothing to do\n"},
		{"start web idle", 0, "start [idle]", "", "already started: web"},
		{"start -a", 1, "start [bad]", "[ERROR]\n", "[ERROR] bad: it does not stay up"},
		{"start --all idle", 1, "", "", "not both"},
		{"start", 1, "", "", "give the name of a program, or --all"},
		{"start idle gone lost", 1, "", "", "[ProgramNotFound] program \"gone\" is not defined\n[ProgramNotFound] program \"lost\""},
		{"-q start idle", 0, "start [idle]", "", ""},
		{"restart web bad", 1, "restart [web bad]", "Restarting program web                       [OK]\n", ""},
		{"restart -a", 1, "restart [web bad]", "", ""},
		{"stop web --force", 0, "stop [web] true", "Stopping program web", ""},
		{"stop -a", 0, "stop [web] false", "", "already stopped: idle, bad"},
		{"stop -- web", 0, "stop [web] false", "", ""},
		{"on idle web", 0, "boot [idle] true", "Turned on: idle\n", "[WARNING] idle is not running now"},
		{"off web", 0, "boot [web] false", "Turned off: web\n", "[WARNING] web keeps running now"},
		{"off idle", 0, "", "", "already off: idle"},
		{"remove -a", 1, "remove [idle bad]", "Removing program idle", "[ERROR] web: it is running"},
		{"log web -n x", 2, "", "", "not a number of lines"},
		{"log web", 0, "", "", "has no log of this kind"},
		{"log idle --showfile", 0, "", "idle.out\n", ""},
		{"log idle -2 --showfile", 0, "", "idle.err\n", ""},
		{"log idle -3 --showfile", 0, "", "upkeep.log\n", ""},
		{"log --showfile", 0, "", "upkeep.log\n", ""},
		{"log idle --rm", 0, "clear idle", "", ""},
		{"log --rm", 1, "", "", "of all programs"},
		{"log idle", 0, "", "", "nothing was written to"},
		{"log web bad", 2, "", "", "give the name of one program"},
		{"log gone", 1, "", "", "is not defined"},
		{"set web startsecs=2.5 env.A.b=yes cwd=x", 0, "set web [{startsecs 3 false} {directory /here/x false}] [{A.b True false}]", "Set startsecs = 2.5\nSet env.A.b = True\nSet cwd = 'x'\nUpdated program web\n", "restart it"},
		{"set idle log_dir=l daemon_log=x", 0, "set idle [{stdout_logfile /here/l/idle.stdout.log false} {stderr_logfile /here/l/idle.stderr.log false}] []", "Set log_dir = 'l'\nUpdated", "has no effect"},
		{"set idle startretries=0", 1, "", "", "startretries: a number of launches is 1 or more"},
		{"set idle nosuch=1", 1, "", "", "there is no option nosuch"},
		{"set idle name=x", 1, "", "", "cannot be set"},
		{"set idle x", 2, "", "", "is not KEY=VALUE"},
		{"set idle", 2, "", "", "KEY=VALUE"},
		{"set bad user=www", 1, "set bad [{user www false}] []", "", "does not stay up"},
		{"list x", 2, "", "", "no arguments"},
		{"show gone", 1, "", "", "is not defined"},
		{"show web --definition", 0, "", "/etc/programs/web.conf\n", ""},
		{"show web --cmd", 0, "", "python3 -m http server\n", ""},
		{"show bad --status", 0, "", "ERROR\n", ""},
		{"add -n new sleep 5", 0, "add new", "Added program new\n", ""},
		{"add -n taken -- sleep 5", 1, "add taken", "", "a program with this name exists: taken; choose another"},
		{"add -r -n bad x", 1, "add bad", "", "does not stay up"},
		{"add --off --run-now -n new x -a", 0, "add new;start [new]", "Starting program new", ""},
		{"add -w -l -n new x", 0, "add new", "", ""},
		{"add -c 'x", 1, "", "", "No closing quotation"},
		{"add -c x y", 1, "", "", "not both"},
		{"add", 1, "", "", "there is no command"},
		{"--nosuch", 2, "", "", "not recognized"},
		{"", 2, "", "", "a command is missing"},
		{"nosuch", 2, "", "", `there is no command "nosuch"`},
		{"@startup enable", 1, "", "", "only root"},
		{"@login on", 2, "", "", "there is no"},
		{"service start", 2, "", "", "install, uninstall"},
		{"run -n new x", 0, "add new;start [new]", "Starting program new", ""},
		{"bg web", 0, "", "in the background already", ""},
		{"bg idle", 1, "", "", "is not running"},
		{"--json-help", 0, "", `"name": "procfile"`, ""},
		{"set --json-help", 0, "", `"name": "set"`, ""},
		{"start --nosuch", 2, "", "", "not recognized"},
		{"-V", 0, "", "upkeep 1.2\n", ""},
		{"--help", 0, "", "  restart   Restart a program\n", ""},
		{"start --help", 0, "", "usage: chalmers start (NAME... | -a) [-w]\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			f := three()
			status, out, errs := run(f, strings.Fields(tt.args)...)
			if status != tt.status || strings.Join(f.calls, ";") != tt.calls {
				t.Errorf("status %d, calls %q\n%s%s", status, f.calls, out, errs)
			}
			if !strings.Contains(out, tt.out) || tt.out == "" && strings.HasPrefix(tt.args, "-q") && out != "" {
				t.Errorf("stdout %q, want %q", out, tt.out)
			}
			if !strings.Contains(errs, tt.err) || tt.err == "" && tt.status == 0 && errs != "" && !strings.HasPrefix(tt.args, "set") {
				t.Errorf("stderr %q, want %q", errs, tt.err)
			}
		})
	}
}

func TestAddDefinition(t *testing.T) {
	f := &fake{}
	status, _, errs := run(f, "add", "--off", "--cwd", "sub", "--stdout", "out.log", "--stderr", "/e.log", "--dont-redirect-stderr", "--daemon-log", "d",
		"-e", "TOKEN", "-e", "GONE", "--", "/bin/echo", "two words", "--flag", "--")
	if status != 0 || errs != "[WARNING] --daemon-log has no effect: what happens to a program is in the instance's own log\n[WARNING] the variable GONE is not set\n" {
		t.Errorf("%d %s", status, errs)
	}
	want := `[program:echo]
command = /bin/echo "two words" --flag --
autostart = false
directory = /here/sub
startsecs = 3
startretries = 2
stopwaitsecs = 10
stop_reach = tree
redirect_stderr = false
stdout_logfile = /here/out.log
stderr_logfile = /e.log
environment =
    TOKEN=x
`
	if d := cmp.Diff(want, string(f.added.INI())); d != "" {
		t.Error(d)
	}
	if status, _, _ = run(f, "add", "-c", "sh -c 'a b'"); status != 0 || f.added.Name != "sh" || f.added.Keys[0].Value != `sh -c "a b"` || !f.added.On {
		t.Errorf("%d %+v", status, f.added)
	}
}

func TestListAndShow(t *testing.T) {
	_, out, _ := run(three(), "list")
	want := `bad                       ERROR          exited with code 3
                                         downtime 0:01:00
idle                      OFF
web                       RUNNING        pid 4711  , uptime 1:00:00
`
	if d := cmp.Diff(want, out); d != "" {
		t.Error(d)
	}
	_, out, _ = run(three(), "show", "web")
	want = `Definition file: /etc/programs/web.conf

State
      paused: False
      status: 'RUNNING'
   child_pid: 4711

Primary Options
        name: 'web'
     command: ['python3', '-m', 'http server']
         cwd: '/srv'
         env: {'PORT': '80%'}

Output Options
      stdout: None
redirect_stderr: True

Process Control Options
startretries: 3
   exitcodes: [0, 2]
  stopsignal: 'SIGINT'
stopwaitsecs: 10

Other Options
       umask: 63
  stop_reach: 'tree'
`
	if d := cmp.Diff(want, out); d != "" {
		t.Error(d)
	}
	for _, args := range [][]string{{"list"}, {"start", "web"}, {"show", "web"}} {
		if status, _, errs := run(&fake{err: errors.New("no daemon")}, args...); status != 1 || errs != "[ERROR] no daemon\n" {
			t.Errorf("%v: %d %s", args, status, errs)
		}
	}
}

// TestSettings: what can be set comes back as it was.
func TestSettings(t *testing.T) {
	tests := []struct{ item, ours, back string }{
		{"command=[a, 'b c', 3]", `command=a "b c" 3`, "['a', 'b c', '3']"},
		{"command=a 'b c'", `command=a "b c"`, "['a', 'b c']"},
		{"cwd=/x", "directory=/x", "'/x'"},
		{"cwd=", "directory=/", "'/'"},
		{"startsecs=5", "startsecs=5", "5"},
		{"startretries=3", "startretries=2", "3"},
		{"exitcodes=[0, 7]", "exitcodes=0,7", "[0, 7]"},
		{"exitcodes=[]", "exitcodes=", "[]"},
		{"stopwaitsecs=0", "stopwaitsecs=0", "0"},
		{"stopsignal=SIGINT", "stopsignal=INT", "'SIGINT'"},
		{"stopsignal=9", "stopsignal=KILL", "'SIGKILL'"},
		{"redirect_stderr=no", "redirect_stderr=false", "False"},
		{"stdout=", "stdout_logfile=NONE", "None"},
		{"stderr=/log/x", "stderr_logfile=/log/x", "'/log/x'"},
		{"umask=077", "umask=077", "63"},
		{"user=www", "user=www", "'www'"},
	}
	covered := map[string]bool{}
	for _, tt := range tests {
		a, err := chalmers.ParseAssignment(tt.item)
		if err != nil {
			t.Fatal(err)
		}
		keys, _, err := setting("x", a, "/cwd")
		if err != nil || len(keys) != 1 || keys[0].Name+"="+keys[0].Value != tt.ours {
			t.Errorf("%s: %v, %v", tt.item, keys, err)
			continue
		}
		covered[a.Key()] = true
		if got := chalmers.Literal(shown("x", keys, nil).Get(a.Key())); got != tt.back {
			t.Errorf("%s: comes back as %s", tt.item, got)
		}
	}
	for _, o := range options() {
		if !covered[o.theirs] {
			t.Errorf("%s is not tested", o.theirs)
		}
	}
	for _, item := range []string{
		"command=", "command=[]", "command=[[a]]", "command=\"'\"", "cwd=[a]", "startsecs=-1", "startsecs=x", "startsecs=.inf", "startretries=1.5", "exitcodes=3",
		"exitcodes=[x]", "exitcodes=[256]", "exitcodes=[-15]", "stopsignal=SIGNOPE", "stopsignal=0", "redirect_stderr=maybe", "stdout=[a]", "umask=0o77", "umask=-1",
		"user=", "user.x=1", "env=3", "env.A=[1]", "log_dir=[x]", "extends=[x]",
	} {
		a, err := chalmers.ParseAssignment(item)
		if err != nil {
			t.Fatal(item, err)
		}
		if keys, env, err := setting("x", a, "/cwd"); err == nil {
			t.Errorf("%s: %v, %v", item, keys, env)
		}
	}
	a, err := chalmers.ParseAssignment("env={A: 1, B: , C: yes}")
	if err != nil {
		t.Fatal(err)
	}
	_, env, err := setting("x", a, "")
	if d := cmp.Diff([]imports.EnvVar{{Name: "A", Value: "1"}, {Name: "B"}, {Name: "C", Value: "True"}}, env); d != "" || err != nil {
		t.Error(d, err)
	}
}
