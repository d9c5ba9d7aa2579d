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
