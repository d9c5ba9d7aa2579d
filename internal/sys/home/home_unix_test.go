//go:build unix

package home

import (
	"net"
	"os"
	"path/filepath"
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

// TestStays: a daemon whose socket lies in the state is found there when a login makes a directory for the boot, unless another
// one answers in that.
func TestStays(t *testing.T) {
	short := func() string { // the path of a socket is limited
		dir, err := os.MkdirTemp("", "h")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		return dir
	}
	state, runtime := short(), short()
	env := map[string]string{"XDG_STATE_HOME": state, "XDG_RUNTIME_DIR": runtime}
	place := func() string { return userRoots("/h", func(name string) string { return env[name] }).Runtime }
	listen := func(dir string) net.Listener {
		socket := Roots{Runtime: dir}.Native().Socket
		if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	if got := place(); got != runtime {
		t.Errorf("no daemon: %s", got)
	}
	first := listen(state)
	if got := place(); got != state {
		t.Errorf("one in the state: %s", got)
	}
	listen(runtime)
	if got := place(); got != runtime {
		t.Errorf("one in each: %s", got)
	}
	if err := first.Close(); err != nil { // this removes the socket
		t.Fatal(err)
	}
	if got := place(); got != runtime {
		t.Errorf("one in the directory of the boot: %s", got)
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

func TestSystemRunDirectory(t *testing.T) {
	for goos, want := range map[string]string{"linux": "/run", "darwin": "/var/run", "freebsd": "/var/run"} {
		if got := systemRootsOf(goos).Runtime; got != want {
			t.Errorf("%s: %s, want %s", goos, got, want)
		}
	}
}
