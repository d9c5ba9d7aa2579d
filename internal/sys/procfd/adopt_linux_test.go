package procfd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// TestAdoptedExit: the status of a process that is not our child is the one its parent sees, whenever
// it ended, was taken, and was reaped.
func TestAdoptedExit(t *testing.T) {
	w := newWatcher(t)
	for name, argv := range endings(t) {
		for _, tc := range []struct {
			when                            string
			endFirst, reapFirst, kept, wait bool
		}{
			{when: "alive"},
			{when: "zombie", endFirst: true},
			{when: "kept", kept: true},
			{when: "kept, zombie", kept: true, endFirst: true},
			{when: "kept, reaped", kept: true, endFirst: true, reapFirst: true},
		} {
			t.Run(name+", "+tc.when, func(t *testing.T) {
				line, open := gated(t, argv)
				f := foreign(t, line...)
				kept, err := unix.PidfdOpen(f.pid, 0)
				if err != nil {
					t.Fatal(err)
				}
				end := func() { open(); f.zombie() }
				if tc.endFirst {
					end()
				}
				var raw uint32
				if tc.reapFirst {
					raw = f.reap()
				}
				var h *handle
				if tc.kept {
					got, err := FromPidfd(kept, f.pid)
					if err != nil {
						t.Fatal(err)
					}
					defer got.Close()
					h = got.(*handle)
				} else {
					unix.Close(kept)
					h = adopt(t, f.pid)
				}
				if !tc.endFirst {
					if e, done, err := h.Wait(false); done || err != nil {
						t.Fatalf("running: %+v, %v, %v", e, done, err)
					}
				}
				seen := make(chan model.Exit, 1)
				if err := w.Watch(h, func() {
					e, _, _ := h.Wait(true)
					seen <- e
				}); err != nil {
					t.Fatal(err)
				}
				if !tc.endFirst {
					end()
				}
				if !tc.reapFirst {
					early, done, err := h.Wait(true)
					if err != nil || done && !tc.kept && !early.Known {
						t.Fatalf("zombie: %+v, %v, %v", early, done, err)
					}
					raw = f.reap()
					if done && early != exitOf(raw) {
						t.Errorf("the zombie's status %+v, want %+v", early, exitOf(raw))
					}
				}
				want := exitOf(raw)
				for range 2 {
					got, done, err := h.Wait(false)
					if diff := cmp.Diff(want, got); diff != "" || !done || err != nil {
						t.Errorf("%v, %v: %s", done, err, diff)
					}
				}
				if diff := cmp.Diff(want, <-seen); diff != "" {
					t.Error("watcher:", diff)
				}
				for _, reach := range []model.Reach{model.ReachProcess, model.ReachGroup, model.ReachTree} {
					if err := h.Signal(int(unix.SIGKILL), reach); !errors.Is(err, syscall.ESRCH) {
						t.Errorf("after the end, reach %d: %v", reach, err)
					}
				}
			})
		}
	}
}

// TestTold: the keeper says how a process ended that it does not let go of.
func TestTold(t *testing.T) {
	w := newWatcher(t)
	for _, bare := range []bool{false, true} {
		for _, early := range []bool{false, true} {
			f := foreign(t, sh("exit 3")...)
			f.zombie()
			fd, err := unix.PidfdOpen(f.pid, 0)
			if err != nil {
				t.Fatal(err)
			}
			got, err := FromPidfd(fd, f.pid)
			if err != nil {
				t.Fatal(err)
			}
			h := got.(*handle)
			h.patience = time.Hour // nothing but being told helps
			if bare {
				unix.Close(fd)
				h.fd = -1
			}
			if _, done, err := h.Wait(true); done || err != nil {
				t.Fatalf("nobody has told: %v, %v", done, err)
			}
			if early {
				h.SetExit(3 << 8)
			}
			seen := make(chan model.Exit, 2)
			if err := w.Watch(h, func() {
				e, done, err := h.Wait(false)
				if !done || err != nil {
					t.Errorf("%v, %v", done, err)
				}
				seen <- e
			}); err != nil {
				t.Fatal(err)
			}
			if !early {
				h.SetExit(3 << 8)
			}
			if e := <-seen; e != exitOf(3<<8) {
				t.Errorf("%+v", e)
			}
			h.SetExit(0) // too late
			w.settle(t)
			if e, done, err := h.Wait(true); e != exitOf(3<<8) || !done || err != nil || len(seen) != 0 {
				t.Errorf("%+v, %v, %v, %d more calls", e, done, err, len(seen))
			}
			h.Close()
			h.SetExit(1)
		}
	}
}

// TestNeverCollected: a parent that does not reap and a status that cannot be read. The end is reported
// as unknown after a bounded time; before, nothing hangs.
func TestNeverCollected(t *testing.T) {
	f := foreign(t, sh("exit 3")...)
	f.zombie()
	h := adopt(t, f.pid)
	h.glimpsed = true // as if /proc told nothing
	clock := time.Now()
	h.now = func() time.Time { return clock }
	for range 2 {
		if e, done, err := h.Wait(true); done || err != nil {
			t.Fatalf("too early: %+v, %v, %v", e, done, err)
		}
		clock = clock.Add(statusPatience / 2)
	}
	e, done, err := h.Wait(true)
	if e.Known || e.Reason == "" || !done || err != nil {
		t.Errorf("%+v, %v, %v", e, done, err)
	}
	h.SetExit(3 << 8)
	if e, _, _ := h.Wait(true); e != exitOf(3<<8) {
		t.Errorf("told after all: %+v", e)
	}

	// With the real clock and a watcher.
	h = adopt(t, f.pid)
	h.glimpsed = true
	h.patience = 50 * time.Millisecond
	w := newWatcher(t)
	seen := make(chan model.Exit, 1)
	if err := w.Watch(h, func() { e, _, _ := h.Wait(true); seen <- e }); err != nil {
		t.Fatal(err)
	}
	if e := <-seen; e.Known {
		t.Errorf("%+v", e)
	}
	f.reap()
}

// TestUnreadable: an ordinary user may not see how a process of somebody else ended, and is shown a zero.
func TestUnreadable(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not root")
	}
	f := foreign(t, sh("exit 0")...)
	f.zombie()
	h := adopt(t, f.pid)
	got := make(chan *uint32)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		_, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, 65534, 65534, 65534)
		if e != 0 {
			t.Error(e)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		got <- h.glimpseLocked()
	}()
	if raw := <-got; raw != nil {
		t.Errorf("a status was read without the right to: %d", *raw)
	}
	h.mu.Lock()
	raw := h.glimpseLocked()
	h.mu.Unlock()
	if raw == nil || *raw != 0 {
		t.Error("root cannot read it either")
	}
}

func TestRefused(t *testing.T) {
	f := foreign(t, "/bin/sleep", "1000")
	id, err := Identify(f.pid)
	if err != nil {
		t.Fatal(err)
	}
	self, err := Identify(os.Getpid())
	if err != nil || self.PID != os.Getpid() || self == id {
		t.Fatalf("%+v, %v", self, err)
	}
	dead := child(t, false, "exit 0")
	ended(t, dead)
	deadID, err := Identify(dead.PID())
	if err != nil || deadID != dead.Identity() {
		t.Errorf("a zombie: %+v, want %+v, %v", deadID, dead.Identity(), err)
	}
	_, _, _ = dead.Wait(false)
	if _, err := Identify(dead.PID()); !errors.Is(err, ErrGone) {
		t.Errorf("Identify of nobody: %v", err)
	}
	with := func(change func(*Identity)) Identity { c := id; change(&c); return c }
	for _, tc := range []struct {
		name string
		id   Identity
		want error
	}{
		{"itself", id, nil},
		{"no inode", with(func(i *Identity) { i.Inode = 0 }), nil},
		{"no boot id", with(func(i *Identity) { i.BootID = "" }), nil},
		{"other start", with(func(i *Identity) { i.StartTicks++ }), ErrStranger},
		{"other inode", with(func(i *Identity) { i.Inode ^= 1 }), ErrStranger},
		{"other inode, same start", Identity{BootID: id.BootID, PID: id.PID, StartTicks: id.StartTicks, Inode: self.Inode}, ErrStranger},
		{"other boot", with(func(i *Identity) { i.BootID = "x" }), ErrGone},
		{"only the pid", Identity{PID: id.PID}, ErrStranger},
		{"nothing", Identity{}, ErrStranger},
		{"pid -1", with(func(i *Identity) { i.PID = -1 }), ErrStranger},
		{"reaped", deadID, ErrGone},
		{"no such pid", with(func(i *Identity) { i.PID = 1 << 30 }), ErrGone},
		{"a thread", with(func(i *Identity) { i.PID = otherThread(t) }), ErrGone},
		{"our parent", with(func(i *Identity) { i.PID = os.Getppid() }), ErrStranger},
	} {
		if tc.name == "other inode" && id.Inode == 0 || tc.name == "other inode, same start" && id.Inode == 0 {
			continue
		}
		h, err := Adopt(tc.id)
		if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
		if err == nil {
			h.Close()
		}
	}
	fd, err := unix.PidfdOpen(f.pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for name, try := range map[string][2]int{"another pid": {fd, os.Getpid()}, "no descriptor": {-1, f.pid}, "another kind": {1, f.pid}} {
		if _, err := FromPidfd(try[0], try[1]); !errors.Is(err, ErrStranger) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAdoptedGroup: the ways to signal a group whose leader is not our child, while the leader lives,
// is a zombie, and is gone.
func TestAdoptedGroup(t *testing.T) {
	for _, way := range []string{"descriptor", "members"} {
		for _, state := range []string{"alive", "zombie", "reaped"} {
			t.Run(way+", leader "+state, func(t *testing.T) {
				dir := t.TempDir()
				in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
				f := foreign(t, sh(fmt.Sprintf(`
sleep 1000 & echo $! >%s
setsid sh -c 'echo $$ >%s; exec sleep 1000' &
kill -STOP $$; exit 0`, in, out))...)
				inside, outside := pidFrom(t, in), pidFrom(t, out)
				defer func() { _ = unix.Kill(outside, unix.SIGKILL) }()
				bystander := command(t, false, "/bin/sleep", "1000")
				eventually(t, func() bool { s, err := procstat.Read(f.pid); return err == nil && s.State == 'T' })
				h := adopt(t, f.pid)
				if way == "members" {
					h.oldKernel = true
				}
				if state != "alive" {
					if err := h.Signal(int(unix.SIGCONT), model.ReachProcess); err != nil {
						t.Fatal(err)
					}
					f.zombie()
				}
				if state == "reaped" {
					f.reap()
				}
				if err := h.Signal(int(unix.SIGTERM), model.ReachGroup); err != nil {
					t.Fatal(err)
				}
				eventually(t, func() bool { return !alive(inside) })
				if state == "alive" {
					_ = h.Signal(int(unix.SIGCONT), model.ReachProcess)
					f.zombie()
					if raw := f.reap(); raw != uint32(unix.SIGTERM) {
						t.Errorf("the leader ended with %#x", raw)
					}
				}
				if !alive(outside) {
					t.Error("a process outside of the group was signalled")
				}
				if _, done, _ := bystander.Wait(true); done {
					t.Error("a bystander was signalled")
				}
				eventually(t, func() bool { // nobody is left
					err := h.Signal(int(unix.SIGTERM), model.ReachGroup)
					return errors.Is(err, syscall.ESRCH) || err == nil && state == "zombie"
				})
			})
		}
	}
}

// TestKeptNumber: with an older kernel, the group of a child of ours or of the keeper is signalled by number.
func TestKeptNumber(t *testing.T) {
	member := filepath.Join(t.TempDir(), "member")
	c := child(t, false, fmt.Sprintf("sleep 1000 & echo $! >%s; wait", member))
	pid := pidFrom(t, member)
	fd, err := unix.PidfdOpen(c.PID(), 0)
	if err != nil {
		t.Fatal(err)
	}
	got, err := FromPidfd(fd, c.PID())
	if err != nil {
		t.Fatal(err)
	}
	h := got.(*handle)
	defer h.Close()
	h.oldKernel = true
	h.mu.Lock()
	if !h.numberKeptLocked() {
		t.Error("the child's number is not kept")
	}
	h.mu.Unlock()
	o := adopt(t, c.PID())
	o.mu.Lock()
	if o.numberKeptLocked() {
		t.Error("a number is believed to be kept by a process that only was adopted")
	}
	o.mu.Unlock()
	if err := h.Signal(int(unix.SIGTERM), model.ReachGroup); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return !alive(pid) })
	ended(t, c)
	_, _, _ = c.Wait(false)
	h.mu.Lock()
	if h.numberKeptLocked() {
		t.Error("the number of a reaped process is not kept")
	}
	h.mu.Unlock()
}

// TestChildOfAnotherFork: a child that another process has forked for us is a child like any other; one that
// we only adopted is not touched by the reaping of orphans.
func TestChildOfAnotherFork(t *testing.T) {
	others := foreign(t, sh("exit 4")...)
	others.zombie()
	t.Setenv("UPKEEP_TEST_SIBLING", "1")
	argv, open := gated(t, sh("exit 9"))
	f := foreign(t, argv...)
	fd, err := unix.PidfdOpen(f.pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	h := Own(fd, f.pid)
	defer h.Close()
	helpers, err := procstat.Children(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	known := func(pid int) bool { // the helpers, and the child when it is registered
		s, err := procstat.Read(pid)
		return pid == f.pid || err == nil && !s.Dead()
	}
	if !slices.Contains(helpers, f.pid) {
		t.Fatalf("%d is not among our children %v", f.pid, helpers)
	}
	w := newWatcher(t)
	seen := make(chan struct{})
	if err := w.Watch(h, func() { close(seen) }); err != nil {
		t.Fatal(err)
	}
	open()
	<-seen
	if HasOrphans(known) {
		t.Error("a known child is taken for an orphan")
	}
	ReapOrphans(known, func(pid int, _ model.Exit) { t.Errorf("%d was reaped", pid) })
	if e, done, err := h.Wait(true); e != exitOf(9<<8) || !done || err != nil {
		t.Errorf("%+v, %v, %v", e, done, err)
	}
	a := adopt(t, others.pid)
	if !HasOrphans(func(int) bool { return false }) {
		t.Error("an unknown child is not seen")
	}
	reaped := 0
	ReapOrphans(func(pid int) bool { return pid != f.pid && known(pid) }, func(pid int, e model.Exit) {
		if reaped++; pid != f.pid || e != exitOf(9<<8) {
			t.Errorf("%d reaped: %+v", pid, e)
		}
	})
	if reaped != 1 {
		t.Errorf("%d reaped", reaped)
	}
	// Somebody else took the status: the kernel may remember it, and nothing else is made up.
	if e, done, err := h.Wait(false); !done || err != nil || e.Known && e != exitOf(9<<8) {
		t.Errorf("%+v, %v, %v", e, done, err)
	}
	if raw := others.reap(); raw != 4<<8 {
		t.Errorf("the child of another process: %#x", raw)
	}
	if e, done, err := a.Wait(false); e != exitOf(4<<8) || !done || err != nil {
		t.Errorf("%+v, %v, %v", e, done, err)
	}
}
