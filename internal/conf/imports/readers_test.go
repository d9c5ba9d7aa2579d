package imports

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// put writes files below a folder and gives the folder.
func put(t testing.TB, dir string, files map[string]string) string {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestScan(t *testing.T) {
	root, home, cwd := t.TempDir(), t.TempDir(), t.TempDir()
	pidfile := filepath.Join(root, "supervisord.pid")
	put(t, root, map[string]string{
		"etc/supervisor/supervisord.conf": "[supervisord]\npidfile=" + pidfile + "\n[program:a]\ncommand=x\n[program:b]\ncommand=x\n",
		"supervisord.pid":                 "4242\n",
		"etc/systemd/system/a.service":    "[Service]\nExecStart=/bin/a\n",
	})
	put(t, home, map[string]string{
		".pm2/dump.pm2":                      `[{"name": "w", "pm_exec_path": "/w.js", "pm_pid_path": "` + home + `/.pm2/pids/w-0.pid", "pm_uptime": 1700000000000}]`,
		".pm2/pm2.pid":                       "99",
		".pm2/pids/w-0.pid":                  "4343\n",
		".config/chalmers/programs/web.yaml": "command: [x]\n",
		".config/chalmers/state/web.yaml":    "child_pid: 4002\nstart_time: 1700000000\n",
		".config/systemd/user/mine.service":  "[Service]\nType=forking\nExecStart=/bin/x\n",
	})
	put(t, cwd, map[string]string{"Procfile": "a: x\nb: y\nbroken\n", "docker-compose.yml": "services: {a: {command: x}}", "ecosystem.config.yaml": "apps: [{script: a.js}]"})
	w := testWorld()
	w.Root, w.Home, w.Cwd = root, home, cwd
	got := Scan(w)
	want := []Found{
		{"supervisor", root + "/etc/supervisor/supervisord.conf", 2, 0, 4242},
		{"pm2", home + "/.pm2/dump.pm2", 1, 0, 0},
		{"chalmers", home + "/.config/chalmers", 1, 0, 4002},
		{"systemd", home + "/.config/systemd/user", 0, 1, 0},
		{"systemd", root + "/etc/systemd/system", 1, 0, 0},
		{"procfile", cwd + "/Procfile", 2, 1, 0},
		{"compose", cwd + "/docker-compose.yml", 1, 0, 0},
		{"pm2", cwd + "/ecosystem.config.yaml", 1, 0, 0},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	report, err := Read("pm2", filepath.Join(home, ".pm2", "dump.pm2"), w)
	if err != nil || report.Programs[0].Live == nil || report.Programs[0].Live.PID != 4343 || !report.Programs[0].Live.Start.Equal(time.Unix(1700000000, 0)) {
		t.Errorf("%+v, %v", report, err)
	}

	w.UID, w.Started = 1000, nil
	for _, f := range Scan(w) {
		if f.PID != 0 || strings.HasPrefix(f.Path, root+"/etc/systemd") {
			t.Errorf("%+v", f)
		}
	}
	if got := Scan(&World{Home: t.TempDir(), Cwd: t.TempDir(), Root: t.TempDir()}); got != nil {
		t.Errorf("on an empty machine: %v", got)
	}
}

// TestOutside: what a source names outside of its folder is not read, also not through links.
func TestOutside(t *testing.T) {
	outside := put(t, t.TempDir(), map[string]string{"secret": "SECRET=1\n", "more.conf": "[program:more]\ncommand=x\n"})
	dir := put(t, t.TempDir(), map[string]string{
		"supervisord.conf": "[include]\nfiles=conf.d/*.conf " + outside + "/*.conf ../*/more.conf\n[program:a]\ncommand=x\n",
		"conf.d/own.conf":  "[program:own]\ncommand=x\n",
		"compose.yaml":     "services: {a: {command: x, env_file: [link, " + outside + "/secret]}}\n",
		"a.service":        "[Service]\nExecStart=/bin/x\nEnvironmentFile=" + outside + "/secret\n",
		"Procfile":         "a: x\n",
	})
	for link, target := range map[string]string{"conf.d/link.conf": "more.conf", "link": "secret", ".env": "secret", ".foreman": "secret"} {
		if err := os.Symlink(filepath.Join(outside, target), filepath.Join(dir, filepath.FromSlash(link))); err != nil {
			t.Skip(err)
		}
	}
	for kind, file := range map[string]string{"supervisor": "supervisord.conf", "compose": "compose.yaml", "systemd": "a.service", "procfile": "Procfile"} {
		r, err := Read(kind, filepath.Join(dir, file), testWorld())
		if err != nil {
			t.Fatal(err)
		}
		names := ""
		for _, p := range r.Programs {
			names += p.Name + " "
			for _, v := range p.Env {
				if v.Name == "SECRET" {
					t.Errorf("%s: read a file outside", kind)
				}
			}
		}
		if want := map[bool]string{true: "a own ", false: "a "}[kind == "supervisor"]; names != want {
			t.Errorf("%s: programs %s", kind, names)
		}
		if kind != "systemd" && len(r.Problems) == 0 {
			t.Errorf("%s: nothing is said about it", kind)
		}
	}
}

// TestNothingRuns: the package cannot execute or connect. Source: spec/reliability S32.
func TestNothingRuns(t *testing.T) {
	for _, dir := range []string{".", "../chalmers", "../tree"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range f.Imports {
				if path, _ := strconv.Unquote(i.Path.Value); path == "os/exec" || path == "syscall" || path == "net" || strings.HasPrefix(path, "net/") {
					t.Errorf("%s imports %s", name, path)
				}
			}
		}
	}
}

// TestOrdinaryUser: an instance that is not root's cannot change users.
func TestOrdinaryUser(t *testing.T) {
	dir := put(t, t.TempDir(), map[string]string{"a.service": "[Service]\nExecStart=/bin/x\nUser=www\nWorkingDirectory=/srv\n"})
	w := testWorld()
	w.UID = 1000
	r, err := Read("systemd", filepath.Join(dir, "a.service"), w)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := r.Programs[0].Get("user"); ok || !strings.Contains(strings.Join(r.Programs[0].Dropped, "\n"), "User=www: only root's") {
		t.Errorf("%+v", r.Programs[0])
	}
}

// TestUnwritable: values that no configuration file can hold are left out and reported.
func TestUnwritable(t *testing.T) {
	dir := put(t, t.TempDir(), map[string]string{"e.json": `[{"name": "a", "script": "x", "interpreter": "none", "cwd": "/a ;b", "env": {"A": "x\ry", "B": "1", "": "2"}},
		{"name": "b", "script": "x\r", "interpreter": "none"}]`})
	r, err := Read("pm2", filepath.Join(dir, "e.json"), testWorld())
	if err != nil || len(r.Programs) != 1 || len(r.Problems) != 5 {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, ok := r.Programs[0].Get("directory"); ok || len(r.Programs[0].Env) != 1 {
		t.Errorf("%+v", r.Programs[0])
	}
}

func TestSafeName(t *testing.T) {
	for name, want := range map[string]string{
		"web": "web", "my app": "my-app", "a/b:c": "a-b-c", "../x": "x", ".hidden": "hidden", "-x": "x", "": "program", "ü": "program", "all": "all-1",
		"x]\n[y": "x---y", strings.Repeat("n", 80): strings.Repeat("n", 64),
	} {
		if got := safeName(name); got != want {
			t.Errorf("%q: %q", name, got)
		}
	}
}

func TestNamesAreDistinct(t *testing.T) {
	long := strings.Repeat("n", 70)
	dir := put(t, t.TempDir(), map[string]string{"e.yaml": "[{name: a b, script: /x}, {name: a-b, script: /x}, {name: a/b, script: /x}, {name: " + long + ", script: /x}, {name: " + long + "x, script: /x}]"})
	r, err := Read("pm2", filepath.Join(dir, "e.yaml"), testWorld())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range r.Programs {
		names = append(names, p.Name)
	}
	if d := cmp.Diff([]string{"a-b", "a-b-2", "a-b-3", long[:64], long[:62] + "-2"}, names); d != "" {
		t.Error(d)
	}
}

func TestUnitWords(t *testing.T) {
	tests := []struct {
		text string
		want []string
		err  bool
	}{
		{`a b  c`, []string{"a", "b", "c"}, false},
		{`"a b" 'c d'e`, []string{"a b", "c de"}, false},
		{`"" x`, []string{"", "x"}, false},
		{`\x41\101\u00e4\U0001F600\s\t\\`, []string{"AAä😀 \t\\"}, false},
		{`"it's" '"'`, []string{"it's", `"`}, false},
		{`"open`, nil, true},
		{`\q`, nil, true},
		{`\x4`, nil, true},
		{`\xzz`, nil, true},
		{`\777`, nil, true},
		{`\000`, nil, true},
		{`\UFFFFFFFF`, nil, true},
		{`end\`, nil, true},
		{``, nil, false},
	}
	for _, tt := range tests {
		got, err := unitWords(tt.text)
		if (err != nil) != tt.err || !cmp.Equal(got, tt.want) {
			t.Errorf("%s: %q, %v", tt.text, got, err)
		}
	}
}

func TestTimes(t *testing.T) {
	for text, want := range map[string]float64{"90": 90, "1min 30s": 90, "1h": 3600, "500ms": 0.5, "2d 1h": 176400, "1.5": 1.5, " 5 ": 5, "": -1, "x": -1, "5 apples": -1, "infinity": -1, "1 2": 3} {
		if got, ok := unitTime(text); ok != (want >= 0) || ok && got != want {
			t.Errorf("unit %q: %v, %v", text, got, ok)
		}
	}
	for text, want := range map[string]float64{"1600": 1600, "3s": 3000, "2m": 120_000, "1h": 3_600_000, "250ms": 250, "": -1, "-5": -1, "s": -1} {
		if got, ok := pm2Time(text); ok != (want >= 0) || ok && got != want {
			t.Errorf("pm2 %q: %v, %v", text, got, ok)
		}
	}
	for s, want := range map[float64]string{0: "0", 0.1: "1", -3: "0", 1e30: "1000000000", 5: "5"} {
		if got := seconds(s); got != want {
			t.Errorf("%g: %s", s, got)
		}
	}
}

func TestInterpolate(t *testing.T) {
	vars := map[string]string{"A": "x", "EMPTY": ""}
	tests := []struct {
		text, want string
		err        bool
	}{
		{"$A ${A} $$A", "x x $A", false},
		{"${EMPTY:-d}${EMPTY-d}${GONE:-d e}${GONE-}", "dd e", false},
		{"${A:+y}${GONE+y}", "y", false},
		{"$GONE", "", true},
		{"${GONE:?must}", "", true},
		{"50$ and ${", "50$ and ${", true},
		{"plain", "plain", false},
	}
	for _, tt := range tests {
		if got, err := interpolate(tt.text, vars); got != tt.want || (err != nil) != tt.err {
			t.Errorf("%s: %q, %v", tt.text, got, err)
		}
	}
}

// TestManyAlike: names that are alike do not cost more the more there are.
func TestManyAlike(t *testing.T) {
	dir := t.TempDir()
	cost := func(n int) float64 {
		put(t, dir, map[string]string{"Procfile": strings.Repeat("a:b\n", n)})
		return testing.AllocsPerRun(1, func() {
			r, err := Read("procfile", filepath.Join(dir, "Procfile"), testWorld())
			if err != nil || len(r.Programs) != n || r.Programs[1].Name != "a-2" || r.Programs[n-1].Name != "a-"+strconv.Itoa(n) {
				t.Errorf("%v, %d programs", err, len(r.Programs))
			}
		})
	}
	if few, many := cost(200), cost(800); many > 6*few {
		t.Errorf("%g allocations for 200 programs, %g for 800", few, many)
	}
}

// TestPM2Numbers: what no number of attempts or copies can be is taken for the nearest one that can.
func TestPM2Numbers(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{"-9223372036854775808": "0", "0": "0", "1": "0", "16": "15", "9223372036854775807": "999999"} {
		put(t, dir, map[string]string{"e.json": `{"script": "a", "max_restarts": ` + text + "}"})
		r, err := Read("pm2", filepath.Join(dir, "e.json"), testWorld())
		if err != nil || len(r.Programs) != 1 {
			t.Fatalf("%+v, %v", r, err)
		}
		p := r.Programs[0]
		key, _ := p.Get("startretries")
		if i := slices.IndexFunc(p.Changed, func(c Change) bool { return c.Key == "startretries" }); key != want || i < 0 || p.Changed[i].New != want {
			t.Errorf("%s: startretries=%s, %+v", text, key, p.Changed)
		}
	}
}

// fuzzRead reads one file as one kind of source; whatever it says, the dialect takes the definitions.
func fuzzRead(f *testing.F, kind, file string, check bool) {
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		put(t, dir, map[string]string{file: text})
		r, err := Read(kind, filepath.Join(dir, filepath.FromSlash(file)), testWorld())
		if err == nil && check {
			accepted(t, r)
		}
	})
}

// seed adds a file of testdata.
func seed(f *testing.F, names ...string) {
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join("testdata", filepath.FromSlash(name)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
}

func FuzzProcfile(f *testing.F) {
	seed(f, "procfile/Procfile")
	fuzzRead(f, "procfile", "Procfile", true)
}

func FuzzPM2(f *testing.F) {
	seed(f, "pm2-ecosystem/ecosystem.config.json", "pm2-dump/dump.pm2", "pm2-jlist/list.json")
	fuzzRead(f, "pm2", "e.json", true)
}

func FuzzCompose(f *testing.F) {
	seed(f, "compose/compose.yaml")
	f.Add("services: {a: {command: x, user: \"99999999999\"}, b: {command: x, user: \":5\"}}")
	fuzzRead(f, "compose", "compose.yaml", true)
}

func FuzzSystemd(f *testing.F) {
	seed(f, "systemd/units/web.service", "systemd/units/once.service", "systemd/units/x@7.service")
	fuzzRead(f, "systemd", "web.service", true)
}

// FuzzSupervisor does not ask whether the result is taken: options keep their text, mistakes included.
func FuzzSupervisor(f *testing.F) {
	seed(f, "supervisor/supervisord.conf", "supervisor/conf.d/worker.conf")
	fuzzRead(f, "supervisor", "s.conf", false)
}

// TestSupervisorKeepsOurKeys: what this dialect has added to a program's section is carried over as it is.
func TestSupervisorKeepsOurKeys(t *testing.T) {
	dir := t.TempDir()
	const section = "[program:web]\ncommand=/bin/cat %(program_name)s\nstartretries=unlimited\nrestart_delay=1.5\nstart_timeout=5\npidfile=/run/%(program_name)s.pid\n" +
		"track=pidfile\nmatch=a+b\nscan=yes\nlog_mode=direct\nemail_alerts=root\nenabled=no\nready=notify\nhealth_tcp=80\nhealth_failures=2\nmemory_restart=5MB\n" +
		"monitor_after=3\ncheck.Site=http http://h/?a=%%20 body='x y' every=2s\nenv.PORT=80\nreload_signal=HUP\nautostart=true\n"
	path := filepath.Join(put(t, dir, map[string]string{"s.conf": "[supervisord]\n" + section}), "s.conf")
	report, err := Read("supervisor", path, testWorld())
	if err != nil || len(report.Programs) != 1 || len(report.Programs[0].Dropped) > 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	want, got := readBack(t, dir, []byte(section)), readBack(t, dir, report.Programs[0].INI())
	got[0].Origin = want[0].Origin
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s\n%s", d, report.Programs[0].INI())
	}
	put(t, dir, map[string]string{"s.conf": "[supervisord]\n[defaults:x]\numask=1\n[notify:n]\nto=mailto:root\n[program:web]\ncommand=x\ndefaults=x\nnotify=n\n"})
	report, err = Read("supervisor", path, testWorld())
	if err != nil || len(report.Programs) != 1 || len(report.Programs[0].Dropped) != 2 {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestUsrsvcElsewhere: what is told of settings in another file has that file; a folder that is not there is a problem, as its
// programs are missing without a word else.
func TestUsrsvcElsewhere(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{
		"usrsvc.cfg": "[Main]\nconfig_dir = " + dir + "/d\n[Program:a]\ncommand = x\npidfile = /nowhere/a\nstdout = /o\ndefaults = x\n",
		"d/more.cfg": "[DefaultSettings:x]\nmax_restarts = 2\n",
	})
	main, more := filepath.Join(dir, "usrsvc.cfg"), filepath.Join(dir, "d", "more.cfg")
	r, err := Read("usrsvc", main, testWorld())
	if err != nil || len(r.Programs) != 1 || len(r.Problems) != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	if !slices.ContainsFunc(r.Programs[0].Changed, func(c Change) bool { return c.Key == "max_restarts" && c.New == more+":2" }) {
		t.Errorf("%+v", r.Programs[0].Changed)
	}
	if err := os.RemoveAll(filepath.Dir(more)); err != nil {
		t.Fatal(err)
	}
	if r, err = Read("usrsvc", main, testWorld()); err != nil || !slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Line == 2 && strings.Contains(p.Text, "there is no folder") }) {
		t.Errorf("%+v, %v", r, err)
	}
}
