package spawn

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

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

func needGate(t testing.TB) {
	t.Helper()
	if !Gated() {
		t.Skip("no gate on this architecture")
	}
}

func newMaker(t testing.TB) *Maker {
	t.Helper()
	needGate(t)
	m, err := StartMaker("", nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		m.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		m.Dismiss()
		<-ended
	})
	return m
}

// viaMaker is a Spawner of a Maker alone.
type viaMaker struct{ *Maker }

func (v viaMaker) Close() error { return nil }

func (v viaMaker) Spawn(r *Request) (*Result, error) {
	own := *r
	if own.Pipes == nil {
		p, err := MakePipes(r)
		if err != nil {
			return nil, err
		}
		own.Pipes = p
	}
	defer own.Pipes.CloseTheirs()
	return v.Start(&own)
}

// TestLargeRequests: what is too long for a message, and for the usual memory, arrives all the same.
func TestLargeRequests(t *testing.T) {
	needGate(t)
	for name, s := range map[string]Spawner{"direct": newDirect(t, Options{}), "maker": viaMaker{newMaker(t)}} {
		for _, size := range []int{1000, maxInline - 10, maxInline, 100_000, 900_000} {
			r := shell("env | wc -c; echo $#")
			r.Identified = func(int, int) error { return nil }
			want := 0
			for n := 0; n < size; n += 1000 {
				v := fmt.Sprintf("V%d=%s", n, strings.Repeat("x", 1000))
				want += len(v) + 1
				r.Env = append(r.Env, v)
			}
			for range 3000 {
				r.Argv = append(r.Argv, "")
			}
			o := run(t, s, r)
			f := strings.Fields(o.Stdout)
			if len(f) != 2 || f[1] != "2999" {
				t.Fatalf("%s, %d: %.100q", name, size, o.Stdout+o.Stderr)
			}
			if got, _ := strconv.Atoi(f[0]); got < want || got > want+200 {
				t.Errorf("%s, %d: %d bytes of environment, want %d", name, size, got, want)
			}
		}
	}
}

// TestNoThreadWaits: processes that wait at their gates hold up nobody.
func TestNoThreadWaits(t *testing.T) {
	m := newMaker(t)
	const n = 40
	var waiting, done sync.WaitGroup
	waiting.Add(n)
	release := make(chan struct{})
	for i := range n {
		done.Go(func() {
			r := shell(fmt.Sprintf("exit %d", i))
			r.Stdout, r.Stderr = StdioNull, StdioNull
			r.Identified = func(int, int) error {
				waiting.Done()
				<-release
				return nil
			}
			if o := run(t, viaMaker{m}, r); o.Exit.Code() != i {
				t.Errorf("exit %+v, want %d", o.Exit, i)
			}
		})
	}
	waiting.Wait()
	if o := run(t, viaMaker{m}, shell("echo through")); o.Stdout != "through\n" {
		t.Errorf("got %+v", o)
	}
	close(release)
	done.Wait()
}

// TestStoppedMaker: a maker that does nothing is killed, and what it had not begun can be tried again.
func TestStoppedMaker(t *testing.T) {
	m := newMaker(t)
	run(t, viaMaker{m}, shell("true"))
	m.patience = 50 * time.Millisecond
	if err := unix.Kill(m.PID(), unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	r := shell("true")
	r.Stdout, r.Stderr = StdioNull, StdioNull
	if _, err := m.Start(r); !errors.Is(err, ErrNobody) {
		t.Errorf("Start: %v", err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		_, err := m.Start(r)
		if errors.Is(err, ErrGone) {
			break
		}
		if !errors.Is(err, ErrNobody) || time.Now().After(end) {
			t.Fatalf("Start: %v", err)
		}
	}
}

// TestKilledBeforeTheGate: a process that is killed before it can report itself is noticed, reaped, and was
// never started.
func TestKilledBeforeTheGate(t *testing.T) {
	needGate(t)
	c, err := newCloning(false, nil)
	if err != nil {
		t.Fatal(err)
	}
	g, err := newGate()
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	fd := int(null.Fd())
	var pid int32
	n, err := c.clone(request("/bin/true"), [3]int{fd, fd, fd}, g.theirs, &pid, nil)
	if err != nil || n != int(pid) {
		t.Fatal(n, pid, err)
	}
	if err := unix.Kill(n, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	g.closeTheirs()
	got, err := g.report(0)
	if err == nil { // it was faster
		if got != n {
			t.Errorf("%d reported itself as %d", n, got)
		}
		_, err = g.report(0)
	}
	if !errors.Is(err, ErrNobody) {
		t.Errorf("report: %v", err)
	}
	awaitEnd(n)
	var ws unix.WaitStatus
	if _, err := unix.Wait4(n, &ws, 0, nil); err != nil || ws.Signal() != unix.SIGKILL {
		t.Errorf("status %#x, %v", ws, err)
	}
}

// TestRefusals: a system error of the maker is one of the start.
func TestRefusals(t *testing.T) {
	needGate(t)
	for _, errno := range []syscall.Errno{unix.EMFILE, unix.EAGAIN, unix.ENOMEM} {
		g, err := newGate()
		if err != nil {
			t.Fatal(err)
		}
		refuse(g.theirs, errno)
		g.closeTheirs()
		_, err = g.report(0)
		var (
			pe *PipeError
			fe *ForkError
		)
		if !errors.Is(err, errno) || errors.As(err, &pe) != (errno == unix.EMFILE) || errors.As(err, &fe) == (errno == unix.EMFILE) {
			t.Errorf("%v becomes %v", errno, err)
		}
		g.close()
	}
	for _, msg := range [][]byte{{}, {1}, make([]byte, makerHeader), append(make([]byte, makerHeader), "junk"...), {makerVersion, 255, 0, 0, 0, 0, 0}} {
		if err := serve(nil, make([]int32, boardUses), nil, msg, []int{-1, -1, -1, -1}); err == nil {
			t.Errorf("%q was served", msg)
		}
	}
}

// group makes a version 2 control group.
func group(t *testing.T) (path string, fd int) {
	t.Helper()
	for _, top := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var fs unix.Statfs_t
		if unix.Statfs(top, &fs) != nil || fs.Type != unix.CGROUP2_SUPER_MAGIC {
			continue
		}
		dir := filepath.Join(top, fmt.Sprintf("upkeep-spawn-test-%d", os.Getpid()))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() {
			for end := time.Now().Add(patience); os.Remove(dir) != nil && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
		})
		fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return "/" + filepath.Base(dir), fd
	}
	t.Skip("no control groups of version 2 here")
	return "", -1
}

// TestControlGroup: a program is in its control group before it executes anything.
func TestControlGroup(t *testing.T) {
	needGate(t)
	path, fd := group(t)
	moving := newDirect(t, Options{})
	run(t, gatedOnly{moving}, shell("true"))
	moving.cloner.made.moving.Store(true)
	m := newMaker(t)
	direct := newDirect(t, Options{})
	for name, s := range map[string]Spawner{
		"direct": direct, "gated": gatedOnly{direct}, "moving": gatedOnly{moving}, "maker": viaMaker{m}, "shim": direct,
	} {
		t.Run(name, func(t *testing.T) {
			r := shell("cat /proc/self/cgroup")
			r.CgroupFD = fd
			r.IgnoreSIGPIPE = name == "shim"
			if name != "direct" && name != "shim" {
				r.Identified = func(pid, _ int) error {
					b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
					if err != nil || !strings.Contains(string(b), "0::"+path+"\n") {
						t.Errorf("when identified it is in %s, %v", b, err)
					}
					return nil
				}
			}
			if o := run(t, s, r); !strings.Contains(o.Stdout, "0::"+path+"\n") {
				t.Errorf("it was in %s%s", o.Stdout, o.Stderr)
			}
		})
	}
	// What is no control group fails as a start.
	dir, err := unix.Open(t.TempDir(), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(dir)
	for name, s := range map[string]Spawner{"gated": gatedOnly{direct}, "moving": gatedOnly{moving}, "maker": viaMaker{m}} {
		r := shell("true")
		r.CgroupFD = dir
		var fe *ForkError
		if _, err := s.Spawn(r); !errors.As(err, &fe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type gatedOnly struct{ Spawner }

func (g gatedOnly) Spawn(r *Request) (*Result, error) {
	if r.Identified == nil {
		r.Identified = func(int, int) error { return nil }
	}
	return g.Spawner.Spawn(r)
}

// TestWithoutGate: where no process can be made to wait, it is identified at once, and killed when that fails.
func TestWithoutGate(t *testing.T) {
	d := newDirect(t, Options{})
	d.cloner.cannot = true
	called := 0
	r := shell("echo hello")
	r.Identified = func(pid, _ int) error { called = pid; return nil }
	if o := run(t, d, r); o.Stdout != "hello\n" || o.PID != called {
		t.Errorf("%+v, identified as %d", o, called)
	}
	no := errors.New("no")
	r = request("/bin/sleep", "1000")
	r.Identified = func(pid, _ int) error { called = pid; return no }
	if _, err := d.Spawn(r); !errors.Is(err, no) {
		t.Errorf("Spawn: %v", err)
	}
	if err := unix.Kill(called, 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("it is still there: %v", err)
	}
}

// TestArenas: the memory of scripts is used again, and stays as it is while a process uses it.
func TestArenas(t *testing.T) {
	needGate(t)
	d := newDirect(t, Options{})
	for range 50 {
		run(t, gatedOnly{d}, shell("true"))
	}
	c := d.cloner.made
	if n := len(c.used) + len(c.spare); n > 10 {
		t.Errorf("%d arenas for one start at a time", n)
	}
	r := shell("exit 5")
	r.Stdout, r.Stderr = StdioNull, StdioNull
	r.Identified = func(int, int) error {
		for range 100 {
			run(t, gatedOnly{d}, shell("true"))
		}
		return nil
	}
	if o := run(t, d, r); o.Exit.Code() != 5 {
		t.Errorf("exit %+v", o.Exit)
	}
}

// TestKillAtTheGate: a program that is killed while it waits is a started one that has ended.
func TestKillAtTheGate(t *testing.T) {
	m := newMaker(t)
	r := shell("exit 0")
	r.Stdout, r.Stderr = StdioNull, StdioNull
	r.Identified = func(_, pidfd int) error { return unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0) }
	if o := run(t, viaMaker{m}, r); o.Exit.Signal != int(unix.SIGKILL) {
		t.Errorf("exit %+v", o.Exit)
	}
	// TERM waits until the program can have it, and then has its default effect.
	r.Identified = func(_, pidfd int) error { return unix.PidfdSendSignal(pidfd, unix.SIGTERM, nil, 0) }
	if o := run(t, viaMaker{m}, r); o.Exit != (model.Exit{Known: true, Raw: uint32(unix.SIGTERM), Signal: int(unix.SIGTERM)}) {
		t.Errorf("exit %+v", o.Exit)
	}
}

func BenchmarkGated(b *testing.B) {
	d := newDirect(b, Options{})
	for _, k := range []struct {
		name string
		s    Spawner
	}{{"direct", d}, {"gated", gatedOnly{d}}, {"maker", viaMaker{newMaker(b)}}} {
		for _, open := range []int{0, 5000, 15000} {
			b.Run(fmt.Sprintf("%s/open=%d", k.name, open), func(b *testing.B) {
				for range open {
					f, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
					if err != nil {
						b.Fatal(err)
					}
					defer unix.Close(f)
				}
				for b.Loop() {
					benchThousand(b, k.s)
				}
			})
		}
	}
}
