package imports

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/upkeep-project/upkeep/internal/base/shellwords"
	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// nobody is an empty user database.
type nobody struct{}

func (nobody) UserByName(string) (supervisord.User, bool) { return supervisord.User{}, false }
func (nobody) UserByID(int) (supervisord.User, bool)      { return supervisord.User{}, false }
func (nobody) GroupByName(string) (int, bool)             { return 0, false }
func (nobody) GroupByID(int) bool                         { return false }

// readBack reads the text of a program as the daemon does: included by a main file.
func readBack(t testing.TB, dir string, text []byte) []*model.Program {
	t.Helper()
	main, part := filepath.Join(dir, "main.conf"), filepath.Join(dir, "part.conf")
	for name, content := range map[string]string{main: "[supervisord]\n[upkeep]\nstrict=true\n[include]\nfiles=part.conf\n", part: string(text)} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := supervisord.Environ{Vars: map[string]string{}, Cwd: dir, Hostname: "host", TempDir: dir, Users: nobody{}}
	c, err := supervisord.LoadFrom(&supervisord.Args{}, supervisord.Location{Given: main, Path: main}, env)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var list []*model.Program
	for _, g := range c.Model.Groups {
		list = append(list, g.Programs...)
	}
	return list
}

// checkSame reads a program back and compares what the dialect understood with what was meant.
func checkSame(t testing.TB, dir string, p *Program, words []string) {
	t.Helper()
	text := p.INI()
	list := readBack(t, dir, text)
	if len(list) != 1 {
		t.Fatalf("%d programs\n%s", len(list), text)
	}
	got := list[0]
	if got.ID.Name != p.Name || got.Start.Auto != p.On {
		t.Errorf("name %q, autostart %v\n%s", got.ID.Name, got.Start.Auto, text)
	}
	split, err := shellwords.Split(got.Command.Line)
	if err != nil || !cmp.Equal(split, words) {
		t.Errorf("words %q, %v, want %q\n%s", split, err, words, text)
	}
	env := map[string]string{}
	for _, v := range got.Command.Env {
		env[v.Name] = v.Value
	}
	want := map[string]string{}
	for _, v := range p.Env {
		want[v.Name] = v.Value
	}
	if d := cmp.Diff(want, env); d != "" {
		t.Errorf("environment: %s\n%s", d, text)
	}
	for key, value := range map[string]string{"directory": got.Command.Dir, "stdout_logfile": got.IO.Stdout.Path} {
		if want, ok := p.Get(key); ok && value != want {
			t.Errorf("%s = %q, want %q\n%s", key, value, want, text)
		}
	}
}

func TestINI(t *testing.T) {
	dir := t.TempDir()
	nasty := []string{
		"", "plain", "two words", "a ;b", "a #b", ";", "#", " ;", "it's", `say "hi"`, `both ' and "`, `back\slash`, `\"`, "100%", "%s", "%%",
		"%(here)s", "%%(here)s", "%(ENV_HOME)s", "line\nnext", "line \n ;next\n\n[section]\nkey=value", "\n", " lead", "trail ", "\ttab\t",
		"ü €", "\xff\xfe", ",", "=", "a=b,c=d", "[x]", "$HOME", "`id`", "\u00a0;nbsp", "!", "~", "a;b ;c #d", "#a ;b",
	}
	for _, s := range nasty {
		t.Run(s, func(t *testing.T) {
			words := []string{"/bin/echo", s, s}
			p := Program{
				Name: "x", On: strings.Contains(s, "a"), Env: []EnvVar{{Name: "A", Value: s}, {Name: "B.c-d", Value: s + s}},
				Keys: []Key{{Name: "command", Value: CommandLine(words)}},
			}
			for _, k := range []Key{{Name: "directory", Value: "/d" + s}, {Name: "stdout_logfile", Value: dir + "/" + strings.ReplaceAll(s, "/", "")}} {
				if k.writable() == nil {
					p.Keys = append(p.Keys, k)
				}
			}
			for _, v := range p.Env {
				if err := v.writable(); err != nil {
					t.Error(err)
				}
			}
			checkSame(t, dir, &p, words)
		})
	}
}

func TestWritable(t *testing.T) {
	tests := []struct {
		value    string
		key, env bool
	}{
		{"plain", true, true},
		{"50% of %(x)s", true, true},
		{"a;b", true, true},
		{"a ;b", false, true},
		{" a", false, true},
		{"a ", false, true},
		{"a\nb", true, true},
		{"a\rb", false, false},
		{"a\r\nb", false, false},
		{"%(here)s", false, true},
		{"nul\x00", false, false},
	}
	for _, tt := range tests {
		if err := (Key{Name: "directory", Value: tt.value}).writable(); (err == nil) != tt.key {
			t.Errorf("key %q: %v", tt.value, err)
		}
		if err := (EnvVar{Name: "A", Value: tt.value}).writable(); (err == nil) != tt.env {
			t.Errorf("variable %q: %v", tt.value, err)
		}
	}
	for _, name := range []string{"", "A=B", "A\x00"} {
		if (EnvVar{Name: name}).writable() == nil {
			t.Errorf("name %q", name)
		}
	}
}

func TestTemplate(t *testing.T) {
	p := Program{
		Name: "web", Env: []EnvVar{{Name: "PORT", Value: "50%(process_num)02d", Template: true}, {Name: "RATE", Value: "5%"}},
		Keys: []Key{
			{Name: "command", Value: "serve"},
			{Name: "numprocs", Value: "2"},
			{Name: "process_name", Value: "%(program_name)s_%(process_num)02d", Template: true},
		},
	}
	list := readBack(t, t.TempDir(), p.INI())
	if len(list) != 2 || list[1].ID.Name != "web_01" {
		t.Fatalf("%v\n%s", list, p.INI())
	}
	want := []model.EnvVar{{Name: "PORT", Value: "5001"}, {Name: "RATE", Value: "5%"}}
	if d := cmp.Diff(want, list[1].Command.Env); d != "" {
		t.Errorf("%s\n%s", d, p.INI())
	}
}

// TestINIAnything: whatever the values are, they come back, or are said to be impossible.
func TestINIAnything(t *testing.T) {
	dir := t.TempDir()
	piece := rapid.OneOf(rapid.SampledFrom([]string{" ", ";", "#", "%", "'", `"`, `\`, "\n", "%(here)s", "=", ",", "[", "]", "$", "\u2003"}), rapid.StringN(0, 5, -1))
	text := rapid.Custom(func(t *rapid.T) string {
		return strings.ReplaceAll(strings.Join(rapid.SliceOfN(piece, 0, 8).Draw(t, "pieces"), ""), "\x00", "")
	})
	rapid.Check(t, func(rt *rapid.T) {
		words := append([]string{"cmd"}, rapid.SliceOfN(text, 0, 4).Draw(rt, "words")...)
		p := Program{Name: "x", On: rapid.Bool().Draw(rt, "on"), Keys: []Key{{Name: "command", Value: CommandLine(words)}}}
		if strings.Contains(strings.Join(words, ""), "\r") != (p.Keys[0].writable() != nil) {
			rt.Fatalf("command of %q: %v", words, p.Keys[0].writable())
		}
		if p.Keys[0].writable() != nil {
			return
		}
		for _, k := range []Key{{Name: "directory", Value: text.Draw(rt, "dir")}, {Name: "stdout_logfile", Value: dir + "/" + strings.ReplaceAll(text.Draw(rt, "log"), "/", "")}} {
			if k.writable() == nil && k.Value != "" {
				p.Keys = append(p.Keys, k)
			}
		}
		for i, value := range rapid.SliceOfN(text, 0, 4).Draw(rt, "env") {
			if v := (EnvVar{Name: "V" + string(rune('a'+i)), Value: value}); v.writable() == nil {
				p.Env = append(p.Env, v)
			} else if !strings.Contains(value, "\r") {
				rt.Fatalf("%q: %v", value, v.writable())
			}
		}
		checkSame(t, dir, &p, words)
	})
}

func FuzzCommandLine(f *testing.F) {
	for _, s := range []string{"a b", "x;y", "a ;b", "it's \"q\"", "\\", "%(here)s", "\n", "[x]"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		words := []string{"c" + a, b}
		k := Key{Name: "command", Value: CommandLine(words)}
		if err := k.writable(); err != nil {
			if !strings.ContainsAny(a+b, "\r\x00") {
				t.Fatal(err)
			}
			return
		}
		if got, err := shellwords.Split(k.Value); err != nil || !cmp.Equal(got, words) {
			t.Fatalf("%q, %v from %q", got, err, k.Value)
		}
	})
}
