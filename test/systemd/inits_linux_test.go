package systemd

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
		_, err := g.do("pgrep", "-x", "cron") // one of the last to be started
		return strings.TrimSpace(out) == "N 2" && err == nil
	}
	t.Cleanup(func() {
		if t.Failed() && g.boot != nil {
			out, _ := g.do("ps", "axf")
			t.Log(out)
		}
		g.off()
		if t.Failed() {
			console, _ := os.ReadFile(filepath.Join(dir, "console"))
			t.Logf("%s\n%s\n%s", console, g.read("var/log/upkeep/upkeep.log"), g.read("home/sam/.local/state/upkeep/logs/upkeep.log"))
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

// initsPeople are those whose instances are enabled under SysV init and OpenRC, all of them by root.
func initsPeople() []*who {
	r, s := root(), sam()
	r.unit, s.entry, s.unit = "etc/init.d/upkeep", "upkeep-sam", "etc/init.d/upkeep-sam"
	return []*who{r, s, odd(), ofConfig()}
}

// byRoot is `upkeep boot` of somebody's instance, given by root.
func (g *bootable) byRoot(w *who, verb string, words ...string) (string, error) {
	if w.name == "sam" {
		return g.upkeep(root(), append([]string{"boot", verb, "--user", "sam"}, words...)...)
	}
	return g.upkeep(w, append([]string{"boot", verb}, words...)...)
}

// numbers are those that the tools of SysV init give to links: they are theirs to choose, for everybody's scripts, when one comes
// or goes.
var numbers = regexp.MustCompile(`/([SK])[0-9]{2}`)

// entries are what starts things under SysV init and OpenRC.
func (g *bootable) entries() []string {
	g.t.Helper()
	out := strings.Fields(g.must("find", "/etc", "(", "-path", "/etc/init.d/*", "-o", "-path", "/etc/rc?.d/*", "-o", "-path", "/etc/runlevels/*", ")",
		"-printf", "%p->%l\n"))
	for i, line := range out {
		out[i] = numbers.ReplaceAllString(line, "/$1")
	}
	slices.Sort(out)
	return slices.DeleteFunc(out, func(s string) bool { return strings.Contains(s, "/.depend") })
}

// known reports whether the init itself says that a service runs.
func (g *bootable) known(init string, w *who) bool {
	argv := map[string][]string{"sysv": {"service", w.entry, "status"}, "openrc": {"rc-service", w.entry, "status"}}[init]
	_, err := g.do(argv[0], argv[1:]...)
	return err == nil
}

// TestOtherInits: an instance of root, one that root enables for a user, one whose place has an odd name, and one of a
// supervisord.conf, under SysV init and OpenRC.
func TestOtherInits(t *testing.T) {
	for _, init := range []string{"sysv", "openrc"} {
		t.Run(init, func(t *testing.T) {
			g := newInit(t, init)
			g.write("etc/shop.conf", shop)
			g.on()
			clean := g.entries()
			all := initsPeople()
			for _, w := range all {
				if out, err := g.byRoot(w, "status"); exit(err) != 3 {
					t.Errorf("%s: before: %v %s", w.name, err, out)
				}
				out, err := g.byRoot(w, "enable", "--yes")
				t.Logf("%s:\n%s", w.name, out)
				if err != nil || !strings.Contains(out, "start at boot.") {
					t.Fatalf("%s: %v %s", w.name, err, out)
				}
				g.find(w)
				if w.native() {
					g.furnished(w)
				}
				g.runs(w, "after enable")
				g.service(init, w)
			}
			for _, how := range [][]string{{"shutdown", "-r", "now"}, nil} {
				g.again(how...)
				for _, w := range all {
					g.runs(w, "after a restart")
					if out, err := g.byRoot(w, "status"); err != nil || !strings.Contains(out, "running") || !g.known(init, w) {
						t.Errorf("%s: after a restart: %v %s", w.name, err, out)
					}
				}
			}
			for _, w := range all {
				out, err := g.byRoot(w, "disable", "--yes")
				t.Logf("%s:\n%s", w.name, out)
				if err != nil || g.exists(w.unit) {
					t.Errorf("%s: disable: %v %s", w.name, err, out)
				}
				g.runs(w, "after disable")
				if out, err := g.byRoot(w, "status"); exit(err) != 3 {
					t.Errorf("%s: status after disable: %v %s", w.name, err, out)
				}
			}
			if d := cmp.Diff(clean, g.entries()); d != "" {
				t.Errorf("not everything was undone: %s", d)
			}
			g.again()
			for _, w := range all {
				if s := g.programs(w); len(s) > 0 || g.sleepers(w) != "" {
					t.Errorf("%s: after disable and a boot: %v", w.name, s)
				}
			}
		})
	}
}

// whole waits for a daemon that is another one than before in part, has all of its processes, and is known to the init: OpenRC
// starts another keeper, under SysV init the manager has taken its place.
func (g *bootable) whole(init string, w *who, before daemon) (now daemon) {
	g.t.Helper()
	parent := func(pid int) string {
		out, _ := g.do("ps", "-o", "ppid=", "-p", strconv.Itoa(pid))
		return strings.TrimSpace(out)
	}
	g.until(w.name+": the daemon is whole again", func() bool {
		now = g.asked(w)
		if now.PID == 0 || now == before || parent(now.Manager) != strconv.Itoa(now.PID) || !g.known(init, w) {
			return false
		}
		comm, _ := g.do("ps", "-o", "comm=", "-p", parent(now.PID))
		return init != "openrc" || strings.HasPrefix(comm, "supervise")
	})
	return now
}

// service kills the daemon in part and as a whole, which costs no program anything, and gives the orders of the init: restart
// exchanges the programs, stop leaves nothing, start starts.
func (g *bootable) service(init string, w *who) {
	t := g.t
	t.Helper()
	ctl := func(verb string) {
		t.Helper()
		argv := map[string][]string{"sysv": {"service", w.entry, verb}, "openrc": {"rc-service", w.entry, verb}}[init]
		if out, err := g.do(argv[0], argv[1:]...); err != nil {
			t.Errorf("%s: %v: %v %s", w.name, argv, err, out)
		}
	}
	kill := func(pids ...int) {
		words := fmt.Sprint(pids)
		words = words[1 : len(words)-1]
		// Held first: one must not have the time to take the place of another.
		_, _ = g.do("sh", "-c", "kill -STOP "+words+"; kill -KILL "+words) // one that ends with the one before it is no mistake
	}
	before, d := g.pids(w), g.whole(init, w, daemon{})
	kill(d.Manager)
	now := g.whole(init, w, d)
	if now.PID != d.PID {
		t.Errorf("%s: the daemon is process %d, it was %d", w.name, now.PID, d.PID)
	}
	g.same(w, before, "after a kill of the manager")
	kill(now.PID)
	d = g.whole(init, w, now)
	g.same(w, before, "after a kill of the keeper")
	kill(d.Manager, d.PID, g.spawner(w))
	if init == "sysv" { // nothing starts it again but a person
		g.until(w.name+": the init says that it does not run", func() bool { return !g.known(init, w) })
		ctl("start")
	}
	g.whole(init, w, d)
	g.same(w, before, "after a kill of all")
	ctl("restart")
	g.runs(w, "after a restart of the service")
	for name, pid := range g.pids(w) {
		if before[name] == pid {
			t.Errorf("%s: %s is process %d as before the restart", w.name, name, pid)
		}
	}
	ctl("stop")
	if left, d := g.sleepers(w), g.asked(w); left != "" || d.PID != 0 || g.known(init, w) {
		t.Errorf("%s: after a stop: %s, daemon %+v, said to run %v", w.name, left, d, g.known(init, w))
	}
	ctl("start")
	g.runs(w, "after a start of the service")
	if !g.known(init, w) {
		t.Errorf("%s: the init does not know that it runs", w.name)
	}
}

// TestCron: where cron is chosen, it starts the instance once per boot, and every other line of the table stays.
func TestCron(t *testing.T) {
	g := newInit(t, "sysv")
	const mine = "# a line of sam's\n@daily true 50\\% \n"
	g.write("home/sam/table", mine)
	g.on()
	w, o := sam(), odd()
	o.argv, o.logs = noSession("UPKEEP_ROOT=/home/sam"+oddRoot), "home/sam"+oddRoot+"/logs"
	if out, err := g.as(w, "crontab", "/home/sam/table"); err != nil {
		t.Fatal(err, out)
	}
	for _, w := range []*who{w, o} {
		out, err := g.upkeep(w, "boot", "enable", "--yes")
		t.Logf("%s", out)
		if err != nil || !strings.Contains(out, "cron only starts") || !strings.Contains(out, "not sysv: needs root") {
			t.Fatalf("%v %s", err, out)
		}
		if d := g.asked(w); d.PID != 0 {
			t.Errorf("cron starts at the next boot only: %+v", d)
		}
		g.furnished(w)
	}
	for range 2 {
		g.again()
		for _, w := range []*who{w, o} {
			g.runs(w, "after a boot")
			if out, err := g.upkeep(w, "boot", "status"); err != nil || !strings.Contains(out, "starts at boot   cron") {
				t.Errorf("%s: %v %s", w.name, err, out)
			}
		}
	}
	for _, w := range []*who{w, o} {
		if out, err := g.upkeep(w, "boot", "disable", "--yes"); err != nil {
			t.Errorf("%v %s", err, out)
		}
		if out, err := g.upkeep(w, "boot", "status"); exit(err) != 3 {
			t.Errorf("%v %s", err, out)
		}
	}
	if table, _ := g.as(w, "crontab", "-l"); table != mine {
		t.Errorf("the table is %q", table)
	}
	g.again()
	for _, w := range []*who{w, o} {
		if d := g.asked(w); d.PID != 0 || g.sleepers(w) != "" {
			t.Errorf("%s: after disable and a boot: %+v", w.name, d)
		}
	}
}
