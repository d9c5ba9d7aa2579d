package launch

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/core"
)

// TestKillsOf: the control group of the instance counts; without one, and without a word in the kernel's log, nothing is said.
func TestKillsOf(t *testing.T) {
	counted := t.TempDir()
	if err := os.WriteFile(filepath.Join(counted, "memory.events"), []byte("low 0\noom 3\noom_kill 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	since := time.Now()
	for dir, want := range map[string]int{counted: 3, t.TempDir(): 0, "": 0} {
		if got := killsOf(dir, os.Getpid(), since); got != want {
			t.Errorf("%q: %d, want %d", dir, got, want)
		}
	}
}

// TestWasKilledAsksOnlyWhereItMatters: an end that is explained already is left as it is: the handle that is missing here
// would be asked for the pid.
func TestWasKilledAsksOnlyWhereItMatters(t *testing.T) {
	for name, e := range map[string]model.Exit{
		"unknown": {Reason: "nobody saw"}, "a code": {Known: true, Status: 9}, "another signal": {Known: true, Signal: 15},
	} {
		if got := (&Host{}).wasKilled(core.Instance{}, &instance{}, e); got != e {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
