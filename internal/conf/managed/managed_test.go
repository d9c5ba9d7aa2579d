package managed

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/upkeep-project/upkeep/internal/conf/imports"
	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
)

// environ is a world without anybody in it.
func environ(dir string) supervisord.Environ {
	return supervisord.Environ{
		Vars: map[string]string{"HOME": "/home/sam", "PATH": "/usr/bin:/bin"}, Cwd: dir, Hostname: "host", TempDir: dir, UID: os.Getuid(),
		Users: supervisord.SystemUsers{},
	}
}

const commented = `; what it is for
[program:web]
command   = serve -p 80   ; the port
; of the machine
directory = /srv
   ; kept
environment = A="1",
    ; inside
    B="2"

# at the end
[group:shop]
programs=web
`

func TestSet(t *testing.T) {
	for _, c := range []struct {
		name, section, key, value string
		edit                      func(string) string
		old                       string
		line                      int
	}{
		{"value before a comment", "program:web", "command", "run", func(s string) string {
			return strings.Replace(s, "serve -p 80", "run", 1)
		}, "serve -p 80", 3},
		{"case", "program:web", "COMMAND", "run", func(s string) string { return strings.Replace(s, "serve -p 80", "run", 1) }, "serve -p 80", 3},
		{"no comment", "program:web", "directory", "/x y", func(s string) string { return strings.Replace(s, "/srv", "/x y", 1) }, "/srv", 5},
		{"continued", "program:web", "environment", `A="3"`, func(s string) string {
			return strings.Replace(s, "A=\"1\",\n    ; inside\n    B=\"2\"\n", "A=\"3\"\n    ; inside\n", 1)
		}, "A=\"1\",\nB=\"2\"", 7},
		{"added", "program:web", "user", "sam", func(s string) string {
			return strings.Replace(s, "B=\"2\"\n", "B=\"2\"\nuser = sam\n", 1)
		}, "", 10},
		{"added in another style", "group:shop", "priority", "1", func(s string) string { return s + "priority=1\n" }, "", 14},
		{"a section", "defaults", "env.A", "x", func(s string) string { return s + "\n[defaults]\nenv.A = x\n" }, "", 16},
		{"lines", "program:web", "directory", "a\n\n ;b ", func(s string) string {
			return strings.Replace(s, "/srv", "a\n\n    %(here).0s %(here).0s;b %(here).0s", 1)
		}, "/srv", 5},
		{"nothing", "program:web", "directory", "", func(s string) string { return strings.Replace(s, " /srv", " ", 1) }, "/srv", 5},
	} {
		got, old, line, err := Set(commented, c.section, c.key, c.value)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if d := cmp.Diff(c.edit(commented), got); d != "" || old != c.old || line != c.line {
			t.Errorf("%s: old %q, line %d\n%s", c.name, old, line, d)
		}
	}
}

func TestStyle(t *testing.T) {
	for _, c := range []struct{ text, key, want string }{
		{"[s]\ncommand   = x\ndirectory = y\n\n", "user", "[s]\ncommand   = x\ndirectory = y\nuser      = v\n\n"},
		{"[s]\ncommand=x\ndirectory=y", "user", "[s]\ncommand=x\ndirectory=y\nuser=v\n"},
		{"[s]\ncommand: x\n[t]\na=b\n", "user", "[s]\ncommand: x\nuser: v\n[t]\na=b\n"},
		{"[s]\r\na=b\r\n", "user", "[s]\r\na=b\r\nuser=v\r\n"},
		{"  [s]\n  a = b\n  [t]\n", "user", "  [s]\n  a = b\n  user = v\n  [t]\n"},
		{"[s]\na =\n", "a", "[s]\na = v\n"},
		{"[s]\na=\n", "a", "[s]\na=v\n"},
		{"[s]\na = ; note\n", "a", "[s]\na = v ; note\n"},
		{"[s]\na = 1\na = 2\n", "a", "[s]\na = 1\na = v\n"},
		{"", "a", "[s]\na = v\n"},
		{"[s]", "a", "[s]\na = v\n"},
	} {
		got, _, _, err := Set(c.text, "s", c.key, "v")
		if err != nil || got != c.want {
			t.Errorf("%q: %q, %v", c.text, got, err)
		}
	}
}

func TestUnset(t *testing.T) {
	for _, c := range []struct{ text, key, want, old string }{
		{"[s]\na=1\nb=2 ; note\n  ; in\n  3\nc=4\n", "B", "[s]\na=1\n  ; in\nc=4\n", "2\n3"},
		{"[s]\na=1\na=2\n[t]\na=3\n", "a", "[s]\n[t]\na=3\n", "2"},
		{"[s]\na=1", "a", "[s]\n", "1"},
		{"[s]\nenv.A=1\nenv.a=2\n", "env.a", "[s]\nenv.A=1\n", "2"},
	} {
		got, old, line, err := Unset(c.text, "s", c.key)
		if err != nil || got != c.want || old != c.old || line == 0 {
			t.Errorf("%q: %q, %q, %d, %v", c.text, got, old, line, err)
		}
	}
	if got, _, line, err := Unset("[s]\na=1", "s", "b"); got != "[s]\na=1" || line != 0 || err != nil {
		t.Errorf("%q %d %v", got, line, err)
	}
}

func TestSetRefuses(t *testing.T) {
	for _, c := range []struct{ text, key, value string }{
		{"[s]\n", "a b", ""},
		{"[s]\n", "", ""},
		{"[s]\n", "a=b", ""},
		{"[s]\n", "a:b", ""},
		{"[s]\n", ";a", ""},
		{"[s]\n", "[a", ""},
		{"[s]\n", "a", "x\ry"},
		{"[s]\n", "a", "x\x00"},
		{"[s]\n", "a", "x\xff"},
		{"x\n", "a", "x"},
		{"[s]\nnonsense\n", "a", "x"},
		{"[s]\n  [t]\n", "a", "x"}, // [t] would become a part of the value
	} {
		if got, _, _, err := Set(c.text, "s", c.key, c.value); err == nil {
			t.Errorf("%q %q=%q: %q", c.text, c.key, c.value, got)
		}
	}
}

// anything draws texts in which everything is that the dialect could take amiss.
func anything() *rapid.Generator[string] {
	piece := rapid.OneOf(
		rapid.SampledFrom([]string{
			"%", "%%", "%(here)s", "%(here).0s", "%(", ";", " ;", "#", "\t#", " ", "  ", "\n", "\n\n", "=", ":", "[x]", "\n[x]", `"`, "'", `\`, "$", "\u00a0", "\u0085",
			"\x1c", "\v", "\f", "é", "env.", "%(ENV_HOME)s", "%%%%",
		}),
		rapid.StringMatching(`[a-z0-9 ]{0,5}`),
		rapid.StringN(0, 3, 9),
	)
	return rapid.Map(rapid.SliceOfN(piece, 0, 8), func(p []string) string { return strings.Join(p, "") })
}

func legal(s string) bool { return utf8.ValidString(s) && !strings.ContainsAny(s, "\r\x00") }

// TestValuesComeBack: whatever is written is what the dialect reads, and nothing else of the text changes its meaning.
func TestValuesComeBack(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		value := anything().Filter(legal).Draw(t, "value")
		comesBack(t, dir, value)
	})
}

func FuzzValuesComeBack(f *testing.F) {
	f.Add(" ;x\n#y %(here)s ")
	f.Add("\n\n")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, value string) {
		if legal(value) {
			comesBack(t, dir, value)
		}
	})
}

type failer interface {
	Helper()
	Fatalf(string, ...any)
}

func comesBack(t failer, dir, value string) {
	t.Helper()
	words := []string{"run", value, "end"}
	file := strings.ReplaceAll(value, "/", "_")
	logged := !strings.HasPrefix(file, "~") && !strings.Contains("auto none off syslog", strings.ToLower(file))
	text, err := New("web", []Pair{{"command", Literal("command", imports.CommandLine(words))}, {"startsecs", "3"}, {"env.A", "first"}})
	if err != nil {
		t.Fatalf("%v", err)
	}
	pairs := []Pair{{"env.A", value}, {"env.B", value}, {"directory", value}}
	if logged {
		pairs = append(pairs, Pair{"stdout_logfile", file})
	}
	for _, p := range pairs {
		if text, _, _, err = Set(text, "program:web", p.Key, Literal(p.Key, p.Value)); err != nil {
			t.Fatalf("%s: %v", p.Key, err)
		}
	}
	groups, _, problems := supervisord.ReadProgramFile(dir+"/web.conf", []byte(text), environ(dir))
	if len(problems) > 0 || len(groups) != 1 {
		t.Fatalf("%q\n%s\n%v", value, text, problems[0])
	}
	p := groups[0].Programs[0]
	if p.Command.Env[0].Value != value || p.Command.Env[1].Value != value || p.Command.Dir != value || len(p.Command.Env) != 2 {
		t.Fatalf("%q came back as %+v\n%s", value, p.Command, text)
	}
	if logged && p.IO.Stdout.Path != file {
		t.Fatalf("%q came back as the log %q\n%s", file, p.IO.Stdout.Path, text)
	}
	if want := imports.CommandLine(words); p.Command.Line != want {
		t.Fatalf("the command %q came back as %q\n%s", want, p.Command.Line, text)
	}
	for _, p := range pairs {
		if text, _, _, err = Unset(text, "program:web", p.Key); err != nil {
			t.Fatalf("%s: %v", p.Key, err)
		}
	}
	if left, err := Values(text, "program:web"); err != nil || len(left) != 2 {
		t.Fatalf("%v are left, %v", left, err)
	}
}

// FuzzSet: in any text that can be read an option can be set and is what it was set to, or the text is refused.
func FuzzSet(f *testing.F) {
	f.Add(commented, "program:web", "command", " ;x")
	f.Add("[s]\n  a=1\n b\n", "s", "b", "\n")
	f.Add("", "DEFAULT", "a", "x")
	f.Fuzz(func(t *testing.T, text, section, key, value string) {
		got, _, line, err := Set(text, section, key, value)
		if err != nil || strings.ContainsAny(section, "\r\n]") {
			return
		}
		again, old, at, err := Set(got, section, key, value)
		if strings.Contains(text, "\r") {
			again = got // whichever line ends there are
		}
		if err != nil || again != got || at != line || strings.ReplaceAll(old, guard, "") != strings.ReplaceAll(value, guard, "") {
			t.Errorf("%q, again %q: line %d and %d, %q, %v", got, again, line, at, old, err)
		}
	})
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "web.conf")
	check := func(file, text string) []string {
		var lines []string
		groups, problems := Check(file, text, Surroundings{Environ: environ(dir)})
		for _, p := range problems {
			lines = append(lines, strings.TrimPrefix(p.String(), dir+"/"))
		}
		if (len(groups) > 0) == (len(problems) > 0) {
			t.Errorf("%d groups, %d problems", len(groups), len(problems))
		}
		return lines
	}
	for _, c := range []struct {
		file, text string
		want       []string
	}{
		{file, "[program:web]\ncommand=x\n[group:shop]\nprograms=web\n", nil},
		{file, "[eventlistener:web]\ncommand=x\nevents=TICK_5\n", nil},
		{file, "[program:web]\nautorestrat=true\nstopsignal=TREM\ncommand=x\nCOMMAND=y\n[program:b]\ncommand=z\n", []string{
			`web.conf:2: unknown key "autorestrat" (did you mean autorestart?)`,
			"web.conf:3: stopsignal=TREM is not the name or number of a signal (did you mean TERM?)",
			"web.conf:5: command is in line 4 already",
			"web.conf:6: [program:b] does not belong in this file, which is that of web alone",
		}},
		{file, "", []string{"web.conf: there is no section [program:web]"}},
		{file, "[program:web]\ncommand=x\n[fcgi-program:web]\ncommand=x\nsocket=tcp://a:1\n", []string{"web.conf: there is more than one kind of section for web"}},
		{filepath.Join(dir, "web"), "[program:web]\ncommand=x\n", []string{"web: the name of the file does not end with .conf"}},
		{filepath.Join(dir, ".x.conf"), "[program:.x]\ncommand=x\n", []string{`.x.conf: the name ".x" begins with "."`}},
	} {
		if d := cmp.Diff(c.want, check(c.file, c.text)); d != "" {
			t.Errorf("%s %q: %s", c.file, c.text, d)
		}
	}
}

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"web": true, "a.b-c_D9": true, strings.Repeat("x", 64): true, strings.Repeat("x", 65): false, "": false, ".": false, "..": false, ".x": false,
		"-x": false, "a/b": false, "a b": false, "a:b": false, "é": false, "a\n": false, "a*": false, "all": false,
	} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestNameOf(t *testing.T) {
	for command, want := range map[string]string{
		"/srv/app/web.py": "web", "serve": "serve", "./a b": "a-b", "/x/.hidden.sh": "hidden", "/": "", "": "", "..": "", "/x/été": "t",
	} {
		if got := NameOf(command); got != want {
			t.Errorf("%q: %q, want %q", command, got, want)
		}
	}
}
