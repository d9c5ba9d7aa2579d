package home

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUnder(t *testing.T) {
	root := t.TempDir()
	t.Setenv(RootVariable, root)
	got, err := Own(false)
	if err != nil {
		t.Fatal(err)
	}
	at := func(parts ...string) string { return filepath.Join(append([]string{root}, parts...)...) }
	want := Instance{
		File: at("config", "upkeep", "upkeep.conf"), Programs: at("config", "upkeep", "programs"), Logs: at("logs"),
		State: at("state", "upkeep", "native"), Runtime: at("run", "upkeep", "native"),
		Socket: at("run", "upkeep", "upkeep.sock"), PIDFile: at("run", "upkeep", "upkeep.pid"),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	t.Setenv(RootVariable, "relative") // cannot be meant
	if other, err := Own(true); err != nil || other == got {
		t.Errorf("%+v, %v", other, err)
	}
}

// TestForeign: each file of another tool has an instance of its own, wherever a boot keeps its files.
func TestForeign(t *testing.T) {
	r := Under(filepath.FromSlash("/x"))
	a, b := r.Foreign("usrsvc", "/home/a/usrsvc.cfg"), r.Foreign("usrsvc", "/home/b/usrsvc.cfg")
	if a.State == b.State || a.Logs == b.Logs || a.Socket == b.Socket || a.State == r.Native().State {
		t.Errorf("%+v and %+v share something", a, b)
	}
	if filepath.Dir(a.Socket) != a.State || a.Runtime != a.State || a.File != "/home/a/usrsvc.cfg" || filepath.Dir(a.PIDFile) != a.State {
		t.Errorf("%+v", a)
	}
	other := r
	other.Runtime = filepath.FromSlash("/run/user/1")
	if got := other.Foreign("usrsvc", a.File); got != a {
		t.Errorf("%+v, was %+v", got, a)
	}
}
