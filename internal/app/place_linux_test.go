package app

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
)

// TestPlaceRights: what is made for an instance is its own, and the directories of a person that it is made in keep the rights
// that they have, whatever the umask.
func TestPlaceRights(t *testing.T) {
	old := syscall.Umask(0o077)
	t.Cleanup(func() { syscall.Umask(old) })
	for name, c := range map[string]struct {
		native *supervisord.Native
		want   map[string]fs.FileMode
	}{
		"native": {&supervisord.Native{}, map[string]fs.FileMode{
			"state": 0o700, "state/upkeep": 0o755, "state/upkeep/native": 0o700, "run": 0o700, "run/upkeep": 0o755, "run/upkeep/native": 0o700,
		}},
		"a supervisord.conf": {nil, map[string]fs.FileMode{
			"state": 0o700, "state/upkeep": 0o755, "state/upkeep/supervisord": 0o755, "state/upkeep/supervisord/*": 0o700,
			"run": 0o700, "run/upkeep": 0o755, "run/upkeep/supervisord": 0o755, "run/upkeep/supervisord/*": 0o700,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			t.Setenv("UPKEEP_ROOT", root)
			for _, dir := range []string{"state", "run"} {
				if err := os.Mkdir(filepath.Join(root, dir), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			config := &supervisord.Config{Native: c.native}
			config.Settings.ConfigFile, config.Settings.UID = "/etc/x.conf", -1
			for range 2 {
				if _, err := PlaceOf(config); err != nil {
					t.Fatal(err)
				}
				got := map[string]fs.FileMode{}
				for pattern := range c.want {
					found, _ := filepath.Glob(filepath.Join(root, pattern))
					for _, f := range found {
						info, err := os.Stat(f)
						if err != nil {
							t.Fatal(err)
						}
						got[pattern] = info.Mode().Perm()
					}
				}
				if d := cmp.Diff(c.want, got); d != "" {
					t.Error(d)
				}
			}
		})
	}
}
