package supervisord

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/upkeep-project/upkeep/client/supervisor"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// restart orders a restart of everything and waits until the given programs are other processes.
func (h *hardy) restart(names ...string) {
	h.t.Helper()
	before := map[string]int{}
	for _, name := range names {
		before[name] = h.info(h.c, name).PID
	}
	h.signal(syscall.SIGHUP)
	for _, name := range names {
		h.until(name+" is another process", func() bool { return h.running(h.c, name).PID != before[name] })
	}
}

// TestSurvivesAfterARestart: what the keeper tells reaches the daemon that came out of an ordered restart.
func TestSurvivesAfterARestart(t *testing.T) {
	h, before, _ := populate(t, "")
	h.restart("idle", "stopped")
	h.restart("idle", "stopped")
	lives := h.lives("idle", "stopped", "never")

	h.signal(syscall.SIGUSR1)
	now := h.await("another manager answers", func(i supervisor.Info) bool { return i.Manager != before.Manager })
	if now.PID != before.PID || now.RolledBack != "" {
		t.Errorf("%+v, was %+v", now, before)
	}
	h.unchanged(lives)

	h.restart("idle", "stopped")
	lives = h.lives("idle", "stopped", "never")
	h.kill(before.PID)
	h.over()
	next := h.await("the manager is the keeper", func(i supervisor.Info) bool { return i.PID == now.Manager })
	h.pidfile(next.PID)
	h.unchanged(lives)
	h.begin()
	h.unchanged(lives)
	h.down()
}

// TestLeftoversAreNotTakenForPrograms: a process that a program has left behind has the program's marks; after
// an ordered end the program is started all the same.
func TestLeftoversAreNotTakenForPrograms(t *testing.T) {
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip("setsid is not installed")
	}
	h := newHardy(t, "[program:leaves]\ncommand=sh -c 'setsid sh -c \"echo \\$\\$ >>%(here)s/left; exec sleep 1000\" & exec sleep 1000'\nstartsecs=0\n")
	left := 0 // how many are left behind
	ready := func() {
		t.Helper()
		h.running(h.c, "leaves")
		left++
		h.until("it has a grandchild", func() bool { return strings.Count(h.read("left"), "\n") == left })
		h.until("the grandchild has left", func() bool {
			words := strings.Fields(h.read("left"))
			pid, err := strconv.Atoi(words[len(words)-1])
			if err != nil {
				t.Fatal(err)
			}
			s, err := procstat.Read(pid)
			return err == nil && s.Comm == "sleep" && s.Session == pid
		})
	}
	i := h.begin()
	ready()
	h.kill(i.PID) // from now on the leftovers are nobody's children that we know
	h.over()
	h.await("the manager is the keeper", func(now supervisor.Info) bool { return now.PID == i.Manager })
	h.begin()
	h.restart("leaves")
	ready()
	h.signal(syscall.SIGTERM)
	if status := h.over(); status != 0 {
		t.Errorf("status %d", status)
	}
	h.begin()
	ready()
	h.times(3, "spawned: 'leaves'")
	if log := h.read("d.log"); strings.Contains(log, "adopted:") {
		t.Errorf("something was adopted: %s", log)
	}
	for _, word := range strings.Fields(h.read("left")) {
		if pid, err := strconv.Atoi(word); err != nil || gone(pid) {
			t.Errorf("%s: a leftover is gone", word)
		}
	}
}
