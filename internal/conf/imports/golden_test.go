package imports

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/base/shellwords"
	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
)

// update writes the golden files anew.
var update = flag.Bool("update", false, "write the golden files")

// testWorld is a machine on which two processes run.
func testWorld() *World {
	return &World{
		Vars: map[string]string{"HOME": "/users/sam"}, Home: "/users/sam", Cwd: "/users/sam", GOOS: "linux", UID: 0, CPUs: 4,
		Started: func(pid int) (time.Time, bool) {
			switch pid {
			case 4002, 4242, 4343:
				return time.Unix(1700000000, 0), true
			case 77, 4243:
				return time.Unix(1700000001, 0), true
			}
			return time.Time{}, false
		},
	}
}

// render is a report as one text, without the place of the test.
func render(r *Report, dir string) string {
	var b strings.Builder
	for i := range r.Programs {
		p := &r.Programs[i]
		fmt.Fprintf(&b, "%s", p.INI())
		fmt.Fprintf(&b, "; kept: %s\n", strings.Join(p.Kept, " "))
		for _, c := range p.Changed {
			fmt.Fprintf(&b, "; changed: %s: %q -> %q: %s\n", c.Key, c.Old, c.New, c.Why)
		}
		for _, d := range p.Dropped {
			fmt.Fprintf(&b, "; dropped: %s\n", d)
		}
		if l := p.Live; l != nil {
			fmt.Fprintf(&b, "; live: %d since %s, %q, %q\n", l.PID, l.Start.UTC().Format(time.RFC3339), l.Stdout, l.Stderr)
		}
		b.WriteString("\n")
	}
	for _, p := range r.Problems {
		fmt.Fprintln(&b, p)
	}
	return strings.ReplaceAll(b.String(), dir, "DIR")
}

// someUsers has every user.
type someUsers struct{ nobody }

func (someUsers) UserByName(name string) (supervisord.User, bool) {
	return supervisord.User{Name: name, UID: 5, GID: 5}, true
}

func (someUsers) UserByID(uid int) (supervisord.User, bool) { return supervisord.User{UID: uid}, true }

// TestGolden reads the sources in testdata and compares the reports with those kept there. Every definition must be
// taken by the dialect, in strict mode.
func TestGolden(t *testing.T) {
	tests := []struct{ name, kind, path string }{
		{"procfile", "procfile", "Procfile"},
		{"procfile-formation", "procfile", "Procfile"},
		{"pm2-ecosystem", "pm2", "ecosystem.config.json"},
		{"pm2-yaml", "pm2", "ecosystem.config.yaml"},
		{"pm2-dump", "pm2", "dump.pm2"},
		{"pm2-jlist", "pm2", "list.json"},
		{"compose", "compose", "compose.yaml"},
		{"systemd", "systemd", "units"},
		{"supervisor", "supervisor", "supervisord.conf"},
		{"chalmers", "chalmers", ""},
		{"usrsvc", "usrsvc", "usrsvc.cfg"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, err := filepath.Abs(filepath.Join("testdata", tt.name))
			if err != nil {
				t.Fatal(err)
			}
			report, err := Read(tt.kind, filepath.Join(dir, tt.path), testWorld())
			if err != nil {
				t.Fatal(err)
			}
			got := render(report, dir)
			file := filepath.Join("testdata", tt.name+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Error(d)
			}
			accepted(t, report)
		})
	}
}

// accepted has the dialect read every definition of a report.
func accepted(t testing.TB, report *Report) {
	t.Helper()
	names := map[string]bool{}
	for i := range report.Programs {
		p := &report.Programs[i]
		if names[p.Name] || p.Name != safeName(p.Name) {
			t.Errorf("name %q", p.Name)
		}
		names[p.Name] = true
		env := supervisord.Environ{Vars: map[string]string{"HOME": "/h"}, Cwd: "/", Hostname: "host", TempDir: "/", Users: someUsers{}}
		groups, _, problems := supervisord.ReadProgramFile("/programs/x.conf", p.INI(), env)
		for _, e := range problems {
			t.Errorf("line %d: %v\n%s", e.Line, e, p.INI())
		}
		if len(problems) > 0 || len(groups) != 1 {
			continue
		}
		for _, got := range groups[0].Programs {
			if got.Start.Auto != p.On {
				t.Errorf("%s: autostart %v", p.Name, got.Start.Auto)
			}
			for _, k := range p.Keys {
				if k.Name != "command" || k.Template {
					continue
				}
				meant, err1 := shellwords.Split(k.Value)
				read, err2 := shellwords.Split(got.Command.Line)
				if err1 != nil || err2 != nil || !cmp.Equal(meant, read) {
					t.Errorf("%s: %q, want %q", p.Name, read, meant)
				}
			}
			env := map[string]string{}
			for _, v := range got.Command.Env {
				env[v.Name] = v.Value
			}
			for _, v := range p.Env {
				if !v.Template && env[v.Name] != v.Value {
					t.Errorf("%s: %s=%q, want %q", p.Name, v.Name, env[v.Name], v.Value)
				}
			}
		}
	}
}

func TestRead(t *testing.T) {
	if _, err := Read("cron", "/x", testWorld()); !errors.Is(err, ErrKind) {
		t.Error(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"app.js": "module.exports = {}", "bad.json": "{", "scalar.json": "3", "big": strings.Repeat("x", maxFile+1), "plain.conf": "no section",
		"bad.yaml": "a: [",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct{ kind, path, want string }{
		{"pm2", "app.js", "is a program and is not run"},
		{"pm2", "bad.json", "line 1"},
		{"pm2", "scalar.json", "no apps"},
		{"procfile", "gone", "no such file"},
		{"procfile", "big", "larger than"},
		{"procfile", ".", "not a regular file"},
		{"supervisor", "plain.conf", "no section headers"},
		{"compose", "bad.yaml", "line 1"},
		{"systemd", "gone.service", "no such file"},
		{"chalmers", "gone", ""},
	}
	for _, tt := range tests {
		_, err := Read(tt.kind, filepath.Join(dir, tt.path), testWorld())
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %s: %v", tt.kind, tt.path, err)
		}
	}
	w := testWorld()
	w.Cwd = dir
	if r, err := Read("pm2", "scalar.json", w); err == nil || r != nil {
		t.Error("a relative path was not taken from the working directory")
	}
}
