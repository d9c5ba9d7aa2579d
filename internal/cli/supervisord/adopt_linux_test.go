package supervisord

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/client/supervisor"
)

// stranger starts a process that is none of the daemon's. Its parent collects its status at once.
func (h *hardy) stranger(script string) (pid int) {
	h.t.Helper()
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir, cmd.Env = h.dir, append(os.Environ(), siteMark+"="+h.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = cmd.Wait()
	}()
	h.t.Cleanup(func() {
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		<-over
	})
	return cmd.Process.Pid
}

// refused checks that an adoption fails in a certain way.
func (h *hardy) refused(name string, pid, code int, text string) {
	h.t.Helper()
	var f *supervisor.Fault
	if _, err := h.c.Adopt(context.Background(), name, pid); !errors.As(err, &f) || f.Code != code || !strings.Contains(f.Text, text) {
		h.t.Errorf("%s, pid %d: %v, want a fault %d with %q", name, pid, err, code, text)
	}
}

// knowsStatus reports whether the kernel tells the exit status of processes that are not our children.
func knowsStatus() bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	f := strings.SplitN(unix.ByteSliceToString(u.Release[:]), ".", 3)
	major, _ := strconv.Atoi(f[0])
	minor, _ := strconv.Atoi(f[1])
	return major > 6 || major == 6 && minor >= 15
}

// TestAdopt: a process that runs already becomes the instance of a program, and stays it whatever dies, is stopped,
// watched, and followed by instances of our own.
func TestAdopt(t *testing.T) {
	h := newHardy(t, "[program:idle]\ncommand=sleep 1000\nstartsecs=0\n"+
		"[program:job]\ncommand=sh -c 'echo ours; exec sleep 1000'\nautostart=false\nautorestart=false\nstartsecs=0\nstdout_logfile=%(here)s/job.log\n"+
		"[program:other]\ncommand=sleep 1000\nautostart=false\nstartsecs=0\n")
	before := h.begin()
	idle := h.running(h.c, "idle")
	ctx := context.Background()

	pid := h.stranger("echo theirs; while ! test -e job.go; do sleep 0.01; done; exit 5")
	got, err := h.c.Adopt(ctx, "job", pid)
	if err != nil {
		t.Fatal(err)
	}
	p := h.running(h.c, "job")
	if got.PID != pid || p.PID != pid || got.Group != "job" || got.Name != "job" || got.Start != p.Start || got.Output {
		t.Errorf("%+v, and then %+v", got, p)
	}
	h.times(1, "adopted: 'job' with pid "+strconv.Itoa(pid)+"; what it writes is not logged\n")

	spare := h.stranger("exec sleep 1000")
	h.refused("job", spare, 60, "ALREADY_STARTED: job")
	h.refused("idle", pid, 30, "it is an instance of a program already") // whatever the program is
	h.refused("other", idle.PID, 30, "it is an instance of a program already")
	h.refused("other", before.PID, 30, "it is a process of this daemon")
	h.refused("other", before.Manager, 30, "it is a process of this daemon")
	h.refused("other", h.spawner(before), 30, "it is a process of this daemon")
	h.refused("other", 1, 30, "it is the first process of the system")
	h.refused("other", 1<<22, 30, "there is no such process")
	h.refused("nothing", pid, 10, "BAD_NAME: nothing")

	lives := h.lives("idle", "job", "other")
	same := func() {
		t.Helper()
		for name, l := range h.lives("idle", "job", "other") {
			if l != lives[name] {
				t.Errorf("%s: %+v, was %+v", name, l, lives[name])
			}
		}
	}
	h.kill(before.Manager)
	now := h.await("another manager answers", func(i supervisor.Info) bool { return i.Manager != before.Manager })
	same()
	h.kill(now.PID, now.Manager, h.spawner(now))
	h.over()
	h.begin()
	same()

	h.order("job")
	end := h.state("job", "EXITED")
	switch {
	case knowsStatus() && end.ExitStatus != 5:
		t.Errorf("exit status %d", end.ExitStatus)
	case knowsStatus():
		h.times(1, "exited: job (exit status 5; not expected)\n")
	default:
		h.times(1, "exited: job (exit status unknown: ")
	}
	if h.read("job.log") != "" {
		t.Errorf("its log has %q", h.read("job.log"))
	}

	if err := h.c.StartProcess(ctx, "job", true); err != nil {
		t.Fatal(err)
	}
	h.until("our own instance is heard", func() bool { return h.read("job.log") == "ours\n" })
	if err := h.c.StopProcess(ctx, "job", true); err != nil {
		t.Fatal(err)
	}

	// One that is stopped, under the manager that took it and under the next.
	for _, killed := range []bool{false, true} {
		pid := h.stranger("exec sleep 1000")
		if _, err := h.c.Adopt(ctx, "job", pid); err != nil {
			t.Fatal(err)
		}
		if i := h.await("the daemon answers", func(supervisor.Info) bool { return true }); killed {
			h.kill(i.Manager)
			h.await("another manager answers", func(n supervisor.Info) bool { return n.Manager != i.Manager })
		}
		if err := h.c.StopProcess(ctx, "job", true); err != nil {
			t.Error(err)
		}
		h.state("job", "STOPPED")
		h.until("it is gone", func() bool { return gone(pid) })
	}
	if gone(spare) {
		t.Error("a process that was not adopted is gone")
	}
	h.kill(spare)
	h.down()
	if _, err := os.Stat(filepath.Join(h.dir, "d.pid")); err == nil {
		t.Error("the daemon has not ended in order")
	}
}
