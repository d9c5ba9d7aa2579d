package supervisord

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// TestProgramFileTellsAllProblems: one reading names every mistake with its line, and what is right in other sections stays.
func TestProgramFileTellsAllProblems(t *testing.T) {
	dir := t.TempDir()
	path := dir + "/web.conf"
	groups, _, problems := ReadProgramFile(path, []byte(`[program:web]
command = /bin/cat %(program_nam)s
autorestrat = true
stopsignal = TREM
startsecs = soon
numprocs = 2
nonsense
[program:good]
command = %(here)s/x
[programm:x]
[upkeep]
strict = true
[program:bad]
command = 100%
environment = A="
env.SECRET = hunter2%
env_file = none.env
autorestart = treu
defaults = wbe
user = nobody-such
stopasgroup = true
killasgroup = no
redirect_stderr = maybe
[group:g]
programs = good,nope
priority = high
[defaults:web]
umask = 9
startsec = 3
`), testEnv(dir))
	var got []string
	for _, p := range problems {
		if p.File != path {
			t.Errorf("%+v", p)
		}
		line := strings.TrimPrefix(p.Text, path)
		if p.Suggestion != "" {
			line += " -> " + p.Suggestion
		}
		got = append(got, line)
	}
	want := []string{
		"command: there is no %(program_nam)s to fill in -> program_name",
		`unknown key "autorestrat" -> autorestart`,
		"stopsignal=TREM is not the name or number of a signal -> TERM",
		"startsecs=soon is not a whole number of seconds",
		"%(process_num) must be present within process_name when numprocs > 1",
		"neither a section nor key = value: nonsense",
		"[programm:x] does not belong in a file of programs -> program",
		"[upkeep] does not belong in a file of programs",
		"command: a per cent sign of its own is written %% (incomplete format)",
		"No closing quotation",
		"env.SECRET: a per cent sign of its own is written %% (incomplete format)",
		"env_file none.env: no such file or directory (" + dir + "/none.env)",
		"autorestart=treu is not true, false or unexpected -> true",
		"there is no section [defaults:wbe] -> web",
		"Invalid user name nobody-such",
		"Cannot set stopasgroup=true and killasgroup=false",
		"redirect_stderr=maybe is not yes or no (true, yes, on, 1; false, no, off, 0)",
		"[group:g] names unknown program or fcgi-program nope",
		"priority=high is not a whole number",
		"umask=9 is not an octal mode such as 0700 or 022",
		`unknown key "startsec" -> startsecs`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if len(groups) != 0 { // good is in a group that is not right
		t.Errorf("%+v", groups[0])
	}
}

func TestProgramFileGoesOn(t *testing.T) {
	dir := t.TempDir()
	groups, _, problems := ReadProgramFile(dir+"/x.conf", []byte("[program:a]\n[program:b]\ncommand=b\nnumprocs=9000000\n[program:c]\ncommand=%(here)s/c\n"), testEnv(dir))
	if len(problems) != 2 || problems[0].Line != 1 || problems[1].Line != 4 {
		t.Errorf("%+v", problems)
	}
	if len(groups) != 1 || groups[0].Name != "c" || groups[0].Programs[0].Command.Line != dir+"/c" {
		t.Errorf("%+v", groups)
	}
	for _, text := range []string{"\ufeff[program:x]\ncommand=x\n", "\xff\xfe[\x00p\x00"} {
		if _, _, problems := ReadProgramFile("x", []byte(text), testEnv(dir)); len(problems) != 1 || !strings.Contains(problems[0].Text, "byte order mark") {
			t.Errorf("%q: %+v", text, problems)
		}
	}
	if groups, _, problems := ReadProgramFile("x", []byte("command=x\n[program:x]\n"), testEnv(dir)); len(groups) != 0 || len(problems) != 1 || problems[0].Line != 1 {
		t.Errorf("%+v %+v", groups, problems)
	}
}

func TestVariables(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "srv/.env", "export FILE='from # file'\nBOTH=file\nOVER=file\nGLOBAL=file\n")
	write(t, dir, "srv/two.env", "TWO=2\nFILE=second\n")
	cfg := mustLoad(t, dir, `[supervisord]
environment=GLOBAL=global,ALL=all
[program:x]
command=run %(ENV_FILE)s %(ENV_BOTH)s %(ENV_PORT)s
environment=BOTH="environment",OVER="environment"
directory=%(here)s/%(ENV_WHERE)s
env_file=.env, two.env
env.WHERE=srv
ENV.Port = it's "%(program_name)s", 100%% %(ENV_BOTH)s
env.PORT=3030
env.OVER:env
`)
	p := cfg.Model.Group("x").Programs[0]
	want := []model.EnvVar{
		{Name: "ALL", Value: "all"},
		{Name: "BOTH", Value: "environment"},
		{Name: "FILE", Value: "second"},
		{Name: "GLOBAL", Value: "file"},
		{Name: "OVER", Value: "env"},
		{Name: "PORT", Value: "3030"},
		{Name: "Port", Value: `it's "x", 100% environment`},
		{Name: "TWO", Value: "2"},
		{Name: "WHERE", Value: "srv"},
	}
	if d := cmp.Diff(want, p.Command.Env); d != "" {
		t.Error(d)
	}
	if p.Command.Line != "run second environment 3030" || p.Command.Dir != dir+"/srv" {
		t.Errorf("%+v", p.Command)
	}
}

func TestEnvFileErrors(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "bad.env", "A=1\nnothing\n")
	write(t, dir, "large.env", strings.Repeat("#", maxEnvFile+1))
	for name, want := range map[string]string{
		"no.env":    "env_file no.env: no such file or directory (" + dir + "/no.env)",
		".":         "env_file .: not a regular file (" + dir + ")",
		"bad.env":   "env_file bad.env: " + dir + "/bad.env:2: there is no = in it",
		"large.env": "env_file large.env: larger than 1 MB (" + dir + "/large.env)",
	} {
		_, _, problems := ReadProgramFile("x.conf", []byte("[program:x]\ncommand=x\nenv_file="+name+"\n"), testEnv(dir))
		if len(problems) != 1 || problems[0].Text != want || problems[0].Line != 3 {
			t.Errorf("%s: %+v", name, problems)
		}
	}
	if _, err := os.Stat(dir + "/x.conf"); err == nil {
		t.Error("the file itself was looked at")
	}
}

// TestVariableErrorsKeepSecrets: the value of env.NAME is in no message, in either dialect.
func TestVariableErrorsKeepSecrets(t *testing.T) {
	for _, text := range []string{"hunter2%", "%(nope)s hunter2", "hunter2 %(here)d"} {
		dir := t.TempDir()
		path := write(t, dir, "s.conf", "[supervisord]\n[program:x]\ncommand=x\nenv.A="+text+"\n")
		_, err := LoadFrom(&Args{}, Location{path, path}, testEnv(dir))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v", err)
		}
		_, _, problems := ReadProgramFile(path, []byte("[program:x]\ncommand=x\nenv.A="+text+"\n"), testEnv(dir))
		if len(problems) != 1 || strings.Contains(problems[0].Text, "hunter2") {
			t.Errorf("%+v", problems)
		}
	}
}

const inheriting = `[supervisord]
[DEFAULT]
umask=1
[defaults]
stopwaitsecs=30
startsecs=5
env.A=general
env.B=general
redirect_stderr=true
[program-default]
startsecs=6
startretries=7
[defaults:one]
command=/bin/%(program_name)s
env.B=one
priority=1
[defaults:two]
priority=2
[program:x]
defaults=one, two
env.C=own
startretries=8
[program:y]
command=y
umask=2
[eventlistener:l]
command=l
events=EVENT
defaults=two
`

func TestDefaults(t *testing.T) {
	dir := t.TempDir()
	cfg := mustLoad(t, dir, inheriting)
	x, y, l := cfg.Model.Group("x").Programs[0], cfg.Model.Group("y").Programs[0], cfg.Model.Group("l").Programs[0]
	if x.Command.Line != "/bin/x" || x.Priority != 2 || x.Start.Secs != seconds(5) || x.Start.Retries != 8 || x.Stop.Wait != seconds(30) ||
		x.Command.Umask != 1 || !x.IO.MergeStderr {
		t.Errorf("%+v", x)
	}
	if d := cmp.Diff([]model.EnvVar{{Name: "A", Value: "general"}, {Name: "B", Value: "one"}, {Name: "C", Value: "own"}}, x.Command.Env); d != "" {
		t.Error(d)
	}
	if y.Start.Retries != 7 || y.Command.Umask != 2 || y.Priority != 999 {
		t.Errorf("%+v", y)
	}
	if l.Priority != 2 || l.Start.Secs != seconds(1) || l.IO.MergeStderr {
		t.Errorf("%+v", l)
	}
	for _, m := range cfg.Messages {
		if strings.Contains(m.Text, "unknown") {
			t.Error(m.Text)
		}
	}
	path := write(t, dir, "bad.conf", "[supervisord]\n[defaults:web]\n[program:x]\ncommand=x\ndefaults=wbe\n")
	_, err := LoadFrom(&Args{}, Location{path, path}, testEnv(dir))
	want := &Error{Text: "there is no section [defaults:wbe], did you mean 'web'?", File: path, Line: 5, Section: "program:x", Key: "defaults"}
	if d := cmp.Diff(want, err); d != "" {
		t.Error(d)
	}
}

func TestShared(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "100%")
	write(t, dir, "logs/there", "")
	write(t, dir, "upkeep.conf", "[supervisord]\nenvironment=G=g\n[defaults]\nstopwaitsecs=7\ndirectory=%(here)s\n[defaults:w]\npriority=3\n")
	c, err := LoadNative(nativeIn(dir), testEnv(dir))
	if err != nil {
		t.Fatal(err)
	}
	groups, _, problems := c.Shared.ReadProgramFile(dir+"/programs/x.conf", []byte("[program:x]\ncommand=x\ndefaults=w\n"), testEnv(dir))
	if len(problems) != 0 || len(groups) != 1 {
		t.Fatalf("%+v", problems)
	}
	p := groups[0].Programs[0]
	if p.Priority != 3 || p.Stop.Wait != seconds(7) || p.Command.Dir != dir || len(p.Command.Env) != 1 {
		t.Errorf("%+v", p)
	}
	if _, _, problems := (Shared{}).ReadProgramFile("x", []byte("[program:x]\ncommand=x\ndefaults=w\n"), testEnv(dir)); len(problems) != 1 {
		t.Errorf("%+v", problems)
	}
}

func TestEffective(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "s.conf", inheriting+"[program:many]\ncommand=m %(process_num)d\nprocess_name=m%(process_num)d\nnumprocs=2\nenvironment=S=\"hunter2\",T=t\n")
	shown := func(id model.ID, reveal bool) map[string]string {
		t.Helper()
		values, err := Effective(Location{"s.conf", path}, testEnv(dir), id, reveal)
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]string{}
		for _, v := range values {
			if _, twice := all[v.Key]; twice {
				t.Errorf("%s is there twice", v.Key)
			}
			all[v.Key] = v.Text + " (" + v.Source() + ")"
		}
		return all
	}
	got := shown(model.ID{Group: "x", Name: "x"}, false)
	for key, want := range map[string]string{
		"command": "/bin/x (defaults:one s.conf:14)", "priority": "2 (defaults:two s.conf:18)", "startretries": "8 (s.conf:22)",
		"stopsignal": "TERM (default)", "process_name": "x (default)", "umask": "1 (DEFAULT s.conf:3)", "user": " (default)",
		"env.A": "A (defaults s.conf:7)", "env.C": "C (s.conf:21)", "stopwaitsecs": "30 (defaults s.conf:5)",
	} {
		if got[key] != want {
			t.Errorf("%s: %q, want %q", key, got[key], want)
		}
	}
	many := shown(model.ID{Group: "many", Name: "m1"}, false)
	if many["command"] != "m 1 (s.conf:31)" || many["environment"] != "S,T (s.conf:34)" {
		t.Errorf("%+v", many)
	}
	if many = shown(model.ID{Group: "many", Name: "m0"}, true); !strings.HasPrefix(many["environment"], `S="hunter2",T=t`) {
		t.Errorf("%+v", many)
	}
	if len(shown(model.ID{Group: "nope", Name: "nope"}, false)) != 0 {
		t.Error("values of nothing")
	}
	values := Shared{}.Effective("f", []byte("[program:x]\ncommand=x\n[program:y]\nnope=1\n"), testEnv(dir), model.ID{Group: "x", Name: "x"}, false)
	if len(values) == 0 || values[0] != (Value{Key: "command", Text: "x", File: "f", Line: 2}) {
		t.Errorf("%+v", values)
	}
}

// TestNativeShares: the instance's own file has defaults and variables for the files of programs, and the values of a
// program are traced through all of them.
func TestNativeShares(t *testing.T) {
	dir := t.TempDir()
	n := Native{
		File:     write(t, dir, "upkeep.conf", "[supervisord]\nenvironment=ALL=all\n[defaults]\nstopwaitsecs=7\n[defaults:w]\npriority=3\n[program:main]\ncommand=m\n"),
		Programs: dir + "/programs", Logs: dir, Socket: dir + "/s", PIDFile: dir + "/p",
	}
	file := write(t, dir, "programs/web.conf", "[program:web]\ncommand=x\ndefaults=w\nenv.A=secret\n")
	c, err := LoadNative(n, testEnv(dir))
	if err != nil || len(c.Invalid) != 0 {
		t.Fatal(err, c.Invalid)
	}
	web := c.Model.Group("web").Programs[0]
	want := []model.EnvVar{{Name: "A", Value: "secret"}, {Name: "ALL", Value: "all"}}
	if d := cmp.Diff(want, web.Command.Env); d != "" || web.Stop.Wait != seconds(7) || web.Priority != 3 {
		t.Errorf("%+v\n%s", web, d)
	}
	for _, tc := range []struct {
		p         *model.Program
		key, want string
	}{
		{web, "command", "x " + file + ":2"},
		{web, "stopwaitsecs", "7 defaults " + n.File + ":4"},
		{web, "priority", "3 defaults:w " + n.File + ":6"},
		{web, "env.A", "A " + file + ":4"},
		{web, "user", " default"},
		{c.Model.Group("main").Programs[0], "command", "m " + n.File + ":8"},
		{c.Model.Group("main").Programs[0], "stopwaitsecs", "7 defaults " + n.File + ":4"},
	} {
		values, err := EffectiveNative(n, testEnv(dir), tc.p, false)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, v := range values {
			if v.Key == tc.key {
				got = v.Text + " " + v.Source()
			}
		}
		if got != tc.want {
			t.Errorf("%s %s: %q, want %q", tc.p.ID, tc.key, got, tc.want)
		}
	}
}
