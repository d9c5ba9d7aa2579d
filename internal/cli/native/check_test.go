package native

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheck(t *testing.T) {
	u := newUser(t)
	t.Chdir(u.root)
	u.program("good", "[program:good]\ncommand = sleep 1\n")
	u.program("bad", "[program:bad]\nautorestrat = true\ncommand = sleep 1\nstopsignal = TREM\n")
	u.program("gone", "[program:gone]\ncommand = nosuchcommand\ndirectory = /nonexistent\n")
	const bad = conf + "bad.conf:2: unknown key \"autorestrat\" (did you mean autorestart?)\n" +
		conf + "bad.conf:4: stopsignal=TREM is not the name or number of a signal (did you mean TERM?)\n"
	u.write("s.conf", "[supervisord]\n[program:a]\ncommand=sleep 1\nautorestrat=true\nstop_reach=tree\n[defaults]\nstartsecs=2\n[whatever]\n")
	u.write("empty.conf", "[program:a]\ncommand=sleep 1\n")
	const warnings = "unknown option 'autorestrat' in section 'program:a' (~/s.conf:4): did you mean 'autorestart'?\n" +
		"unknown section 'whatever' (~/s.conf:8)\n"
	const idle = "For [program:idle], match has no effect without scan=true or pidfile\n"
	steps := []step{
		{"check", 6, "", bad + conf + "gone.conf:3: directory: no such file or directory: /nonexistent\n" + idle + "3 problems.\n"},
		{"check '" + filepath.Join(u.root, "config/upkeep/programs/bad.conf") + "'", 6, "", bad + "2 problems.\n"},
		{"check '" + filepath.Join(u.root, "config/upkeep/programs/good.conf") + "'", 0, "✓ 1 program, no mistakes\n", ""},
		{"check '" + filepath.Join(u.root, "config/upkeep/programs/gone.conf") + "'", 6, "", conf + "gone.conf:3: directory: no such file or directory: /nonexistent\n1 problem.\n"},
		{"check '" + filepath.Join(u.root, "config/upkeep/programs/idle.conf") + "'", 0, "✓ 1 program, 1 warning\n", idle},
		{"check nowhere.conf", 6, "", "could not find config file ~/nowhere.conf\n"},
		{"check a b", 2, "", "\"b\" is one too many:  upkeep check [FILE] [flags]\n"},
	}
	u.program("idle", "[program:idle]\ncommand = sleep 1\nmatch = x\n")
	u.play(steps)
	u.write("config/upkeep/upkeep.conf", "[program:own]\ncommand=sleep 1\n")
	if stdout, stderr, status := u.call("check", filepath.Join(u.root, "config/upkeep/upkeep.conf")); status != 6 || strings.Contains(stderr, "supervisord section") || !strings.Contains(stderr, "\n3 problems.\n") {
		t.Errorf("the instance's own file: %d %q %q", status, stdout, stderr)
	}
	stdout, stderr, status := u.call("check", "s.conf")
	if status != 0 || stdout != "✓ 1 program, 2 warnings\n" || !strings.Contains(stderr, "autorestrat") || !strings.Contains(stderr, "whatever") {
		t.Errorf("%d %q %q\nlike %q", status, stdout, stderr, warnings)
	}
	if _, _, status := u.call("check", "s.conf", "--strict"); status != statusInvalid {
		t.Errorf("strict: %d", status)
	}
	stdout, stderr, status = u.call("check", "s.conf", "--compat")
	if status != 0 || stdout != "✓ 1 program, 4 warnings\n" || !strings.Contains(stderr, "~/s.conf:5: Supervisor passes over stop_reach\n~/s.conf:6: Supervisor passes over [defaults]\n") {
		t.Errorf("%d %q %q", status, stdout, stderr)
	}
	if stdout, stderr, status = u.call("check", "empty.conf"); status != statusInvalid || stdout != "" {
		t.Errorf("%d %q %q", status, stdout, stderr)
	}
	if stdout, _, status = u.call("check", "--json"); status != statusInvalid || !strings.Contains(stdout, `"suggestion": "TERM"`) {
		t.Errorf("%d %s", status, stdout)
	}
}

func TestExplainVerb(t *testing.T) {
	u := newUser(t)
	u.play([]step{
		{
			"explain autorestart", 0, "autorestart   in [program:x]\n\n" +
				"  Whether it is started again when it ends after it had been running: always,\n  never, or only when its exit status is not one of exitcodes.\n\n" +
				"  takes    true, false or unexpected\n  default  unexpected\n  counts   a change counts at once\n", "",
		},
		{
			"explain env.PORT", 0, "env.NAME   in [program:x]\n\n" +
				"  One environment variable, as in env.PORT = 3030. The value is what stands\n  there, without quotes; a per cent sign is written twice. Capital and small\n" +
				"  letters count in the name. It comes over environment and env_file.\n\n" +
				"  takes    text\n  counts   a change counts at the program's next start\n  compat   Supervisor passes over it\n", "",
		},
		{"explain autorestrat", 2, "", "unknown key \"autorestrat\". Did you mean autorestart?   upkeep explain autorestart\n"},
		{"explain group.priority -q", 0, "[group:x] priority\n", ""},
	})
	sample, _, _ := u.call("explain", "--sample")
	for line := range strings.Lines(sample) {
		if line != "\n" && line[0] != ';' {
			t.Errorf("not a comment: %q", line)
		}
	}
	u.write("config/upkeep/upkeep.conf", sample)
	if stdout, stderr, status := u.call("check"); status != 0 || stdout != "✓ 0 programs, no mistakes\n" {
		t.Errorf("the sample: %d %q %q", status, stdout, stderr)
	}
	list, _, _ := u.call("explain", "--json")
	if !strings.Contains(list, `"key": "stop_reach"`) || strings.Contains(list, ": null") {
		t.Error("the list in JSON")
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{
		{"", 10, ""},
		{"a b c", 3, "a b|c"},
		{"averylongword b", 5, "averylongword|b"},
		{"ää öö", 5, "ää öö"},
	} {
		if got := strings.Join(wrap(c.text, c.width), "|"); got != c.want {
			t.Errorf("%q: %q", c.text, got)
		}
	}
	if got := fit("abcdef", 4); got != "abc…" {
		t.Error(got)
	}
}

// TestStatusTellsOfBrokenFiles: what runs by a definition that is broken meanwhile is shown with where to look.
func TestStatusTellsOfBrokenFiles(t *testing.T) {
	u := newUser(t)
	u.program("web", "[program:web]\ncommand = sleep 1000\nstartsecs = 0\n")
	u.start()
	u.program("web", "[program:web]\ncommand = sleep 1000\nstartsecs = soon\ndepends_on = db\n")
	u.write("config/upkeep/programs/api.conf", "[program:api]\ncommand = sleep 1001\nstartsecs = 0\n")
	stdout, stderr, status := u.call("apply")
	if status != 0 && status != statusInvalid {
		t.Errorf("apply: %d %q %q", status, stdout, stderr)
	}
	stdout, stderr, _ = u.call("status")
	if !strings.Contains(stdout, "web") || !strings.Contains(stdout, "api") {
		t.Errorf("%s", stdout)
	}
	if want := "cannot be used, so that what it defines is as it was: ~/config/upkeep/programs/web.conf   upkeep check\n"; !strings.Contains(stderr, want) {
		t.Errorf("%s", stderr)
	}
	u.program("web", "[program:web]\ncommand = sleep 1000\nstartsecs = 0\n")
	u.call("apply")
	if _, stderr, _ = u.call("status"); strings.Contains(stderr, "cannot be used") {
		t.Errorf("%s", stderr)
	}
}

// TestCheckTouchesNothing: looking for mistakes leaves no trace, not even on a machine where nothing has ever run.
func TestCheckTouchesNothing(t *testing.T) {
	temp := t.TempDir()
	u := newUser(t)
	t.Setenv("TMPDIR", temp) // the folder of temporary files is tried out, as the original does
	trace := func() string {
		var list []string
		if err := filepath.WalkDir(u.root, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			st, err := e.Info()
			if err != nil {
				return err
			}
			list = append(list, fmt.Sprint(strings.TrimPrefix(path, u.root), st.Size(), st.Mode(), st.ModTime()))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return strings.Join(list, "\n")
	}
	before := trace()
	if stdout, stderr, status := u.call("check"); status != 0 {
		t.Errorf("%d %q %q", status, stdout, stderr)
	}
	if d := cmp.Diff(before, trace()); d != "" {
		t.Error(d)
	}
	u.write("config/upkeep/upkeep.conf", "[program:own]\ncommand = sleep 1000\nstdout_logfile = "+u.root+"/own.log\n[unix_http_server]\nfile = "+u.root+"/s.sock\n")
	u.program("web", "[program:web]\ncommand = sleep 1000\npidfile = "+u.root+"/web.pid\nstartsecs = soon\n")
	file := u.write("s.conf", "[supervisord]\nlogfile = "+u.root+"/s.log\n[program:x]\ncommand = sleep 1000\n")
	before = trace()
	if _, _, status := u.call("check"); status != statusInvalid {
		t.Errorf("%d", status)
	}
	if _, stderr, status := u.call("check", file); status != 0 {
		t.Errorf("%d %q", status, stderr)
	}
	if d := cmp.Diff(before, trace()); d != "" {
		t.Error(d)
	}
}
