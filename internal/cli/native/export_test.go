package native

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/base/shellwords"
	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// hard is a definition with everything that is hard to write.
const hard = "[program:web]\ncommand = /bin/echo \"a  b\" 'c\"d' \"e'f\" g%%h $HOME 'x;y' #z\nnumprocs = 2\nprocess_name = %(program_name)s_%(process_num)d\n" +
	"directory = %(here)s\nenvironment = A=\"1,2\",B=\"it's %%\"\nenv.C = x \"y\" $z\nstop_reach = tree\nautostart = false\nstopsignal = INT\nstopwaitsecs = 7\n" +
	"exitcodes = 0,2\nstdout_logfile = NONE\numask = 027\n"

// TestExportSupervisord: what is exported is read back by the dialect, and nothing of ours is in it.
func TestExportSupervisord(t *testing.T) {
	u := newUser(t)
	u.program("web", hard)
	stdout, stderr, status := u.call("export")
	if status != 0 || stderr != "" {
		t.Fatalf("%d %q", status, stderr)
	}
	stdout = strings.ReplaceAll(stdout, "~/", u.root+"/") // as it was before it was made comparable
	stdout = strings.ReplaceAll(stdout, "TIME", "0")
	env, err := supervisord.SystemEnviron()
	if err != nil {
		t.Fatal(err)
	}
	path := u.write("x.conf", "[supervisord]\n[upkeep]\nstrict=true\n"+stdout)
	back, err := supervisord.LoadFrom(&supervisord.Args{}, supervisord.Location{Given: path, Path: path}, env)
	if err != nil {
		t.Fatalf("%v\n%s", err, stdout)
	}
	groups, _, problems := supervisord.ReadProgramFile(u.program("web", hard), []byte(hard), env)
	if len(problems) > 0 || len(groups) != 1 || len(back.Model.Groups) != 2 {
		t.Fatalf("%v, %d groups", problems, len(back.Model.Groups))
	}
	for i, want := range groups[0].Programs {
		got := *back.Model.Groups[i].Programs[0]
		w := *want
		got.ID, got.Section, got.Origin = w.ID, w.Section, w.Origin
		if w.Stop.Reach == model.ReachTree {
			w.Stop.Reach, w.Stop.KillReach = model.ReachGroup, model.ReachGroup // as far as Supervisor reaches
		}
		a, err1 := shellwords.Split(got.Command.Line)
		b, err2 := shellwords.Split(w.Command.Line)
		if err1 != nil || err2 != nil || !slices.Equal(a, b) {
			t.Errorf("%q, want %q", a, b)
		}
		got.Command.Line = w.Command.Line
		if d := cmp.Diff(w, got); d != "" {
			t.Error(d)
		}
	}
	if incompatible(path)[0] != path+":2: Supervisor passes over [upkeep]" || len(incompatible(path)) != 1 {
		t.Errorf("%v", incompatible(path))
	}
}

func TestExport(t *testing.T) {
	u := newUser(t)
	u.program("web", strings.Replace(hard, "numprocs = 2\nprocess_name = %(program_name)s_%(process_num)d\n", "", 1))
	u.program("db", "[program:db]\ncommand = sleep 1000\nautorestart = true\n")
	u.play([]step{
		{
			"export web -f systemd", 0, "# web.service\n[Unit]\nDescription=web\nStartLimitIntervalSec=60\nStartLimitBurst=4\n\n[Service]\n" +
				"ExecStart=/bin/echo \"a  b\" \"c\\\"d\" \"e'f\" g%%h $$HOME \"x;y\"\nWorkingDirectory=~/config/upkeep/programs\nUMask=0027\n" +
				"Environment=A=1,2\nEnvironment=\"B=it's %%\"\nEnvironment=\"C=x \\\"y\\\" $z\"\nRestart=on-failure\nRestartSec=1\nSuccessExitStatus=2\n" +
				"KillSignal=SIGINT\nTimeoutStopSec=7\n\n[Install]\nWantedBy=default.target\n", "",
		},
		{"export db -f procfile", 0, "db: exec sleep 1000\n", "a Procfile says only what is run: when and how to restart and stop is not in it\n"},
		{"export wbe", 5, "", "no program named \"wbe\". Close: web.\n"},
		{"export --socket x", 2, "", "what is exported is read from files, which a socket does not name: say -c FILE instead\n"},
		{"export -f toml", 2, "", "there is no format \"toml\": supervisord, procfile, systemd, json\n"},
	})
	// A shell reads the line of a Procfile as it was meant.
	line, _, _ := u.call("export", "web", "-f", "procfile")
	script := strings.Replace(strings.TrimPrefix(line, "web: "), "~", u.root, 1)
	script = strings.Replace(script, "/bin/echo", "/usr/bin/printf '[%s]'", 1)
	out, err := exec.Command("/bin/sh", "-c", script).Output()
	if err != nil || string(out) != "[a  b][c\"d][e'f][g%h][$HOME][x;y]" {
		t.Errorf("%v %q of %s", err, out, line)
	}
	u.play([]step{{"rm all --yes", 0, "✓ db is forgotten\n✓ web is forgotten\n", ""}, {"export", 0, "", "there are no programs\n"}})
}

// TestForeignConfig: a supervisord.conf is read where it is, and never edited.
func TestForeignConfig(t *testing.T) {
	u := newUser(t)
	t.Chdir(u.root)
	u.write("s.conf", "[supervisord]\n[unix_http_server]\nfile=%(here)s/s.sock\n[program:a]\ncommand=sleep 1\nstop_reach=tree\n[group:g]\nprograms=a\n")
	const absent = "no daemon runs s.conf (looked at ~/s.sock)\n"
	u.play([]step{
		{"-c s.conf export", 0, "[program:g-a]\ncommand = sleep 1\nautostart = true\nstopasgroup = true\nkillasgroup = true\n", ""},
		{"-c s.conf check --compat", 0, "✓ 1 program, 1 warning\n", "s.conf:6: Supervisor passes over stop_reach\n"},
		{"-c s.conf set a startsecs=1", 7, "", absent},
		{"-c s.conf rm a", 7, "", absent},
		{"-c s.conf apply", 7, "", absent},
	})
}

// TestExportEndless: tools that count attempts are told a number that is never reached, or that there is no limit.
func TestExportEndless(t *testing.T) {
	u := newUser(t)
	u.program("web", "[program:web]\ncommand = sleep 1000\nstartretries = unlimited\n")
	for format, want := range map[string]string{"supervisord": "startretries = 2147483647\n", "systemd": "StartLimitIntervalSec=0\n"} {
		if stdout, stderr, status := u.call("export", "web", "-f", format); status != 0 || stderr != "" || !strings.Contains(stdout, want) {
			t.Errorf("%s: %d %q %q", format, status, stdout, stderr)
		}
	}
}
