package spawn

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("waited in vain for %s", what)
}

// TestAlive: the kernel knows whether an instance lives, without any record of ours, also when only a
// descendant is left, and through any of its pipes, opened anew.
func TestAlive(t *testing.T) {
	d := newDirect(t, Options{})
	for name, s := range map[string]Spawner{"direct": d, "gated": gatedOnly{d}} {
		t.Run(name, func(t *testing.T) {
			r := shell("sleep 1000 & echo $!; exec >&2; exec sleep 1000")
			r.Stdin = StdioPipe
			res, err := s.Spawn(r)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				for _, fd := range []int{res.Stdin, res.Stdout, res.Stderr} {
					unix.Close(fd)
				}
			}()
			b := make([]byte, 20)
			n := 0
			until(t, "the number of the descendant", func() bool {
				n, err = unix.Read(res.Stdout, b)
				return err == nil
			})
			descendant, err := strconv.Atoi(string(b[:n-1]))
			if err != nil {
				t.Fatal(err)
			}
			waitExec(t, res.PID, "sleep")
			alive := func(fd int, want bool, when string) {
				t.Helper()
				for range 2 { // asking changes nothing
					if got, err := Alive(fd); got != want || err != nil {
						t.Errorf("%s: alive is %v, %v", when, got, err)
					}
				}
			}
			for _, fd := range []int{res.Stdin, res.Stdout, res.Stderr} {
				alive(fd, true, "at first")
			}
			for _, n := range []int{0, 2} {
				fd, err := unix.Open(fmt.Sprintf("/proc/%d/fd/%d", res.PID, n), unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
				if err != nil {
					t.Fatal(err)
				}
				alive(fd, true, "opened anew")
				unix.Close(fd)
			}
			if err := res.Handle.Signal(int(unix.SIGKILL), model.ReachProcess); err != nil {
				t.Fatal(err)
			}
			await(t, res.Handle)
			res.Handle.Close()
			alive(res.Stdout, true, "with a descendant")
			if err := unix.Kill(descendant, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			until(t, "the end of the descendant", func() bool {
				live, err := Alive(res.Stdout)
				return !live && err == nil
			})
			alive(res.Stderr, false, "at last")
			// And nobody holds its end any more.
			if n, err := unix.Read(res.Stdout, b); n != 0 || err != nil {
				t.Errorf("read %d, %v at the end", n, err)
			}
		})
	}
	if _, err := Alive(-1); err == nil {
		t.Error("no descriptor, no error")
	}
}

// TestReaderGone: a program whose reader has died writes on, gets no signal, and another reader takes over.
func TestReaderGone(t *testing.T) {
	d := newDirect(t, Options{})
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	r := shell("read x <" + fifo + "; echo one; echo two >&2; read x <" + fifo + "; exit 7")
	res, err := d.Spawn(r)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(res.Stderr)
	unix.Close(res.Stdout)
	if err := os.WriteFile(fifo, []byte("\n"), 0); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/fd/1", res.PID), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	b := make([]byte, 100)
	n := 0
	until(t, "what it wrote for nobody", func() bool {
		n, err = unix.Read(fd, b)
		return !errors.Is(err, unix.EAGAIN)
	})
	if err != nil || string(b[:n]) != "one\n" {
		t.Errorf("read %q, %v", b[:max(n, 0)], err)
	}
	if err := os.WriteFile(fifo, []byte("\n"), 0); err != nil {
		t.Fatal(err)
	}
	if e := await(t, res.Handle); e.Code() != 7 {
		t.Errorf("exit %+v", e)
	}
	res.Handle.Close()
	if n, err := unix.Read(fd, b); n != 0 || err != nil {
		t.Errorf("read %d, %v at the end", n, err)
	}
}

// TestOwnOutput: a program of another user may open its own outputs again.
func TestOwnOutput(t *testing.T) {
	needRoot(t)
	d := newDirect(t, Options{})
	for name, s := range map[string]Spawner{"direct": d, "gated": gatedOnly{d}} {
		r := shell("echo out >/proc/self/fd/1; echo err >/proc/self/fd/2; cat /proc/self/fd/0")
		r.Stdin = StdioPipe
		r.Cred = &Cred{UID: 1234, GID: 4321, Groups: []int{4321}}
		if o := run(t, s, r); o.Stdout != "out\n" || o.Stderr != "err\n" || o.Exit.Code() != 0 {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

// TestMakePipes: pipes are as asked for, and what does not fit is refused without a leak.
func TestMakePipes(t *testing.T) {
	d := newDirect(t, Options{})
	open := countFDs(t)
	r := shell("true")
	r.Stderr = StdioMerge
	p, err := MakePipes(r)
	if err != nil {
		t.Fatal(err)
	}
	if p.Stdin != -1 || p.Stderr != -1 || p.Stdout < 0 {
		t.Errorf("pipes %+v", p)
	}
	fl, err := unix.FcntlInt(uintptr(p.theirs[1]), unix.F_GETFL, 0)
	if err != nil || fl&unix.O_ACCMODE != unix.O_RDWR || fl&unix.O_NONBLOCK != 0 {
		t.Errorf("the program's end has flags %#x, %v", fl, err)
	}
	other := shell("true")
	other.Pipes = p
	if _, err := d.Spawn(other); err == nil {
		t.Error("the wrong pipes were taken")
	}
	r.Pipes = p
	if _, err := d.Spawn(r); err == nil {
		t.Error("pipes without the program's ends were taken")
	}
	p.Close()
	p.Close()
	if now := countFDs(t); now != open {
		t.Errorf("%d descriptors, %d before", now, open)
	}
	// Another way to have the same result.
	r.Stdout, r.Stderr = StdioPipe, StdioPipe
	if r.Pipes, err = MakePipes(r); err != nil {
		t.Fatal(err)
	}
	if o := run(t, d, r); o.Exit.Code() != 0 {
		t.Errorf("%+v", o)
	}
	if now := countFDs(t); now != open {
		t.Errorf("%d descriptors, %d before", now, open)
	}
}

// TestPipesShortage: whatever descriptor is missing, nothing leaks.
func TestPipesShortage(t *testing.T) {
	var old unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &old); err != nil {
		t.Fatal(err)
	}
	top, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 3) // the lowest free number
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(top)
	r := shell("true")
	r.Stdin = StdioPipe
	for room := range 12 {
		low := unix.Rlimit{Cur: uint64(top + room), Max: old.Max}
		if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &low, nil); err != nil {
			t.Fatal(err)
		}
		p, err := MakePipes(r)
		var pe *PipeError
		if err != nil && (!errors.As(err, &pe) || !errors.Is(err, syscall.EMFILE)) {
			t.Errorf("room for %d: %v", room, err)
		}
		if err == nil {
			p.Close()
		}
		if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &old, nil); err != nil {
			t.Fatal(err)
		}
		if now, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 3); err != nil || now != top {
			t.Errorf("room for %d: the lowest free descriptor is %d, %v; was %d", room, now, err, top)
		} else {
			unix.Close(now)
		}
		if (err == nil) != (room >= 7) && room < 6 {
			t.Errorf("room for %d: %v", room, err)
		}
	}
}

// TestStreamEnd: the reader sees the end as soon as the program has ended, also while others wait at their
// gates or run.
func TestStreamEnd(t *testing.T) {
	d := newDirect(t, Options{})
	outer := shell("echo hello")
	r := request("/bin/sleep", "1000")
	r.Stdout, r.Stderr = StdioNull, StdioNull
	r.Identified = func(int, int) error {
		outer.Identified = func(int, int) error { return nil }
		if o := run(t, d, outer); o.Stdout != "hello\n" {
			t.Errorf("%+v", o)
		}
		return nil
	}
	res, err := d.Spawn(r)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(res.Stdout), "")
	if f != nil {
		_, _ = io.Copy(io.Discard, f)
	}
	if err := res.Handle.Signal(int(unix.SIGKILL), model.ReachProcess); err != nil {
		t.Error(err)
	}
	await(t, res.Handle)
	res.Handle.Close()
}
