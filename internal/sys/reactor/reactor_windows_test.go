package reactor

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/windows"
)

// pair is a pipe whose reading end is made for overlapped work.
func pair(t *testing.T) (r, w windows.Handle) {
	t.Helper()
	name, err := windows.UTF16PtrFromString(`\\.\pipe\upkeep-test-` + filepath.Base(t.TempDir()) + t.Name()[4:])
	if err != nil {
		t.Fatal(err)
	}
	r, err = windows.CreateNamedPipe(name, windows.PIPE_ACCESS_INBOUND|windows.FILE_FLAG_OVERLAPPED, windows.PIPE_TYPE_BYTE, 1, 4096, 4096, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	w, err = windows.CreateFile(name, windows.GENERIC_WRITE, 0, nil, windows.OPEN_EXISTING, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

func newReactor(t *testing.T, o Options) *Reactor {
	t.Helper()
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// take reads what has come; only after the function was told.
func take(t *testing.T, h windows.Handle) string {
	t.Helper()
	e, err := windows.CreateEvent(nil, 1, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer windows.CloseHandle(e)
	b := make([]byte, 100)
	o := &windows.Overlapped{HEvent: e | 1}
	var n uint32
	err = windows.ReadFile(h, b, nil, o)
	if err == nil || errors.Is(err, windows.ERROR_IO_PENDING) {
		err = windows.GetOverlappedResult(h, o, &n, true)
	}
	if err != nil {
		return err.Error()
	}
	return string(b[:n])
}

func comes(t *testing.T, what string, c <-chan string) string {
	t.Helper()
	select {
	case s := <-c:
		return s
	case <-time.After(20 * time.Second):
		t.Fatalf("timed out: %s", what)
		return ""
	}
}

// TestPipe: a function runs when there is something to read, once for each arming, and at the end of the pipe.
func TestPipe(t *testing.T) {
	r := newReactor(t, Options{})
	h, w := pair(t)
	got := make(chan string, 10)
	g, err := r.Register(int(h), Readable, func() { got <- take(t, h) })
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"one", "two"} {
		if _, err := windows.Write(w, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if s := comes(t, text, got); s != text {
			t.Errorf("%q instead of %q", s, text)
		}
		select {
		case s := <-got:
			t.Errorf("it ran again without being armed: %q", s)
		default:
		}
		g.Arm()
	}
	windows.CloseHandle(w)
	if s := comes(t, "the end", got); s != windows.ERROR_BROKEN_PIPE.Error() {
		t.Errorf("at the end: %q", s)
	}
	g.Arm() // an end stays one
	comes(t, "the end again", got)
	g.Close()
	windows.CloseHandle(h)
}

// TestKickAndTimer: they need no readiness, and lose none.
func TestKickAndTimer(t *testing.T) {
	r := newReactor(t, Options{})
	h, w := pair(t)
	defer windows.CloseHandle(h)
	defer windows.CloseHandle(w)
	got := make(chan string, 10)
	g, err := r.Register(int(h), Readable, func() { got <- "run" })
	if err != nil {
		t.Fatal(err)
	}
	g.RunAfter(0)
	comes(t, "a kick", got)
	g.RunAfter(time.Millisecond)
	comes(t, "a timer", got)
	g.Arm()
	if _, err := windows.Write(w, []byte("x")); err != nil {
		t.Fatal(err)
	}
	comes(t, "readiness", got)
	g.ArmAfter(time.Millisecond)
	comes(t, "readiness later", got)
	g.Close()
}

// TestObjects: an event when it is set, a process when it has ended.
func TestObjects(t *testing.T) {
	r := newReactor(t, Options{})
	got := make(chan string, 10)
	e, err := windows.CreateEvent(nil, 0, 0, nil) // resets itself
	if err != nil {
		t.Fatal(err)
	}
	defer windows.CloseHandle(e)
	g, err := r.Register(int(e), Writable, func() { got <- "set" })
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := windows.SetEvent(e); err != nil {
			t.Fatal(err)
		}
		comes(t, "the event", got)
		g.Arm()
	}
	g.Close()

	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe, "-test.run=^$")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	p, err := windows.OpenProcess(windows.SYNCHRONIZE, false, uint32(c.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	defer windows.CloseHandle(p)
	g, err = r.Register(int(p), Readable, func() { got <- "ended" })
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	comes(t, "the end of a process", got)
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}

// TestManyObjects: more than one thread of the system can wait for.
func TestManyObjects(t *testing.T) {
	r := newReactor(t, Options{})
	const n = 150
	got := make(chan string, n)
	var events []windows.Handle
	for range n {
		e, err := windows.CreateEvent(nil, 1, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
		if _, err := r.Register(int(e), Readable, func() { got <- "set" }); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range events {
		if err := windows.SetEvent(e); err != nil {
			t.Fatal(err)
		}
	}
	for range n {
		comes(t, "all events", got)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	for _, e := range events {
		windows.CloseHandle(e)
	}
}

// TestRefused: what cannot be waited for.
func TestRefused(t *testing.T) {
	r := newReactor(t, Options{})
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := r.Register(int(f.Fd()), Readable, func() {}); err == nil {
		t.Error("a file is watched")
	}
	h, w := pair(t)
	defer windows.CloseHandle(h)
	defer windows.CloseHandle(w)
	if _, err := r.Register(int(w), Writable, func() {}); err == nil {
		t.Error("room in a pipe is watched")
	}
	if _, err := r.Register(0x7ffffff0, Readable, func() {}); err == nil {
		t.Error("no handle is watched")
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.Register(int(h), Readable, func() {}); !errors.Is(err, ErrClosed) {
		t.Errorf("after the close: %v", err)
	}
}

// TestStuck: functions that block do not hold up the others, and Close waits for them.
func TestStuck(t *testing.T) {
	r := newReactor(t, Options{Workers: 1, MaxWorkers: 4})
	release := make(chan struct{})
	var inside atomic.Int32
	got := make(chan string, 10)
	for range 3 {
		e, err := windows.CreateEvent(nil, 1, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer windows.CloseHandle(e)
		if _, err := r.Register(int(e), Readable, func() {
			inside.Add(1)
			got <- "in"
			<-release
			inside.Add(-1)
		}); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		comes(t, "all inside at once", got)
	}
	close(release)
	if err := r.Close(); err != nil || inside.Load() != 0 {
		t.Errorf("%v, %d inside", err, inside.Load())
	}
}

// TestCloseWhileArmed: reads under way are taken back, and the pipes are whole afterwards.
func TestCloseWhileArmed(t *testing.T) {
	r := newReactor(t, Options{})
	h, w := pair(t)
	defer windows.CloseHandle(h)
	defer windows.CloseHandle(w)
	var ran atomic.Bool
	if _, err := r.Register(int(h), Readable, func() { ran.Store(true) }); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := windows.Write(w, []byte("kept")); err != nil {
		t.Fatal(err)
	}
	if s := take(t, h); s != "kept" || ran.Load() {
		t.Errorf("%q, ran %v", s, ran.Load())
	}
}
