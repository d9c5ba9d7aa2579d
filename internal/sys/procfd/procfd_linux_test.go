package procfd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
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
		case "helper-parent":
			helperParent()
			return
		case "helper-leader-leaves":
			helperLeaderLeaves()
			return
		case "helper-recycler":
			helperRecycler()
			return
		case "helper-second":
			helperSecond()
		}
	}
	os.Exit(m.Run())
}

// child starts a shell script in a process group of its own. With bare the handle has no pidfd, as on
// old kernels. The child is killed at the end if need be.
func child(t testing.TB, bare bool, script string) *handle {
	t.Helper()
	return command(t, bare, "/bin/sh", "-c", script)
}

func command(t testing.TB, bare bool, argv ...string) *handle {
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
	h := Own(pidfd, pid).(*handle)
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
				if err := h.Signal(sig, reach); err != syscall.ESRCH {
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
			var s *handle
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
	for _, h := range []*handle{a, b} {
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
