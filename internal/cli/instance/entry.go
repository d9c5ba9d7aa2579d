package instance

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"

	"github.com/upkeep-project/upkeep/internal/conf/managed"
	"github.com/upkeep-project/upkeep/internal/sys/boot"
	"github.com/upkeep-project/upkeep/internal/sys/home"
	"github.com/upkeep-project/upkeep/internal/sys/privilege"
)

// BootEntry is how the instance is started by the machine or at login, in the words of boot.Target: for who asks, or for
// another user. root is the value of home.RootVariable, empty when there is none; system says that the instance of the
// machine is meant.
func (i Instance) BootEntry(at, user, root string, system bool) (boot.Target, error) {
	self, err := os.Executable()
	if err != nil {
		return boot.Target{}, err
	}
	t := boot.Target{Name: "upkeep", User: user, At: at, Command: []string{self, "daemon"}, Launch: []string{self, "daemon", "start"}, System: system, PidFile: i.PIDFile, Description: "upkeep: programs kept running"}
	if system && privilege.UID() < 0 { // nobody is root by a number, so it is said
		t.Command = []string{self, "--system", "daemon"}
	}
	if i.Config != "" {
		t.System, t.Launch = true, []string{self, "supervisord", "-c", i.Config} // whoever makes the entry has chosen the file
		t.Name, t.PidFile = entryName("supervisord", i.Config), ""
		t.Command = []string{self, "supervisord", "-n", "-c", i.Config}
		t.Status, t.Stop = []string{self, "-c", i.Config, "daemon", "status"}, []string{self, "-c", i.Config, "daemon", "stop", "--yes"}
		t.Description = "upkeep: the programs of " + i.Config
		return t, nil
	}
	if user != "" {
		// Where that user's daemon keeps its pid depends on what of the user is there; its commands know.
		t.Name, t.PidFile = "upkeep-"+user, ""
		t.Status, t.Stop = []string{self, "daemon", "status"}, []string{self, "daemon", "stop", "--yes"}
	}
	if root != "" { // the entry starts the instance that is meant. Source: spec/chalmers CH-06
		t.Name, t.Env = entryName(t.Name, root), []string{home.RootVariable + "=" + root}
	}
	return t, nil
}

// entryName is the name of the entry of one of several instances, by its path.
func entryName(kind, path string) string {
	base := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	if base == kind {
		base = filepath.Base(filepath.Dir(path))
	}
	sum := sha256.Sum256([]byte(path))
	name := kind + "-"
	if base = managed.NameOf(base); base != "" {
		name += base[:min(len(base), 40)] + "-"
	}
	return name + hex.EncodeToString(sum[:3])
}
