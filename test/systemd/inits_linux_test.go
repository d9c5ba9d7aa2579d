package systemd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rootsVariable names a folder with the root file systems sysv and openrc; scripts/boot-real.sh makes them. Without it
// the tests of other inits than systemd are skipped.
const rootsVariable = "UPKEEP_BOOT_ROOTS"

// newInit is a guest of one of those roots.
func newInit(t *testing.T, name string) *bootable {
	t.Helper()
	roots := os.Getenv(rootsVariable)
	if roots == "" {
		t.Skip(rootsVariable + " is not set (make boot-real)")
	}
	lower := filepath.Join(roots, name)
	if _, err := os.Stat(filepath.Join(lower, "sbin/init")); err != nil {
		t.Skip("there is no root file system: ", err)
	}
	g := &bootable{newGuest(t)}
	dir := g.root
	g.root, g.first = filepath.Join(dir, "upper"), "init"
	if err := os.Mkdir(g.root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	g.script = []string{"overlay.sh", g.group, dir, lower, "/sbin/init"}
	g.booted = func() bool {
		out, _ := g.do("runlevel")
		return strings.TrimSpace(out) == "N 2"
	}
	t.Cleanup(func() {
		if t.Failed() && g.boot != nil {
			out, _ := g.do("ps", "axf")
			t.Log(out)
		}
		g.off()
		if t.Failed() {
			console, _ := os.ReadFile(filepath.Join(dir, "console"))
			t.Logf("%s\n%s\n%s", console, g.read("var/log/d.log"), g.read("home/sam/d.log"))
		}
	})
	for name, add := range map[string]string{"shadow": "sam:*:19000:0:99999:7:::\n", "passwd": "sam:x:1000:1000:Sam:/home/sam:/bin/sh\n", "group": "sam:x:1000:\n"} {
		b, err := os.ReadFile(filepath.Join(lower, "etc", name))
		if err != nil {
			t.Fatal(err)
		}
		g.write("etc/"+name, string(b)+add)
	}
	g.furnish()
	return g
}

// TestOtherInits: the instance of root, and one that root enables for a user, under SysV init and OpenRC.
func TestOtherInits(t *testing.T) {
	for _, init := range []string{"sysv", "openrc"} {
		t.Run(init, func(t *testing.T) {
			g := newInit(t, init)
			g.on()
			root, sam := people()[0], people()[1]
			whose := map[string]who{"upkeep": root, "upkeep-sam": {ps: "1000", name: "sam", argv: sam.argv, conf: sam.conf}}
			for name, w := range whose {
				if out, err := g.drive(w, g.order(init, "status", name, w)); exit(err) != 3 {
					t.Errorf("%s: before: %v %s", name, err, out)
				}
				out, err := g.drive(root, g.order(init, "enable", name, w))
				t.Logf("%s:\n%s", name, out)
				if err != nil || !strings.Contains(out, "✓ on starts at boot") && !strings.Contains(out, "✓ on for sam starts at boot") {
					t.Fatalf("%s: %v %s", name, err, out)
				}
				g.runs(w, "after enable")
			}
			for _, how := range [][]string{{"shutdown", "-r", "now"}, nil} {
				g.again(how...)
				for name, w := range whose {
					g.runs(w, "after a restart")
					if out, err := g.drive(root, g.order(init, "status", name, w)); err != nil || !strings.Contains(out, "running") {
						t.Errorf("%s: after a restart: %v %s", name, err, out)
					}
				}
			}
			for name, w := range whose {
				out, err := g.drive(root, g.order(init, "disable", name, w))
				t.Logf("%s:\n%s", name, out)
				if err != nil || g.exists("etc/init.d/"+name) {
					t.Errorf("%s: disable: %v %s", name, err, out)
				}
				g.runs(w, "after disable")
			}
			g.again()
			for name, w := range whose {
				if s := g.status(w); strings.Contains(s, "RUNNING") {
					t.Errorf("%s: after disable and a boot: %s", name, s)
				}
			}
		})
	}
}

// order is a call for an entry with the daemon's own pidfile.
func (g *bootable) order(_, verb, name string, w who) order {
	o := order{Verb: verb}
	o.Target.Name = name
	o.Target.Command = []string{"/opt/bin/upkeep", "supervisord", "-n", "-c", w.conf}
	o.Target.PidFile = "/run/root.pid"
	if name != "upkeep" {
		o.Target.User, o.Target.PidFile = "sam", "/home/sam/d.pid"
	}
	return o
}

// TestCron: where cron is chosen, it starts the instance once per boot, and every other line of the table stays.
func TestCron(t *testing.T) {
	g := newInit(t, "sysv")
	const mine = "# a line of sam's\n@daily true 50\\% \n"
	g.write("home/sam/table", mine)
	g.on()
	sam := people()[1]
	if out, err := g.as(sam, "crontab", "/home/sam/table"); err != nil {
		t.Fatal(err, out)
	}
	out, err := g.drive(sam, order{Verb: "enable"})
	t.Logf("%s", out)
	if err != nil || !strings.Contains(out, "cron only starts") || !strings.Contains(out, "not sysv: needs root") {
		t.Fatalf("%v %s", err, out)
	}
	if s := g.status(sam); strings.Contains(s, "RUNNING") {
		t.Errorf("cron starts at the next boot only: %s", s)
	}
	for range 2 {
		g.again()
		g.runs(sam, "after a boot")
	}
	env, _ := g.do("sh", "-c", "tr '\\0' '\\n' </proc/$(cat /home/sam/d.pid)/environ")
	if !strings.Contains(env, "UPKEEP_ODD=a b%c$d\\e\"f'g\n") {
		t.Errorf("the daemon's environment: %s", env)
	}
	if out, err := g.drive(sam, order{Verb: "disable"}); err != nil {
		t.Errorf("%v %s", err, out)
	}
	if table, _ := g.as(sam, "crontab", "-l"); table != mine {
		t.Errorf("the table is %q", table)
	}
	g.again()
	if s := g.status(sam); strings.Contains(s, "RUNNING") {
		t.Errorf("after disable and a boot: %s", s)
	}
}
