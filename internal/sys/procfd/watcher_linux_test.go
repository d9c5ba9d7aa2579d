package procfd

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

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
	hs := make([]*handle, n)
	var most atomic.Int32
	for i := range hs {
		pidfd := -1
		pid, err := syscall.ForkExec("/bin/sleep", []string{"sleep", "1000"}, &syscall.ProcAttr{
			Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setpgid: true, PidFD: &pidfd},
		})
		if err != nil {
			t.Fatal(err)
		}
		h := Own(pidfd, pid).(*handle)
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
