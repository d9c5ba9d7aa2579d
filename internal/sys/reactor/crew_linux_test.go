package reactor

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// epollPoller is a poller on this system, so that the crew can be tried here.
type epollPoller struct{ ep, bell int }

func newEpollPoller(t *testing.T) *epollPoller {
	t.Helper()
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	p := &epollPoller{ep, bell}
	// Edge-triggered: like a user event with EV_CLEAR.
	if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, bell, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: woken}); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *epollPoller) ctl(op int, fd int32, ev Events) error {
	e := unix.EpollEvent{Events: unix.EPOLLONESHOT, Fd: fd}
	if ev&Readable != 0 {
		e.Events |= unix.EPOLLIN
	}
	if ev&Writable != 0 {
		e.Events |= unix.EPOLLOUT
	}
	return unix.EpollCtl(p.ep, op, int(fd), &e)
}

func (p *epollPoller) add(fd int32, ev Events) error { return p.ctl(unix.EPOLL_CTL_ADD, fd, ev) }
func (p *epollPoller) arm(fd int32, ev Events)       { _ = p.ctl(unix.EPOLL_CTL_MOD, fd, ev) }
func (p *epollPoller) remove(fd int32, ev Events)    { _ = p.ctl(unix.EPOLL_CTL_DEL, fd, ev) }
func (p *epollPoller) wake()                         { signal(p.bell) }

func (p *epollPoller) wait() (int32, error) {
	var ev [1]unix.EpollEvent
	for {
		n, err := unix.EpollWait(p.ep, ev[:], -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return 0, err
		}
		if n == 1 {
			return ev[0].Fd, nil
		}
	}
}

func (p *epollPoller) close() {
	unix.Close(p.ep)
	unix.Close(p.bell)
}

// crewed is a reactor on a crew.
func crewed(t *testing.T, o Options) (*Reactor, *crew) {
	t.Helper()
	o.Workers = max(o.Workers, 1)
	o.MaxWorkers = max(o.MaxWorkers, o.Workers)
	tm := newTimers()
	c := newCrew(newEpollPoller(t), o, tm)
	return &Reactor{be: c, timers: tm}, c
}

func TestCrewAddsWorkersWhenAllAreStuck(t *testing.T) {
	r, c := crewed(t, Options{Workers: 2, MaxWorkers: blockedBound})
	blockedFunctions(t, r, &c.workers)
}

// Registrations come and go on re-used descriptor numbers: no function may see the event of another.
func TestCrewChurn(t *testing.T) {
	r, c := crewed(t, Options{Workers: 4})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				churnOnce(t, r)
			}
		})
	}
	wg.Wait()
	if n := len(c.regs); n != 0 {
		t.Errorf("%d registrations are left", n)
	}
	r.Close()
}

func churnOnce(t *testing.T, r *Reactor) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Error(err)
		return
	}
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	ran := make(chan struct{}, 1)
	g, err := r.Register(p[0], Readable, func() {
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
	if _, err := unix.Write(p[1], []byte("x")); err != nil {
		t.Error(err)
	}
	<-ran
	g.Close()
}

// script is a poller that says what it is told to, one answer for each wait, and notes what is asked of it.
type script struct {
	events chan int32
	mu     sync.Mutex
	did    []string
}

func (s *script) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.did = append(s.did, what)
}

func (s *script) has(what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.did, what)
}

func (s *script) add(int32, Events) error { s.note("add"); return nil }
func (s *script) arm(int32, Events)       { s.note("arm") }
func (s *script) remove(int32, Events)    { s.note("remove") }
func (s *script) close()                  { s.note("close") }
func (s *script) wake()                   { s.events <- woken }
func (s *script) wait() (int32, error)    { return <-s.events, nil }

// The event of a former owner of a descriptor number comes after a new one has registered it: the new one does not run,
// and is armed again. What came before the wait began is believed without a look.
func TestCrewStaleEvent(t *testing.T) {
	s := &script{events: make(chan int32, 100)}
	tm := newTimers()
	c := newCrew(s, Options{Workers: 1, MaxWorkers: 1}, tm)
	r := &Reactor{be: c, timers: tm}
	until(t, "the worker to wait", func() bool { // it has noted the newest registration: there is none
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.idle == 1
	})
	empty, _ := pipePair(t)
	ran := make(chan struct{}, 10)
	g, err := r.Register(empty, Readable, func() { ran <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	if _, quit := c.enter(int32(empty), 0); quit || !s.has("arm") {
		t.Error("a stale event was believed")
	}
	c.leave()
	if got, _ := c.enter(int32(empty), g.id); got != g {
		t.Error("an event of an old registration was not believed")
	}
	c.leave()
	if got, _ := c.enter(int32(empty)+100, g.id); got != nil {
		t.Error("an event of nobody was believed")
	}
	c.leave()
	select {
	case <-ran:
		t.Error("it ran")
	default:
	}
	if _, err := r.Register(empty, Writable, func() {}); !errors.Is(err, unix.EEXIST) {
		t.Errorf("a second registration of a descriptor: %v", err)
	}
	r.Close()
	if !s.has("close") {
		t.Error("the poller was not closed")
	}
}

// Kicks of many come through with one wake under way at a time.
func TestCrewKicks(t *testing.T) {
	s := &script{events: make(chan int32, 1000)}
	tm := newTimers()
	c := newCrew(s, Options{Workers: 3, MaxWorkers: 3}, tm)
	r := &Reactor{be: c, timers: tm}
	defer r.Close()
	var ran [100]atomic.Int32
	for i := range ran {
		g, err := r.Register(1000+i, Readable, func() { ran[i].Add(1) })
		if err != nil {
			t.Fatal(err)
		}
		g.RunAfter(0)
	}
	for i := range ran {
		until(t, "a kicked function to run", func() bool { return ran[i].Load() == 1 })
	}
}
