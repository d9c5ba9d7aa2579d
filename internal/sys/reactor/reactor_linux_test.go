package reactor

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// eachBackend runs a test on the system's backend and on the portable one.
func eachBackend(t *testing.T, o Options, test func(t *testing.T, r *Reactor)) {
	t.Helper()
	t.Run("system", func(t *testing.T) {
		r, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		test(t, r)
	})
	t.Run("portable", func(t *testing.T) {
		r := &Reactor{be: newGoBackend(openUnixWaiter), timers: newTimers()}
		defer r.Close()
		test(t, r)
	})
	t.Run("crew", func(t *testing.T) {
		r, _ := crewed(t, o)
		defer r.Close()
		test(t, r)
	})
}

func pipePair(t *testing.T) (r, w int) {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(p[0]); unix.Close(p[1]) })
	return p[0], p[1]
}

func write(t *testing.T, fd int, s string) {
	t.Helper()
	if _, err := unix.Write(fd, []byte(s)); err != nil {
		t.Error(err)
	}
}

// until polls for a condition with a deadline.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timed out: %s", what)
		}
	}
}

func TestOneShot(t *testing.T) {
	eachBackend(t, Options{}, func(t *testing.T, r *Reactor) {
		rd, wr := pipePair(t)
		var calls atomic.Int32
		ran := make(chan struct{}, 10)
		g, err := r.Register(rd, Readable, func() { calls.Add(1); ran <- struct{}{} })
		if err != nil {
			t.Fatal(err)
		}
		if n := calls.Load(); n != 0 {
			t.Fatalf("ran %d times on an empty pipe", n)
		}
		write(t, wr, "a")
		<-ran
		write(t, wr, "b")
		// Disarmed: a second registration of another pipe shows that events do get through meanwhile.
		rd2, wr2 := pipePair(t)
		other := make(chan struct{})
		g2, err := r.Register(rd2, Readable, func() { close(other) })
		if err != nil {
			t.Fatal(err)
		}
		write(t, wr2, "x")
		<-other
		g2.Close()
		if n := calls.Load(); n != 1 {
			t.Fatalf("ran %d times, want 1 while disarmed", n)
		}
		g.Arm() // data are still there: runs at once
		<-ran
		g.Close()
		g.Arm()
		if n := calls.Load(); n != 2 {
			t.Fatalf("ran %d times, want 2", n)
		}
	})
}

func TestArmInsideFunctionNeverOverlaps(t *testing.T) {
	eachBackend(t, Options{Workers: 4}, func(t *testing.T, r *Reactor) {
		rd, wr := pipePair(t)
		var inside, calls atomic.Int32
		var overlap atomic.Bool
		ready := make(chan struct{})
		var g *Registration
		g, err := r.Register(rd, Readable, func() {
			<-ready
			g.Arm() // readable all the time
			if inside.Add(1) != 1 {
				overlap.Store(true)
			}
			time.Sleep(100 * time.Microsecond)
			calls.Add(1)
			inside.Add(-1)
		})
		if err != nil {
			t.Fatal(err)
		}
		close(ready)
		write(t, wr, "a")
		until(t, "200 calls", func() bool { return calls.Load() >= 200 })
		g.Close()
		if overlap.Load() {
			t.Error("the function ran twice at once")
		}
	})
}

func TestArmAfter(t *testing.T) {
	eachBackend(t, Options{}, func(t *testing.T, r *Reactor) {
		rd, wr := pipePair(t)
		ran := make(chan time.Time, 4)
		g, err := r.Register(rd, Readable, func() { ran <- time.Now() })
		if err != nil {
			t.Fatal(err)
		}
		write(t, wr, "a")
		<-ran
		const d = 30 * time.Millisecond
		from := time.Now()
		g.ArmAfter(d)
		if got := (<-ran).Sub(from); got < d {
			t.Errorf("ran after %v, want at least %v", got, d)
		}
		g.ArmAfter(time.Hour)
		g.Arm() // replaces the hour
		<-ran
		g.ArmAfter(time.Hour)
		g.Close()
		r.timers.mu.Lock()
		n := r.timers.queue.Len()
		r.timers.mu.Unlock()
		if n != 0 {
			t.Errorf("%d timers are left behind by Close", n)
		}
	})
}

func TestRunAfterNeedsNoReadiness(t *testing.T) {
	eachBackend(t, Options{}, func(t *testing.T, r *Reactor) {
		rd, wr := pipePair(t)
		ran := make(chan time.Time, 100)
		g, err := r.Register(rd, Readable, func() { ran <- time.Now() })
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		g.RunAfter(0) // armed, and nothing to read
		<-ran
		const d = 20 * time.Millisecond
		from := time.Now()
		g.RunAfter(d)
		if got := (<-ran).Sub(from); got < d {
			t.Errorf("ran after %v, want at least %v", got, d)
		}
		g.Arm()
		write(t, wr, "a")
		<-ran
		g.RunAfter(time.Hour)
		g.RunAfter(0)
		<-ran
	})
}

// Many kicks at once reach everybody.
func TestManyKicks(t *testing.T) {
	eachBackend(t, Options{}, func(t *testing.T, r *Reactor) {
		var calls [50]atomic.Int32
		var regs [50]*Registration
		for i := range calls {
			rd, _ := pipePair(t)
			g, err := r.Register(rd, Readable, func() { calls[i].Add(1) })
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			regs[i] = g
		}
		for round := range int32(20) {
			for _, g := range regs {
				g.RunAfter(0)
			}
			for i := range calls {
				until(t, "a kicked function to run", func() bool { return calls[i].Load() > round })
			}
		}
	})
}

func TestWritable(t *testing.T) {
	eachBackend(t, Options{}, func(t *testing.T, r *Reactor) {
		rd, wr := pipePair(t)
		_ = unix.SetNonblock(wr, true)
		junk := make([]byte, 4096)
		for {
			if _, err := unix.Write(wr, junk); err != nil {
				break
			}
		}
		ran := make(chan struct{}, 1)
		g, err := r.Register(wr, Writable, func() { ran <- struct{}{} })
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		select {
		case <-ran:
			t.Fatal("a full pipe was called writable")
		default:
		}
		if _, err := unix.Read(rd, junk); err != nil {
			t.Fatal(err)
		}
		<-ran
	})
}

func TestEndOfPipe(t *testing.T) {
	eachBackend(t, Options{}, func(t *testing.T, r *Reactor) {
		var p [2]int
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		defer unix.Close(p[0])
		ran := make(chan struct{}, 1)
		g, err := r.Register(p[0], Readable, func() { ran <- struct{}{} })
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		unix.Close(p[1])
		<-ran
	})
}

func TestRefusals(t *testing.T) {
	r, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(t.TempDir() + "/regular")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := r.Register(int(f.Fd()), Readable, func() {}); !errors.Is(err, unix.EPERM) {
		t.Errorf("regular file: %v, want EPERM", err)
	}
	if _, err := r.Register(1<<20, Readable, func() {}); !errors.Is(err, unix.EBADF) {
		t.Errorf("bad descriptor: %v, want EBADF", err)
	}
	rd, _ := pipePair(t)
	g, err := r.Register(rd, Readable, func() {})
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	r.Close()
	if _, err := r.Register(rd, Readable, func() {}); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
	g.Arm()
	g.ArmAfter(time.Millisecond)
	g.Close()
}

// A function that blocks must not keep others from running, up to the bound, and the extra workers go
// away afterwards.
func TestBlockedFunctions(t *testing.T) {
	r, err := New(Options{Workers: 2, MaxWorkers: blockedBound})
	if err != nil {
		t.Fatal(err)
	}
	blockedFunctions(t, r, &r.be.(*epollBackend).workers)
}

// blockedBound is how many workers blockedFunctions expects at the most, two of which are always there.
const blockedBound = 5

func blockedFunctions(t *testing.T, r *Reactor, w *workers) {
	t.Helper()
	const bound = blockedBound
	defer r.Close()
	release := make(chan struct{})
	var inside atomic.Int32
	for range bound - 1 {
		rd, wr := pipePair(t)
		g, err := r.Register(rd, Readable, func() { inside.Add(1); <-release })
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		write(t, wr, "x")
	}
	until(t, "all to block", func() bool { return inside.Load() == bound-1 })
	rd, wr := pipePair(t)
	ran := make(chan struct{})
	g, err := r.Register(rd, Readable, func() { close(ran) })
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	write(t, wr, "x")
	<-ran
	w.mu.Lock()
	if w.total > bound {
		t.Errorf("%d workers, bound %d", w.total, bound)
	}
	w.mu.Unlock()
	close(release)
	until(t, "extra workers to end", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.total <= 3 && w.idle == w.total
	})
}

// Registrations come and go on re-used descriptor numbers while events are under way: no function may
// see the event of another.
func TestChurn(t *testing.T) {
	r, err := New(Options{Workers: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 500 {
				var p [2]int
				if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
					t.Error(err)
					return
				}
				var closed atomic.Bool
				ran := make(chan struct{}, 1)
				g, err := r.Register(p[0], Readable, func() {
					if closed.Load() {
						t.Error("ran after Close")
					}
					var b [8]byte
					if n, err := unix.Read(p[0], b[:]); n != 1 {
						t.Errorf("woken without data: %d, %v", n, err)
					}
					ran <- struct{}{}
				})
				if err != nil {
					t.Error(err)
					return
				}
				write(t, p[1], "x")
				<-ran
				g.Close()
				closed.Store(true)
				unix.Close(p[0])
				unix.Close(p[1])
			}
		}()
	}
	wg.Wait()
	if n := len(r.be.(*epollBackend).slots); n > 4 {
		t.Errorf("%d slots for 4 registrations at a time", n)
	}
}

func BenchmarkEvent(b *testing.B) {
	r, err := New(Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		b.Fatal(err)
	}
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	ran := make(chan struct{})
	var buf [1]byte
	g, err := r.Register(p[0], Readable, func() { _, _ = unix.Read(p[0], buf[:]); ran <- struct{}{} })
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		_, _ = unix.Write(p[1], buf[:])
		<-ran
		g.Arm()
	}
	g.Close()
}
