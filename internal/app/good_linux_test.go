package app_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/sys/home"
)

// put writes a file below a directory that is made where it is missing.
func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestStartWithBrokenConfiguration: an instance whose files were broken while it was down starts with what was in force
// before, says so everywhere, and takes the files when they are right again.
func TestStartWithBrokenConfiguration(t *testing.T) {
	if testing.Short() {
		t.Skip("a daemon is started several times")
	}
	root := shortDir(t)
	at := home.Under(root).Native()
	const text = "[program:own]\ncommand=/bin/sleep 1000\nstartsecs=0\n"
	put(t, at.File, text)
	put(t, filepath.Join(at.Programs, "web.conf"), "[program:web]\ncommand=/bin/sleep 1001\nstartsecs=0\n")
	up := func(d *daemon, names ...string) {
		t.Helper()
		for _, name := range names {
			until(t, name, func() bool {
				p, err := d.api.Process(t.Context(), name)
				return err == nil && p.State == "RUNNING"
			})
		}
	}
	d := native(t, root, 0)
	up(d, "own", "web")
	good := filepath.Join(at.State, "last-good.json")
	until(t, "the last good configuration", func() bool { _, err := os.Stat(good); return err == nil })
	d.stop()

	put(t, at.File, text+"nonsense\n")
	put(t, filepath.Join(at.Programs, "web.conf"), "[program:web]\ncommand=/bin/sleep 1001\nstartsecs=soon\n")
	d = native(t, root, 0)
	up(d, "own", "web")
	s, err := d.api.System(t.Context())
	if err != nil || len(s.Invalid) == 0 || s.Invalid[0] != at.File {
		t.Errorf("%+v, %v", s.Invalid, err)
	}
	if _, err := d.api.Apply(t.Context()); err == nil {
		t.Error("a broken file was applied")
	}
	activity, err := os.ReadFile(filepath.Join(at.Logs, "upkeep.log"))
	if err != nil || !strings.Contains(string(activity), "CRIT the configuration cannot be used: ") || !strings.Contains(string(activity), "the last good one is in force") {
		t.Errorf("%s %v", activity, err)
	}
	pid := *d.process("own").PID
	put(t, at.File, text)
	if _, err := d.api.Apply(t.Context()); err != nil {
		t.Error(err)
	}
	if s, err = d.api.System(t.Context()); err != nil || len(s.Invalid) != 1 || s.Invalid[0] != filepath.Join(at.Programs, "web.conf") {
		t.Errorf("%+v, %v", s.Invalid, err)
	}
	up(d, "own", "web")
	if now := *d.process("own").PID; now != pid {
		t.Errorf("what has not changed was touched: %d, %d", pid, now)
	}
	d.stop()

	d = native(t, root, 0) // one program's file alone is broken now
	up(d, "own", "web")
}

// TestValuesOfEachProgram: wherever a program of an instance is defined, its values are told with their places.
func TestValuesOfEachProgram(t *testing.T) {
	if testing.Short() {
		t.Skip("a daemon is started")
	}
	root := shortDir(t)
	at := home.Under(root).Native()
	more := filepath.Join(root, "more.conf")
	put(t, at.File, "[program:own]\ncommand=/bin/sleep 1000\nautostart=false\n[defaults:d]\nstartsecs=7\n[include]\nfiles="+more+"\n")
	put(t, more, "[program:more]\ncommand=/bin/sleep 1000\nautostart=false\n")
	put(t, filepath.Join(at.Programs, "web.conf"), "[program:web]\ncommand=/bin/sleep 1001\nautostart=false\ndefaults=d\n")
	d := native(t, root, 0)
	for name, want := range map[string][2]string{
		"own": {"autostart", at.File + ":3"}, "more": {"autostart", more + ":3"}, "web": {"startsecs", "defaults:d " + at.File + ":5"},
	} {
		def, err := d.api.Program(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(def.Values, func(v upkeep.Value) bool { return v.Key == want[0] })
		if i < 0 || def.Values[i].Source != want[1] {
			t.Errorf("%s: %+v", name, def.Values)
		}
	}
}
