package supervisord

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// write makes a file of a test.
func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// mustLoad reads a text as main file.
func mustLoad(t testing.TB, dir, text string) *Config {
	t.Helper()
	path := write(t, dir, "supervisord.conf", text)
	cfg, err := Load(&Args{Prog: "supervisord", Configuration: &path}, testEnv(dir))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestCommandLineOverrides(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "s.conf", "[supervisord]\nlogfile=a\npidfile=b\nloglevel=warn\nuser=nosuch\nminfds=1\nidentifier=x\nnodaemon=false\n")
	a, err := ParseArgsIn(testEnv(dir), "s", strings.Fields("-c s.conf -n -e trace -l l -j p -u nobody -a 7 -i y -z 0 -y 0 -d / -q /usr -m 7 --minprocs 3"))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := Load(a, testEnv(dir))
	if err != nil {
		t.Fatal(err)
	}
	want := Settings{
		ConfigFile: dir + "/s.conf", Here: dir, LogFile: dir + "/l", LogLevel: units.LevelTrace, PIDFile: dir + "/p", Umask: 7,
		NoDaemon: true, MinFDs: 7, MinProcs: 3, ChildLogDir: "/usr", User: "nobody", UID: 65534, GID: 65534, Directory: "/", Identifier: "y",
	}
	if d := cmp.Diff(want, cfg.Settings); d != "" {
		t.Error(d)
	}
}

// TestReadAgainFromElsewhere: a relative -c must still be found when the daemon has moved (F5).
func TestReadAgainFromElsewhere(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "s.conf", "[supervisord]\n[program:x]\ncommand=%(here)s/x\nstartsecs=1\n")
	a := &Args{Prog: "s", Configuration: ptr("./s.conf")}
	first, err := Load(a, testEnv(dir))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(Location{Given: "./s.conf", Path: dir + "/s.conf"}, first.Location); d != "" {
		t.Error(d)
	}
	again, err := LoadFrom(a, first.Location, testEnv("/usr"))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(first.Model, again.Model); d != "" {
		t.Error(d)
	}
	write(t, dir, "s.conf", "[supervisord]\n[program:x]\ncommand=x\nstartsecs=a\n")
	_, err = LoadFrom(a, first.Location, testEnv("/usr"))
	want := &Error{
		Text: "invalid literal for int() with base 10: 'a' in section 'program:x' (file: './s.conf')",
		File: "./s.conf", Line: 4, Section: "program:x", Key: "startsecs",
	}
	if d := cmp.Diff(want, err); d != "" {
		t.Error(d)
	}
}

func TestModelDetails(t *testing.T) {
	cfg := mustLoad(t, t.TempDir(), `[supervisord]
environment=B=global,A=global
[program:x]
command=a b
environment=B=own,C=own
user=nobody
stopasgroup=true
startsecs=2
stopwaitsecs=3
child_sigpipe=ignore
log_full=block
stdin=none
stop_reach=tree
reload_signal=hup
[eventlistener:l]
command=l
events=tick_5,EVENT,TICK_5
event_len=bytes
`)
	x := cfg.Model.Group("x").Programs[0]
	wantCommand := model.Command{
		Line: "a b", Umask: -1, UID: 65534, User: "nobody", IgnoreSIGPIPE: true,
		Env: []model.EnvVar{{Name: "A", Value: "global"}, {Name: "B", Value: "own"}, {Name: "C", Value: "own"}},
	}
	if d := cmp.Diff(wantCommand, x.Command); d != "" {
		t.Error(d)
	}
	wantStop := model.StopPolicy{Signal: 15, Wait: 3 * time.Second, Reach: model.ReachTree, KillReach: model.ReachTree}
	if d := cmp.Diff(wantStop, x.Stop); d != "" {
		t.Error(d)
	}
	if !x.IO.BlockWhenFull || cfg.Model.Group("l").Programs[0].IO.BlockWhenFull {
		t.Error("log_full")
	}
	if x.Reload != 1 || cfg.Model.Group("l").Programs[0].Reload != 0 {
		t.Error("reload_signal")
	}
	if !x.IO.NoStdin || cfg.Model.Group("l").Programs[0].IO.NoStdin {
		t.Error("stdin")
	}
	if x.Section != "x" || x.Kind != model.KindProgram || x.Origin.Line != 3 || x.Origin.Dialect != Dialect || x.Start.Secs != 2*time.Second {
		t.Errorf("%+v", x)
	}
	l := cfg.Model.Group("l")
	if d := cmp.Diff(&model.Pool{Events: []string{"TICK_5", "EVENT"}, Buffer: 10, ResultHandler: defaultHandler, LenBytes: true}, l.Pool); d != "" {
		t.Error(d)
	}
	if l.Kind != model.KindEventListener || l.Programs[0].Kind != model.KindEventListener || l.Priority != -1 || cfg.Model.Groups[0] != l {
		t.Errorf("%+v", l)
	}
}

func TestMessageOrder(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.ini", "[program:x]\ncommand=a\nnope=1\nstdout_logfile=syslog\n")
	cfg := mustLoad(t, dir, "[include]\nfiles=*.ini none\n[supervisord]\n")
	var levels []string
	for _, m := range cfg.Messages {
		levels = append(levels, m.Level.Tag())
	}
	if got := strings.Join(levels, " "); got != "CRIT WARN WARN INFO DEBG" || cfg.Messages[0].Text != rootText {
		t.Errorf("%s: %v", got, cfg.Messages)
	}
	if d := cmp.Diff([]string{dir + "/supervisord.conf", dir + "/a.ini"}, cfg.Files); d != "" {
		t.Error(d)
	}
}

func TestWarningOnce(t *testing.T) {
	cfg := mustLoad(t, t.TempDir(), "[supervisord]\nuser=root\n[program:x]\ncommand=a\nnumprocs=50\nprocess_name=%(process_num)s\nstdout_logfile=syslog\n")
	if len(cfg.Messages) != 1 {
		t.Error(cfg.Messages)
	}
}

func TestSharedLogs(t *testing.T) {
	const text = "[supervisord]\nuser=root\n[program:a]\ncommand=a\nstdout_logfile=LOG\n[program:b]\ncommand=b\nstdout_logfile=LOG\nSIZE\n"
	for _, tc := range []struct {
		log, size string
		warned    bool
	}{
		{"DIR/x/log", "", true},
		{"DIR/x/../x/log", "", true},
		{"DIR/x/log", "stdout_logfile_maxbytes=0", false}, // only one of them rotates
		{"AUTO", "", false},
		{"NONE", "", false},
	} {
		dir := t.TempDir()
		if err := os.Mkdir(dir+"/x", 0o755); err != nil {
			t.Fatal(err)
		}
		log := strings.ReplaceAll(tc.log, "DIR", dir)
		cfg := mustLoad(t, dir, strings.NewReplacer("LOG", log, "SIZE", tc.size).Replace(text))
		warned := len(cfg.Messages) == 1 && cfg.Messages[0].Level == units.LevelWarn &&
			strings.HasSuffix(cfg.Messages[0].Text, " is also that of a; the output of both is mixed there")
		if warned != tc.warned || !warned && len(cfg.Messages) > 0 {
			t.Errorf("%+v: %v", tc, cfg.Messages)
		}
	}
}

func TestServers(t *testing.T) {
	cfg := mustLoad(t, t.TempDir(), "[supervisord]\n[inet_http_server:a]\nport=[::1]:9001\ninsecure_http=yes\n[unix_http_server:b]\nfile=/x\n")
	a, b := cfg.Servers[0], cfg.Servers[1]
	if a.URL() != "http://[::1]:9001" || b.URL() != "unix:///x" || a.Name != "a" || b.Name != "b" || !a.InsecureHTTP || b.InsecureHTTP {
		t.Errorf("%+v %+v", a, b)
	}
}

func TestRPCInterfaces(t *testing.T) {
	cfg := mustLoad(t, t.TempDir(), "[DEFAULT]\nx=%(nope)s\n[supervisord]\nx=\n[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory="+StandardFactory+"\n")
	if i := cfg.RPCInterfaces; len(i) != 1 || !i[0].Standard || i[0].Namespace != "supervisor" || len(i[0].Options) != 0 {
		t.Errorf("%+v", i)
	}
	cfg = mustLoad(t, t.TempDir(), "[supervisord]\n[rpcinterface:t]\nsupervisor.rpcinterface_factory=a:b\nk=%(ENV_WHO)s\n")
	if i := cfg.RPCInterfaces; len(i) != 1 || i[0].Standard || i[0].Options["k"] != "me" || cfg.Messages[1].Level != units.LevelWarn {
		t.Errorf("%+v %v", i, cfg.Messages)
	}
}

func TestCtl(t *testing.T) {
	dir := t.TempDir()
	env := testEnv(dir)
	full := write(t, dir, "full.conf", "[supervisorctl]\nserverurl=unix://%(here)s/./x.sock\nusername=u\npassword=50%%\nprompt=%(ENV_WHO)s\nhistory_file=~/h\n[include]\nfiles=*\n")
	got, err := LoadCtl("p", &full, env)
	want := &Ctl{ServerURL: "unix://" + dir + "/x.sock", Username: "u", Password: "50%", Prompt: "me", HistoryFile: "/usr/h", Location: Location{full, full}}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(d, err)
	}
	plugin := write(t, dir, "plugin.conf", "[supervisorctl]\n[ctlplugin:x]\nsupervisor.ctl_factory=a:b\n")
	got, err = LoadCtl("p", &plugin, env)
	if err != nil || got.ServerURL != DefaultServerURL || got.Prompt != "supervisor" || len(got.Messages) != 1 ||
		len(got.Plugins) != 1 || got.Plugins[0].Command != "supervisorctl-x" {
		t.Errorf("%+v %v", got, err)
	}
	for text, want := range map[string]string{
		"":                                   ".ini file does not include supervisorctl section",
		"x\n":                                "File contains no section headers.\nfile: '$', line: 1\n'x\\n'",
		"[supervisorctl]\nx\n":               "Source contains parsing errors: '$'\n\t[line  2]: 'x\\n'",
		"[supervisorctl]\n[ctlplugin:x]\n":   "section [ctlplugin:x] does not specify a supervisor.ctl_factory",
		"[supervisorctl]\nprompt=%(here)d\n": "",
	} {
		path := write(t, dir, "bad.conf", text)
		_, err := LoadCtl("p", &path, env)
		if err == nil || want != "" && strings.ReplaceAll(err.Error(), path, "$") != want {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := LoadCtl("p", ptr("nope.conf"), env); err == nil || err.Error() != "could not find config file nope.conf" {
		t.Error(err)
	}
	write(t, dir, "supervisord.conf", "[supervisorctl]\nserverurl=http://x:1\n")
	if got, err = LoadCtl("/nope/bin/p", nil, env); err != nil || got.ServerURL != "http://x:1" || got.Location.Path != dir+"/supervisord.conf" {
		t.Errorf("%+v %v", got, err)
	}
}

func TestGlob(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.conf", "b.conf", "é.conf", ".h.conf", "[x].conf", "d/a.conf", "e/a.conf", "e/f/a.conf", "a^.ini"} {
		write(t, dir, name, "")
	}
	for pattern, want := range map[string]string{
		"*.conf": "[x].conf a.conf b.conf é.conf", "?.conf": "a.conf b.conf é.conf", ".*": ".h.conf", "[ab].conf": "a.conf b.conf",
		"[!ab].conf": "é.conf", "[a-a].conf": "a.conf", "*/a.conf": "d/a.conf e/a.conf", "**/a.conf": "d/a.conf e/a.conf", "*/": "d/ e/",
		"a.conf": "a.conf", "nope": "", "nope/*": "", "[[]x].conf": "[x].conf", "[x": "", "*a*^*.*i": "a^.ini", "[^b].conf": "b.conf",
		"d/../*.ini": "d/../a^.ini", "a.conf/*": "",
	} {
		var got []string
		for _, p := range glob(dir + "/" + pattern) {
			got = append(got, strings.TrimPrefix(p, dir+"/"))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", pattern, got, want)
		}
	}
}

func TestPaths(t *testing.T) {
	env := testEnv("/cwd")
	for in, want := range map[string]string{
		"": "/cwd", "x": "/cwd/x", "/a/../b//c": "/b/c", "//a/b": "//a/b", "///a": "/a", "~": "/usr", "~/x": "/usr/x", "~nobody/x": "/nonexistent/x",
		"~nosuch/x": "/cwd/~nosuch/x", "a~": "/cwd/a~", "/": "/",
	} {
		if got := env.normalize(in); got != want {
			t.Errorf("normalize(%q) = %q, want %q", in, got, want)
		}
	}
	env.Vars = map[string]string{"HOME": "/"}
	if got := env.expandUser("~"); got != "/" {
		t.Error(got)
	}
	env.Vars = nil
	if got := env.expandUser("~/x"); got != "/root/x" {
		t.Error(got)
	}
	for in, want := range map[string]string{"a": "", "a/b": "a", "/a": "/", "a//b": "a", "/a/": "/a", "": "", "//": "//"} {
		if got := dirName(in); got != want {
			t.Errorf("dirName(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestSystemEnviron(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("UPKEEP_TEST_VARIABLE", "a=b")
	env, err := SystemEnviron()
	if err != nil || env.TempDir != dir || env.Vars["UPKEEP_TEST_VARIABLE"] != "a=b" || env.UID != os.Getuid() || !filepath.IsAbs(env.Cwd) {
		t.Errorf("%+v %v", env, err)
	}
	if got := tempDir(map[string]string{"TMPDIR": "/nope/dir", "TEMP": dir}, "/"); got != dir {
		t.Error(got)
	}
	if _, ok := env.Users.UserByName("no such user"); ok {
		t.Error("found")
	}
}

func TestSuggestion(t *testing.T) {
	known := []string{"autostart", "autorestart", "user", "umask"}
	for word, want := range map[string]string{
		"autostrat": ", did you mean 'autostart'?", "usr": ", did you mean 'user'?", "zzzz": "", "autostart": "", "x": "",
	} {
		if got := suggestion(word, known); got != want {
			t.Errorf("%s: %q", word, got)
		}
	}
}

func TestStartupErrors(t *testing.T) {
	for _, tc := range []struct {
		err  *Error
		want string
	}{
		{ErrMinFDs(9999, 4096), "only allow you to open 4096 file descriptors."},
		{ErrMinProcs(99, 7), "only allow you to open 7 processes."},
	} {
		if !strings.Contains(tc.err.Error(), tc.want) {
			t.Errorf("%q lacks %q", tc.err, tc.want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(parseArchive(string(text)).files[0].text)
	}
	f.Add(mainSection + "[program:a]\ncommand=x\ndepends_on=b:started,c\ncheck.x=http http://h/ every=2\nhealth_tcp=80\nmonitor_after=1\nrestart_delay=.5\n" +
		"startretries=unlimited\npidfile=/p\ntrack=pidfile\nmatch=a+\nscan=1\n[program:b]\ncommand=x\nlog_mode=direct\nnotify=n\nemail_alerts=root\nenabled=0\n" +
		"[program:c]\ncommand=x\nready=notify\nmemory_restart=1MB\nactivity_file=/x\nactivity_limit=1d\ndefaults=d\n[defaults:d]\ndefaults=e\n[defaults:e]\numask=7\n" +
		"[notify:n]\nto=mailto:a@b, exec:x,y\nvia=smtps://h\non=fatal,restart:5/10m\ngroups=a\nrepeat=1h\n")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		if lower := strings.ToLower(text); strings.Contains(lower, "numprocs") || strings.Contains(lower, "include") {
			t.Skip("many processes and foreign files take long")
		}
		path := write(t, t.TempDir(), "s.conf", text)
		cfg, err := Load(&Args{Prog: "s", Configuration: &path}, testEnv(dir))
		if err != nil {
			if _, ok := err.(*Error); !ok {
				t.Errorf("%T: %v", err, err)
			}
			return
		}
		if circle := model.Circle(cfg.Model); circle != nil {
			t.Errorf("%v wait for each other", circle)
		}
		names := map[string]bool{}
		for _, g := range cfg.Model.Groups {
			for _, p := range g.Programs {
				if p.ID.Group != g.Name && g.Kind != model.KindEventListener || names[p.ID.Namespec()] {
					t.Errorf("process %v in group %q", p.ID, g.Name)
				}
				names[p.ID.Namespec()] = true
				for _, c := range p.Checks {
					if again, err := ParseCheck(c.Name, strings.TrimPrefix(c.String(), c.Name+"=")); err != nil || again != c {
						t.Errorf("%s is read as %s, %v", c, again, err)
					}
				}
				if p.Attach.PIDFile != "" && !isAbs(p.Attach.PIDFile) || p.IO.Direct && (p.IO.Stdout.Events || p.IO.Stdout.MaxBytes != 0) {
					t.Errorf("%+v", p)
				}
			}
		}
	})
}
