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
