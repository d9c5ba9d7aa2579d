package spawn

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
)

// TestErrors are the failures of the daemon's side.
func TestErrors(t *testing.T) {
	d := newDirect(t, Options{})
	for _, r := range []*Request{
		{},
		{Path: "/bin/true"},
		{Path: "/bin/true", Argv: []string{"true"}, Stdin: StdioFile},
		{Path: "/bin/true", Argv: []string{"true"}, Stdin: StdioMerge},
		{Path: "/bin/true", Argv: []string{"true"}, Stdout: StdioMerge},
		{Path: "/bin/true", Argv: []string{"true"}, Stderr: StdioFile},
		{Path: "/bin/true", Argv: []string{"true", "a\x00b"}},
	} {
		if _, err := d.Spawn(r); err == nil {
			t.Errorf("%+v was started", r)
		}
	}

	bad := newDirect(t, Options{Shim: "/nonexistent/shim"})
	var ee *ExecError
	if _, err := bad.Spawn(request("/nonexistent/prog")); !errors.As(err, &ee) || !errors.Is(err, syscall.ENOENT) {
		t.Errorf("no shim: %v", err)
	}
	open := countFDs(t)
	for range 50 {
		_, _ = bad.Spawn(request("/nonexistent/prog"))
	}
	if now := countFDs(t); now != open {
		t.Errorf("%d descriptors before, %d after failed starts", open, now)
	}
	if err := bad.Close(); err != nil {
		t.Error(err)
	}
	if err := bad.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if _, err := bad.Spawn(request("/bin/true")); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestShortage: without descriptors a start fails as such, at whichever step, and leaks nothing.
func TestShortage(t *testing.T) {
	d := newDirect(t, Options{})
	run(t, d, shell("true")) // everything lazy has happened
	var fill []*os.File
	defer func() {
		for _, f := range fill {
			f.Close()
		}
	}()
	var old unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &old); err != nil {
		t.Fatal(err)
	}
	low := unix.Rlimit{Cur: uint64(countFDs(t) + 20), Max: old.Max}
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &low, nil); err != nil {
		t.Fatal(err)
	}
	defer unix.Prlimit(0, unix.RLIMIT_NOFILE, &old, nil)
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		fill = append(fill, f)
	}
	failed := 0
	for len(fill) > 0 {
		res, err := d.Spawn(shell("true"))
		if err == nil {
			finish(t, res)
			break
		}
		var pe *PipeError
		if !errors.As(err, &pe) || !errors.Is(err, syscall.EMFILE) {
			t.Fatalf("with %d fewer descriptors: %v", failed, err)
		}
		failed++
		fill[0].Close()
		fill = fill[1:]
	}
	if failed < 4 {
		t.Errorf("only %d shortages were seen", failed)
	}
}

// TestFirstMillisecond: programs that are gone before anybody looks have their status.
func TestFirstMillisecond(t *testing.T) {
	d := newDirect(t, Options{})
	w, err := procfd.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for i := range 100 {
		r := shell(fmt.Sprintf("exit %d", i))
		r.Stdout, r.Stderr = StdioNull, StdioNull
		res, err := d.Spawn(r)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		if i%2 == 0 {
			time.Sleep(2 * time.Millisecond) // let it end before it is watched
		}
		if err := w.Watch(res.Handle, func() { close(ended) }); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ended:
		case <-time.After(patience):
			t.Fatal("the end was not seen")
		}
		if e, done, err := res.Handle.Wait(false); err != nil || !done || e.Code() != i {
			t.Errorf("exit %+v, %v, %v; want status %d", e, done, err, i)
		}
		res.Handle.Close()
	}
}

// TestThreadsEnd: the forking threads end with the spawner.
func TestThreadsEnd(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		d, err := NewDirect(Options{Threads: 4})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// TestCloseUnderLoad: Close while others start programs neither hangs nor loses one.
func TestCloseUnderLoad(t *testing.T) {
	d := newDirect(t, Options{Threads: 2})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				res, err := d.Spawn(shell("exit 3"))
				if errors.Is(err, ErrClosed) {
					return
				}
				if err != nil {
					t.Errorf("Spawn: %v", err)
					return
				}
				if o := finish(t, res); o.Exit.Code() != 3 {
					t.Errorf("exit %+v", o.Exit)
				}
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

func TestRequestCodec(t *testing.T) {
	for _, r := range []*Request{
		{Path: "/bin/x", Argv: []string{"x"}, Env: []string{}, Umask: -1},
		{Path: "x", Argv: []string{"", "\xff\xfe", "a\nb"}, Env: []string{"A=", "B=\x01"}, Dir: "/d", Umask: 0o22, IgnoreSIGPIPE: true},
		{Path: "x", Argv: []string{"x"}, Env: []string{}, Cred: &Cred{UID: -5, GID: 1 << 40, Groups: []int{1, 2, 3}, Refused: "no"}},
	} {
		b := encode(r)
		got, err := decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, got); diff != "" {
			t.Error(diff)
		}
		for i := range b { // every truncation is noticed
			if _, err := decode(b[:i]); err == nil {
				t.Errorf("accepted %d of %d bytes", i, len(b))
			}
		}
		if _, err := decode(append(bytes.Clone(b), 'x')); err == nil {
			t.Error("accepted a longer request")
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(&Request{Path: "x", Argv: []string{"a", "b"}, Env: []string{"A=1"}, Cred: &Cred{UID: 1, GID: 2, Groups: []int{3}}}))
	f.Add([]byte(requestMagic + "\x00x\x00\x00-1\x00true\x0099999999999\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decode(b)
		if err != nil {
			return
		}
		back, err := decode(encode(r))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, back); diff != "" {
			t.Error(diff)
		}
	})
}

func BenchmarkSpawn(b *testing.B) {
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
			d := newDirect(b, Options{Threads: threads})
			for b.Loop() {
				benchThousand(b, d)
			}
		})
	}
}

// benchThousand starts 1,000 sleeping programs, which is what is measured, and ends them.
func benchThousand(b *testing.B, d Spawner) {
	const n, callers = 1000, 4
	results := make([]*Result, n)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := c; i < n; i += callers {
				r := request("/bin/sleep", "1000")
				r.Stderr = StdioMerge
				res, err := d.Spawn(r)
				if err != nil {
					b.Error(err)
					return
				}
				results[i] = res
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	for _, res := range results {
		if res == nil {
			continue
		}
		_ = res.Handle.Signal(int(unix.SIGKILL), model.ReachProcess)
		unix.Close(res.Stdout)
	}
	for _, res := range results {
		if res != nil {
			await(b, res.Handle)
			res.Handle.Close()
		}
	}
	b.StartTimer()
}
