package native

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWaitExecAttach(t *testing.T) {
	u := newUser(t)
	u.start()
	if _, errs, status := u.call("add", "web", "-e", "SECRET=shh", "-s", "startsecs=0", "--", "sh", "-c", "while read l; do echo got $l; done"); status != 0 {
		t.Fatalf("%d %s", status, errs)
	}
	for _, c := range []struct {
		args   string
		status int
		out    string
	}{
		{"wait web --for running --timeout 20s", 0, "web is running"},
		{"wait web --for stopped --timeout 100ms", 124, "web is running"},
		{"wait web --for done", 2, ""},
		{"wait nope", 5, ""},
		{"exec nope -- true", 5, ""},
		{"exec web", 2, ""},
		{"attach nope", 5, ""},
		{"version --json", 0, `"version": "1.2.3"`},
		{"help exit-codes", 0, "124"},
		{"help", 0, "upkeep help all"},
		{"install-links usrsvc", 2, ""},
		{"boot enable --at noon --dry-run", 2, ""},
		{"shell", 0, ""},
	} {
		out, errs, status := u.call(strings.Fields(c.args)...)
		if status != c.status || !strings.Contains(out, c.out) {
			t.Errorf("%s: %d, want %d\n%s%s", c.args, status, c.status, out, errs)
		}
	}
	if _, _, status := u.call("stop", "web"); status != 0 {
		t.Error("not stopped")
	}
	if _, errs, status := u.call("attach", "web"); status != 3 || !strings.Contains(errs, "upkeep start web") {
		t.Errorf("%d %s", status, errs)
	}
}

// TestBundleHidesValues: what is given to others has no value of a variable in it.
func TestBundleHidesValues(t *testing.T) {
	u := newUser(t)
	u.start()
	u.call("add", "web", "-e", "SECRET=shh-secret", "--", "sh", "-c", "sleep 1000 # token-secret")
	dir := filepath.Join(u.root, "bundle")
	if out, errs, _ := u.call("doctor", "--bundle", dir); !strings.Contains(out, "daemon") {
		t.Fatalf("%s%s", out, errs)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) < 4 {
		t.Fatalf("%v %v", entries, err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil || strings.Contains(string(text), "-secret") {
			t.Errorf("%s: %v\n%s", e.Name(), err, text)
		}
	}
}

func TestLinks(t *testing.T) {
	u := newUser(t)
	dir := filepath.Join(u.root, "bin")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &command{
		names: []Name{{"supervisord", "", "supervisor"}, {"supervisorctl", "", "supervisor"}, {"memmon", "", "superlance"}},
		out:   &strings.Builder{}, err: &strings.Builder{}, environ: func(string) string { return "" },
	}
	for range 2 {
		if err := c.links(dir, []string{"supervisor"}, false); err != nil {
			t.Fatal(err)
		}
	}
	if to, err := os.Readlink(filepath.Join(dir, "supervisorctl")); err != nil || to != self {
		t.Error(to, err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "memmon")); err == nil {
		t.Error("a name of another family was made")
	}
	foreign := filepath.Join(dir, "memmon")
	if err := os.WriteFile(foreign, []byte("mine"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := c.links(dir, []string{"superlance"}, false); err == nil {
		t.Error("a foreign file was replaced")
	}
	if err := c.links(dir, []string{"supervisor", "superlance"}, true); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 || entries[0].Name() != "memmon" {
		t.Error(entries)
	}
}
