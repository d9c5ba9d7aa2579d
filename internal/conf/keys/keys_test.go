package keys

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

func TestTableIsWhole(t *testing.T) {
	table := Sections()
	kinds := map[string]bool{}
	for i := range table {
		s := &table[i]
		if kinds[s.Kind] || s.Text == "" || len(s.All) == 0 {
			t.Errorf("%s: twice, or empty", s.Kind)
		}
		kinds[s.Kind] = true
		seen := map[string]bool{}
		for j := range s.All {
			k := &s.All[j]
			switch {
			case seen[k.Name]:
				t.Errorf("%s %s is there twice", s.Header(), k.Name)
			case len(k.Text) < 20 || !strings.HasSuffix(k.Text, "."):
				t.Errorf("%s %s is not explained: %q", s.Header(), k.Name, k.Text)
			case k.Required && k.Default != "":
				t.Errorf("%s %s is required and has a default", s.Header(), k.Name)
			case k.Type == Choice && len(k.Values) == 0:
				t.Errorf("%s %s has no choice", s.Header(), k.Name)
			case k.Allowed() == "":
				t.Errorf("%s %s: nothing is allowed", s.Header(), k.Name)
			case Fold(k.Name) != k.Name && Family(k.Name) == "":
				t.Errorf("%s %s is not as files have it", s.Header(), k.Name)
			}
			seen[k.Name] = true
		}
	}
}

// TestEveryFieldOfTheModelIsAKey: what can change in a program is a key that can be explained.
func TestEveryFieldOfTheModelIsAKey(t *testing.T) {
	table := Sections()
	notKeys := []string{model.FieldType, model.FieldSection, model.FieldOrigin}
	for _, f := range model.Fields() {
		if !cmp.Equal(table.Explain(f.Key) != nil, !contains(notKeys, f.Key)) {
			t.Errorf("%s: %v", f.Key, table.Explain(f.Key))
		}
	}
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

func TestEffect(t *testing.T) {
	table := Sections()
	for header, want := range map[string]Effect{
		"program:x command": EffectRestart, "program:x stopsignal": EffectLive, "program:x reload_signal": EffectLive, "program:x env.A": EffectRestart,
		"program:x env_file": EffectRestart, "program:x numprocs": EffectLive, "program:x process_name": EffectRestart,
		"program:x defaults": EffectRead, "program:x priority": EffectLive, "group:x priority": EffectLive, "group:x programs": EffectRead,
		"supervisord loglevel": EffectDaemon, "unix_http_server file": EffectDaemon, "include files": EffectRead,
		"eventlistener:x buffer_size": EffectLive, "eventlistener:x command": EffectRestart, "fcgi-program:x socket": EffectRestart,
		"program:x stop_reach": EffectLive, "defaults:x umask": EffectRestart,
	} {
		header, key, _ := strings.Cut(header, " ")
		s := table.Find(header)
		if s == nil || s.Key(key) == nil {
			t.Errorf("%s %s is not there", header, key)
			continue
		}
		if got := s.Effect(s.Key(key)); got != want || got.String() == "" {
			t.Errorf("%s %s: %v, want %v", header, key, got, want)
		}
	}
}

func TestFind(t *testing.T) {
	table := Sections()
	for header, want := range map[string]string{
		"program:x": "program", "program": "", "supervisord": "supervisord", "supervisord:x": "", "unix_http_server:x": "unix_http_server",
		"unix_http_server": "unix_http_server", "defaults": "defaults", "defaults:x": "defaults", "nope": "", "program:a:b": "program",
	} {
		got := ""
		if s := table.Find(header); s != nil {
			got = s.Kind
		}
		if got != want {
			t.Errorf("%s: %q", header, got)
		}
	}
}

func TestFold(t *testing.T) {
	for key, want := range map[string]string{
		"Command": "command", "ENV.Path": "env.Path", "env.PATH": "env.PATH", "env.": "env.", "ENV_FILE": "env_file", "Environment": "environment",
	} {
		if got := Fold(key); got != want || Fold(got) != want {
			t.Errorf("%s: %s", key, got)
		}
	}
}

func TestExplain(t *testing.T) {
	table := Sections()
	headers := func(name string) (list []string) {
		for _, u := range table.Explain(name) {
			list = append(list, u.Section.Header()+" "+u.Key.Name)
		}
		return list
	}
	for name, want := range map[string][]string{
		"autostart": {"[program:x] autostart"}, "priority": {"[program:x] priority", "[group:x] priority", "[eventlistener:x] priority"},
		"group.priority": {"[group:x] priority"}, "env.PORT": {"[program:x] env.NAME"}, "nope": nil, "Command": {"[program:x] command"},
		"upkeep.ctl_help": {"[ctlplugin:x] upkeep.ctl_help"},
	} {
		if d := cmp.Diff(want, headers(name)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	if names := table.Names(); len(names) < 70 || contains(names, "") {
		t.Errorf("%d names", len(names))
	}
	if got := table.Find("program:x").Close("autorestrat"); len(got) == 0 || got[0] != "autorestart" {
		t.Errorf("%v", got)
	}
}

func TestAllowed(t *testing.T) {
	s := Sections().Kind("program")
	for key, want := range map[string]string{
		"autorestart": "true, false or unexpected", "stdout_logfile": "a path whose folder exists, or AUTO or NONE",
		"startsecs": "a whole number of seconds", "log_full": "drop or block",
	} {
		if got := s.Key(key).Allowed(); got != want {
			t.Errorf("%s: %s", key, got)
		}
	}
	if !contains(s.Key("stopsignal").Words(), "TERM") || !contains(s.Key("autostart").Words(), "true") || len(s.Key("command").Words()) != 0 {
		t.Error("words")
	}
}
