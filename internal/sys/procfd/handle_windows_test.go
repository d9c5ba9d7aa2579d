package procfd

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// TestMain lets the test binary be a process that waits until its input ends and exits with 5.
func TestMain(m *testing.M) {
	switch os.Getenv("ROLE") {
	case "parent", "grandparent":
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), "ROLE="+map[string]string{"parent": "wait", "grandparent": "parent"}[os.Getenv("ROLE")])
		c.Stdin, c.Stdout = os.Stdin, os.Stdout
		if err := c.Start(); err != nil {
			os.Exit(1)
		}
		if os.Getenv("ROLE") == "parent" {
			fmt.Println(c.Process.Pid)
		}
		_ = c.Wait()
		os.Exit(6)
	case "wait":
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(5)
	}
	os.Exit(m.Run())
}

// waiting starts such a process; finish lets it end.
func waiting(t *testing.T) (h Handle, finish func()) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe)
	c.Env = append(os.Environ(), "ROLE=wait")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	id, err := Identify(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if id.PID != c.Process.Pid || id.StartTicks == 0 {
		t.Errorf("%+v", id)
	}
	if h, err = Adopt(id); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h, func() { in.Close() }
}

func watcher(t *testing.T) *Watcher {
	t.Helper()
	w, err := NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func await(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(30 * time.Second):
		t.Fatalf("timed out: %s", what)
	}
}

// TestEnd: an end is told once, its status is kept as long as the handle is, and nothing is sent after it was taken.
func TestEnd(t *testing.T) {
	h, finish := waiting(t)
	w := watcher(t)
	over := make(chan struct{}, 2)
	if err := w.Watch(h, func() { over <- struct{}{} }); err != nil {
		t.Fatal(err)
	}
	if _, done, err := h.Wait(true); done || err != nil {
		t.Errorf("it runs: %v, %v", done, err)
	}
	if err := h.Signal(0, model.ReachProcess); err != nil {
		t.Error(err)
	}
	if err := h.Signal(10, model.ReachProcess); !errors.Is(err, syscall.EWINDOWS) {
		t.Errorf("a signal that there is not: %v", err)
	}
	finish()
	await(t, "the end", over)
	want := model.Exit{Known: true, Raw: 5, Status: 5}
	for _, peek := range []bool{true, true, false, false} {
		e, done, err := h.Wait(peek)
		if d := cmp.Diff(want, e); d != "" || !done || err != nil {
			t.Errorf("%s %v %v", d, done, err)
		}
		if peek {
			if err := h.Signal(15, model.ReachGroup); err != nil {
				t.Errorf("to one that has ended: %v", err)
			}
		}
	}
	if err := h.Signal(15, model.ReachProcess); err != syscall.ESRCH {
		t.Errorf("after its end was taken: %v", err)
	}
	if err := w.Watch(h, func() { over <- struct{}{} }); err != nil {
		t.Fatal(err)
	}
	await(t, "an end of before", over)
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if _, _, err := h.Wait(true); !errors.Is(err, os.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func TestKill(t *testing.T) {
	h, _ := waiting(t)
	over := make(chan struct{}, 1)
	if err := watcher(t).Watch(h, func() { over <- struct{}{} }); err != nil {
		t.Fatal(err)
	}
	if err := h.Signal(9, model.ReachTree); err != nil {
		t.Fatal(err)
	}
	await(t, "the end", over)
	e, _, _ := h.Wait(false)
	if d := cmp.Diff(model.Exit{Known: true, Raw: 137, Signal: 9}, e); d != "" {
		t.Error(d)
	}
}

// TestTree: of a process that was adopted its tree is found by the parents, also when it has ended itself.
func TestTree(t *testing.T) {
	for _, ended := range []bool{false, true} {
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		c := exec.Command(exe)
		c.Env = append(os.Environ(), "ROLE=grandparent")
		in, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		var pid int
		if _, err := fmt.Fscan(out, &pid); err != nil {
			t.Fatal(err)
		}
		adopt := func(pid int) Handle {
			id, err := Identify(pid)
			if err != nil {
				t.Fatal(err)
			}
			h, err := Adopt(id)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { h.Close() })
			return h
		}
		root, leaf := adopt(c.Process.Pid), adopt(pid)
		if ended {
			if err := root.Signal(9, model.ReachProcess); err != nil {
				t.Fatal(err)
			}
			_ = c.Wait()
		}
		over := make(chan struct{}, 1)
		if err := watcher(t).Watch(leaf, func() { over <- struct{}{} }); err != nil {
			t.Fatal(err)
		}
		if _, done, err := leaf.Wait(true); done || err != nil {
			t.Errorf("before: %v, %v", done, err)
		}
		if err := root.Signal(9, model.ReachTree); err != nil {
			t.Error(err)
		}
		await(t, "the end of the leaf", over)
		if !ended {
			_ = c.Wait()
		}
	}
}

// TestCloseEndsWatching: of a process that is let go of nothing is told.
func TestCloseEndsWatching(t *testing.T) {
	h, finish := waiting(t)
	other, finishOther := waiting(t)
	w := watcher(t)
	over := make(chan struct{}, 1)
	if err := w.Watch(h, func() { t.Error("told") }); err != nil {
		t.Fatal(err)
	}
	if err := w.Watch(other, func() { over <- struct{}{} }); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	finish()
	finishOther()
	await(t, "the other's end", over)
}

// TestSeveral: all ends are told.
func TestSeveral(t *testing.T) {
	const n = 5
	w := watcher(t)
	over := make(chan struct{}, n)
	var ends []func()
	for range n {
		h, finish := waiting(t)
		ends = append(ends, finish)
		if err := w.Watch(h, func() { over <- struct{}{} }); err != nil {
			t.Fatal(err)
		}
	}
	for _, finish := range ends {
		finish()
	}
	for range n {
		await(t, "all ends", over)
	}
}

func TestStrangers(t *testing.T) {
	me, err := Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	me.StartTicks++
	if _, err := Adopt(me); !errors.Is(err, ErrStranger) {
		t.Errorf("another one of the number: %v", err)
	}
	if _, err := Adopt(Identity{PID: 0x7ffffff0, StartTicks: 1}); !errors.Is(err, ErrGone) {
		t.Errorf("nobody: %v", err)
	}
	if _, err := Identify(0x7ffffff0); !errors.Is(err, ErrGone) {
		t.Errorf("nobody: %v", err)
	}
}
