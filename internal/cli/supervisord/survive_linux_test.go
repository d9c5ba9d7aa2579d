package supervisord

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/client/supervisor"
	"github.com/upkeep-project/upkeep/internal/app"
	"github.com/upkeep-project/upkeep/internal/engine/journal"
	"github.com/upkeep-project/upkeep/internal/sys/lock"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

func TestManagerIsKilled(t *testing.T) {
	h, before, lives := populate(t, "[program:backoff]\ncommand=sh -c 'exit 3'\nautostart=false\nstartsecs=30\nstartretries=3\n")
	if err := h.c.StartProcess(t.Context(), "backoff", false); err != nil {
		t.Fatal(err)
	}
	h.state("backoff", "BACKOFF")
	h.kill(before.Manager)
	now := h.await("another manager answers", func(i supervisor.Info) bool { return i.Manager != before.Manager })
	if now.PID != before.PID {
		t.Errorf("the daemon has pid %d, had %d", now.PID, before.PID)
	}
	if s := h.info(h.c, "backoff").StateName; s != "BACKOFF" && s != "STARTING" && s != "FATAL" {
		t.Errorf("backoff is %s", s)
	}
	h.unchanged(lives)
	h.counts()
	h.pidfile(before.PID)
	h.logged(`WARN the daemon goes on with pid ` + strconv.Itoa(now.Manager) + `: terminated by SIGKILL\n`)

	// The number of retries goes on too.
	h.state("backoff", "FATAL")
	h.times(4, "spawned: 'backoff'")
	h.times(1, "gave up: backoff ")

	h.order("seven")
	h.ends("seven", "exit status 7", 7)
	h.down()
	h.times(1, "supervisord started with pid")
}

// TestEndsWhileNobodyManages: the keeper is stopped, so that there is certainly no manager when programs end.
func TestEndsWhileNobodyManages(t *testing.T) {
	h, before, lives := populate(t, "")
	if err := unix.Kill(before.PID, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	h.kill(before.Manager)
	h.order("seven")
	h.order("killed")
	for _, name := range []string{"seven", "killed"} {
		h.until(name+" has ended", func() bool { return gone(lives[name].PID) })
		delete(lives, name)
	}
	if err := unix.Kill(before.PID, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	h.await("another manager answers", func(i supervisor.Info) bool { return i.Manager != before.Manager })
	h.state("seven", "EXITED")
	h.state("killed", "EXITED")
	h.unchanged(lives)
	h.counts()
	h.ends("seven", "exit status 7", 7)
	h.ends("killed", "terminated by SIGKILL", -1)
}

// TestKeeperIsKilled: its manager stands in for it until another daemon relieves that one.
func TestKeeperIsKilled(t *testing.T) {
	h, before, lives := populate(t, "")
	h.kill(before.PID)
	if h.over() != -1 {
		t.Error("the keeper was not killed")
	}
	now := h.await("the manager is the keeper", func(i supervisor.Info) bool { return i.PID == before.Manager && i.Manager != before.Manager })
	h.pidfile(now.PID)
	h.unchanged(lives)
	h.counts()
	h.order("seven")
	h.ends("seven", "exit status 7", 7)
	delete(lives, "seven")

	h.begin()
	h.until("the stand-in has ended", func() bool { return gone(now.PID) })
	h.pidfile(h.cmd.Process.Pid)
	h.unchanged(lives)
	h.counts()
	place, err := app.PlaceOf(h.placed())
	if err != nil {
		t.Fatal(err)
	}
	if pid, err := lock.Holder(filepath.Join(place.State, "lock")); err != nil || pid != h.cmd.Process.Pid {
		t.Errorf("the lock names %d (%v), want %d", pid, err, h.cmd.Process.Pid)
	}
	h.logged(`WARN everything was taken over from pid ` + strconv.Itoa(now.PID) + `, which stood in`)
	h.order("killed")
	h.state("killed", "EXITED")
	h.times(1, "exited: killed ")
	h.down()
}

func TestSpawnerIsKilled(t *testing.T) {
	h, before, lives := populate(t, "")
	h.kill(h.spawner(before))
	if err := h.c.StartProcess(context.Background(), "stopped", true); err != nil {
		t.Fatal(err)
	}
	h.running(h.c, "stopped")
	delete(lives, "stopped")
	h.unchanged(lives)
	if now := h.await("the daemon answers", func(supervisor.Info) bool { return true }); now != before {
		t.Errorf("the daemon is %+v, was %+v", now, before)
	}
	h.order("seven")
	h.ends("seven", "exit status 7", 7)
}

func TestAllAreKilled(t *testing.T) {
	h, before, lives := populate(t, "")
	h.kill(before.Manager, before.PID, h.spawner(before))
	h.over()
	h.begin()
	h.unchanged(lives)
	h.counts()
	h.pidfile(h.cmd.Process.Pid)
	if err := h.c.StopProcess(context.Background(), "idle", true); err != nil {
		t.Fatal(err)
	}
	h.state("idle", "STOPPED")
	h.until("idle is gone", func() bool { return gone(lives["idle"].PID) })
	h.order("seven")
	h.state("seven", "EXITED")
	h.times(1, "exited: seven ")
	h.down()
}

func TestUpgrade(t *testing.T) {
	h, before, lives := populate(t, "")
	h.signal(syscall.SIGUSR1)
	now := h.await("another manager answers", func(i supervisor.Info) bool { return i.Manager != before.Manager })
	if now.PID != before.PID || now.RolledBack != "" {
		t.Errorf("%+v, was %+v", now, before)
	}
	h.unchanged(lives)
	h.counts()
	h.until("the old manager has ended", func() bool { return gone(before.Manager) })
	h.order("seven")
	h.ends("seven", "exit status 7", 7)
	h.times(1, "supervisord started with pid")
	h.down()
}

func TestUpgradeInPlace(t *testing.T) {
	h, before, lives := populate(t, "", "--no-keeper")
	if before.PID != before.Manager {
		t.Fatalf("%+v: there is a keeper", before)
	}
	h.signal(syscall.SIGUSR1)
	h.until("the daemon has executed itself", func() bool {
		return slices.Contains(marked("UPKEEP_CONTINUE=1"), before.PID)
	})
	if now := h.await("the daemon answers", func(supervisor.Info) bool { return true }); now != before {
		t.Errorf("%+v, was %+v", now, before)
	}
	h.unchanged(lives)
	h.counts()
	h.order("seven")
	h.ends("seven", "exit status 7", 7)
	delete(lives, "seven")

	h.kill(before.PID)
	h.over()
	h.begin("--no-keeper")
	h.unchanged(lives)
	h.counts()
	h.order("killed")
	h.state("killed", "EXITED")
	h.times(1, "exited: killed ")
	h.down()
}

func TestSecondStartBesideAKeeper(t *testing.T) {
	h, before, lives := populate(t, "")
	second := h.spawn()
	var exit *exec.ExitError
	if err := second.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Errorf("the second start: %v", err)
	}
	if out := h.read("out"); !strings.Contains(out, "Error: Another program is already listening on a port") {
		t.Errorf("it says %q", out)
	}
	if now := h.await("the daemon answers", func(supervisor.Info) bool { return true }); now != before {
		t.Errorf("%+v, was %+v", now, before)
	}
	h.unchanged(lives)
	h.counts()
	h.pidfile(before.PID)
	h.times(1, "supervisord started with pid")
}

// TestOrderedEndForgets: what was ordered of programs is in force until the daemon is shut down.
func TestOrderedEndForgets(t *testing.T) {
	h, _, lives := populate(t, "")
	h.down()
	place, err := app.PlaceOf(h.placed())
	if err != nil {
		t.Fatal(err)
	}
	boot, err := procstat.BootID()
	if err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(journal.Options{Dir: place.Runtime, Name: "journal", Stamp: boot, Runtime: true})
	if err != nil {
		t.Fatal(err)
	}
	if r := j.Recovered(); !r.Same {
		t.Errorf("not the daemon's journal: %+v", r)
	}
	for key, value := range j.Snapshot() {
		if key == "over" {
			continue // that it has ended
		}
		t.Errorf("the journal has %s: %s", key, value)
	}
	j.Close()
	if _, err := os.Lstat(place.Socket()); err == nil {
		t.Error("the keeper's socket is still there")
	}
	h.begin()
	h.running(h.c, "stopped")
	if p := h.running(h.c, "idle"); p.PID == lives["idle"].PID {
		t.Errorf("idle still has pid %d", p.PID)
	}
	h.state("never", "STOPPED")
	h.down()
}

// TestStopReachesGrandchildren: one that has left the session of its program is killed when the definition
// says so, and named otherwise.
func TestStopReachesGrandchildren(t *testing.T) {
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip("setsid is not installed")
	}
	script := "setsid sh -c 'echo $$ >%[1]s/%[2]s.tmp; mv %[1]s/%[2]s.tmp %[1]s/%[2]s.pid; exec sleep 1000' &\nexec sleep 1000\n"
	programs := ""
	for name, more := range map[string]string{"tree": "stop_reach=tree\n", "plain": ""} {
		programs += "[program:" + name + "]\ncommand=sh %(here)s/" + name + ".sh\nstartsecs=0\n" + more
	}
	h := newHardy(t, programs)
	h.write("tree.sh", fmt.Sprintf(script, h.dir, "tree"))
	h.write("plain.sh", fmt.Sprintf(script, h.dir, "plain"))
	h.begin()
	grandchild := map[string]int{}
	for _, name := range []string{"tree", "plain"} {
		h.running(h.c, name)
		h.until("there is a grandchild", func() bool { return h.read(name+".pid") != "" })
		pid, err := strconv.Atoi(strings.TrimSpace(h.read(name + ".pid")))
		if err != nil {
			t.Fatal(err)
		}
		grandchild[name] = pid
		h.until("it is in a session of its own", func() bool {
			s, err := procstat.Read(pid)
			return err == nil && s.Comm == "sleep" && s.Session == pid
		})
		if err := h.c.StopProcess(context.Background(), name, true); err != nil {
			t.Fatal(err)
		}
		if name == "tree" && !gone(pid) {
			t.Error("the grandchild outlives the tree that is reported as stopped")
		}
	}
	h.logged(fmt.Sprintf(`WARN plain(:plain)? has stopped, but it has left processes running: %d \(sleep\)\n`, grandchild["plain"]))
	if gone(grandchild["plain"]) {
		t.Error("a stop that does not reach so far has killed the grandchild")
	}
	h.times(1, "has left processes running")
}

// TestNoPlaceForTheState: a daemon that can keep nothing works, and says once that it cannot.
func TestNoPlaceForTheState(t *testing.T) {
	h := newHardy(t, population)
	h.write("plain", "")
	h.root = filepath.Join(h.dir, "plain", "root")
	i := h.begin()
	if i.PID != i.Manager {
		t.Errorf("%+v: a keeper without a place", i)
	}
	h.running(h.c, "idle")
	h.counts()
	h.order("seven")
	h.ends("seven", "exit status 7", 7)
	if err := h.c.StopProcess(context.Background(), "idle", true); err != nil {
		t.Fatal(err)
	}
	if err := h.c.StartProcess(context.Background(), "idle", true); err != nil {
		t.Fatal(err)
	}
	h.down()
	h.times(1, "there is no place for the state of this daemon: ")
	h.times(1, h.root[:len(h.root)-len("/root")])
}
