package systemd

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	cli "github.com/upkeep-project/upkeep/internal/cli/boot"
	"github.com/upkeep-project/upkeep/internal/sys/boot"
)

// driver is the first argument that makes this test program the command under test, inside a guest.
const driver = "boot-driver"

// order is what the driver does.
type order struct {
	Verb    string
	Target  boot.Target
	Backend string
	NoStart bool
	PID     int // of a daemon that runs now
}

func TestMain(m *testing.M) {
	if len(os.Args) != 3 || os.Args[1] != driver {
		os.Exit(m.Run())
	}
	var o order
	if err := json.Unmarshal([]byte(os.Args[2]), &o); err != nil {
		panic(err)
	}
	host, err := boot.System()
	if err != nil {
		panic(err)
	}
	os.Exit(cli.Run(context.Background(), o.Verb, cli.Options{
		Host: host, Target: o.Target, Backend: o.Backend, Yes: true, NoStart: o.NoStart, Prog: "upkeep boot", Stop: "upkeep daemon stop",
		Running:  func(context.Context) int { return o.PID },
		Programs: func(context.Context) []string { return []string{"on"} },
		Out:      os.Stdout, Err: os.Stderr,
	}))
}

// bootable is a guest in which users can log in and linger, with the product and the driver.
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
			for _, name := range []string{"boot.log", "console", "var/log/d.log", "home/sam/d.log"} {
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

// furnish puts the product, the driver and the two instances into the guest.
func (g *bootable) furnish() {
	t := g.t
	t.Helper()
	if err := os.MkdirAll(filepath.Join(g.root, "opt/bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	build(t, filepath.Join(g.root, "opt/bin/upkeep"), "1.0.0")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	copyFile(t, self, filepath.Join(g.root, "opt/bin/boottest"))
	g.write("etc/upkeep.conf", instance("/run/root.sock", "/var/log", "/run/root.pid"))
	g.write("home/sam/up.conf", instance("/home/sam/s.sock", "/home/sam", "/home/sam/d.pid"))
	for _, name := range []string{"home/sam", "home/sam/up.conf"} {
		if err := os.Chown(filepath.Join(g.root, name), 1000, 1000); err != nil {
			t.Fatal(err)
		}
	}
}

// instance is a configuration with a program that is on and one that is off.
func instance(socket, logs, pidfile string) string {
	return fmt.Sprintf(`[unix_http_server]
file=%s
[supervisord]
logfile=%[2]s/d.log
pidfile=%[3]s
childlogdir=%[2]s
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://%[1]s
[program:on]
command=sleep 1000
[program:off]
command=sleep 1000
autostart=false
`, socket, logs, pidfile)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, in)
	if err2 := out.Close(); err == nil {
		err = err2
	}
	if err != nil {
		t.Fatal(err)
	}
}

// who runs something in the guest: root or sam, without a session, as after su.
type who struct {
	name string
	argv []string
	conf string
	ctl  []string // systemctl of the daemon's unit
	unit string   // file of the unit
	ps   string   // who the program belongs to
}

func people() []who {
	sam := []string{
		"setpriv", "--reuid", "sam", "--regid", "sam", "--init-groups", "--inh-caps=-all", "env", "-i", "HOME=/home/sam", "USER=sam", "LOGNAME=sam",
		"PATH=/usr/bin:/bin",
	}
	return []who{
		{"root", []string{"env"}, "/etc/upkeep.conf", []string{"systemctl"}, "etc/systemd/system/upkeep.service", "0"},
		{
			"sam", sam, "/home/sam/up.conf", append(sam[:len(sam):len(sam)], "XDG_RUNTIME_DIR=/run/user/1000", "systemctl", "--user"),
			"home/sam/.config/systemd/user/upkeep.service", "1000",
		},
	}
}

func (g *bootable) as(w who, argv ...string) (string, error) {
	all := append(w.argv[1:len(w.argv):len(w.argv)], argv...)
	return g.do(w.argv[0], all...)
}

func (g *bootable) drive(w who, o order) (string, error) {
	g.t.Helper()
	if o.Target.Name == "" {
		o.Target.Name = "upkeep"
	}
	if o.Target.Command == nil {
		o.Target.Command = []string{"/opt/bin/upkeep", "supervisord", "-n", "-c", w.conf}
	}
	o.Target.Env = []string{"UPKEEP_ODD=a b%c$d\\e\"f'g"}
	o.Target.Description = "upkeep: programs of " + w.name
	b, err := json.Marshal(o)
	if err != nil {
		g.t.Fatal(err)
	}
	return g.as(w, "/opt/bin/boottest", driver, string(b))
}

// status is what supervisorctl says of the programs of somebody's instance: NAME STATE.
func (g *bootable) status(w who) string {
	out, _ := g.as(w, "/opt/bin/upkeep", "supervisorctl", "-c", w.conf, "status")
	var words []string
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) > 1 {
			words = append(words, f[0]+" "+f[1])
		}
	}
	return strings.Join(words, ", ")
}

const wanted = "off STOPPED, on RUNNING"

func (g *bootable) runs(w who, when string) {
	g.t.Helper()
	g.until(w.name+": the programs that are on run, "+when, func() bool { return g.status(w) == wanted })
	if out, _ := g.do("pgrep", "-c", "-u", w.ps, "-f", "^sleep 1000"); strings.TrimSpace(out) != "1" {
		g.t.Errorf("%s: %s programs run, %s", w.name, strings.TrimSpace(out), when)
	}
}

// bootID is the id of this boot.
func (g *bootable) bootID() string {
	b, _ := os.ReadFile(g.inside("proc/sys/kernel/random/boot_id"))
	return strings.TrimSpace(string(b))
}

func (g *bootable) property(w who, name string) string {
	out, _ := g.do(w.ctl[0], append(w.ctl[1:len(w.ctl):len(w.ctl)], "show", "--value", "-p", name, "upkeep")...)
	return strings.TrimSpace(out)
}

// TestBoot: an instance of root and one of an ordinary user are enabled, and the machine restarts, in order and
// without.
func TestBoot(t *testing.T) {
	if testing.Short() {
		t.Skip("a machine is booted")
	}
	g := newBootable(t)
	g.on()
	for _, w := range people() {
		if out, err := g.drive(w, order{Verb: "status"}); exit(err) != 3 || !strings.Contains(out, "nothing starts it") {
			t.Errorf("%s: before: %v %s", w.name, err, out)
		}
		out, err := g.drive(w, order{Verb: "enable"})
		if w.name == "sam" && err != nil && strings.Contains(out, "linger") {
			// Where nobody grants it to ordinary users, an administrator does.
			if !strings.Contains(out, "Everything is as it was") || !strings.Contains(out, "Ask root") || g.exists(w.unit) {
				t.Errorf("a refused linger: %s", out)
			}
			t.Logf("linger has to be given by root here: %s", out)
			g.must("loginctl", "enable-linger", "sam")
			g.until("systemd runs for sam", func() bool { return g.exists("run/user/1000/systemd/private") })
			out, err = g.drive(w, order{Verb: "enable"})
		}
		t.Logf("%s:\n%s", w.name, out)
		if err != nil || !strings.Contains(out, "✓ on starts at boot.") {
			t.Fatalf("%s: %v %s", w.name, err, out)
		}
		g.runs(w, "after enable")
		if got := g.property(w, "UnitFileState") + " " + g.property(w, "ActiveState") + " " + g.property(w, "NeedDaemonReload"); got != "enabled active no" {
			t.Errorf("%s: the unit is %s", w.name, got)
		}
		if out, err := g.drive(w, order{Verb: "enable"}); err != nil || !strings.Contains(out, "already") {
			t.Errorf("%s: a second enable: %v %s", w.name, err, out)
		}
		g.environment(w)
		g.reload(w)
	}
	for _, how := range []string{"restart", "power cut"} {
		if how == "restart" {
			g.again("systemctl", "--no-block", "reboot")
		} else {
			g.again()
		}
		for _, w := range people() {
			g.runs(w, "after a "+how)
			if out, err := g.drive(w, order{Verb: "status"}); err != nil || !strings.Contains(out, "starts at boot") || !strings.Contains(out, "running") {
				t.Errorf("%s: after a %s: %v %s", w.name, how, err, out)
			}
		}
	}
	for _, w := range people() {
		g.disabled(w)
	}
	g.again()
	for _, w := range people() {
		if s := g.status(w); strings.Contains(s, "RUNNING") || g.exists(w.unit) {
			t.Errorf("%s: after disable and a boot: %q", w.name, s)
		}
	}
	g.forUser()
	g.byHand()
}

// forUser is a unit of the machine that root makes for a user: it runs as the user, and its end is complete.
func (g *bootable) forUser() {
	g.t.Helper()
	root, sam := people()[0], people()[1]
	o := order{Verb: "enable"}
	o.Target.Name, o.Target.User = "upkeep-sam", "sam"
	o.Target.Command = []string{"/opt/bin/upkeep", "supervisord", "-n", "-c", sam.conf}
	if out, err := g.drive(root, o); err != nil || !strings.Contains(out, "✓ on for sam starts at boot.") {
		g.t.Errorf("for sam: %v %s", err, out)
	}
	g.runs(sam, "as a unit of the machine")
	g.must("systemctl", "stop", "upkeep-sam")
	if out, err := g.do("pgrep", "-u", "1000", "-f", "supervisord|sleep 1000"); err == nil {
		g.t.Errorf("after a stop of the unit: %s", out)
	}
	o.Verb = "disable"
	if out, err := g.drive(root, o); err != nil || g.exists("etc/systemd/system/upkeep-sam.service") {
		g.t.Errorf("for sam: disable: %v %s", err, out)
	}
}

// byHand: a daemon runs that nobody but a person has started. It goes on, and the next boot is the unit's.
func (g *bootable) byHand() {
	g.t.Helper()
	root := people()[0]
	g.must("/opt/bin/upkeep", "supervisord", "-c", root.conf)
	g.runs(root, "by hand")
	before := g.must("pgrep", "-u", "0", "-f", "^sleep 1000")
	pid, err := strconv.Atoi(strings.TrimSpace(g.now("run/root.pid")))
	if err != nil {
		g.t.Fatal(err)
	}
	out, err := g.drive(root, order{Verb: "enable", PID: pid})
	if err != nil || !strings.Contains(out, fmt.Sprintf("(pid %d) goes on; the entry takes effect when the machine starts", pid)) {
		g.t.Errorf("by hand: %v %s", err, out)
	}
	if got := g.property(root, "UnitFileState") + " " + g.property(root, "ActiveState"); got != "enabled inactive" {
		g.t.Errorf("by hand: the unit is %s", got)
	}
	if now := g.must("pgrep", "-u", "0", "-f", "^sleep 1000"); now != before {
		g.t.Errorf("by hand: the program is process %s, it was %s", now, before)
	}
	g.again()
	g.runs(root, "after a boot")
	if got := g.property(root, "ActiveState"); got != "active" {
		g.t.Errorf("after a boot: the unit is %s", got)
	}
}

// now is a file of the running guest.
func (g *bootable) now(name string) string {
	b, _ := os.ReadFile(g.inside(name))
	return string(b)
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

// environment checks that the variables of the entry arrive as they were given.
func (g *bootable) environment(w who) {
	g.t.Helper()
	env, _ := os.ReadFile(g.inside("proc/" + g.property(w, "MainPID") + "/environ"))
	if !strings.Contains(string(env), "UPKEEP_ODD=a b%c$d\\e\"f'g\x00") {
		g.t.Errorf("%s: the daemon's environment: %q", w.name, env)
	}
}

// reload checks that the unit's keeper may be killed, and that systemd knows how to treat the daemon.
func (g *bootable) reload(w who) {
	g.t.Helper()
	program := func() string {
		out, _ := g.do("pgrep", "-u", w.ps, "-f", "^sleep 1000")
		return strings.TrimSpace(out)
	}
	before, main := program(), g.property(w, "MainPID")
	_, _ = g.do("kill", "-KILL", main)
	g.until("systemd has started the daemon anew", func() bool {
		pid := g.property(w, "MainPID")
		return pid != main && pid != "0" && g.property(w, "ActiveState") == "active"
	})
	g.runs(w, "after the keeper was killed")
	if now := program(); now != before {
		g.t.Errorf("%s: the program is process %s, it was %s", w.name, now, before)
	}
}

// disabled disables while the daemon runs: it goes on as it is, with all that systemd knows of it.
func (g *bootable) disabled(w who) {
	t := g.t
	t.Helper()
	main := g.property(w, "MainPID")
	out, err := g.drive(w, order{Verb: "disable"})
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
	if out, err := g.drive(w, order{Verb: "status"}); exit(err) != 3 {
		t.Errorf("%s: status after disable: %v %s", w.name, err, out)
	}
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
