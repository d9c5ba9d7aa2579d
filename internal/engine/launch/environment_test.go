package launch

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

func TestEnvironment(t *testing.T) {
	own := "SUPERVISOR_ENABLED=1 SUPERVISOR_GROUP_NAME=web SUPERVISOR_PROCESS_NAME=web_00 "
	for name, c := range map[string]struct {
		daemon    string // words
		url       string // of the daemon's server
		serverURL string // of the program
		set       string // the program's
		other     bool
		want      string
	}{
		"nothing":                {want: own},
		"inherited":              {daemon: "A=1 PATH=/bin", want: "A=1 PATH=/bin " + own},
		"a daemon in a daemon":   {daemon: "SUPERVISOR_ENABLED=0 SUPERVISOR_PROCESS_NAME=x SUPERVISOR_GROUP_NAME=y", want: own},
		"server":                 {url: "unix:///s", want: own + "SUPERVISOR_SERVER_URL=unix:///s"},
		"server of the program":  {url: "unix:///s", serverURL: "http://h:1", want: own + "SUPERVISOR_SERVER_URL=http://h:1"},
		"no server of ours":      {daemon: "SUPERVISOR_SERVER_URL=http://outer", want: own + "SUPERVISOR_SERVER_URL=http://outer"},
		"the program wins":       {daemon: "A=1 B=2", set: "A=3 C=4", want: "A=3 B=2 C=4 " + own},
		"even over our own":      {url: "u", set: "SUPERVISOR_ENABLED=zzz SUPERVISOR_SERVER_URL=v", want: "SUPERVISOR_ENABLED=zzz SUPERVISOR_GROUP_NAME=web SUPERVISOR_PROCESS_NAME=web_00 SUPERVISOR_SERVER_URL=v"},
		"values with =":          {daemon: "A=b=c", set: "D==", want: "A=b=c D== " + own},
		"empty values":           {daemon: "A=", set: "B=", want: "A= B= " + own},
		"no names":               {daemon: "=x y", want: own},
		"last of two":            {daemon: "A=1 A=2", want: "A=2 " + own},
		"loader, same user":      {daemon: "LD_PRELOAD=x", want: "LD_PRELOAD=x " + own},
		"loader, another user":   {daemon: "LD_PRELOAD=x LD_LIBRARY_PATH=y DYLD_X=z GLIBC_TUNABLES=t OLD_X=1", other: true, want: "OLD_X=1 " + own},
		"loader, set on purpose": {daemon: "LD_PRELOAD=x", set: "LD_PRELOAD=z", other: true, want: "LD_PRELOAD=z " + own},
	} {
		t.Run(name, func(t *testing.T) {
			p := &model.Program{ID: model.ID{Group: "web", Name: "web_00"}, ServerURL: c.serverURL}
			for _, kv := range strings.Fields(c.set) {
				k, v, _ := strings.Cut(kv, "=")
				p.Command.Env = append(p.Command.Env, model.EnvVar{Name: k, Value: v})
			}
			e := newEnvironment(strings.Fields(c.daemon), c.url)
			if d := cmp.Diff(strings.Fields(c.want), e.of(p, c.other)); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

// TestEnvironmentIsNotShared: one program's variables never reach the next.
func TestEnvironmentIsNotShared(t *testing.T) {
	e := newEnvironment([]string{"A=1"}, "")
	first := &model.Program{Command: model.Command{Env: []model.EnvVar{{Name: "SECRET", Value: "x"}, {Name: "A", Value: "2"}}}}
	e.of(first, true)
	for _, kv := range e.of(&model.Program{}, false) {
		if strings.HasPrefix(kv, "SECRET=") || kv == "A=2" {
			t.Errorf("%s has stayed", kv)
		}
	}
}

// TestClearEnvironment: inherit_env=false leaves the program's own variables alone.
func TestClearEnvironment(t *testing.T) {
	e := newEnvironment([]string{"PATH=/bin", "SECRET=x"}, "unix:///s")
	p := &model.Program{Command: model.Command{Clear: true, Env: []model.EnvVar{{Name: "A", Value: "1"}}}}
	if d := cmp.Diff([]string{"A=1"}, e.of(p, false)); d != "" {
		t.Error(d)
	}
	if got := e.value(p, "SECRET"); got != "" {
		t.Errorf("%s", got)
	}
	if got := e.path(p); got != "/bin" {
		t.Errorf("commands are looked for in %s", got)
	}
}

func TestServerURL(t *testing.T) {
	for _, tt := range []struct {
		daemon string
		p      model.Program
		want   string
	}{
		{"", model.Program{}, ""},
		{"unix:///a", model.Program{}, "unix:///a"},
		{"unix:///a", model.Program{ServerURL: "http://b"}, "http://b"},
		{"unix:///a", model.Program{Command: model.Command{Env: []model.EnvVar{{Name: serverVariable, Value: "c"}}}}, "c"},
	} {
		if got := New(Options{ServerURL: tt.daemon}).ServerURL(&tt.p); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt, got, tt.want)
		}
	}
}
