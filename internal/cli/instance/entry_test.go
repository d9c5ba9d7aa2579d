package instance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/sys/boot"
	"github.com/upkeep-project/upkeep/internal/sys/home"
)

// TestBootEntry: whoever asks, and by whichever command, the same instance has the same entry, and two have two.
func TestBootEntry(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	own, file := Instance{}, Instance{Config: filepath.FromSlash("/srv/shop/supervisord.conf")}
	own.PIDFile = "/run/upkeep.pid"
	for _, tt := range []struct {
		name       string
		i          Instance
		user, root string
		begins     string // the name of the entry
		command    []string
		pidFile    string
		status     bool // a command tells whether it runs
	}{
		{"one's own", own, "", "", "upkeep", []string{self, "daemon"}, own.PIDFile, false},
		{"one's own elsewhere", own, "", "/srv/x", "upkeep-x-", []string{self, "daemon"}, own.PIDFile, false},
		{"another user's", own, "alice", "", "upkeep-alice", []string{self, "daemon"}, "", true},
		{"another user's elsewhere", own, "alice", "/srv/x", "upkeep-alice-x-", []string{self, "daemon"}, "", true},
		{"that of a file", file, "", "", "supervisord-shop-", []string{self, "supervisord", "-n", "-c", file.Config}, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := tt.i.BootEntry(boot.AtBoot, tt.user, tt.root, false)
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Check(); err != nil {
				t.Error(err)
			}
			if rest, ok := strings.CutPrefix(e.Name, tt.begins); !ok || strings.HasSuffix(tt.begins, "-") != (rest != "") {
				t.Errorf("it is called %s", e.Name)
			}
			var env []string
			if tt.root != "" {
				env = []string{home.RootVariable + "=" + tt.root}
			}
			want := boot.Target{User: tt.user, At: boot.AtBoot, Command: tt.command, PidFile: tt.pidFile, Env: env}
			if d := cmp.Diff(want, boot.Target{User: e.User, At: e.At, Command: e.Command, PidFile: e.PidFile, Env: e.Env}); d != "" {
				t.Error(d)
			}
			if (e.Status != nil) != tt.status || (e.Stop != nil) != tt.status || e.Launch == nil || e.Description == "" {
				t.Errorf("%+v", e)
			}
		})
	}
	a, _ := own.BootEntry(boot.AtBoot, "", "/srv/a/x", false)
	b, _ := own.BootEntry(boot.AtBoot, "", "/srv/b/x", false)
	if a.Name == b.Name {
		t.Errorf("two instances are called %s", a.Name)
	}
}
