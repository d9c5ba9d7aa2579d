package systemd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/client/supervisor"
)

// patience is the longest wait for anything; nothing is decided by a wait that is shorter.
const patience = 3 * time.Minute

// guest is a machine of its own: a root, a control group, and systemd as its process 1 while it is on.
type guest struct {
	t     *testing.T
	root  string
	group string
	boot  *exec.Cmd
	ended chan struct{} // closed when boot has ended
	init  int           // process 1 of the guest as the host sees it

	script []string    // boots it
	first  string      // the short name of its process 1
	booted func() bool // whether it is up
	c      *supervisor.Client
}

// unified is where the host shows its cgroup2 hierarchy.
func unified() (string, error) {
	for _, dir := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		var fs unix.Statfs_t
		if unix.Statfs(dir, &fs) == nil && int64(fs.Type) == unix.CGROUP2_SUPER_MAGIC {
			return dir, nil
		}
	}
	return "", errors.New("no cgroup2 is mounted")
}

// newGuest makes a root with nothing of the host in it but /usr.
func newGuest(t *testing.T) *guest {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root may make a machine of its own")
	}
	for _, cmd := range []string{"unshare", "nsenter", "systemctl", "mount", "/usr/lib/systemd/systemd"} {
		if _, err := exec.LookPath(cmd); err != nil {
			t.Skip("not installed: ", err)
		}
	}
	top, err := unified()
	if err != nil {
		t.Skip(err)
	}
	root, err := os.MkdirTemp("", "upk") // short: the path of a socket is limited
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{t: t, root: root, group: filepath.Join(top, filepath.Base(root)), first: "systemd"}
	g.script = []string{"boot.sh", g.group, g.root}
	g.booted = func() bool {
		out, _ := g.do("systemctl", "is-system-running")
		return strings.HasPrefix(out, "running") || strings.HasPrefix(out, "degraded")
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	if err := os.Mkdir(g.group, 0o755); err != nil {
		t.Skip("no control group can be made: ", err)
	}
	t.Cleanup(func() { g.until("the control group is empty", func() bool { return prune(g.group) == nil }) })
	if out, err := exec.Command("unshare", "--mount", "--uts", "--ipc", "--net", "--cgroup", "--pid", "--fork", "true").CombinedOutput(); err != nil {
		t.Skipf("name spaces are not permitted here: %v %s", err, out)
	}
	g.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
	g.write("etc/group", "root:x:0:\nnogroup:x:65534:\n")
	g.write("etc/machine-id", strings.Repeat("01", 16)+"\n")
	g.write("etc/systemd/system.conf", "[Manager]\nDefaultStandardOutput=null\nDefaultStandardError=inherit\n")
	for _, dir := range []string{"opt/bin", "var/log", "var/lib", "etc/systemd/system/multi-user.target.wants", "etc/systemd/system-generators"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	g.link("../usr/lib/os-release", "etc/os-release")
	g.link("/run", "var/run")
	g.link("/usr/lib/systemd/system/multi-user.target", "etc/systemd/system/default.target")
	g.bare()
	return g
}

// bare has systemd start nothing but what the test installs.
func (g *guest) bare() {
	for _, pattern := range []string{"system/*.target.wants/*", "system-generators/*"} {
		found, _ := filepath.Glob("/usr/lib/systemd/" + pattern)
		for _, f := range found {
			dir := filepath.Base(filepath.Dir(f))
			if dir != "system-generators" {
				dir = "system"
			}
			if filepath.Ext(f) != ".target" {
				g.link(os.DevNull, filepath.Join("etc/systemd", dir, filepath.Base(f)))
			}
		}
	}
}

func (g *guest) write(name, text string) {
	g.t.Helper()
	path := filepath.Join(g.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		g.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		g.t.Fatal(err)
	}
}

func (g *guest) link(to, name string) {
	g.t.Helper()
	if err := os.Symlink(to, filepath.Join(g.root, name)); err != nil && !errors.Is(err, os.ErrExist) {
		g.t.Fatal(err)
	}
}

// read is the content of a file of the root, as the host sees it.
func (g *guest) read(name string) string {
	b, _ := os.ReadFile(filepath.Join(g.root, name))
	return string(b)
}

// inside is the path of a file as the guest sees it, for the host.
func (g *guest) inside(name string) string { return fmt.Sprintf("/proc/%d/root/%s", g.init, name) }

// on boots.
func (g *guest) on() {
	g.t.Helper()
	script, err := filepath.Abs(g.script[0])
	if err != nil {
		g.t.Fatal(err)
	}
	log, err := os.OpenFile(filepath.Join(g.root, "boot.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		g.t.Fatal(err)
	}
	defer log.Close()
	g.boot, g.ended = exec.Command("sh", append([]string{script}, g.script[1:]...)...), make(chan struct{})
	g.boot.Stdout, g.boot.Stderr = log, log
	g.boot.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the guest ends with the thread that has started it
		defer close(g.ended)
		err := g.boot.Start()
		started <- err
		if err == nil {
			_ = g.boot.Wait()
		}
	}()
	if err := <-started; err != nil {
		g.t.Fatal(err)
	}
	g.until(g.first+" is process 1", func() bool {
		select {
		case <-g.ended:
			g.t.Fatalf("the guest does not boot: %s", g.read("boot.log"))
		default:
		}
		g.init = child("/proc", g.boot.Process.Pid, g.first)
		return g.init != 0
	})
	g.until(g.first+" has booted", g.booted)
}

// off cuts the power.
func (g *guest) off() {
	g.t.Helper()
	if g.boot == nil {
		return
	}
	_ = g.boot.Process.Kill()
	<-g.ended
	if g.c != nil {
		g.c.Close()
	}
	g.until("everything inside is dead", func() bool { return prune(g.group) == nil })
	g.boot = nil
	if err := os.Mkdir(g.group, 0o755); err != nil {
		g.t.Fatal(err)
	}
}

// prune removes a control group with those in it; it fails while there are processes.
func prune(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.IsDir() {
			_ = prune(filepath.Join(dir, e.Name()))
		}
	}
	return os.Remove(dir)
}

// child is the pid of a process's child by its short name, as a /proc tells; 0 = there is none.
func child(proc string, parent int, name string) int {
	lists, _ := filepath.Glob(fmt.Sprintf("%s/%d/task/*/children", proc, parent))
	for _, l := range lists {
		b, _ := os.ReadFile(l)
		for _, word := range strings.Fields(string(b)) {
			comm, _ := os.ReadFile(filepath.Join(proc, word, "comm"))
			if pid, err := strconv.Atoi(word); err == nil && string(bytes.TrimSpace(comm)) == name {
				return pid
			}
		}
	}
	return 0
}

// do runs a command in the guest.
func (g *guest) do(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	argv := append([]string{
		"-t", strconv.Itoa(g.init), "-m", "-u", "-i", "-n", "-p", "-r", "-w", "--",
		"/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TERM=dumb", name,
	}, args...)
	out, err := exec.CommandContext(ctx, "nsenter", argv...).CombinedOutput()
	return string(out), err
}

// must is do for what has to succeed.
func (g *guest) must(name string, args ...string) string {
	g.t.Helper()
	out, err := g.do(name, args...)
	if err != nil {
		g.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return out
}

func (g *guest) until(what string, f func() bool) {
	g.t.Helper()
	for deadline := time.Now().Add(patience); !f(); {
		if time.Now().After(deadline) {
			g.t.Fatalf("in vain: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// unit is what systemd says of the unit.
func (g *guest) unit(property string) string {
	g.t.Helper()
	return strings.TrimSpace(g.must("systemctl", "show", "--value", "-p", property, "supervisord"))
}

// mainPID is the process that systemd takes for the daemon.
func (g *guest) mainPID() int {
	g.t.Helper()
	pid, err := strconv.Atoi(g.unit("MainPID"))
	if err != nil {
		g.t.Fatal(err)
	}
	return pid
}
