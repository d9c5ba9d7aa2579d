//go:build unix

package home

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUserRoots(t *testing.T) {
	runtime := "/h/.local/state"
	if private(loginDir()) {
		runtime = loginDir()
	}
	for _, c := range []struct {
		name string
		env  map[string]string
		want Roots
	}{
		{"nothing is said", nil, Roots{"/h/.config", "/h/.local/state", "/h/.local/state/upkeep/logs", runtime}},
		{
			"everything is said",
			map[string]string{"XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "/r"},
			Roots{"/c", "/s", "/s/upkeep/logs", "/r"},
		},
		{
			"relative names count for nothing",
			map[string]string{"XDG_CONFIG_HOME": "c", "XDG_STATE_HOME": "", "XDG_RUNTIME_DIR": "./r"},
			Roots{"/h/.config", "/h/.local/state", "/h/.local/state/upkeep/logs", runtime},
		},
	} {
		if d := cmp.Diff(c.want, userRoots("/h", func(name string) string { return c.env[name] })); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

func TestSystem(t *testing.T) {
	t.Setenv(RootVariable, "")
	got, err := Own(true)
	want := Instance{
		File: "/etc/upkeep/upkeep.conf", Programs: "/etc/upkeep/programs", Logs: "/var/log/upkeep", State: "/var/lib/upkeep/native",
		Runtime: "/run/upkeep/native", Socket: "/run/upkeep/upkeep.sock", PIDFile: "/run/upkeep/upkeep.pid",
	}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Error(err, d)
	}
}

func TestPrivate(t *testing.T) {
	dir := t.TempDir()
	link := dir + "/link"
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		mode os.FileMode
		path string
		want bool
	}{{0o700, dir, true}, {0o755, dir, false}, {0o700, link, false}, {0o700, dir + "/none", false}} {
		if err := os.Chmod(dir, c.mode); err != nil {
			t.Fatal(err)
		}
		if got := private(c.path); got != c.want {
			t.Errorf("%s with mode %o: %v", c.path, c.mode, got)
		}
	}
}
