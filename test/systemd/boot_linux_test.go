package systemd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// bootable is a guest in which users can log in and linger, with the product.
type bootable struct{ *guest }

// accounts of the guest: those that the message bus and its friends run as, and a person.
const (
	passwd = `root:x:0:0:root:/root:/bin/sh
messagebus:x:100:100::/nonexistent:/usr/sbin/nologin
polkitd:x:101:101::/nonexistent:/usr/sbin/nologin
sam:x:1000:1000:Sam:/home/sam:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
`
	group = `root:x:0:
tty:x:5:
messagebus:x:100:
polkitd:x:101:
sam:x:1000:
nogroup:x:65534:
`
)

func newBootable(t *testing.T) *bootable {
	t.Helper()
	for _, need := range []string{
		"/usr/bin/dbus-daemon", "/usr/bin/loginctl", "/usr/lib/systemd/systemd-logind", "/usr/lib/systemd/system/user@.service",
		"/usr/lib/systemd/system/dbus.socket", "/usr/bin/setpriv",
	} {
		if _, err := os.Stat(need); err != nil {
			t.Skip("not installed: ", err)
		}
	}
	if found, _ := filepath.Glob("/usr/lib/*/security/pam_systemd.so"); len(found) == 0 {
		if found, _ = filepath.Glob("/usr/lib*/security/pam_systemd.so"); len(found) == 0 {
			t.Skip("not installed: pam_systemd")
		}
	}
	g := &bootable{newGuest(t)}
	t.Cleanup(func() {
		if t.Failed() && g.init != 0 {
			for _, what := range []string{"list-jobs", "--failed", "status"} {
				out, _ := g.do("systemctl", "--no-pager", what)
				t.Log(out)
			}
		}
		g.off()
		if t.Failed() {
			for _, name := range []string{"boot.log", "console", "var/log/upkeep/upkeep.log", "home/sam/.local/state/upkeep/logs/upkeep.log"} {
				t.Logf("%s:\n%s", name, g.read(name))
			}
		}
	})
	if err := os.Chmod(g.root, 0o755); err != nil { // others than root live here
		t.Fatal(err)
	}
	g.write("etc/passwd", passwd)
	g.write("etc/group", group)
	g.write("etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\n")
	g.write("etc/pam.d/systemd-user", "account required pam_permit.so\nsession required pam_loginuid.so\nsession optional pam_systemd.so\n")
	g.write("etc/pam.d/other", "auth required pam_deny.so\naccount required pam_permit.so\nsession required pam_permit.so\n")
	for _, unit := range []string{"dbus.socket", "dbus.service", "systemd-logind.service"} {
		if err := os.Remove(filepath.Join(g.root, "etc/systemd/system", unit)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	g.link("/usr/lib/systemd/system/dbus.socket", "etc/systemd/system/multi-user.target.wants/dbus.socket")
	g.link("/usr/lib/systemd/system/systemd-logind.service", "etc/systemd/system/multi-user.target.wants/systemd-logind.service")
	g.furnish()
	return g
}

// furnish puts the product and sam's home into the guest.
func (g *bootable) furnish() {
	g.t.Helper()
	if err := os.MkdirAll(filepath.Join(g.root, "opt/bin"), 0o755); err != nil {
		g.t.Fatal(err)
	}
	build(g.t, filepath.Join(g.root, "opt/bin/upkeep"), "1.0.0")
	if err := os.MkdirAll(filepath.Join(g.root, "home/sam"), 0o755); err != nil {
		g.t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(g.root, "home/sam"), 1000, 1000); err != nil {
		g.t.Fatal(err)
	}
}

// bootID is the id of this boot.
func (g *bootable) bootID() string {
	b, _ := os.ReadFile(g.inside("proc/sys/kernel/random/boot_id"))
	return strings.TrimSpace(string(b))
}

func (g *bootable) property(w *who, name string) string {
	out, _ := g.do(w.ctl[0], append(w.ctl[1:len(w.ctl):len(w.ctl)], "show", "--value", "-p", name, w.entry)...)
	return strings.TrimSpace(out)
}

// TestBoot: an instance of root, one of an ordinary user, one whose place has an odd name, and one of a supervisord.conf are
// enabled; then the daemon is killed, upgraded, restarted and stopped, and the machine restarts, in order and without.
func TestBoot(t *testing.T) {
	if testing.Short() {
		t.Skip("a machine is booted")
	}
	g := newBootable(t)
	g.write("etc/shop.conf", shop)
	g.on()
	all := []*who{root(), sam(), odd(), ofConfig()}
	for _, do := range []func(*who){g.enabled, g.crashes, g.orders} {
		for _, w := range all {
			do(w)
		}
	}
	for _, how := range []string{"restart", "power cut"} {
		for _, w := range all {
			g.ok(w, "stop", "count")
		}
		if how == "restart" {
			g.again("systemctl", "--no-block", "reboot")
		} else {
			g.again()
		}
		for _, w := range all {
			if how == "power cut" {
				// An ordered end takes back what was stopped, another one does not.
				g.until(w.name+": what somebody stopped stays stopped", func() bool {
					now := g.programs(w)
					return now["on"].State == "RUNNING" && now["count"].State == "STOPPED"
				})
				g.ok(w, "start", "count")
			}
			g.runs(w, "after a "+how)
			if out, err := g.upkeep(w, "boot", "status"); err != nil || !strings.Contains(out, "starts at boot") || !strings.Contains(out, "running") {
				t.Errorf("%s: after a %s: %v %s", w.name, how, err, out)
			}
			g.isUnit(w)
		}
	}
	for _, w := range all {
		g.disabled(w)
	}
	g.again()
	for _, w := range all {
		if s := g.programs(w); len(s) > 0 || g.exists(w.unit) || g.sleepers(w) != "" {
			t.Errorf("%s: after disable and a boot: %v, processes %q", w.name, s, g.sleepers(w))
		}
	}
}

// enabled has an instance start with the machine. A daemon that runs already goes on, and what is advised then makes it the
// unit's.
func (g *bootable) enabled(w *who) {
	t := g.t
	t.Helper()
	if out, err := g.upkeep(w, "boot", "status"); exit(err) != 3 || !strings.Contains(out, "nothing starts it") {
		t.Errorf("%s: before: %v %s", w.name, err, out)
	}
	byHand := w.name == "root" || !w.native()
	if byHand {
		g.furnished(w)
	}
	out, err := g.upkeep(w, "boot", "enable", "--yes")
	if w.name == "sam" && err != nil && strings.Contains(out, "linger") {
		// Where nobody grants it to ordinary users, an administrator does.
		if !strings.Contains(out, "Everything is as it was") || !strings.Contains(out, "Ask root") || g.exists(w.unit) {
			t.Errorf("a refused linger: %s", out)
		}
		t.Logf("linger has to be given by root here: %s", out)
		g.must("loginctl", "enable-linger", "sam")
		g.until("systemd runs for sam", func() bool { return g.exists("run/user/1000/systemd/private") })
		out, err = g.upkeep(w, "boot", "enable", "--yes")
	}
	t.Logf("%s:\n%s", w.name, out)
	if err != nil || !strings.Contains(out, "at boot.     undo: ") {
		t.Fatalf("%s: %v %s", w.name, err, out)
	}
	g.find(w)
	if byHand {
		g.goesOn(w, out)
	} else {
		g.isUnit(w)
		g.furnished(w)
	}
	g.runs(w, "after enable")
	g.isUnit(w)
	if out, err := g.upkeep(w, "boot", "enable", "--yes"); err != nil || !strings.Contains(out, "already") {
		t.Errorf("%s: a second enable: %v %s", w.name, err, out)
	}
}

// goesOn checks what enable does with a daemon that was started by hand, and follows its advice.
func (g *bootable) goesOn(w *who, said string) {
	t := g.t
	t.Helper()
	if !strings.Contains(said, "count and on start at boot.     undo: "+w.command("boot disable")) || !strings.Contains(said, "goes on; the entry takes effect when the machine starts") {
		t.Errorf("%s: said: %s", w.name, said)
	}
	if got := g.property(w, "UnitFileState") + " " + g.property(w, "ActiveState"); got != "enabled inactive" {
		t.Errorf("%s: the unit is %s", w.name, got)
	}
	g.same(w, g.pids(w), "after enable")
	_, advice, _ := strings.Cut(said, "with a restart of every program:  ")
	advice, _, _ = strings.Cut(advice, "\n")
	if out, err := g.as(w, "env", "PATH=/opt/bin:/usr/sbin:/usr/bin:/sbin:/bin", "sh", "-c", advice); advice == "" || err != nil {
		t.Fatalf("%s: %s: %v %s", w.name, advice, err, out)
	}
}

// crashes kills each process of the daemon, and all of them: programs are not touched.
func (g *bootable) crashes(w *who) {
	g.t.Helper()
	programs, first := g.pids(w), g.daemon(w)
	kill := func(what, restarts string, pids ...int) {
		g.t.Helper()
		words := []string{"-KILL"}
		for _, pid := range pids {
			words = append(words, strconv.Itoa(pid))
		}
		before := g.daemon(w)
		_, _ = g.do("kill", words...) // one that ends with the one before it is no mistake
		g.until(w.name+": the daemon is whole again after a kill of "+what, func() bool {
			now := g.asked(w)
			return now.PID != 0 && (now != before) == (what != "the spawner") && g.property(w, "NRestarts") == restarts &&
				g.property(w, "MainPID") == strconv.Itoa(now.PID) && g.property(w, "ActiveState") == "active"
		})
		g.same(w, programs, "after a kill of "+what)
	}
	spawner := g.spawner(w)
	kill("the spawner", "0", spawner)
	kill("the manager", "0", first.Manager)
	if now := g.daemon(w); now.PID != first.PID {
		g.t.Errorf("%s: the main process is %d, was %d", w.name, now.PID, first.PID)
	}
	if now := g.spawner(w); now == spawner {
		g.t.Errorf("%s: the spawner is %d still", w.name, now)
	}
	kill("the keeper", "1", first.PID)
	now := g.daemon(w)
	kill("all", "2", now.PID, now.Manager, g.spawner(w))
	g.runs(w, "after all kills")
}

// orders are those that somebody gives to the unit and to the daemon.
func (g *bootable) orders(w *who) {
	t := g.t
	t.Helper()
	ctl := func(verb string) {
		t.Helper()
		if out, err := g.do(w.ctl[0], append(w.ctl[1:len(w.ctl):len(w.ctl)], verb, w.entry)...); err != nil {
			t.Errorf("%s: systemctl %s: %v %s", w.name, verb, err, out)
		}
	}
	before := g.pids(w)
	ctl("restart")
	g.runs(w, "after a restart of the unit")
	g.isUnit(w)
	after := g.pids(w)
	for name, pid := range before {
		if after[name] == pid {
			t.Errorf("%s: %s is process %d as before the restart", w.name, name, pid)
		}
	}
	if w.native() {
		// A reload applies what has changed, and nothing else is touched.
		g.ok(w, "add", "late", "--off", "--", "sleep", w.secs)
		ctl("reload")
		g.same(w, after, "after a reload")
		g.ok(w, "rm", "late", "--yes")
	}
	g.upgraded(w)
	ctl("stop")
	if got := g.property(w, "ActiveState") + " " + g.property(w, "Result"); got != "inactive success" {
		t.Errorf("%s: after a stop the unit is %s", w.name, got)
	}
	if left, d := g.sleepers(w), g.asked(w); left != "" || d.PID != 0 {
		t.Errorf("%s: after a stop: %s, daemon %+v", w.name, left, d)
	}
	ctl("start")
	g.runs(w, "after a start of the unit")
	// A stop of the daemon is an end that was asked for: systemd leaves it at that.
	g.ok(w, "daemon", "stop", "--yes")
	g.until(w.name+": the unit has ended", func() bool { return g.property(w, "ActiveState") == "inactive" })
	if left := g.sleepers(w); left != "" || g.property(w, "NRestarts") != "0" {
		t.Errorf("%s: after a stop of the daemon: %q, restarts %s", w.name, left, g.property(w, "NRestarts"))
	}
	ctl("start")
	g.runs(w, "after another start of the unit")
}

// upgraded exchanges the binary under the daemon: programs run on, and the unit has the same main process.
func (g *bootable) upgraded(w *who) {
	t := g.t
	t.Helper()
	before, d := g.pids(w), g.daemon(w)
	version := map[bool]string{true: "2.0.0", false: "1.0.0"}[d.Version == "1.0.0"]
	build(t, filepath.Join(g.root, "opt/bin/new"), version)
	if err := os.Rename(filepath.Join(g.root, "opt/bin/new"), filepath.Join(g.root, "opt/bin/upkeep")); err != nil {
		t.Fatal(err)
	}
	out, err := g.upkeep(w, "daemon", "upgrade")
	if err != nil || !strings.Contains(out, fmt.Sprintf("upgraded from %s to %s (pid %d)", d.Version, version, d.PID)) {
		t.Errorf("%s: upgrade: %v %s", w.name, err, out)
	}
	if now := g.daemon(w); now.PID != d.PID || now.Version != version || now.Manager == d.Manager {
		t.Errorf("%s: upgrade: %+v, was %+v", w.name, now, d)
	}
	g.same(w, before, "after an upgrade")
	g.isUnit(w)
}

// isUnit checks that the instance is the unit's, and that the unit is as it was written.
func (g *bootable) isUnit(w *who) {
	g.t.Helper()
	got := g.property(w, "UnitFileState") + " " + g.property(w, "ActiveState") + " " + g.property(w, "NeedDaemonReload") + " " + g.property(w, "Type")
	if got != "enabled active no notify" {
		g.t.Errorf("%s: the unit is %s", w.name, got)
	}
	if main, d := g.property(w, "MainPID"), g.daemon(w); main != strconv.Itoa(d.PID) {
		g.t.Errorf("%s: the main process is %s, the daemon %d", w.name, main, d.PID)
	}
}

// disabled disables while the daemon runs: it goes on as it is, with all that systemd knows of it.
func (g *bootable) disabled(w *who) {
	t := g.t
	t.Helper()
	main := g.property(w, "MainPID")
	out, err := g.upkeep(w, "boot", "disable", "--yes")
	t.Logf("%s:\n%s", w.name, out)
	if err != nil || g.exists(w.unit) {
		t.Fatalf("%s: disable: %v %s", w.name, err, out)
	}
	if got := g.property(w, "KillMode") + " " + g.property(w, "Restart") + " " + g.property(w, "ActiveState") + " " + g.property(w, "MainPID"); got != "process on-failure active "+main {
		t.Errorf("%s: after disable: %s, main process was %s", w.name, got, main)
	}
	g.runs(w, "after disable")
	if w.name == "sam" && (!strings.Contains(out, "goes on lingering") || !g.exists("var/lib/systemd/linger/sam")) {
		t.Errorf("nobody is logged in, and the daemon is to go on: %s", out)
	}
	if out, err := g.upkeep(w, "boot", "status"); exit(err) != 3 {
		t.Errorf("%s: status after disable: %v %s", w.name, err, out)
	}
	if out, err := g.upkeep(w, "boot", "disable", "--yes"); err != nil || !strings.Contains(out, "nothing was changed") {
		t.Errorf("%s: a second disable: %v %s", w.name, err, out)
	}
}

// again restarts the machine: by a command, or without any order.
func (g *bootable) again(argv ...string) {
	g.t.Helper()
	before := g.bootID()
	if len(argv) > 0 {
		_, _ = g.do(argv[0], argv[1:]...)
		g.until("the guest goes down", func() bool {
			select {
			case <-g.ended:
				return true
			default:
				return false
			}
		})
	}
	g.off()
	g.on()
	if now := g.bootID(); now == before || now == "" {
		g.t.Fatalf("the boot has the id %q, before it was %q", now, before)
	}
}

// exists reports whether the guest has a file.
func (g *bootable) exists(name string) bool {
	path := filepath.Join(g.root, name)
	if strings.HasPrefix(name, "run/") {
		path = g.inside(name)
	}
	_, err := os.Lstat(path)
	return err == nil
}

// exit is the exit status in an error.
func exit(err error) int {
	if err == nil {
		return 0
	}
	if e, ok := err.(*exec.ExitError); ok { //nolint:errorlint // it comes from exec alone
		return e.ExitCode()
	}
	return -1
}
