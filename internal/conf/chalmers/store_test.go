package chalmers

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/conf/tree"
)

func TestLocate(t *testing.T) {
	tests := []struct {
		name, goos string
		vars       map[string]string
		data, logs string
	}{
		{"plain", "linux", nil, "/h/.config/chalmers", "/h/.cache/chalmers/log"},
		{"xdg", "freebsd", map[string]string{"XDG_CONFIG_HOME": "/c", "XDG_CACHE_HOME": "/k"}, "/c/chalmers", "/k/chalmers/log"},
		{"root", "linux", map[string]string{"CHALMERS_ROOT": "/r", "XDG_CONFIG_HOME": "/c"}, "/r/data", "/r/logs"},
		{"mac", "darwin", map[string]string{"XDG_CONFIG_HOME": "/c"}, "/h/Library/Application Support/chalmers", "/h/Library/Logs/chalmers"},
		{"windows", "windows", map[string]string{"LOCALAPPDATA": "/l"}, "/l/srossross/chalmers", "/l/srossross/chalmers/Logs"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := Dirs{Data: filepath.FromSlash(tt.data), Logs: filepath.FromSlash(tt.logs)}
			if d := cmp.Diff(want, Locate(tt.goos, "/h", tt.vars)); d != "" {
				t.Error(d)
			}
		})
	}
}

// read reads the store of testdata and gives its programs by name.
func read(t *testing.T) map[string]Program {
	t.Helper()
	s, err := ReadStore(Dirs{Data: filepath.Join("testdata", "store"), Logs: "/logs"})
	if err != nil || len(s.Problems) != 0 {
		t.Fatalf("%v, %v", err, s.Problems)
	}
	by := map[string]Program{}
	names := ""
	for _, p := range s.Programs {
		by[p.Name] = p
		names += p.Name + " "
	}
	if want := "broken empty plain sub/x untemplated web wrong "; names != want {
		t.Fatalf("programs %s, want %s", names, want)
	}
	return by
}

func TestReadStore(t *testing.T) {
	by := read(t)
	web := by["web"]
	if web.Problems != nil {
		t.Fatal(web.Problems)
	}
	got := web.Options
	got.Merged = tree.Value{}
	want := Options{
		Command: []string{"python3", "-m", "http.server", "8080"}, Dir: "/srv/web",
		Env:       []EnvVar{{"PORT", "8080"}, {"DEBUG", "True"}, {"RATE", "1.5"}, {"EMPTY", "None"}, {"NAME", "yes"}},
		StartSecs: 5, StartRetries: 2, ExitCodes: []int64{0, 3, -15}, StopWaitSecs: 10, StopSignal: "INT", MergeStderr: true,
		Stdout: "/var/log/web/web.stdout.log", DaemonLog: "/var/log/web/web.daemon.log", Umask: 0o77, Unknown: []string{"colour"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	state := State{Off: true, Monitor: 4001, Child: 4002, Start: time.UnixMicro(1700000000250000), HasRecord: true}
	if d := cmp.Diff(state, web.State); d != "" {
		t.Error(d)
	}

	plain := by["plain"].Options
	plain.Merged = tree.Value{}
	want = Options{
		Command: []string{"sleep", "1000"}, StartSecs: 3, StartRetries: 3, ExitCodes: []int64{0}, StopWaitSecs: 10, StopSignal: "TERM",
		MergeStderr: true, Stdout: "/logs/plain.stdout.log", DaemonLog: "/logs/plain.daemon.log", Umask: -1,
	}
	if d := cmp.Diff(want, plain); d != "" {
		t.Error(d)
	}
	x := by["sub/x"].Options
	if x.MergeStderr || x.Stdout != "" || x.Stderr != "/logs/sub/x.stderr.log" || !x.OneText || x.Command[0] != "echo hi" || x.StopSignal != "TERM" {
		t.Errorf("%+v", x)
	}
}

func TestProblems(t *testing.T) {
	by := read(t)
	lines := func(list []Problem) string {
		var b strings.Builder
		for _, p := range list {
			fmt.Fprintf(&b, "%s:%d: %s\n", filepath.ToSlash(strings.TrimPrefix(p.File, filepath.Join("testdata", "store")+string(filepath.Separator))), p.Line, p.Text)
		}
		return b.String()
	}
	tests := []struct{ name, problems, notes string }{
		{"web", "", "programs/web.yaml:4: env: LIST is a list, which no program can use; it is left out\n"},
		{"plain", "", "state/plain.yaml:1: sequence end token ']' not found\n"},
		{"wrong", "programs/wrong.yaml:2: stdout: {nothing} cannot be filled in\n" +
			"programs/wrong.yaml:3: startretries: a text where a whole number belongs\n" +
			"programs/wrong.yaml:4: umask: \"0o77\" is not a whole number from 0 to 0777\n", ""},
		{"untemplated", "template/gone.yaml:0: template: there is no such file\n", ""},
		{"empty", "programs/empty.yaml:0: there is no command\n", ""},
		{"sub/x", "", "programs/sub/x.yaml:3: stopsignal: there is no signal \"INT\"; SIGTERM is sent instead\n"},
	}
	for _, tt := range tests {
		if got := lines(by[tt.name].Problems); got != tt.problems {
			t.Errorf("%s:\n%swant\n%s", tt.name, got, tt.problems)
		}
		if got := lines(by[tt.name].Notes); got != tt.notes {
			t.Errorf("%s notes:\n%swant\n%s", tt.name, got, tt.notes)
		}
	}
	if b := by["broken"]; len(b.Problems) != 1 || b.Problems[0].Line == 0 {
		t.Errorf("%+v", b.Problems)
	}
}

func TestReadStoreOdd(t *testing.T) {
	if _, err := ReadStore(Dirs{Data: t.TempDir()}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no store: %v", err)
	}
	dir := t.TempDir()
	programs := filepath.Join(dir, "programs")
	for _, d := range []string{filepath.Join(programs, "a", "b", "c", "d", "e"), filepath.Join(programs, "folder.yaml")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"big.yaml": strings.Repeat("#", maxFile+1), "list.yaml": "- a", "notes.txt": "x", "a/b/c/d/e/deep.yaml": "command: [x]",
		"up.yaml": "command: [x]\nextends: [../../etc/passwd]",
	} {
		if err := os.WriteFile(filepath.Join(programs, filepath.FromSlash(name)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/dev/zero", filepath.Join(programs, "device.yaml")); err != nil {
		t.Skip(err)
	}
	s, err := ReadStore(Dirs{Data: dir})
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, p := range s.Programs {
		for _, problem := range p.Problems {
			texts[p.Name] += problem.Text
		}
	}
	want := map[string]string{
		"big": "larger than 262144 bytes", "list": "a list where a mapping belongs", "device": "not a regular file",
		"up": `the template "../../etc/passwd" is not a plain name`,
	}
	if d := cmp.Diff(want, texts); d != "" {
		t.Error(d)
	}
	if len(s.Problems) != 1 || !strings.Contains(s.Problems[0].Text, "deeper than") {
		t.Errorf("%v", s.Problems)
	}
}

func TestVerify(t *testing.T) {
	at := time.Unix(1700000000, 0)
	running := func(start time.Time) func(int) (time.Time, bool) {
		return func(pid int) (time.Time, bool) { return start, pid == 42 }
	}
	tests := []struct {
		name    string
		state   State
		started func(int) (time.Time, bool)
		alive   bool
		why     string
	}{
		{"alive", State{Child: 42, Start: at}, running(at.Add(-time.Second)), true, "process 42 runs since 2023-11-14 22:13:19"},
		{"reused", State{Child: 42, Start: at}, running(at.Add(time.Hour)), false, "the number has been given to another process"},
		{"gone", State{Child: 43, Start: at}, running(at), false, "process 43 does not exist any more"},
		{"no time", State{Child: 42}, running(at), false, "does not say when"},
		{"unreadable", State{Child: 42, Start: at}, running(time.Time{}), false, "cannot be read"},
		{"nothing", State{Start: at}, running(at), false, "names no process"},
	}
	for _, tt := range tests {
		if alive, why := Verify(tt.state, tt.started); alive != tt.alive || !strings.Contains(why, tt.why) {
			t.Errorf("%s: %v, %s", tt.name, alive, why)
		}
	}
}

func TestStateOf(t *testing.T) {
	v, err := tree.YAML([]byte("paused: 1\npid: 1\nchild_pid: 99999999999\nstart_time: -3\nstop_time: 1e300\nexit_status: -15\nreason: 7"), tree.V11)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(State{Off: true, Exited: true, ExitCode: -15, Reason: "7", HasRecord: true}, stateOf(v)); d != "" {
		t.Error(d)
	}
}

func TestText(t *testing.T) {
	for f, want := range map[float64]string{
		1.5: "1.5", 100: "100.0", 1e16: "1e+16", 1e15: "1000000000000000.0", 1e-5: "1e-05", 0.0001: "0.0001", 0: "0.0", -2.5: "-2.5",
		math.Inf(1): "inf", math.Inf(-1): "-inf",
	} {
		if got := Text(tree.Value{Kind: tree.Float, Float: f}); got != want {
			t.Errorf("%g: %s, want %s", f, got, want)
		}
	}
	if got := floatText(math.NaN()); got != "nan" {
		t.Error(got)
	}
}

func TestFillIn(t *testing.T) {
	m := defaults("n", "/l")
	m.Put(tree.Field{Key: "big", Value: tree.Value{Kind: tree.String, Text: strings.Repeat("x", maxText)}})
	tests := []struct{ text, want, err string }{
		{"{log_dir}/{name}.log", "/l/n.log", ""},
		{"{{x}} {startsecs} {redirect_stderr}", "{x} 3 True", ""},
		{"a}b", "", "single }"},
		{"a{b", "", "without }"},
		{"{}", "", "cannot be filled in"},
		{"{name!r}", "", "cannot be filled in"},
		{"{name.x}", "", "cannot be filled in"},
		{"{exitcodes}", "", "cannot be filled in"},
		{"{big}{big}", "", "longer than"},
	}
	for _, tt := range tests {
		got, err := fillIn(tt.text, m)
		if got != tt.want || (err == nil) != (tt.err == "") || (err != nil && !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: %q, %v", tt.text, got, err)
		}
	}
}

func FuzzProgram(f *testing.F) {
	for _, name := range []string{"web", "wrong", "sub/x"} {
		text, err := os.ReadFile(filepath.Join("testdata", "store", "programs", filepath.FromSlash(name)+".yaml"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text), "paused: yes\npid: 5\n")
	}
	dir := f.TempDir()
	for _, d := range []string{"programs", "state"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, definition, state string) {
		for d, text := range map[string]string{"programs": definition, "state": state} {
			if err := os.WriteFile(filepath.Join(dir, d, "x.yaml"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		p := ReadProgram(Dirs{Data: dir}, "x")
		if len(p.Problems) == 0 && (len(p.Options.Command) == 0 || p.Options.StopSignal == "") {
			t.Errorf("%+v", p)
		}
		if text := (Shown{Options: p.Options.Merged}).String(); len(p.Problems) == 0 && !strings.Contains(text, "command: ") {
			t.Error(text)
		}
	})
}
