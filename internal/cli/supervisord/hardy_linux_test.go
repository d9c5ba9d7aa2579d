package supervisord

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/client/supervisor"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// siteMark is a variable that every process of a site inherits, so that none is left behind.
const siteMark = "TEST_SITE"

// hardy is a site whose daemon's processes are killed one by one.
type hardy struct {
	*site
	c    *supervisor.Client
	root string // UPKEEP_ROOT; empty = the one of all tests
	from string // the folder in which the daemon is started; empty = that of the tests
}

// newHardy makes a site. Whatever becomes of its daemon, no process of it outlives the test.
func newHardy(t *testing.T, programs string) *hardy {
	t.Helper()
	quiet := strings.Replace(standard, "loglevel=debug", "loglevel=info", 1) // the programs talk much
	h := &hardy{site: newSite(t, quiet+programs)}
	t.Cleanup(h.killAll)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("output:\n%s", h.read("out"))
		}
	})
	return h
}

// spawn starts a daemon. Its output goes to a file: a pipe would be held open by those that outlive it.
func (h *hardy) spawn(args ...string) *exec.Cmd {
	h.t.Helper()
	out, err := os.OpenFile(filepath.Join(h.dir, "out"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		h.t.Fatal(err)
	}
	defer out.Close()
	cmd := command(append([]string{"-n", "-c", h.conf}, args...)...)
	// The race detector would have every end take a second.
	cmd.Env = append(cmd.Env, siteMark+"="+h.dir, "GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0")
	if h.root != "" {
		cmd.Env = append(cmd.Env, rootVariable+"="+h.root)
	}
	cmd.Stdout, cmd.Stderr, cmd.Dir = out, out, h.from
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	return cmd
}

// begin starts the daemon of the site and waits until it is the one that answers.
func (h *hardy) begin(args ...string) supervisor.Info {
	h.t.Helper()
	h.cmd = h.spawn(args...)
	h.c = h.client()
	return h.await("the new daemon answers", func(i supervisor.Info) bool { return i.PID == h.cmd.Process.Pid })
}

// await polls who the daemon is.
func (h *hardy) await(what string, f func(supervisor.Info) bool) (i supervisor.Info) {
	h.t.Helper()
	h.until(what, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		var err error
		i, err = h.c.Info(ctx)
		return err == nil && f(i)
	})
	return i
}

// marked are the living processes that have a variable in their environment.
func marked(kv string) (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, f := range files {
		b, err := os.ReadFile(f) // empty of a zombie
		if err != nil || !bytes.Contains(append([]byte{0}, b...), []byte("\x00"+kv+"\x00")) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// killAll ends every process of the site. A killed keeper has a successor, so all are stopped first.
func (h *hardy) killAll() {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		stopped := map[int]bool{}
		for more := true; more; {
			more = false
			for _, pid := range marked(siteMark + "=" + h.dir) {
				if !stopped[pid] {
					_ = unix.Kill(pid, unix.SIGSTOP)
					stopped[pid], more = true, true
				}
			}
		}
		if len(stopped) == 0 {
			return
		}
		for pid := range stopped {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		for pid := range stopped {
			for dead := func() bool { return gone(pid) }; !dead() && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond)
			}
		}
	}
	h.t.Error("processes of the test cannot be killed")
}

// gone reports whether a process has ended, reaped or not.
func gone(pid int) bool {
	s, err := procstat.Read(pid)
	return err != nil || s.Dead()
}

func (h *hardy) kill(pids ...int) {
	h.t.Helper()
	for _, sig := range []syscall.Signal{unix.SIGSTOP, unix.SIGKILL} {
		for _, pid := range pids {
			if err := unix.Kill(pid, sig); err != nil {
				h.t.Fatalf("pid %d: %v", pid, err)
			}
		}
	}
	for _, pid := range pids {
		h.until(fmt.Sprintf("pid %d is dead", pid), func() bool { return gone(pid) })
	}
}

// childNamed is the child of a process with that name; 0 = there is none.
func childNamed(parent int, name string) int {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	for _, l := range lists {
		b, _ := os.ReadFile(l)
		for _, word := range strings.Fields(string(b)) {
			pid, err := strconv.Atoi(word)
			if err != nil {
				continue
			}
			if s, err := procstat.Read(pid); err == nil && s.Comm == name {
				return pid
			}
		}
	}
	return 0
}

func (h *hardy) spawner(i supervisor.Info) (pid int) {
	h.t.Helper()
	h.until("there is a spawner", func() bool {
		pid = childNamed(i.Manager, "upkeep-spawner")
		return pid != 0
	})
	return pid
}

// life tells one instance of a program from another.
type life struct {
	PID, Start, Stop int
	Ticks            uint64
	State            string
}

func (h *hardy) lives(names ...string) map[string]life {
	h.t.Helper()
	out := map[string]life{}
	for _, name := range names {
		p := h.info(h.c, name)
		l := life{PID: p.PID, Start: p.Start, Stop: p.Stop, State: p.StateName}
		if p.PID != 0 {
			s, err := procstat.Read(p.PID)
			if err != nil {
				h.t.Fatalf("%s: %v", name, err)
			}
			l.Ticks = s.StartTicks
		}
		out[name] = l
	}
	return out
}

// unchanged checks that programs are as they were, and that each has as many processes as it should.
func (h *hardy) unchanged(before map[string]life) {
	h.t.Helper()
	var names []string
	for name := range before {
		names = append(names, name)
	}
	if d := cmp.Diff(before, h.lives(names...)); d != "" {
		h.t.Errorf("not the same as before: %s", d)
	}
	instances := map[string]int{}
	for _, pid := range marked(siteMark + "=" + h.dir) {
		s, err := procstat.Read(pid)
		env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		_, name, is := strings.Cut(string(env), "SUPERVISOR_PROCESS_NAME=")
		if err == nil && is && s.PGRP == pid { // the others were started by programs
			name, _, _ = strings.Cut(name, "\x00")
			instances[name]++
		}
	}
	for name, l := range before {
		if want := min(l.PID, 1); instances[name] != want {
			h.t.Errorf("%s has %d instances, want %d", name, instances[name], want)
		}
	}
}

// state waits for the state of a program.
func (h *hardy) state(name, want string) supervisor.ProcessInfo {
	h.t.Helper()
	var p supervisor.ProcessInfo
	h.until(name+" is "+want, func() bool {
		p = h.info(h.c, name)
		return p.StateName == want
	})
	return p
}

// times checks how often the activity log, which is written a little later, has a text.
func (h *hardy) times(want int, text string) {
	h.t.Helper()
	h.until("the log has "+text, func() bool { return strings.Count(h.read("d.log"), text) >= want })
	if n := strings.Count(h.read("d.log"), text); n != want {
		h.t.Errorf("the log has %q %d times, want %d", text, n, want)
	}
}

func (h *hardy) pidfile(want int) {
	h.t.Helper()
	h.until("the pidfile tells "+strconv.Itoa(want), func() bool { return strings.TrimSpace(h.read("d.pid")) == strconv.Itoa(want) })
}

// counts waits until the counting program has written fifty lines more, and checks that no line is
// missing, doubled or torn.
func (h *hardy) counts() {
	h.t.Helper()
	begin := strings.Count(h.read("count.log"), "\n")
	h.until("the count goes on", func() bool { return strings.Count(h.read("count.log"), "\n") >= begin+50 })
	lines := strings.Split(h.read("count.log"), "\n")
	for i, line := range lines[:len(lines)-1] {
		if line != strconv.Itoa(i) {
			h.t.Fatalf("line %d of the count is %q", i, line)
		}
	}
}

// order has a waiting program of population end in its own way.
func (h *hardy) order(name string) {
	h.t.Helper()
	h.write(name+".go", "")
}

// waiting is a program that ends by itself in some way when it is ordered to.
func waiting(name, end string) string {
	return "[program:" + name + "]\ncommand=sh -c 'while ! test -e %(here)s/" + name + ".go; do sleep 0.01; done; " + end +
		"'\nstartsecs=0\nautorestart=false\n"
}

// population are programs in every state.
var population = "[program:count]\ncommand=sh -c 'i=0; while :; do for n in 1 2 3 4 5; do echo $i; i=$((i+1)); done; sleep 0.01; done'\n" +
	"startsecs=0\nstdout_logfile=%(here)s/count.log\n" +
	"[program:idle]\ncommand=sleep 1000\nstartsecs=0\n" +
	"[program:stopped]\ncommand=sleep 1000\nstartsecs=0\n" +
	"[program:never]\ncommand=sleep 1000\nautostart=false\n" +
	"[program:fatal]\ncommand=/no/such/thing\nstartretries=0\n" +
	waiting("seven", "exit 7") + waiting("eight", "exit 8") + waiting("killed", "kill -KILL $$")

// everybody are the programs of population that do nothing by themselves.
var everybody = []string{"count", "idle", "stopped", "never", "fatal", "seven", "eight", "killed"}

// populate starts a daemon with the population and returns it when all is as it is to stay.
func populate(t *testing.T, more string, args ...string) (*hardy, supervisor.Info, map[string]life) {
	t.Helper()
	h := newHardy(t, population+more)
	i := h.begin(args...)
	for _, name := range []string{"count", "idle", "stopped", "seven", "eight", "killed"} {
		h.running(h.c, name)
	}
	if err := h.c.StopProcess(context.Background(), "stopped", true); err != nil {
		t.Fatal(err)
	}
	h.state("fatal", "FATAL")
	h.counts()
	h.pidfile(i.PID)
	return h, i, h.lives(everybody...)
}

// ends checks that the end of a program is told truly and once.
func (h *hardy) ends(name, text string, status int) {
	h.t.Helper()
	if p := h.state(name, "EXITED"); p.ExitStatus != status {
		h.t.Errorf("%s has exit status %d, want %d", name, p.ExitStatus, status)
	}
	h.times(1, "exited: "+name+" ("+text+"; not expected)\n")
	h.times(1, "exited: "+name+" ")
}

// down ends the daemon in good order and checks that nothing is left.
func (h *hardy) down() {
	h.t.Helper()
	h.signal(syscall.SIGTERM)
	if status := h.over(); status != 0 {
		h.t.Errorf("status %d", status)
	}
	for _, m := range regexp.MustCompile(`spawned: '\S+' with pid (\d+)`).FindAllStringSubmatch(h.read("d.log"), -1) {
		// One that a daemon found as the child of somebody else may not be reaped yet.
		if pid, err := strconv.Atoi(m[1]); err != nil || !gone(pid) {
			h.t.Errorf("pid %s still lives", m[1])
		}
	}
	for _, f := range []string{"d.pid", "s.sock"} {
		if _, err := os.Lstat(filepath.Join(h.dir, f)); err == nil {
			h.t.Errorf("%s is still there", f)
		}
	}
	// The short sleep of a shell that was stopped ends by itself.
	h.until("no process is left", func() bool { return len(marked(siteMark+"="+h.dir)) == 0 })
}
