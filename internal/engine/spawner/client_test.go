package spawner

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

// fake is a world in which makers are made and lost as told.
type fake struct {
	mu     sync.Mutex
	clock  time.Time
	makers []*fakeMaker
	fail   error   // of the next start
	says   []error // what the makers say, one after the other
	delays []time.Duration
	lines  []string
	wake   chan time.Time
}

type fakeMaker struct {
	f     *fake
	id    int
	say   error
	asked int
	lost  chan struct{}
	once  sync.Once
}

func (f *fake) world() world {
	return world{
		start: func(string, *spawn.Marks) (Maker, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.fail != nil {
				return nil, f.fail
			}
			m := &fakeMaker{f: f, id: len(f.makers) + 1, lost: make(chan struct{})}
			if n := len(f.makers); n < len(f.says) {
				m.say = f.says[n]
			}
			f.makers = append(f.makers, m)
			return m, nil
		},
		after: func(d time.Duration) <-chan time.Time {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.delays = append(f.delays, d)
			f.clock = f.clock.Add(d)
			return f.wake
		},
		now: func() time.Time {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.clock
		},
	}
}

func (f *fake) log(line string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lines = append(f.lines, line)
}

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// see polls for a state of the world.
func (f *fake) see(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		f.mu.Lock()
		seen := ok()
		f.mu.Unlock()
		if seen {
			return
		}
	}
	t.Fatalf("waited in vain for %s", what)
}

func (m *fakeMaker) Start(*spawn.Request) (*spawn.Result, error) {
	m.f.mu.Lock()
	defer m.f.mu.Unlock()
	m.asked++
	if m.say != nil {
		return nil, m.say
	}
	return &spawn.Result{PID: 1000 * m.id}, nil
}
func (m *fakeMaker) PID() int { return m.id }
func (m *fakeMaker) Wait() model.Exit {
	<-m.lost
	return model.Exit{Known: true, Signal: 9}
}
func (m *fakeMaker) Kill()    { m.once.Do(func() { close(m.lost) }) }
func (m *fakeMaker) Dismiss() { m.Kill() }

func fakeClient(t *testing.T, says ...error) (*Client, *fake) {
	t.Helper()
	f := &fake{clock: time.Unix(1e9, 0), wake: make(chan time.Time), says: says}
	c, err := newClient(Options{Log: f.log}, f.world())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, f
}

func blank() *spawn.Request {
	return &spawn.Request{Path: "/bin/true", Argv: []string{"true"}, Umask: -1}
}

// TestReplacement: a maker that is lost is replaced, soon after a long life, later after many short ones, and
// what is said is said once.
func TestReplacement(t *testing.T) {
	c, f := fakeClient(t)
	lose := func(n int, life time.Duration) {
		t.Helper()
		f.see(t, "a maker", func() bool { return len(f.makers) == n })
		f.set(func() { f.clock = f.clock.Add(life); f.makers[n-1].Kill() })
	}
	for n := 1; n <= 10; n++ {
		lose(n, 2*shortLife)
	}
	f.see(t, "the next", func() bool { return len(f.makers) == 11 })
	f.set(func() {
		if len(f.delays) != 0 || len(f.lines) != 10 {
			t.Errorf("after long lives: delays %v, lines %q", f.delays, f.lines)
		}
		f.lines = nil
	})
	for n := 11; n <= 11+freeLosses; n++ {
		lose(n, 0)
	}
	for range 12 { // short lives, each after a delay
		f.see(t, "a delay", func() bool { return len(f.delays) > 0 })
		n := 0
		f.set(func() { n = len(f.makers) })
		f.wake <- time.Time{}
		f.see(t, "the next", func() bool { return len(f.makers) == n+1 })
		was := 0
		f.set(func() { was = len(f.delays); f.makers[n].Kill() })
		f.see(t, "the next delay", func() bool { return len(f.delays) == was+1 })
	}
	f.set(func() {
		if !slices.IsSorted(f.delays) || f.delays[0] != firstDelay || f.delays[1] != 2*firstDelay || f.delays[len(f.delays)-1] != lastDelay {
			t.Errorf("delays %v", f.delays)
		}
	})
	// Meanwhile programs are started all the same.
	res, err := c.Spawn(blank())
	if err != nil {
		t.Fatal(err)
	}
	f.set(func() {
		if res.PID%1000 == 0 && res.PID <= 1000*len(f.makers) {
			t.Errorf("pid %d is of a maker that is gone", res.PID)
		}
	})
	reap(t, res)
}

// TestAttempts: what has certainly not begun is tried again; everything else is the answer.
func TestAttempts(t *testing.T) {
	other := &spawn.ForkError{Err: errors.New("x")}
	for _, tc := range []struct {
		name  string
		say   []error // of the makers one after the other
		asked []int
		err   error
		pid   int // 0 = started by the manager itself
	}{
		{name: "plain", say: []error{nil}, asked: []int{1}, pid: 1000},
		{name: "gone", say: []error{spawn.ErrGone, spawn.ErrGone, nil}, asked: []int{1, 1, 1}, pid: 3000},
		{name: "an error", say: []error{other}, asked: []int{1}, err: other},
		{name: "never", say: []error{spawn.ErrNobody}, asked: []int{attempts}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, f := fakeClient(t, tc.say...)
			done := make(chan struct{})
			var (
				res *spawn.Result
				err error
			)
			go func() {
				defer close(done)
				res, err = c.Spawn(blank())
			}()
			for n := range len(tc.say) - 1 {
				f.see(t, "an attempt", func() bool { return len(f.makers) > n && f.makers[n].asked > 0 })
				f.set(func() { f.clock = f.clock.Add(time.Hour); f.makers[n].Kill() })
			}
			<-done
			if !errors.Is(err, tc.err) {
				t.Fatalf("Spawn: %v, want %v", err, tc.err)
			}
			if err == nil && tc.pid != 0 && res.PID != tc.pid {
				t.Errorf("pid %d, want %d", res.PID, tc.pid)
			}
			if err == nil && tc.pid == 0 {
				reap(t, res)
			}
			var asked []int
			f.set(func() {
				for _, m := range f.makers {
					asked = append(asked, m.asked)
				}
			})
			if diff := cmp.Diff(tc.asked, asked); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// reap waits for a program that was started by ourselves.
func reap(t *testing.T, res *spawn.Result) {
	t.Helper()
	if res.Handle == nil {
		t.Fatal("not started by ourselves")
	}
	defer res.Handle.Close()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if _, done, err := res.Handle.Wait(false); done || err != nil {
			return
		}
	}
	t.Error("it has not ended")
}

// TestNone: without a maker the manager starts programs itself and says so once.
func TestNone(t *testing.T) {
	f := &fake{clock: time.Unix(1e9, 0), wake: make(chan time.Time), fail: errors.New("not today")}
	c, err := newClient(Options{Log: f.log}, f.world())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		res, err := c.Spawn(blank())
		if err != nil {
			t.Fatal(err)
		}
		reap(t, res)
		f.wake <- time.Time{}
	}
	f.see(t, "a delay", func() bool { return len(f.delays) == 4 })
	f.set(func() {
		want := []string{
			"the spawner is started again: not today", "the spawner is started again: not today",
			"the spawner is started again: not today", "programs are started without a spawner: not today",
		}
		if diff := cmp.Diff(want, f.lines); diff != "" {
			t.Error(diff)
		}
		f.fail, f.lines = nil, nil
	})
	f.wake <- time.Time{}
	f.see(t, "the good news", func() bool { return slices.Equal(f.lines, []string{"the spawner is back"}) })
	if res, err := c.Spawn(blank()); err != nil || res.PID != 1000 {
		t.Errorf("%+v, %v", res, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}

	f = &fake{fail: errors.ErrUnsupported}
	if c, err = newClient(Options{Log: f.log}, f.world()); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if res, err := c.Spawn(blank()); err != nil {
		t.Error(err)
	} else {
		reap(t, res)
	}
	if len(f.lines) != 0 {
		t.Errorf("a system without makers is no news: %q", f.lines)
	}
}
