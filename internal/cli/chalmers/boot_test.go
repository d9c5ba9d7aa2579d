package chalmers

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/conf/imports"
	"github.com/upkeep-project/upkeep/internal/sys/boot"
)

// machine is one with systemd, in a folder.
func machine(t *testing.T, uid int) *boot.Host {
	t.Helper()
	h := &boot.Host{OS: "linux", Root: t.TempDir(), UID: uid, User: "sam", Home: "/home/sam", Account: func(_ context.Context, name string) (int, bool) { return 1001, name == "alice" }}
	if uid == 0 {
		h.User, h.Home = "root", "/root"
	}
	for _, name := range []string{"run/systemd/system/x", "run/user/1000/systemd/private", "usr/bin/systemctl", "usr/bin/loginctl", "var/lib/systemd/linger/sam"} {
		put(t, filepath.Join(h.Root, name), "")
		if err := os.Chmod(filepath.Join(h.Root, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	enabled := map[string]bool{}
	h.Exec = func(_ context.Context, c boot.Command) (string, error) {
		line, name := strings.Join(c.Argv, " "), c.Argv[len(c.Argv)-1]
		switch {
		case strings.HasSuffix(line, "is-system-running"):
			return "running\n", nil
		case strings.Contains(line, " show-user "):
			return "Sessions=1\n", nil
		case strings.Contains(line, " show "):
			return "UnitFileState=" + map[bool]string{true: "enabled", false: "disabled"}[enabled[name]] + "\nActiveState=inactive\n", nil
		case strings.Contains(line, " enable "):
			enabled[name] = true
		case strings.Contains(line, " disable "):
			enabled[name] = false
		}
		return "", nil
	}
	return h
}

// TestBoot: the three verbs of @startup and @login, and of the older service, make, show and remove the entry.
func TestBoot(t *testing.T) {
	const own, others, mine = "etc/systemd/system/upkeep.service", "etc/systemd/system/upkeep-alice.service", "home/sam/.config/systemd/user/upkeep.service"
	for _, tt := range []struct {
		name               string
		root               bool
		vars               map[string]string
		enable, status, no string
		file               string
		has                string // a line of it
	}{
		{"root's own", true, nil, "@startup enable", "@startup", "@startup disable", own, ""},
		{"of another user", true, nil, "@startup enable --user alice", "@startup status --user alice", "@startup disable --user alice", others, "User=alice"},
		{"of who used sudo", true, map[string]string{"SUDO_USER": "alice"}, "@startup enable", "@startup status", "@startup disable", others, "User=alice"},
		{"at login", false, nil, "@login enable", "@login status", "@login disable", mine, ""},
		{"the older name for root", true, nil, "service install", "service status", "service uninstall", own, ""},
		{"the older name", false, nil, "service install", "service", "service uninstall", mine, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			uid := map[bool]int{true: 0, false: 1000}[tt.root]
			h := machine(t, uid)
			do := func(line string) (int, string) {
				var out bytes.Buffer
				e := &Env{
					Instance: three(), World: &imports.World{}, Host: h, Cwd: "/here", Vars: tt.vars, Stdout: &out, Stderr: &out, Root: tt.root,
					Now: time.Now, Version: "1",
				}
				return Main(context.Background(), e, strings.Fields(line)), out.String()
			}
			if status, out := do(tt.status); status != 1 {
				t.Errorf("status before: %d\n%s", status, out)
			}
			if status, out := do(tt.enable); status != 0 {
				t.Fatalf("enable: %d\n%s", status, out)
			}
			unit, err := os.ReadFile(filepath.Join(h.Root, tt.file))
			if err != nil || !strings.Contains(string(unit), " daemon\n") || !strings.Contains(string(unit), tt.has) {
				t.Errorf("%v\n%s", err, unit)
			}
			if status, out := do(tt.status); status != 0 {
				t.Errorf("status: %d\n%s", status, out)
			}
			if status, out := do(tt.no); status != 0 {
				t.Errorf("disable: %d\n%s", status, out)
			}
			if _, err := os.Stat(filepath.Join(h.Root, tt.file)); err == nil {
				t.Error("the entry is there still")
			}
		})
	}
}
