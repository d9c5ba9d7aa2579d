package procfd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// patience is how long a test waits for what must happen; it decides nothing else.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "helper-reaper":
			helperReaper()
			return
		case "helper-forker":
			helperForker()
			return
		}
	}
	os.Exit(m.Run())
}

// child starts a shell script in a process group of its own. With bare the handle has no pidfd, as on
// old kernels. The child is killed at the end if need be.
func child(t testing.TB, bare bool, script string) *owned {
	t.Helper()
	return command(t, bare, "/bin/sh", "-c", script)
}

func command(t testing.TB, bare bool, argv ...string) *owned {
	t.Helper()
	pidfd := -1
	pid, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setpgid: true, PidFD: &pidfd},
	})
	if err != nil {
		t.Fatal(err)
	}
	if bare {
		unix.Close(pidfd)
		pidfd = -1
	}
	h := Own(pidfd, pid).(*owned)
	t.Cleanup(func() {
		_ = h.Signal(int(unix.SIGKILL), model.ReachTree)
		eventually(t, func() bool {
			_, done, err := h.Wait(false)
			return done || err != nil
		})
		h.Close()
	})
	return h
}

func eventually(t testing.TB, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never came about")
		}
	}
}

// ended waits for the end without reaping.
func ended(t testing.TB, h Handle) model.Exit {
	t.Helper()
	var e model.Exit
	eventually(t, func() bool {
		got, done, err := h.Wait(true)
		if err != nil {
			t.Fatalf("Wait: %v", err)
		}
		e = got
		return done
	})
	return e
}

// alive reports whether a process runs; zombies do not.
func alive(pid int) bool {
	s, err := procstat.Read(pid)
	return err == nil && !s.Dead()
}

// pidFrom waits for a script to write a pid into a file.
func pidFrom(t testing.TB, path string) int {
	t.Helper()
	var pid int
	eventually(t, func() bool {
		b, err := os.ReadFile(path)
		if err != nil || !strings.HasSuffix(string(b), "\n") {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
		return err == nil
	})
	return pid
}

// both runs a test with and without process descriptors.
func both(t *testing.T, fn func(t *testing.T, bare bool)) {
	t.Run("pidfd", func(t *testing.T) { fn(t, false) })
	t.Run("pid", func(t *testing.T) { fn(t, true) })
}

func TestWait(t *testing.T) {
	both(t, func(t *testing.T, bare bool) {
		for _, tc := range []struct {
			script string
			want   model.Exit
		}{
			{"exit 0", exitOf(0)},
			{"exit 1", exitOf(1 << 8)},
			{"exit 255", exitOf(255 << 8)},
			{"kill -KILL $$", exitOf(9)},
			{"kill -TERM $$", exitOf(15)},
			{"kill -USR1 $$", exitOf(10)},
			{"ulimit -c 0; kill -SEGV $$", exitOf(11)},
		} {
			h := child(t, bare, tc.script)
			for range 3 { // looking changes nothing
				if diff := cmp.Diff(tc.want, ended(t, h)); diff != "" {
					t.Errorf("%s: %s", tc.script, diff)
				}
				if s, err := procstat.Read(h.PID()); err != nil || s.State != 'Z' {
					t.Errorf("%s: the process is not kept: %+v, %v", tc.script, s, err)
				}
			}
			for range 2 { // the answer is kept
				e, done, err := h.Wait(false)
				if diff := cmp.Diff(tc.want, e); diff != "" || !done || err != nil {
					t.Errorf("%s: %v, %v, %s", tc.script, done, err, diff)
				}
			}
			if _, err := procstat.Read(h.PID()); !errors.Is(err, syscall.ESRCH) {
				t.Errorf("%s: not reaped: %v", tc.script, err)
			}
			if e, done, err := h.Wait(true); !done || err != nil || e != tc.want {
				t.Errorf("%s: peek after reaping: %+v, %v, %v", tc.script, e, done, err)
			}
		}
	})
}

func TestCoreFlag(t *testing.T) {
	if got := rawStatus(cldDumped, 6); got != 6|0x80 {
		t.Errorf("%#x", got)
	}
}

func TestWaitRunning(t *testing.T) {
	both(t, func(t *testing.T, bare bool) {
		h := command(t, bare, "/bin/sleep", "1000")
		for _, peek := range []bool{true, false} {
			if e, done, err := h.Wait(peek); done || err != nil || e != (model.Exit{}) {
				t.Errorf("running: %+v, %v, %v", e, done, err)
			}
		}
		if err := h.Signal(0, model.ReachProcess); err != nil {
			t.Errorf("signal 0: %v", err)
		}
		if err := h.Signal(int(unix.SIGSTOP), model.ReachProcess); err != nil {
			t.Error(err)
		}
		eventually(t, func() bool { s, err := procstat.Read(h.PID()); return err == nil && s.State == 'T' })
		if _, done, err := h.Wait(false); done || err != nil {
			t.Errorf("stopped counts as ended: %v, %v", done, err)
		}
	})
}

func TestAfterTheEnd(t *testing.T) {
	both(t, func(t *testing.T, bare bool) {
		h := child(t, bare, "exit 3")
		ended(t, h)
		for _, reach := range []model.Reach{model.ReachProcess, model.ReachGroup, model.ReachTree} {
			if err := h.Signal(int(unix.SIGTERM), reach); err != nil { // unreaped: still its own number
				t.Errorf("unreaped, reach %d: %v", reach, err)
			}
		}
		if _, done, err := h.Wait(false); !done || err != nil {
			t.Fatal(done, err)
		}
		for _, reach := range []model.Reach{model.ReachProcess, model.ReachGroup, model.ReachTree} {
			for _, sig := range []int{0, 9, 15} {
				if err := h.Signal(sig, reach); err != syscall.ESRCH { //nolint:errorlint // as such
					t.Errorf("reaped, reach %d, signal %d: %v", reach, sig, err)
				}
			}
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if err := h.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		if e, done, err := h.Wait(false); e.Status != 3 || !done || err != nil {
			t.Errorf("the answer is lost: %+v, %v, %v", e, done, err)
		}
	})
}

func TestClosed(t *testing.T) {
	both(t, func(t *testing.T, bare bool) {
		h := command(t, bare, "/bin/sleep", "1000")
		other := Own(-1, h.PID()) // to end it
		defer func() {
			_ = other.Signal(9, model.ReachProcess)
			ended(t, other)
			_, _, _ = other.Wait(false)
		}()
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		for _, reach := range []model.Reach{model.ReachProcess, model.ReachGroup, model.ReachTree} {
			if err := h.Signal(9, reach); !errors.Is(err, os.ErrClosed) {
				t.Errorf("Signal: %v", err)
			}
		}
		if _, _, err := h.Wait(true); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Wait: %v", err)
		}
		if !alive(h.PID()) {
			t.Error("Close has ended the process")
		}
	})
}

// TestStranger gives the pid of a reaped process to another one, which no signal may reach.
func TestStranger(t *testing.T) {
	const lastPID = "/proc/sys/kernel/ns_last_pid"
	both(t, func(t *testing.T, bare bool) {
		for range 20 {
			h := child(t, bare, "exit 0")
			ended(t, h)
			if _, done, err := h.Wait(false); !done || err != nil {
				t.Fatal(done, err)
			}
			var s *owned
			for range 50 { // others fork too
				if err := os.WriteFile(lastPID, []byte(strconv.Itoa(h.PID()-1)), 0); err != nil {
					t.Skipf("pids cannot be chosen here: %v", err)
				}
				s = command(t, false, "/bin/sleep", "1000")
				if s.PID() == h.PID() {
					break
				}
			}
			if s.PID() != h.PID() {
				continue
			}
			for _, reach := range []model.Reach{model.ReachProcess, model.ReachGroup, model.ReachTree} {
				if err := h.Signal(9, reach); !errors.Is(err, syscall.ESRCH) {
					t.Errorf("reach %d: %v", reach, err)
				}
			}
			if e, done, err := h.Wait(false); !done || err != nil || e.Signal != 0 {
				t.Errorf("%+v, %v, %v", e, done, err)
			}
			if _, done, err := s.Wait(true); done || err != nil {
				t.Errorf("the stranger: %v, %v", done, err)
			}
			if a, b := h.Identity(), s.Identity(); a.StartTicks != 0 {
				t.Errorf("the identity was read from the stranger: %+v, %+v", a, b)
			}
			return
		}
		t.Skip("the pid was never given out again")
	})
}

func TestIdentity(t *testing.T) {
	a, b := command(t, false, "/bin/sleep", "1000"), command(t, false, "/bin/sleep", "1000")
	boot, err := procstat.BootID()
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []*owned{a, b} {
		s, err := procstat.Read(h.PID())
		if err != nil {
			t.Fatal(err)
		}
		id := h.Identity()
		want := Identity{BootID: boot, PID: h.PID(), StartTicks: s.StartTicks, Inode: id.Inode}
		if diff := cmp.Diff(want, id); diff != "" {
			t.Error(diff)
		}
	}
	if a.Identity() == b.Identity() {
		t.Error("two processes are one")
	}
	if x, y := a.Identity().Inode, b.Identity().Inode; x != 0 && x == y {
		t.Errorf("both have inode %d", x)
	}
	before := a.Identity()
	_ = a.Signal(9, model.ReachProcess)
	ended(t, a)
	_, _, _ = a.Wait(false)
	a.Close()
	if diff := cmp.Diff(before, a.Identity()); diff != "" {
		t.Errorf("after the end: %s", diff)
	}
}

// TestTaken: somebody else reaps the child.
func TestTaken(t *testing.T) {
	both(t, func(t *testing.T, bare bool) {
		h := child(t, bare, "exit 7")
		ended(t, h)
		var ws unix.WaitStatus
		if _, err := unix.Wait4(h.PID(), &ws, 0, nil); err != nil {
			t.Fatal(err)
		}
		e, done, err := h.Wait(false)
		if err != nil || !done {
			t.Fatal(done, err)
		}
		switch {
		case e.Known && e != exitOf(7<<8):
			t.Errorf("a wrong status was invented: %+v", e)
		case !e.Known && e.Reason == "":
			t.Error("no reason")
		case bare && e.Known:
			t.Errorf("nobody could know: %+v", e)
		}
		if err := h.Signal(9, model.ReachGroup); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("Signal: %v", err)
		}
	})
}

func TestGroup(t *testing.T) {
	both(t, func(t *testing.T, bare bool) {
		dir := t.TempDir()
		member := filepath.Join(dir, "member")

		// Only the process.
		h := child(t, bare, fmt.Sprintf("sleep 1000 & echo $! >%s; wait", member))
		pid := pidFrom(t, member)
		if err := h.Signal(int(unix.SIGTERM), model.ReachProcess); err != nil {
			t.Fatal(err)
		}
		if e := ended(t, h); e.Signal != int(unix.SIGTERM) {
			t.Errorf("exit %+v", e)
		}
		if !alive(pid) {
			t.Fatal("the signal went to the group")
		}
		// The leader has ended but is unreaped: the group is still its own.
		if err := h.Signal(int(unix.SIGTERM), model.ReachGroup); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool { return !alive(pid) })
	})
}

// TestLeftGroup: a process that moved to another group is reached itself.
func TestLeftGroup(t *testing.T) {
	if _, err := os.Stat("/usr/bin/python3"); err != nil {
		t.Skip("no python3")
	}
	both(t, func(t *testing.T, bare bool) {
		moved := filepath.Join(t.TempDir(), "moved")
		leader := command(t, bare, "/bin/sleep", "1000")
		h := command(t, bare, "/usr/bin/python3", "-c", `
import os, sys, time
os.setpgid(0, int(sys.argv[1]))
open(sys.argv[2], "w").write("%d\n" % os.getpid())
time.sleep(1000)
`, strconv.Itoa(leader.PID()), moved)
		pidFrom(t, moved)
		if err := h.Signal(int(unix.SIGTERM), model.ReachGroup); err != nil {
			t.Fatal(err)
		}
		if e := ended(t, h); e.Signal != int(unix.SIGTERM) {
			t.Errorf("exit %+v", e)
		}
		if _, done, _ := leader.Wait(true); done {
			t.Error("the other group was signalled")
		}
	})
}

// tree starts a program with members in its group, in other groups, and in other sessions.
func startTree(t *testing.T, bare bool) (*owned, []int) {
	t.Helper()
	dir := t.TempDir()
	file := func(n int) string { return filepath.Join(dir, strconv.Itoa(n)) }
	script := fmt.Sprintf(`
sleep 1000 & echo $! >%s
setsid sh -c 'echo $$ >%s; sleep 1000 & echo $! >%s; wait' &
setsid sh -c 'setsid sh -c "echo \$\$ >%s; sleep 1000" & wait' &
wait`, file(0), file(1), file(2), file(3))
	h := child(t, bare, script)
	var pids []int
	for n := range 4 {
		pids = append(pids, pidFrom(t, file(n)))
	}
	return h, pids
}

func TestTree(t *testing.T) {
	both(t, func(t *testing.T, bare bool) {
		for _, sig := range []unix.Signal{unix.SIGKILL, unix.SIGTERM} {
			bystander := command(t, false, "/bin/sleep", "1000")
			h, pids := startTree(t, bare)
			if err := h.Signal(0, model.ReachTree); err != nil {
				t.Errorf("signal 0: %v", err)
			}
			if err := h.Signal(int(sig), model.ReachTree); err != nil {
				t.Fatal(err)
			}
			if e := ended(t, h); e.Signal != int(sig) {
				t.Errorf("%v: exit %+v", sig, e)
			}
			for _, pid := range pids {
				eventually(t, func() bool { return !alive(pid) })
			}
			if _, done, _ := bystander.Wait(true); done {
				t.Errorf("%v reached a bystander", sig)
			}
		}
	})
}

// TestTreeForkStorm: a program that forks as fast as it can, each child in a session of its own, does
// not outrun a KILL of the tree.
func TestTreeForkStorm(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	mark := "storm-" + strconv.Itoa(os.Getpid())
	for range 5 {
		h := command(t, false, exe, "helper-forker", mark)
		eventually(t, func() bool { return len(marked(t, mark)) > 5 })
		if err := h.Signal(int(unix.SIGKILL), model.ReachTree); err != nil {
			t.Fatal(err)
		}
		if e := ended(t, h); e.Signal != int(unix.SIGKILL) {
			t.Errorf("exit %+v", e)
		}
		eventually(t, func() bool {
			left := marked(t, mark)
			return len(left) == 0
		})
	}
}

// helperForker starts children in sessions of their own and keeps a dozen of them.
func helperForker() {
	var kids []*os.Process
	for {
		p, err := os.StartProcess("/bin/sleep", []string{os.Args[2], "1000"}, &os.ProcAttr{
			Sys: &syscall.SysProcAttr{Setsid: true},
		})
		if err != nil {
			return
		}
		if kids = append(kids, p); len(kids) > 12 {
			_ = kids[0].Kill()
			_, _ = kids[0].Wait()
			kids = kids[1:]
		}
	}
}

// marked lists living processes whose argument 0 is the mark.
func marked(t testing.TB, mark string) []int {
	t.Helper()
	pids, err := procstat.PIDs()
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, pid := range pids {
		if line, err := procstat.Cmdline(pid); err == nil && len(line) > 0 && line[0] == mark {
			out = append(out, pid)
		}
	}
	return out
}

func TestVerified(t *testing.T) {
	h := command(t, false, "/bin/sleep", "1000")
	s, err := procstat.Read(h.PID())
	if err != nil {
		t.Fatal(err)
	}
	for name, send := range map[string]func(int, uint64, int) error{"pidfd": signalVerified, "number": signalByNumber} {
		if err := send(h.PID(), s.StartTicks+1, 9); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("%s: another process of this pid was signalled: %v", name, err)
		}
		if err := send(h.PID(), s.StartTicks, 0); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, done, _ := h.Wait(true); done {
		t.Error("it was killed")
	}
}

func newWatcher(t testing.TB) *Watcher {
	t.Helper()
	w, err := NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func TestWatch(t *testing.T) {
	both(t, func(t *testing.T, bare bool) {
		w := newWatcher(t)
		for _, early := range []bool{false, true} {
			h := child(t, bare, "sleep 0.01; exit 5")
			if early {
				ended(t, h)
			}
			calls := make(chan model.Exit, 1)
			var n atomic.Int32
			if err := w.Watch(h, func() {
				e, done, err := h.Wait(true)
				if !done || err != nil {
					t.Errorf("called too early: %v, %v", done, err)
				}
				if n.Add(1) > 1 {
					t.Error("called twice")
					return
				}
				calls <- e
				_, _, _ = h.Wait(false)
				h.Close() // from the function itself
			}); err != nil {
				t.Fatal(err)
			}
			select {
			case e := <-calls:
				if e.Status != 5 {
					t.Errorf("exit %+v", e)
				}
			case <-time.After(patience):
				t.Fatal("the end was not seen")
			}
		}
		w.settle(t)
	})
}

// settle runs one more process through the watcher: what it had to call before is called then.
func (w *Watcher) settle(t testing.TB) {
	t.Helper()
	h := command(t, false, "/bin/true")
	done := make(chan struct{})
	if err := w.Watch(h, func() { close(done) }); err != nil {
		t.Fatal(err)
	}
	<-done
	if _, _, err := h.Wait(false); err != nil {
		t.Fatal(err)
	}
}

func TestWatchRefused(t *testing.T) {
	w := newWatcher(t)
	h := child(t, false, "exit 0")
	other := Own(-1, h.PID())
	defer func() {
		ended(t, other)
		_, _, _ = other.Wait(false)
	}()
	h.Close()
	if err := w.Watch(h, func() { t.Error("called") }); !errors.Is(err, os.ErrClosed) {
		t.Errorf("closed handle: %v", err)
	}
	if err := w.Watch(nil, func() { t.Error("called") }); err == nil {
		t.Error("a foreign handle was accepted")
	}
	h = child(t, false, "exit 0")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Watch(h, func() { t.Error("called") }); err == nil {
		t.Error("watched after Close")
	}
}

// TestCloseStopsWatching: a closed handle reports nothing, and its descriptor's number may be reused.
func TestCloseStopsWatching(t *testing.T) {
	w := newWatcher(t)
	var called atomic.Bool
	h := command(t, false, "/bin/sleep", "1000")
	if err := w.Watch(h, func() { called.Store(true) }); err != nil {
		t.Fatal(err)
	}
	other := Own(-1, h.PID())
	h.Close()
	next := command(t, false, "/bin/sleep", "1000") // takes the number of the descriptor
	var right atomic.Bool
	if err := w.Watch(next, func() { right.Store(true) }); err != nil {
		t.Fatal(err)
	}
	_ = other.Signal(9, model.ReachProcess)
	ended(t, other)
	_, _, _ = other.Wait(false)
	w.settle(t)
	if called.Load() || right.Load() {
		t.Errorf("closed: %v, its successor: %v", called.Load(), right.Load())
	}
	_ = next.Signal(9, model.ReachProcess)
	eventually(t, right.Load)
}

// TestThousands watches and reaps 2,000 children with the threads of one.
func TestThousands(t *testing.T) {
	n := 2000
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil || lim.Cur < uint64(n+200) {
		n = int(lim.Cur) - 200
	}
	if n < 100 {
		t.Skipf("only %d descriptors", lim.Cur)
	}
	w := newWatcher(t)
	w.settle(t)
	before := threads(t)
	var wg sync.WaitGroup
	wg.Add(n)
	hs := make([]*owned, n)
	var most atomic.Int32
	for i := range hs {
		pidfd := -1
		pid, err := syscall.ForkExec("/bin/sleep", []string{"sleep", "1000"}, &syscall.ProcAttr{
			Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setpgid: true, PidFD: &pidfd},
		})
		if err != nil {
			t.Fatal(err)
		}
		h := Own(pidfd, pid).(*owned)
		hs[i] = h
		if err := w.Watch(h, func() {
			defer wg.Done()
			if e, done, err := h.Wait(false); !done || err != nil || e.Signal != 9 {
				t.Errorf("%+v, %v, %v", e, done, err)
			}
			h.Close()
		}); err != nil {
			t.Fatal(err)
		}
	}
	for i, h := range hs {
		if err := h.Signal(9, model.ReachGroup); err != nil {
			t.Errorf("pid %d: %v", h.PID(), err)
		}
		if i%100 == 0 {
			most.Store(max(most.Load(), int32(threads(t))))
		}
	}
	wg.Wait()
	if now := int(most.Load()); now > before+8 {
		t.Errorf("%d threads, %d before", now, before)
	}
	if kids, err := procstat.Children(os.Getpid()); err != nil || len(kids) != 0 {
		t.Errorf("%d children are left, %v", len(kids), err)
	}
}

func threads(t testing.TB) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// TestConcurrent uses one handle from everywhere at once.
func TestConcurrent(t *testing.T) {
	both(t, func(t *testing.T, bare bool) {
		for range 20 {
			h := child(t, bare, "trap : TERM; sleep 0.01; exit 4")
			var wg sync.WaitGroup
			for w := range 4 {
				wg.Go(func() {
					for {
						if err := h.Signal(int(unix.SIGCONT), model.Reach(w%3)); err != nil && !errors.Is(err, syscall.ESRCH) {
							t.Errorf("Signal: %v", err)
						}
						h.Identity()
						e, done, err := h.Wait(w == 0)
						if err != nil {
							t.Errorf("Wait: %v", err)
							return
						}
						if done {
							if e.Status != 4 {
								t.Errorf("exit %+v", e)
							}
							return
						}
					}
				})
			}
			wg.Wait()
		}
	})
}

// TestReapOrphans runs a subreaper, which tells what it reaped.
func TestReapOrphans(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p, err := os.StartProcess(exe, []string{exe, "helper-reaper"}, &os.ProcAttr{Files: []*os.File{nil, w, os.Stderr}})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := p.Wait(); err != nil || !st.Success() {
		t.Fatalf("%v, %v: %s", st, err, out)
	}
	want := "11\n12\n13\n14\n15\nsignal 9\nown 42\nliving true\n"
	if string(out) != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

// helperReaper is a subreaper with an ended child of its own, which comes first in every list and is not
// to be touched, a living one, and orphans that end.
func helperReaper() {
	fail := func(err error) {
		if err != nil {
			fmt.Println("helper:", err)
			os.Exit(1)
		}
	}
	fail(unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	chld := make(chan os.Signal, 1)
	signal.Notify(chld, unix.SIGCHLD)
	start := func(script string) *owned {
		pidfd := -1
		pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", script}, &syscall.ProcAttr{
			Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{PidFD: &pidfd},
		})
		fail(err)
		return Own(pidfd, pid).(*owned)
	}
	own := start("exit 42")
	living := start("sleep 1000")
	var parents []*owned
	for code := range 5 {
		parents = append(parents, start(fmt.Sprintf("(sleep 0.01; exit %d) & exit 0", 11+code)))
	}
	parents = append(parents, start("(kill -KILL $(cut -d' ' -f4 /proc/self/stat)) & exit 0"))
	known := map[int]bool{own.PID(): true, living.PID(): true}
	for _, p := range parents {
		known[p.PID()] = true
	}
	isKnown := func(pid int) bool { return known[pid] }
	var got []string
	deadline := time.After(patience)
	for len(got) < 6 {
		if HasOrphans(isKnown) {
			ReapOrphans(isKnown, func(pid int, e model.Exit) {
				if known[pid] {
					fail(fmt.Errorf("reaped one of ours, %d", pid))
				}
				if e.Signal != 0 {
					got = append(got, fmt.Sprint("signal ", e.Signal))
				} else {
					got = append(got, fmt.Sprint(e.Status))
				}
			})
			continue
		}
		select {
		case <-chld:
		case <-deadline:
			fail(fmt.Errorf("only %v", got))
		}
	}
	slices.Sort(got)
	out := bufio.NewWriter(os.Stdout)
	for _, g := range got {
		fmt.Fprintln(out, g)
	}
	e, done, err := own.Wait(false)
	fail(err)
	if !done {
		fail(errors.New("our own child has not ended"))
	}
	fmt.Fprintln(out, "own", e.Status)
	fmt.Fprintln(out, "living", alive(living.PID()))
	fail(out.Flush())
	_ = living.Signal(9, model.ReachTree)
	for _, p := range parents {
		_, _, _ = p.Wait(false)
	}
}
