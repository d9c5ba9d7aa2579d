package supervisord

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/client/supervisor"
	"github.com/upkeep-project/upkeep/internal/app"
	conf "github.com/upkeep-project/upkeep/internal/conf/supervisord"
)

// place is where the site's daemon keeps its state.
func (h *hardy) place() app.Place {
	h.t.Helper()
	p, err := app.PlaceOf(h.placed())
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// placed is as much of the site's configuration as its place depends on.
func (h *hardy) placed() *conf.Config {
	c := &conf.Config{}
	c.Settings.ConfigFile, c.Settings.UID, c.Settings.GID = h.conf, -1, -1
	return c
}

// allGone kills all processes of the daemon and waits until nothing of them is left, not even their locks.
func (h *hardy) allGone(i supervisor.Info) {
	h.t.Helper()
	spawner := h.spawner(i)
	h.kill(i.Manager, i.PID, spawner) // the keeper not first: a stopped group that is left alone gets a HUP of the kernel
	h.over()
	for _, pid := range []int{i.Manager, spawner} {
		h.until("it is reaped", func() bool {
			_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
			return err != nil
		})
	}
}

// change replaces the content of a file in place.
func change(t *testing.T, path string, f func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, f(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

// spoiled are the bad days of state files, by what is said about them in the activity log; empty = nothing has to be.
var spoiled = []struct {
	name  string
	said  string
	spoil func(t *testing.T, path string)
}{
	{"empty", "", func(t *testing.T, path string) { change(t, path, func([]byte) []byte { return nil }) }},
	{"garbage", `WARN .*%s`, func(t *testing.T, path string) {
		change(t, path, func(b []byte) []byte { return bytes.Repeat([]byte("garbage\n"), len(b)/8+1) })
	}},
	{"cut", `WARN .*%s`, func(t *testing.T, path string) {
		change(t, path, func(b []byte) []byte { return b[:len(b)/2] })
	}},
	{"cut early", `WARN .*%s`, func(t *testing.T, path string) {
		change(t, path, func(b []byte) []byte { return b[:len(b)/5] })
	}},
	{"cut late", `WARN .*%s`, func(t *testing.T, path string) {
		change(t, path, func(b []byte) []byte { return b[:len(b)*4/5] })
	}},
	{"newer", `WARN .*%s`, func(t *testing.T, path string) {
		change(t, path, func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\xf5uJ\x01"), []byte("\xf5uJ\x02")) })
	}},
	{"foreign", `WARN .*%s`, func(t *testing.T, path string) {
		if err := os.Chown(path, 65534, 65534); err != nil {
			t.Skip(err)
		}
	}},
	{"link", `WARN .*%s`, func(t *testing.T, path string) {
		if err := os.Rename(path, path+".there"); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path+".there", path); err != nil {
			t.Fatal(err)
		}
	}},
	{"directory", `WARN .*%s`, func(t *testing.T, path string) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}},
}

// TestSpoiledState: all processes of the daemon are killed, and what they have left on the disk is no good. The
// next one says so, keeps what it cannot read under another name, and starts nothing a second time.
func TestSpoiledState(t *testing.T) {
	if testing.Short() {
		t.Skip("one day after the other")
	}
	for _, day := range spoiled {
		t.Run(day.name, func(t *testing.T) {
			h, before, _ := populate(t, "")
			lives := h.living()
			p := h.place()
			h.allGone(before)
			day.spoil(t, filepath.Join(p.Runtime, "journal"))
			day.spoil(t, filepath.Join(p.State, "wishes"))
			now := h.begin()
			h.same(lives)
			for _, file := range []string{"journal", "wishes"} {
				if day.said != "" {
					h.logged(fmt.Sprintf(day.said, file))
				}
			}
			h.kill(now.Manager) // what is on the disk now is good
			h.await("another manager answers", func(i supervisor.Info) bool { return i.Manager != now.Manager })
			h.same(lives)
			h.down()
		})
	}
}

// TestSpoiledUnderAKeeper: only the manager is killed, and its journal is no good. What the keeper holds is enough
// to go on with.
func TestSpoiledUnderAKeeper(t *testing.T) {
	if testing.Short() {
		t.Skip("one day after the other")
	}
	for _, day := range spoiled {
		t.Run(day.name, func(t *testing.T) {
			h, before, _ := populate(t, "")
			lives := h.living()
			path := filepath.Join(h.place().Runtime, "journal")
			if err := unix.Kill(before.Manager, unix.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			day.spoil(t, path)
			h.kill(before.Manager)
			h.await("another manager answers", func(i supervisor.Info) bool { return i.Manager != before.Manager })
			h.same(lives)
			h.order("seven")
			h.ends("seven", "exit status 7", 7)
			h.down()
		})
	}
}

// TestPlaceBecomesUnusable: the state of a running daemon becomes unreachable, everything is killed, and the
// next one has to do without. It says so, and starts nothing a second time.
func TestPlaceBecomesUnusable(t *testing.T) {
	h, before, _ := populate(t, "")
	lives := h.living()
	h.allGone(before)
	h.write("plain", "")
	h.root = filepath.Join(h.dir, "plain", "root")
	i := h.begin()
	if i.PID != i.Manager {
		t.Errorf("%+v: a keeper without a place", i)
	}
	h.same(lives)
	h.times(1, "there is no place for the state of this daemon: ")
	h.down()
}

// TestFewDescriptors: what finds no descriptors is refused by name; what runs is not touched, and everything
// can be stopped.
func TestFewDescriptors(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed")
	}
	const all = 120
	h := newHardy(t, population+fmt.Sprintf(
		"[program:many]\ncommand=sleep 1000\nprocess_name=%%(program_name)s%%(process_num)d\nnumprocs=%d\nstartsecs=0\nstartretries=0\n", all))
	h.write("d.conf", strings.Replace(h.read("d.conf"), "[supervisord]\n", "[supervisord]\nminfds=256\n", 1))
	daemon := command("-n", "-c", h.conf)
	h.cmd = exec.Command(bash, append([]string{"-c", `ulimit -n 256; exec -a supervisord "$0" "$@"`, daemon.Path}, daemon.Args[1:]...)...)
	h.cmd.Env = append(daemon.Env, siteMark+"="+h.dir)
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.c = h.client()
	states := func() map[string]int {
		out := map[string]int{}
		list, err := h.c.GetAllProcessInfo(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list {
			if p.Group == "many" {
				out[p.StateName]++
			}
		}
		return out
	}
	h.until("every program is RUNNING or FATAL", func() bool {
		s := states()
		return s["RUNNING"]+s["FATAL"] == all
	})
	before := states()
	if before["RUNNING"] == 0 || before["FATAL"] == 0 {
		t.Fatalf("the limit is none: %v", before)
	}
	h.logged(`spawnerr: too many open files to spawn 'many\d+'\n`)
	h.logged(`gave up: many\d+ entered FATAL state`)
	lives := h.living()
	i := h.await("the daemon answers", func(supervisor.Info) bool { return true })
	h.kill(i.Manager)
	h.await("another manager answers", func(now supervisor.Info) bool { return now.Manager != i.Manager })
	h.same(lives)
	if now := states(); now["RUNNING"] != before["RUNNING"] {
		t.Errorf("%v, was %v", now, before)
	}
	if err := h.c.StopProcess(t.Context(), "many:many0", true); err != nil {
		t.Error(err)
	}
	h.down()
}

// TestNoControlGroups: nothing of them is to be seen, and a stop reaches what has left the session all the same.
func TestNoControlGroups(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may hide a file system")
	}
	for _, cmd := range []string{"setsid", "mount", "bash"} {
		if _, err := exec.LookPath(cmd); err != nil {
			t.Skip(cmd, " is not installed")
		}
	}
	const hiding = "mount --make-rprivate / && umount -R /sys/fs/cgroup"
	probe := exec.Command("bash", "-c", hiding)
	probe.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if out, err := probe.CombinedOutput(); err != nil {
		t.Skipf("control groups cannot be hidden here: %v: %s", err, out)
	}
	h := newHardy(t, "[program:tree]\ncommand=sh -c 'setsid sleep 1000 & exec sleep 1000'\nstartsecs=0\nstop_reach=tree\n")
	h.write("d.conf", strings.Replace(h.read("d.conf"), "loglevel=info", "loglevel=debug", 1))
	daemon := command("-n", "-c", h.conf)
	const hide = hiding + ` && exec -a supervisord "$0" "$@"`
	h.cmd = exec.Command("bash", append([]string{"-c", hide, daemon.Path}, daemon.Args[1:]...)...)
	h.cmd.Env = append(daemon.Env, siteMark+"="+h.dir)
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if err := h.cmd.Start(); err != nil {
		t.Skip(err)
	}
	h.c = h.client()
	main := h.running(h.c, "tree").PID
	var others []int
	h.until("there is a grandchild", func() bool {
		others = slices.DeleteFunc(marked(siteMark+"="+h.dir), func(pid int) bool {
			comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			return pid == main || string(comm) != "sleep\n"
		})
		return len(others) == 1
	})
	h.logged(`DEBG no control groups: `)
	if err := h.c.StopProcess(t.Context(), "tree", true); err != nil {
		t.Fatal(err)
	}
	if !gone(others[0]) {
		t.Error("the grandchild outlives the tree that is reported as stopped")
	}
	h.down()
}
