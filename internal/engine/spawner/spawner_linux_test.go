package spawner

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/sys/spawn"
	"github.com/upkeep-project/upkeep/internal/sys/spawn/spawntest"
)

// TestConform runs the tests of all spawners on this one, without and with a stop before the program.
func TestConform(t *testing.T) {
	for _, stop := range []bool{false, true} {
		t.Run(fmt.Sprintf("gated=%v", stop), func(t *testing.T) {
			spawntest.Run(t, func(t testing.TB) spawn.Spawner {
				c := newTest(t)
				until(t, "a spawner", func() bool { return c.PID() != 0 })
				if stop {
					return gated{c}
				}
				return c
			})
		})
	}
}

type gated struct{ spawn.Spawner }

func (g gated) Spawn(r *spawn.Request) (*spawn.Result, error) {
	r.Identified = func(int, int) error { return nil }
	return g.Spawner.Spawn(r)
}

// TestParentage: programs are our children although another process makes them, and that one has few
// descriptors and a name.
func TestParentage(t *testing.T) {
	c := newTest(t)
	run(t, c)
	res, err := c.Spawn(request("/bin/sleep", "1000"))
	if err != nil {
		t.Fatal(err)
	}
	if got := parentOf(t, res.PID); got != strconv.Itoa(os.Getpid()) {
		t.Errorf("the parent is %s, we are %d", got, os.Getpid())
	}
	pid := c.PID()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/comm", pid, pid))
	if err != nil || strings.TrimSpace(string(b)) != "upkeep-spawner" {
		t.Errorf("it is called %q, %v", b, err)
	}
	const few = 10
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) { // those of the start are closed after it
		fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if err == nil && len(fds) <= few {
			break
		}
		if err != nil || time.Now().After(end) {
			t.Errorf("it has %d descriptors, %v", len(fds), err)
			break
		}
	}
	kill(res.PID)
	if e := await(t, res.Handle); e.Signal != int(unix.SIGKILL) {
		t.Errorf("exit %+v", e)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if left := children(t); len(left) != 0 {
		t.Errorf("children are left: %v", left)
	}
	if _, err := c.Spawn(request("/bin/true")); !errors.Is(err, spawn.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// run runs something.
func run(t testing.TB, c *Client) {
	t.Helper()
	res, err := c.Spawn(request("/bin/true"))
	if err != nil {
		t.Fatal(err)
	}
	if e := await(t, res.Handle); !e.Known || e.Raw != 0 {
		t.Errorf("exit %+v", e)
	}
}

// TestIdentifiedFirst: nothing is executed before Identified returns, and nothing at all when it fails.
func TestIdentifiedFirst(t *testing.T) {
	c := newTest(t)
	run(t, c)
	dir := t.TempDir()
	open := -1
	for i, wrong := range []error{nil, errors.New("no"), nil, errors.New("no")} {
		file := filepath.Join(dir, strconv.Itoa(i))
		r := shell("echo ran >" + file)
		r.Stdout = spawn.StdioPipe
		before := 0
		r.Identified = func(pid, pidfd int) error {
			before = pid
			time.Sleep(20 * time.Millisecond) // it has every opportunity
			if _, err := os.Stat(file); err == nil {
				t.Error("it ran before it was identified")
			}
			if err := unix.PidfdSendSignal(pidfd, 0, nil, 0); err != nil {
				t.Errorf("the process: %v", err)
			}
			if got := parentOf(t, pid); got != strconv.Itoa(os.Getpid()) {
				t.Errorf("the parent is %s", got)
			}
			return wrong
		}
		res, err := c.Spawn(r)
		if !errors.Is(err, wrong) {
			t.Fatalf("Spawn: %v, want %v", err, wrong)
		}
		if wrong != nil {
			if err := unix.Kill(before, 0); !errors.Is(err, unix.ESRCH) {
				t.Errorf("the process is still there: %v", err)
			}
			if _, err := os.Stat(file); err == nil {
				t.Error("it ran although that was refused")
			}
			if now := countFDs(t); now != open {
				t.Errorf("%d descriptors, %d before", now, open)
			}
			continue
		}
		if res.PID != before {
			t.Errorf("pid %d was identified as %d", res.PID, before)
		}
		await(t, res.Handle)
		unix.Close(res.Stdout)
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
		open = countFDs(t)
	}
}

// TestOwnPipes: the caller's pipes are used, and stay the caller's when nothing is started.
func TestOwnPipes(t *testing.T) {
	c := newTest(t)
	run(t, c) // it is there
	open := countFDs(t)
	for _, wrong := range []error{nil, errors.New("no")} {
		r := shell("cat; echo out; echo err >&2")
		r.Stdin, r.Stdout, r.Stderr = spawn.StdioPipe, spawn.StdioPipe, spawn.StdioPipe
		p, err := spawn.MakePipes(r)
		if err != nil {
			t.Fatal(err)
		}
		r.Pipes = p
		r.Identified = func(int, int) error { return wrong }
		res, err := c.Spawn(r)
		if wrong != nil {
			if !errors.Is(err, wrong) {
				t.Fatal(err)
			}
			p.Close()
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if res.Stdin != p.Stdin || res.Stdout != p.Stdout || res.Stderr != p.Stderr {
			t.Errorf("%+v is not %+v", res, p)
		}
		unix.Close(res.Stdin)
		await(t, res.Handle)
		for fd, want := range map[int]string{res.Stdout: "out\n", res.Stderr: "err\n"} {
			b := make([]byte, 100)
			n, err := unix.Read(fd, b)
			if err != nil || string(b[:n]) != want {
				t.Errorf("read %q, %v; want %q", b[:max(n, 0)], err, want)
			}
			// And the end, since nobody of us holds the program's end.
			if n, err := unix.Read(fd, b); n != 0 || err != nil {
				t.Errorf("read %d, %v after the end", n, err)
			}
			unix.Close(fd)
		}
	}
	if now := countFDs(t); now != open {
		t.Errorf("%d descriptors, %d before", now, open)
	}
}

// TestKilledUnderLoad kills the small process again and again while programs are started: each start happens
// exactly once, and no child is left over.
func TestKilledUnderLoad(t *testing.T) {
	kills := 250
	if testing.Short() {
		kills = 60
	}
	var lines atomic.Int32
	w := realWorld()
	w.after = func(time.Duration) <-chan time.Time { // no delay, to have more to kill
		now := make(chan time.Time)
		close(now)
		return now
	}
	c, err := newClient(Options{Log: func(string) { lines.Add(1) }}, w)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dir := t.TempDir()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var asked, direct atomic.Int32
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				// The file must not be there: a second start would fail loudly.
				file := filepath.Join(dir, fmt.Sprintf("%d-%d", w, i))
				r := request("/bin/mkdir", file)
				asked.Add(1)
				identified := 0
				r.Identified = func(int, int) error { identified++; return nil }
				if c.PID() == 0 {
					direct.Add(1)
				}
				res, err := c.Spawn(r)
				if err != nil {
					t.Errorf("Spawn: %v", err)
					return
				}
				if e := await(t, res.Handle); !e.Known || e.Raw != 0 || identified != 1 {
					t.Errorf("%s: %+v, identified %d times", file, e, identified)
				}
			}
		})
	}
	killed := 0
	for end := time.Now().Add(2 * patience); killed < kills && time.Now().Before(end); {
		if pid := c.PID(); pid != 0 {
			kill(pid)
			killed++
			until(t, "another spawner", func() bool { now := c.PID(); return now != 0 && now != pid })
		}
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
	}
	close(stop)
	wg.Wait()
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != int(asked.Load()) {
		t.Errorf("%d starts, %d ran", asked.Load(), len(names))
	}
	if killed < kills {
		t.Errorf("only %d kills", killed)
	}
	t.Logf("%d kills, %d starts, %d while there was no spawner, %d lines", killed, asked.Load(), direct.Load(), lines.Load())
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if left := children(t); len(left) != 0 {
		t.Errorf("children are left: %v", left)
	}
}
