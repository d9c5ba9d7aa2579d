package supervisord

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/base/units"
)

func ptr[T any](v T) *T { return &v }

func TestParseArgs(t *testing.T) {
	for _, tc := range []struct {
		argv string
		want Args
	}{
		{"", Args{}},
		{"-c a -c b", Args{Configuration: ptr("b")}},
		{"-nskt", Args{NoDaemon: true, Silent: true, NoCleanup: true, StripANSI: true}},
		{"--nodaemon --silent --nocleanup --strip_ansi", Args{NoDaemon: true, Silent: true, NoCleanup: true, StripANSI: true}},
		{"-u nosuch -m 027 -d / -l x.log -y 1KB -z 3 -e debug -j x.pid -i id -q / -a 9", Args{
			User: ptr("nosuch"), Umask: ptr(0o27), Directory: ptr("/"), LogFile: ptr("x.log"), LogFileMaxBytes: ptr(int64(1024)),
			LogFileBackups: ptr(3), LogLevel: ptr(units.LevelDebug), PIDFile: ptr("x.pid"), Identifier: ptr("id"),
			ChildLogDir: ptr("/"), MinFDs: ptr(9),
		}},
		{"--user=0 --umask=0 --dir=~ --logfile=~/a --logfile_m=5 --logfile_b=0 --logl=WARN --pid=p --iden=x --child=/ --minf=1 --minp=2", Args{
			User: ptr("0"), Umask: ptr(0), Directory: ptr("/usr"), LogFile: ptr("/usr/a"), LogFileMaxBytes: ptr(int64(5)),
			LogFileBackups: ptr(0), LogLevel: ptr(units.LevelWarn), PIDFile: ptr("p"), Identifier: ptr("x"),
			ChildLogDir: ptr("/"), MinFDs: ptr(1), MinProcs: ptr(2),
		}},
		{"--profile_options=Cumulative,callers,x", Args{Profile: &Profile{Sort: []string{"cumulative", "x"}, Callers: true}}},
		{"-h -e foo", Args{Help: true}},
		{"-? -e foo", Args{Help: true}},
		{"-v -h", Args{Version: true}},
	} {
		tc.want.Prog = "p"
		got, err := ParseArgsIn(testEnv("/"), "p", strings.Fields(tc.argv))
		if err != nil {
			t.Errorf("%s: %v", tc.argv, err)
		} else if d := cmp.Diff(&tc.want, got); d != "" {
			t.Errorf("%s: %s", tc.argv, d)
		}
	}
}

func badArgs() map[string]string {
	return map[string]string{
		"--foo":                     "option --foo not recognized",
		"--min 1":                   "option --min not a unique prefix",
		"--nodaemon=1":              "option --nodaemon must not have an argument",
		"-x":                        "option -x not recognized",
		"-c":                        "option -c requires argument",
		"-l a -l b":                 "conflicting command line option '-l'",
		"-l a --logfile b":          "conflicting command line option '--logfile'",
		"-n --nodae":                "conflicting command line option '--nodaemon'",
		"foo":                       "positional arguments are not supported: ['foo']",
		"-n -- -h":                  "positional arguments are not supported: ['-h']",
		"foo -h":                    "positional arguments are not supported: ['foo', '-h']",
		"-e foo":                    "invalid value for -e 'foo': bad logging level name 'foo'",
		"--loglev foo -h":           "invalid value for --loglevel 'foo': bad logging level name 'foo'",
		"-m 9":                      "invalid value for -m '9': 9 can not be converted to an octal type",
		"-y 1x":                     "invalid value for -y '1x': invalid literal for int() with base 10: '1x'",
		"-z x":                      "invalid value for -z 'x': invalid literal for int() with base 10: 'x'",
		"-d /nope/dir":              "invalid value for -d '/nope/dir': /nope/dir is not an existing directory",
		"-l /nope/x":                "invalid value for -l '/nope/x': The directory named as part of the path /nope/x does not exist",
		"-j /nope/x":                "invalid value for -j '/nope/x': The directory named as part of the path /nope/x does not exist",
		"-q /nope":                  "invalid value for -q '/nope': /nope is not an existing directory",
		"-c /nope.conf":             "could not find config file /nope.conf",
		"-c nope.conf -u nosuch":    "could not find config file nope.conf",
		"-c /":                      "could not read config file /",
		"-c supervisord.conf -u xx": "Invalid user name xx",
	}
}

// run does what supervisord does before it begins to work.
func run(env Environ, argv []string) error {
	a, err := ParseArgsIn(env, "supervisord", argv)
	if err == nil {
		_, err = Load(a, env)
	}
	return err
}

func TestBadArgs(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "supervisord.conf", "[supervisord]\n")
	for argv, want := range badArgs() {
		if err := run(testEnv(dir), strings.Fields(argv)); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", argv, err, want)
		}
	}
}

const originalDaemon = "/usr/bin/supervisord"

func TestCommandLineAgainstOriginal(t *testing.T) {
	if testing.Short() {
		t.Skip("the original is started for each command line")
	}
	if _, err := os.Stat(originalDaemon); err != nil {
		t.Skipf("the original is not installed: %v", err)
	}
	dir := t.TempDir()
	write(t, dir, "supervisord.conf", "[supervisord]\n")
	for argv := range badArgs() {
		cmd := exec.Command(originalDaemon, strings.Fields(argv)...)
		cmd.Dir, cmd.Env = dir, []string{"HOME=/usr", "PATH=/usr/bin:/bin"}
		out, _ := cmd.CombinedOutput() // its status is 2
		want := UsageText(originalDaemon, run(testEnv(dir), strings.Fields(argv)))
		if !strings.HasSuffix(string(out), want) {
			t.Errorf("%s: original %q, ours %q", argv, out, want)
		}
	}
	out, err := exec.Command(originalDaemon, "-h").Output()
	if d := cmp.Diff(string(out), HelpText(originalDaemon)); d != "" || err != nil {
		t.Errorf("help: %s %v", d, err)
	}
}

func TestHelpText(t *testing.T) {
	text := HelpText("/x/supervisord")
	if !strings.Contains(text, "\nUsage: /x/supervisord [options]\n\nOptions:\n-c/--configuration FILENAME -- ") ||
		!strings.HasSuffix(text, "e.g. 'cumulative,callers')\n\n") {
		t.Error(text)
	}
	for _, o := range argTable() {
		if o.Long == "no-keeper" { // ours: the text is the original's
			continue
		}
		if o.Long != "" && !strings.Contains(text, "--"+o.Long) {
			t.Errorf("--%s is not in the help", o.Long)
		}
	}
}

func TestSearchPaths(t *testing.T) {
	const rest = "supervisord.conf etc/supervisord.conf /etc/supervisord.conf /etc/supervisor/supervisord.conf"
	for prog, want := range map[string]string{
		"/usr/bin/supervisord": "/usr/etc/supervisord.conf /usr/supervisord.conf ",
		"supervisord":          "etc/supervisord.conf supervisord.conf ",
		"bin/supervisord":      "etc/supervisord.conf supervisord.conf ",
		"a/bin/supervisord":    "a/etc/supervisord.conf a/supervisord.conf ",
		"/supervisord":         "/etc/supervisord.conf /supervisord.conf ",
	} {
		if d := cmp.Diff(strings.Fields(want+rest), SearchPaths(prog)); d != "" {
			t.Errorf("%s: %s", prog, d)
		}
	}
}

func TestLocate(t *testing.T) {
	dir := t.TempDir()
	env := testEnv(dir)
	a := &Args{Prog: dir + "/sub/bin/supervisord"}
	steps := []struct{ file, given string }{
		{"etc/supervisord.conf", "etc/supervisord.conf"},
		{"supervisord.conf", "supervisord.conf"},
		{"sub/supervisord.conf", dir + "/sub/supervisord.conf"},
		{"sub/etc/supervisord.conf", dir + "/sub/etc/supervisord.conf"},
	}
	for _, s := range steps { // each one goes before those that are there already
		path := write(t, dir, s.file, "")
		got, err := Locate(a, env)
		if d := cmp.Diff(Location{Given: s.given, Path: path}, got); d != "" || err != nil {
			t.Errorf("%s: %s %v", s.file, d, err)
		}
	}
}

func TestLocateNothing(t *testing.T) {
	for _, p := range SearchPaths("supervisord")[4:] {
		if exists(p) {
			t.Skip("this machine has " + p)
		}
	}
	_, err := Locate(&Args{Prog: "/nope/bin/supervisord"}, testEnv(t.TempDir()))
	want := "No config file found at default paths (/nope/etc/supervisord.conf, /nope/supervisord.conf, supervisord.conf, " +
		"etc/supervisord.conf, /etc/supervisord.conf, /etc/supervisor/supervisord.conf); use the -c option to specify a config file " +
		"at a different path"
	if err == nil || err.Error() != want {
		t.Error(err)
	}
}

func TestSearchWarning(t *testing.T) {
	if (&Args{}).SearchWarning(0) == "" || (&Args{}).SearchWarning(1) != "" || (&Args{Configuration: ptr("x")}).SearchWarning(0) != "" {
		t.Error("the warning is for root without -c alone")
	}
}
