package systemd

import (
	"fmt"
	"strings"
	"testing"
)

// session is a login of sam's: a unit whose processes pam puts into a session.
const session = "sam-at-work"

// login has sam log in and do something first; the session lasts until the logout.
func (g *bootable) login(do string) {
	g.t.Helper()
	g.must("systemd-run", "--quiet", "--unit="+session, "--uid=sam", "-p", "PAMName=person", "-p", "KillMode=mixed", "-p", "SuccessExitStatus=SIGTERM",
		"sh", "-c", do+"; echo done >/home/sam/at-work; exec sleep 100000")
	g.until("sam is at work", func() bool { return g.exists("home/sam/at-work") })
	if out := g.must("loginctl", "show-user", "sam", "-p", "State", "--value"); strings.TrimSpace(out) != "active" && strings.TrimSpace(out) != "online" && strings.TrimSpace(out) != "lingering" {
		g.t.Errorf("sam is logged in, and %s", out)
	}
}

// logout ends the session, as the end of its first process does.
func (g *bootable) logout() {
	g.t.Helper()
	g.must("systemctl", "stop", session)
	g.must("rm", "/home/sam/at-work")
}

// TestLogin: what starts at login ends with the last logout; what a user starts in a session goes on after it, as systemd's
// KillUserProcesses=no has it; and a daemon that root has the machine run for a user is there for the user's commands before a
// login, during it and afterwards.
func TestLogin(t *testing.T) {
	if testing.Short() {
		t.Skip("a machine is booted")
	}
	g := newBootable(t)
	g.write("etc/pam.d/person", "account required pam_permit.so\nsession required pam_loginuid.so\nsession required pam_systemd.so class=user type=tty\n")
	g.on()
	w := sam()

	// Nothing is enabled: the daemon is one of the session's processes.
	g.login("/opt/bin/upkeep add on -- sleep " + w.secs + " >/home/sam/said 2>&1")
	if said := g.read("home/sam/said"); !strings.Contains(said, "started an upkeep daemon for sam") {
		t.Errorf("the first add: %s", said)
	}
	before, d := g.sleepers(w), g.daemon(w)
	g.logout()
	g.until("the session is closing", func() bool {
		out, _ := g.do("loginctl", "show-user", "sam", "-p", "State", "--value")
		return strings.TrimSpace(out) == "closing"
	})
	if now := g.daemon(w); now.PID != d.PID || g.sleepers(w) != before || before == "" {
		t.Errorf("after a logout: %+v, was %+v, programs %q, were %q", now, d, g.sleepers(w), before)
	}
	g.ok(w, "add", "off", "--off", "--", "sleep", w.secs)
	g.ok(w, "add", "count", "--", "sh", "-c", counting)
	g.runs(w, "after a logout")
	g.ok(w, "daemon", "stop", "--yes")

	// At login, and not longer.
	g.login(`/opt/bin/upkeep boot enable --at=login --yes >/home/sam/said 2>&1`)
	if said := g.read("home/sam/said"); !strings.Contains(said, "start at login.") || g.exists("var/lib/systemd/linger/sam") {
		t.Errorf("boot enable --at=login: %s", said)
	}
	for _, when := range []string{"enabled at login", "after another login"} {
		g.runs(w, when)
		if out, err := g.upkeep(w, "boot", "status"); err != nil || !strings.Contains(out, "starts at login") || !strings.Contains(out, "running") {
			t.Errorf("%s: %v %s", when, err, out)
		}
		g.isUnit(w)
		g.logout()
		g.until("everything of sam's has ended", func() bool { return g.asked(w).PID == 0 && g.sleepers(w) == "" && !g.exists("run/user/1000") })
		if out, err := g.upkeep(w, "boot", "status"); err != nil || !strings.Contains(out, "starts at login") || strings.Contains(out, "running") {
			t.Errorf("after a logout: %v %s", err, out)
		}
		if log := g.read(w.logs + "/upkeep.log"); !strings.Contains(log, "stopped: on") {
			t.Errorf("the end was no ordered one: %s", log)
		}
		g.login(":")
	}
	g.runs(w, "after a third login")
	if out, err := g.upkeep(w, "boot", "disable", "--yes"); err != nil || g.exists(w.unit) {
		t.Errorf("disable: %v %s", err, out)
	}
	g.logout()
	g.until("everything of sam's has ended", func() bool { return g.sleepers(w) == "" && !g.exists("run/user/1000") })
	g.forUser()
}

// forUser is a unit of the machine that root makes for a user.
func (g *bootable) forUser() {
	t := g.t
	t.Helper()
	r, w := root(), sam()
	for _, words := range [][]string{{"--user", "sam", "--at=login"}, {"--user", "nobody-of-this-name"}} {
		if out, err := g.upkeep(r, append([]string{"boot", "enable", "--yes"}, words...)...); err == nil {
			t.Errorf("%v: %s", words, out)
		}
	}
	if out, err := g.upkeep(w, "boot", "enable", "--yes", "--user", "root"); err == nil {
		t.Errorf("sam for root: %s", out)
	}
	out, err := g.upkeep(r, "boot", "enable", "--yes", "--user", "sam")
	t.Logf("%s", out)
	if err != nil || !strings.Contains(out, "for sam start at boot.") {
		t.Fatalf("for sam: %v %s", err, out)
	}
	w.entry, w.unit, w.ctl = "upkeep-sam", "etc/systemd/system/upkeep-sam.service", []string{"systemctl"}
	g.runs(w, "as a unit of the machine")
	g.isUnit(w)
	d := g.daemon(w)
	if owner := strings.TrimSpace(g.must("stat", "-c", "%U", fmt.Sprintf("/proc/%d", d.PID))); owner != "sam" {
		t.Errorf("the daemon is %s's", owner)
	}
	before := g.pids(w)
	check := func(when string) {
		t.Helper()
		if now := g.asked(w); now != d {
			t.Errorf("%s: the daemon is %+v, was %+v", when, now, d)
		}
		g.same(w, before, when)
		if out, err := g.upkeep(r, "boot", "status", "--user", "sam"); err != nil || !strings.Contains(out, "running") {
			t.Errorf("%s: %v %s", when, err, out)
		}
	}
	check("before a login")
	g.login("/opt/bin/upkeep status >/home/sam/said 2>&1")
	if said := g.read("home/sam/said"); !strings.Contains(said, "running") {
		t.Errorf("in a session: %s", said)
	}
	check("during a session")
	g.logout()
	g.until("sam is gone", func() bool {
		out, _ := g.do("systemctl", "is-active", "user@1000")
		return strings.TrimSpace(out) == "inactive"
	})
	check("after a logout")
	g.crashes(w)
	g.again("systemctl", "--no-block", "reboot")
	g.runs(w, "after a restart")
	g.isUnit(w)
	g.must("systemctl", "stop", w.entry)
	if out, err := g.do("pgrep", "-u", "sam", "-f", "upkeep|sleep|sh -c"); err == nil {
		t.Errorf("after a stop of the unit: %s", out)
	}
	if out, err := g.upkeep(r, "boot", "disable", "--yes", "--user", "sam"); err != nil || g.exists(w.unit) {
		t.Errorf("for sam: disable: %v %s", err, out)
	}
	if out, err := g.upkeep(r, "boot", "status", "--user", "sam"); exit(err) != 3 {
		t.Errorf("for sam: after disable: %v %s", err, out)
	}
}
