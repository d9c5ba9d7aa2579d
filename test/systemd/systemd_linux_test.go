package systemd

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/client/supervisor"
)

const configuration = `[unix_http_server]
file=/run/supervisor.sock
[supervisord]
logfile=/var/log/d.log
pidfile=/run/supervisord.pid
childlogdir=/var/log
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[program:count]
command=sh -c 'i=0; while :; do for n in 1 2 3 4 5; do echo $i; i=$((i+1)); done; sleep 0.01; done'
stdout_logfile=/var/log/count.log
startsecs=0
[program:idle]
command=sh -c 'env >/var/log/environment; exec sleep 1000'
startsecs=0
[program:tree]
command=sh -c 'setsid sleep 1000 & exec sleep 1000'
stop_reach=tree
startsecs=0
[program:leaves]
command=sh -c 'setsid sleep 1000 & exec sleep 1000'
startsecs=0
[program:stopped]
command=sleep 1000
startsecs=0
[program:deaf]
command=sh -c 'trap "" TERM; echo >/run/deaf; while :; do sleep 0.1; done'
autostart=false
stopwaitsecs=1000
startsecs=0
`

// machine is a guest with the unit installed.
type machine struct {
	*guest
	left int // processes that programs of earlier runs have left behind and that nobody has killed
}

// versions are those of the product that the tests run; each is built once, into a folder that TestMain removes.
var versions = map[string]func() (string, error){"1.0.0": built("1.0.0"), "2.0.0": built("2.0.0")}

func binaries() string {
	return filepath.Join(os.TempDir(), "upkeep-versions-"+strconv.Itoa(os.Getpid()))
}

// built builds a version when it is first called, and returns where it is.
func built(version string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		to := filepath.Join(binaries(), version)
		cmd := exec.Command("go", "build", "-trimpath",
			"-ldflags", "-s -w -X github.com/upkeep-project/upkeep/internal/cli.Version="+version,
			"-o", to, "github.com/upkeep-project/upkeep/cmd/upkeep")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w\n%s", err, out)
		}
		return to, nil
	})
}

func TestMain(m *testing.M) {
	status := m.Run()
	os.RemoveAll(binaries())
	os.Exit(status)
}

// build puts a version of the product's binary somewhere.
func build(t *testing.T, to, version string) {
	t.Helper()
	from, err := versions[version]()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o755); err != nil {
		t.Fatal(err)
	}
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{guest: newGuest(t)}
	build(t, filepath.Join(m.root, "opt/bin/upkeep"), "1.0.0")
	out, err := exec.Command("sh", "../../scripts/install-units.sh", m.root, "/opt").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	m.write("etc/supervisor/supervisord.conf", configuration)
	m.link("/etc/systemd/system/supervisord.service", "etc/systemd/system/multi-user.target.wants/supervisord.service")
	t.Cleanup(func() {
		m.off()
		if t.Failed() {
			for _, name := range []string{"boot.log", "console", "var/log/d.log"} {
				t.Logf("%s:\n%s", name, m.read(name))
			}
		}
	})
	return m
}

// up boots and waits for the daemon.
func (m *machine) up() supervisor.Info {
	m.t.Helper()
	m.on()
	m.until("the unit is active", func() bool { return m.unit("ActiveState") == "active" })
	m.c = m.client()
	return m.await("the daemon answers", func(supervisor.Info) bool { return true })
}

// client is a connection to the daemon.
func (m *machine) client() *supervisor.Client {
	m.t.Helper()
	c, err := supervisor.New(supervisor.Options{URL: "unix://" + m.inside("run/supervisor.sock")})
	if err != nil {
		m.t.Fatal(err)
	}
	return c
}

// await polls who the daemon is.
func (m *machine) await(what string, f func(supervisor.Info) bool) (i supervisor.Info) {
	m.t.Helper()
	m.until(what, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		var err error
		i, err = m.c.Info(ctx)
		return err == nil && f(i)
	})
	return i
}

// lives are pid and birth time of every program that runs; a program that runs twice has two.
func (m *machine) lives() map[string][]string {
	m.t.Helper()
	out := map[string][]string{}
	found, _ := filepath.Glob(m.inside("proc/[0-9]*/environ"))
	for _, f := range found {
		env, _ := os.ReadFile(f)
		_, name, ok := strings.Cut(string(env), "SUPERVISOR_PROCESS_NAME=")
		stat, err := os.ReadFile(filepath.Join(filepath.Dir(f), "stat"))
		if !ok || err != nil {
			continue
		}
		name, _, _ = strings.Cut(name, "\x00")
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest) // from the third on: state, parent, group
		if pid := filepath.Base(filepath.Dir(f)); fields[2] == pid {
			session := ""
			if grand := fields[3] == pid; grand { // it has left the session of the daemon
				session = " in its own session"
			}
			out[name] = append(out[name], pid+" since "+fields[19]+session)
		}
	}
	for _, l := range out {
		slices.Sort(l)
	}
	return out
}

// running waits until the programs that start by themselves run.
func (m *machine) running(names ...string) map[string][]string {
	m.t.Helper()
	for _, name := range names {
		m.until(name+" runs", func() bool {
			p, err := m.c.GetProcessInfo(context.Background(), name)
			return err == nil && p.StateName == "RUNNING"
		})
	}
	m.until("all have executed", func() bool { // which RUNNING does not mean with startsecs=0
		l := m.lives()
		return !slices.ContainsFunc(names, func(name string) bool { return len(l[name]) == 0 })
	})
	if slices.Contains(names, "leaves") {
		m.until("both have a grandchild", func() bool {
			l := m.lives()
			return len(l["leaves"]) == 2+m.left && len(l["tree"]) == 2
		})
	}
	return m.lives()
}

// automatic are the programs that start by themselves.
var automatic = []string{"count", "idle", "tree", "leaves", "stopped"}

// untouched checks that the same processes run, one of each, and that the output goes on without a gap.
func (m *machine) untouched(before map[string][]string) {
	m.t.Helper()
	if d := cmp.Diff(before, m.lives()); d != "" {
		m.t.Errorf("the programs are not as they were: %s", d)
	}
	const log = "var/log/count.log"
	begin := strings.Count(m.read(log), "\n")
	m.until("the count goes on", func() bool { return strings.Count(m.read(log), "\n") >= begin+50 })
	lines := strings.Split(m.read(log), "\n")
	for i, line := range lines[:len(lines)-1] {
		if line != strconv.Itoa(i) {
			m.t.Fatalf("line %d of the count is %q", i, line)
		}
	}
}

// daemon checks that systemd, the pidfile and the daemon itself agree who it is.
func (m *machine) daemon(restarts int) supervisor.Info {
	m.t.Helper()
	i := m.await("the daemon is the unit's main process", func(i supervisor.Info) bool {
		pidfile, _ := os.ReadFile(m.inside("run/supervisord.pid"))
		return i.PID == m.mainPID() && strings.TrimSpace(string(pidfile)) == strconv.Itoa(i.PID) && m.unit("ActiveState") == "active"
	})
	if got := m.unit("NRestarts"); got != strconv.Itoa(restarts) {
		m.t.Errorf("systemd has restarted the unit %s times, want %d", got, restarts)
	}
	return i
}

func (m *machine) kill(pids ...int) {
	m.t.Helper()
	words := []string{"-KILL"}
	for _, pid := range pids {
		words = append(words, strconv.Itoa(pid))
	}
	_, _ = m.do("kill", words...) // one that ends with the one before it is no mistake
}

// spawner is the pid of the manager's spawner, as the guest sees it.
func (m *machine) spawner(i supervisor.Info) (pid int) {
	m.t.Helper()
	m.until("there is a spawner", func() bool {
		pid = child(m.inside("proc"), i.Manager, "upkeep-spawner")
		return pid != 0
	})
	return pid
}

// empty checks that no process of the unit is left.
func (m *machine) empty() {
	m.t.Helper()
	if l := m.lives(); len(l) > 0 {
		m.t.Errorf("programs are left: %v", l)
	}
	b, err := os.ReadFile(m.inside("sys/fs/cgroup/system.slice/supervisord.service/cgroup.events"))
	if err == nil && strings.Contains(string(b), "populated 1") {
		m.t.Error("the unit's control group has processes")
	}
}

// delegated checks that a program with stop_reach=tree has a control group of its own inside the unit's.
func (m *machine) delegated() {
	m.t.Helper()
	pid, _, _ := strings.Cut(m.lives()["tree"][0], " ")
	b, err := os.ReadFile(m.inside("proc/" + pid + "/cgroup"))
	if err != nil || !strings.Contains(string(b), "/supervisord.service/p-upkeep-") {
		m.t.Errorf("the control group of tree is %q, %v", b, err)
	}
}

// replaced checks that the programs are the same, and that none of their processes is.
func (m *machine) replaced(before, after map[string][]string) {
	m.t.Helper()
	if !slices.Equal(slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after))) {
		m.t.Errorf("%v run, before it were %v", slices.Sorted(maps.Keys(after)), slices.Sorted(maps.Keys(before)))
	}
	for name, was := range before {
		for _, life := range was {
			if slices.Contains(after[name], life) {
				m.t.Errorf("%s still is process %s", name, life)
			}
		}
	}
}

func TestUnit(t *testing.T) {
	if testing.Short() {
		t.Skip("a machine is booted")
	}
	m := newMachine(t)
	first := m.up()
	lives := m.running(automatic...)
	m.daemon(0)
	if env := m.read("var/log/environment"); env == "" || strings.Contains(env, "NOTIFY_SOCKET") || strings.Contains(env, "UPKEEP_") {
		t.Errorf("a program's environment: %s", env)
	}
	m.delegated()
	step := func(name string, f func(t *testing.T)) {
		if !t.Failed() {
			t.Run(name, func(t *testing.T) {
				outer := m.t
				m.t = t
				defer func() { m.t = outer }()
				f(t)
			})
		}
	}
	step("the manager is killed", func(t *testing.T) {
		m.kill(first.Manager)
		m.await("another manager", func(i supervisor.Info) bool { return i.Manager != first.Manager })
		if now := m.daemon(0); now.PID != first.PID {
			t.Errorf("the main process is %d, was %d", now.PID, first.PID)
		}
		m.untouched(lives)
	})
	step("the keeper is killed", func(t *testing.T) {
		before := m.daemon(0)
		m.kill(before.PID)
		m.until("systemd has started another one", func() bool { return m.unit("NRestarts") == "1" })
		if now := m.daemon(1); now.PID == before.PID || now.PID == before.Manager {
			t.Errorf("%+v, was %+v", now, before)
		}
		m.untouched(lives)
	})
	step("all are killed", func(t *testing.T) {
		before := m.daemon(1)
		m.kill(before.PID, before.Manager, m.spawner(before))
		m.until("systemd has started another one", func() bool { return m.unit("NRestarts") == "2" })
		m.daemon(2)
		m.untouched(lives)
	})
	step("upgrade", func(t *testing.T) {
		before := m.daemon(2)
		build(t, filepath.Join(m.root, "opt/bin/new"), "2.0.0")
		if err := os.Rename(filepath.Join(m.root, "opt/bin/new"), filepath.Join(m.root, "opt/bin/upkeep")); err != nil {
			t.Fatal(err)
		}
		out := m.must("/opt/bin/upkeep", "daemon", "upgrade", "-c", "/etc/supervisor/supervisord.conf")
		if want := fmt.Sprintf("upgraded from 1.0.0 to 2.0.0 (pid %d)\n", before.PID); out != want {
			t.Errorf("said %q, want %q", out, want)
		}
		if now := m.daemon(2); now.PID != before.PID || now.Version != "2.0.0" {
			t.Errorf("%+v, was %+v", now, before)
		}
		m.untouched(lives)
	})
	step("reload", func(t *testing.T) {
		before := m.daemon(2)
		m.must("systemctl", "reload", "supervisord")
		m.until("everything is new", func() bool { return !slices.Equal(m.lives()["idle"], lives["idle"]) })
		m.left++ // stop_reach=process, and nobody asked for the end of the unit
		after := m.running(automatic...)
		for name := range lives {
			if slices.Equal(lives[name], after[name]) {
				t.Errorf("%s was not restarted", name)
			}
		}
		if now := m.daemon(2); now.PID != before.PID {
			t.Errorf("%+v, was %+v", now, before)
		}
		lives = after
	})
	step("restart", func(t *testing.T) {
		before := m.daemon(2)
		m.must("systemctl", "restart", "supervisord")
		m.left = 0
		c := m.client()
		defer c.Close()
		if _, err := c.Info(context.Background()); err != nil {
			t.Errorf("the unit is said to be up, and the daemon does not answer: %v", err)
		}
		after := m.running(automatic...)
		if now := m.daemon(0); now.PID == before.PID {
			t.Errorf("%+v, was %+v", now, before)
		}
		m.replaced(lives, after)
		lives = after
	})
	step("stop", func(t *testing.T) {
		m.must("systemctl", "stop", "supervisord")
		if state, result := m.unit("ActiveState"), m.unit("Result"); state != "inactive" || result != "success" {
			t.Errorf("the unit is %s (%s)", state, result)
		}
		m.empty()
	})
	step("a stop that is not in time", func(t *testing.T) {
		m.write("etc/systemd/system/supervisord.service.d/short.conf", "[Service]\nTimeoutStopSec=1s\n")
		m.must("systemctl", "daemon-reload")
		m.must("systemctl", "start", "supervisord")
		m.running(automatic...)
		if err := m.c.StartProcess(context.Background(), "deaf", true); err != nil {
			t.Fatal(err)
		}
		m.until("the trap is set", func() bool {
			_, err := os.Stat(m.inside("run/deaf"))
			return err == nil
		})
		m.must("systemctl", "stop", "supervisord")
		if state, result := m.unit("ActiveState"), m.unit("Result"); state != "failed" || result != "timeout" {
			t.Errorf("the unit is %s (%s)", state, result)
		}
		m.empty()
	})
}

// TestReboot: with a journal that outlives the boot, what was before it is history, and what was wished holds.
func TestReboot(t *testing.T) {
	if testing.Short() {
		t.Skip("a machine is booted")
	}
	m := newMachine(t)
	m.write("etc/systemd/system/supervisord.service.d/root.conf", "[Service]\nEnvironment=UPKEEP_ROOT=/var/lib/kept\n")
	m.up()
	m.running(automatic...)
	if err := m.c.StopProcess(context.Background(), "stopped", true); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		id, _ := os.ReadFile(m.inside("proc/sys/kernel/random/boot_id"))
		journals, _ := filepath.Glob(filepath.Join(m.root, "var/lib/kept/run/upkeep/supervisord/*/journal*"))
		if len(journals) == 0 {
			t.Fatal("no journal outlives the boot")
		}
		m.off()
		m.up()
		if now, _ := os.ReadFile(m.inside("proc/sys/kernel/random/boot_id")); string(now) == string(id) || len(now) == 0 {
			t.Fatalf("the boot has the same id: %s", now)
		}
		lives := m.running("count", "idle", "tree", "leaves")
		for name, l := range lives {
			want := 1
			if name == "tree" || name == "leaves" {
				want = 2 // with the grandchild
			}
			if len(l) != want {
				t.Errorf("%s runs as %v", name, l)
			}
		}
		if p, err := m.c.GetProcessInfo(context.Background(), "stopped"); err != nil || p.StateName != "STOPPED" {
			t.Errorf("%+v, %v: it was stopped before the power was cut", p, err)
		}
		m.daemon(0)
	}
	if n := strings.Count(m.read("var/log/d.log"), "supervisord started with pid"); n != 3 {
		t.Errorf("started %d times, want 3", n)
	}
}
