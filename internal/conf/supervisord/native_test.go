package supervisord

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// nativeText is a configuration of a native instance in words, with D for its directory.
func nativeText(c *Config, dir string) string {
	var b strings.Builder
	s := c.Settings
	fmt.Fprintf(&b, "log %s, pid %s, programs' logs %s, identifier %s\n", s.LogFile, s.PIDFile, s.ChildLogDir, s.Identifier)
	for _, server := range c.Servers {
		fmt.Fprintf(&b, "%s at %s, mode %o\n", server.Section, server.File, server.Mode)
	}
	for _, g := range c.Model.Groups {
		for _, p := range g.Programs {
			fmt.Fprintf(&b, "%s: %s (%s:%d) to %s, startsecs %v\n", p.ID, p.Command.Line, p.Origin.File, p.Origin.Line, p.IO.Stdout.Path, p.Start.Secs)
		}
	}
	for _, in := range c.Invalid {
		for _, p := range in.Problems {
			fmt.Fprintf(&b, "%s:%d: %s\n", in.File, p.Line, p.Text)
		}
	}
	return strings.ReplaceAll(b.String(), dir, "D")
}

func nativeIn(dir string) Native {
	at := func(name string) string { return filepath.Join(dir, name) }
	return Native{File: at("upkeep.conf"), Programs: at("programs"), Logs: at("logs"), Socket: at("sock"), PIDFile: at("pid")}
}

const nativeHead = "log D/logs/upkeep.log, pid D/pid, programs' logs D/logs, identifier upkeep\nunix_http_server:upkeep at D/sock, mode 600\n"

func TestLoadNative(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string
		err   string
	}{
		{name: "nothing is there", want: nativeHead},
		{
			name: "programs", files: map[string]string{
				"programs/web.conf": "[program:web]\ncommand=/bin/web\n", "programs/api.conf": "; mine\n[program:api]\ncommand=/bin/api\nstartsecs=3\n",
				"programs/.hidden.conf": "[program:hidden]\ncommand=/x\n", "programs/web.conf~": "[program:old]\ncommand=/x\n",
			},
			want: nativeHead + "api: /bin/api (D/programs/api.conf:2) to D/logs/api.stdout.log, startsecs 3s\n" +
				"web: /bin/web (D/programs/web.conf:1) to D/logs/web.stdout.log, startsecs 1s\n",
		},
		{
			name: "a file of one's own", files: map[string]string{
				"upkeep.conf":       "[supervisord]\nidentifier=mine\n[defaults:quick]\nstartsecs=0\n[program:own]\ncommand=/bin/own\n[group:g]\nprograms=own\n",
				"programs/web.conf": "[program:web]\ncommand=/bin/web\ndefaults=quick\n",
			},
			want: strings.Replace(nativeHead, "identifier upkeep", "identifier mine", 1) +
				"g:own: /bin/own (D/upkeep.conf:5) to D/logs/g.own.stdout.log, startsecs 1s\n" +
				"web: /bin/web (D/programs/web.conf:1) to D/logs/web.stdout.log, startsecs 0s\n",
		},
		{
			name: "a mistake concerns its program alone", files: map[string]string{
				"programs/bad.conf": "[program:bad]\ncommand=/bin/bad\nstartsecs=soon\n", "programs/web.conf": "[program:web]\ncommand=/bin/web\n",
			},
			want: nativeHead + "web: /bin/web (D/programs/web.conf:1) to D/logs/web.stdout.log, startsecs 1s\n" +
				"D/programs/bad.conf:3: ",
		},
		{
			name: "a name is given once", files: map[string]string{
				"upkeep.conf": "[program:web]\ncommand=/bin/own\n", "programs/web.conf": "[program:web]\ncommand=/bin/web\n",
			},
			want: nativeHead + "web: /bin/own (D/upkeep.conf:1) to D/logs/web.stdout.log, startsecs 1s\n" +
				"D/programs/web.conf:1: a group named web is defined already: file: 'D/upkeep.conf', line 1\n",
		},
		{name: "the own file is broken", files: map[string]string{"upkeep.conf": "[program:x\n"}, err: "upkeep.conf"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "logs/there", "")
			for name, text := range c.files {
				write(t, dir, name, text)
			}
			got, err := LoadNative(nativeIn(dir), testEnv(dir))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			text := nativeText(got, dir)
			if strings.HasSuffix(c.want, ": ") { // the words of the mistake are another test's
				text = text[:min(len(text), len(c.want))]
			}
			if d := cmp.Diff(c.want, text); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestKeepLast: what an unusable file defined stays; what another file defines now is not doubled.
func TestKeepLast(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "logs/there", "")
	web := write(t, dir, "programs/web.conf", "[program:web]\ncommand=/bin/web\n")
	write(t, dir, "programs/gone.conf", "[program:gone]\ncommand=/bin/gone\n")
	first, err := LoadNative(nativeIn(dir), testEnv(dir))
	if err != nil {
		t.Fatal(err)
	}
	now := first.Model.Groups
	write(t, dir, "programs/web.conf", "[program:web]\n")
	if err := os.Remove(filepath.Join(dir, "programs", "gone.conf")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // twice is once
		next, err := LoadNative(nativeIn(dir), testEnv(dir))
		if err != nil || len(next.Invalid) != 1 || next.Invalid[0].File != web {
			t.Fatalf("%+v %v", next, err)
		}
		next.KeepLast(now)
		next.KeepLast(now)
		if len(next.Model.Groups) != 1 || next.Model.Groups[0] != first.Model.Group("web") {
			t.Errorf("%+v", next.Model.Groups)
		}
		now = next.Model.Groups
	}
	var none []*model.Group
	first.KeepLast(none)
}

// invalid are the mistakes of a native configuration in words, with D for its directory.
func invalidText(c *Config, dir string) string {
	var b strings.Builder
	for _, in := range c.Invalid {
		for _, p := range in.Problems {
			fmt.Fprintf(&b, "%s:%d: %s", in.File, p.Line, p.Text)
			if p.Suggestion != "" {
				fmt.Fprintf(&b, " (%s)", p.Suggestion)
			}
			b.WriteString("\n")
		}
	}
	return strings.ReplaceAll(b.String(), dir, "D")
}

// names are the programs of a configuration.
func names(c *Config) string {
	var list []string
	for _, p := range programsOf(c.Model.Groups) {
		list = append(list, p.ID.String())
	}
	return strings.Join(list, " ")
}

// TestMistakesConcernTheirFile: one broken file of a native instance takes nothing else with it, and what it defined stays.
func TestMistakesConcernTheirFile(t *testing.T) {
	good := map[string]string{
		"upkeep.conf":       "[include]\nfiles=conf.d/*.conf\n[program:own]\ncommand=/bin/own\n[group:shop]\nprograms=cache,mail\n[program:cache]\ncommand=/bin/cache\n[notify:ops]\nto=mailto:root\n",
		"conf.d/a.conf":     "[program:a]\ncommand=/bin/a\n",
		"conf.d/mail.conf":  "[program:mail]\ncommand=/bin/mail\n",
		"programs/db.conf":  "[program:db]\ncommand=/bin/db\nnotify=ops\n",
		"programs/web.conf": "[program:web]\ncommand=/bin/web\ndepends_on=db, a:started\n",
	}
	const all = "a db own shop:cache shop:mail web"
	for _, c := range []struct {
		name, file, text string
		now, want        string // programs without what was, mistakes
	}{
		{"nothing", "conf.d/none.txt", "x", all, ""},
		{"an included file", "conf.d/a.conf", "[program:a]\ncommand=/bin/a\nstartsecs=soon\n", "db own shop:cache shop:mail web", "D/conf.d/a.conf:3: invalid literal for int() with base 10: 'soon' in section 'program:a' (file: 'D/conf.d/a.conf')\n"},
		{"no section", "conf.d/a.conf", "command=/bin/a\n", "db own shop:cache shop:mail web", "D/conf.d/a.conf:1: File contains no section headers.\nfile: 'D/conf.d/a.conf', line: 1\n'command=/bin/a\\n'\n"},
		{"a member of a group", "conf.d/mail.conf", "[program:mail]\ncommand=%\n", "a db own shop:cache web", "D/conf.d/mail.conf:2: Format string '%' for 'program:mail.command' is badly formatted: incomplete format in section 'program:mail' (file: 'D/conf.d/mail.conf')\n"},
		{"what others wait for", "programs/db.conf", "[program:db]\n", "a own shop:cache shop:mail web", "D/programs/db.conf:1: program section program:db does not specify a command\n"},
		{"a name that nothing has", "programs/web.conf", "[program:web]\ncommand=/bin/web\n\ndepends_on=bd\n", "a db own shop:cache shop:mail", "D/programs/web.conf:4: depends_on: nothing is called 'bd' (db)\n"},
		{"a notifier that is not there", "programs/db.conf", "[program:db]\ncommand=/bin/db\nnotify=osp\n", "a own shop:cache shop:mail web", "D/programs/db.conf:3: notify: there is no section [notify:osp] (ops)\n"},
		{"a circle", "programs/db.conf", "[program:db]\ncommand=/bin/db\ndepends_on=web\n", "a own shop:cache shop:mail", "D/programs/db.conf:3: depends_on: these wait for each other: db -> web -> db\nD/programs/web.conf:3: depends_on: these wait for each other: db -> web -> db\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "logs/there", "")
			for name, text := range good {
				write(t, dir, name, text)
			}
			before, err := LoadNative(nativeIn(dir), testEnv(dir))
			if err != nil || names(before) != all || len(before.Invalid) > 0 {
				t.Fatalf("%s, %s, %v", names(before), invalidText(before, dir), err)
			}
			write(t, dir, c.file, c.text)
			after, err := LoadNative(nativeIn(dir), testEnv(dir))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.now, names(after)) + cmp.Diff(c.want, invalidText(after, dir)); d != "" {
				t.Error(d)
			}
			after.KeepLast(before.Model.Groups)
			if names(after) != all {
				t.Errorf("what was does not stay: %s", names(after))
			}
		})
	}
}

// TestUnsettled: of a file that is being written nothing is concluded.
func TestUnsettled(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "logs/there", "")
	main := write(t, dir, "upkeep.conf", "[include]\nfiles=conf.d/*.conf\n[program:own]\ncommand=/bin/own\n")
	included := write(t, dir, "conf.d/a.conf", "[program:a]\ncommand=/bin/a\n")
	web := write(t, dir, "programs/web.conf", "[program:web]\ncommand=/bin/web\n")
	before, err := LoadNative(nativeIn(dir), testEnv(dir))
	if err != nil {
		t.Fatal(err)
	}
	env := testEnv(dir)
	busy := ""
	env.ReadFile = func(path string) ([]byte, error) {
		if path == busy {
			return nil, &UnsettledError{path}
		}
		return os.ReadFile(path)
	}
	for _, busy = range []string{included, web} {
		c, err := LoadNative(nativeIn(dir), env)
		if err != nil || len(c.Invalid) != 1 || c.Invalid[0].File != busy || c.Invalid[0].Problems[0].Text != busy+" is being written" {
			t.Fatalf("%s: %+v, %v", busy, c, err)
		}
		if c.KeepLast(before.Model.Groups); names(c) != "a own web" {
			t.Errorf("%s: %s", busy, names(c))
		}
	}
	busy = main
	if _, err := LoadNative(nativeIn(dir), env); err == nil || err.Error() != main+" is being written" {
		t.Error(err)
	}
	path := write(t, dir, "s.conf", "[supervisord]\n[include]\nfiles=conf.d/*.conf\n")
	for _, busy = range []string{path, included} {
		if _, err := Load(&Args{Prog: "s", Configuration: &path}, env); err == nil || err.Error() != busy+" is being written" {
			t.Error(err)
		}
	}
}

// TestSharedKnowsTheOthers: the definition of one program is judged against all others.
func TestSharedKnowsTheOthers(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "logs/there", "")
	write(t, dir, "upkeep.conf", "[notify:ops]\nto=mailto:root\n")
	write(t, dir, "programs/db.conf", "[program:db]\ncommand=/bin/db\ndepends_on=web\n")
	write(t, dir, "programs/broken.conf", "[program:broken]\n")
	web := write(t, dir, "programs/web.conf", "[program:web]\ncommand=/bin/web\n")
	c, err := LoadNative(nativeIn(dir), testEnv(dir))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"depends_on=broken\nnotify=ops\n": "",
		"depends_on=dbb\n":                "3 depends_on: nothing is called 'dbb' (db)",
		"umask=022\ndepends_on=db\n":      "4 depends_on: these wait for each other: web -> db -> web ()",
		"notify=opps\n":                   "3 notify: there is no section [notify:opps] (ops)",
	} {
		_, _, problems := c.Shared.ReadProgramFile(web, []byte("[program:web]\ncommand=/bin/web\n"+text), testEnv(dir))
		got := ""
		for _, p := range problems {
			got += fmt.Sprintf("%d %s (%s)", p.Line, p.Text, p.Suggestion)
		}
		if got != want {
			t.Errorf("%q: %s", text, got)
		}
	}
	if d := c.Model.Group("db").Programs[0].Depends; len(d) != 1 || d[0].On != "web" {
		t.Errorf("what is in force was changed: %v", d)
	}
}
