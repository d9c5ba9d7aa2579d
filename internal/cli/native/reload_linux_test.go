package native

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestReload: a program with a signal for it is sent that, several of one section go one after the other, one alone without
// a signal is left as it is, and --config is the configuration.
func TestReload(t *testing.T) {
	u := newUser(t)
	u.program("web", "[program:web]\ncommand=/bin/sh -c 'trap \"echo again >> told\" HUP; : > ready; while :; do sleep 0.05; done'\ndirectory=%(ENV_HOME)s\n"+
		"reload_signal=HUP\nstartsecs=0\n")
	u.program("many", "[program:many]\ncommand=sleep 1000\nnumprocs=2\nprocess_name=%(program_name)s_%(process_num)d\nstartsecs=0\n")
	u.program("one", "[program:one]\ncommand=sleep 1000\nstartsecs=0\n")
	u.start()
	u.await("ready")
	u.play([]step{
		{"reload", 2, "", "reload what? There is many:many_0, many:many_1, one and web; \"all\" stands for everything; upkeep's own configuration:  upkeep reload --config\n"},
		{"reload web", 0, "✓ web was sent HUP (reload_signal)\n", ""},
		{"reload --config web", 2, "", "--config is about all of the configuration; that of one group:  upkeep apply GROUP\n"},
		{"reload nope", 5, "", "no program named nope.   All names: upkeep status -q\n"},
		{"reload --config", 0, "✓ nothing differs: what runs is what is configured\n", ""},
	})
	u.await("told")
	before, _, _ := u.call("status", "many:*", "-o", "template={{.PID}}")
	stdout, stderr, status := u.call("reload", "many:*")
	if status != 0 || strings.Count(stdout, "is running") != 2 || !strings.Contains(stderr, "2 reloaded in") {
		t.Errorf("several: %d\n%s%s", status, stdout, stderr)
	}
	if after, _, _ := u.call("status", "many:*", "-o", "template={{.PID}}"); after == before {
		t.Error("they are the same processes as before")
	}
	stdout, _, status = u.call("reload", "one")
	if status != 1 || !strings.Contains(stdout, "it has no reload_signal") || !strings.Contains(stdout, "upkeep set one reload_signal=HUP") {
		t.Errorf("one alone: %d\n%s", status, stdout)
	}
	u.program("new", "[program:new]\ncommand=sleep 1000\nstartsecs=0\n")
	u.play([]step{{"reload --config", 0, "✓ new is there\n", ""}})
}

// await waits for a file below the user's root.
func (u *user) await(name string) {
	u.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(u.root, name)); err == nil {
			return
		}
		if time.Now().After(deadline) {
			u.t.Fatalf("%s does not come", name)
		}
	}
}
