package reactor

import (
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ready is a descriptor that is always readable.
func ready(t *testing.T) int {
	t.Helper()
	fd, err := unix.Eventfd(1, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// TestKicksDoNotWaitForEverybody: with many descriptors that are always ready, those who ask to run at once do so every
// second time, instead of one of them each round.
func TestKicksDoNotWaitForEverybody(t *testing.T) {
	r, err := New(Options{Workers: 1, MaxWorkers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	const busy, urgent = 100, 50
	var steps atomic.Int64
	for range busy {
		regs := make(chan *Registration, 1)
		g, err := r.Register(ready(t), Readable, func() {
			steps.Add(1)
			g := <-regs
			regs <- g
			g.Arm()
		})
		if err != nil {
			t.Fatal(err)
		}
		regs <- g
	}
	done := make(chan int64, urgent)
	var kicked []*Registration
	for range urgent {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		g, err := r.Register(fd, Readable, func() { done <- steps.Load() })
		if err != nil {
			t.Fatal(err)
		}
		kicked = append(kicked, g)
	}
	inside, free := make(chan struct{}), make(chan struct{})
	var from int64
	gate, err := r.Register(ready(t), Readable, func() {
		close(inside)
		<-free
		from = steps.Load()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer gate.Close()
	<-inside // the only worker; so nothing runs while the kicks are handed out
	for _, g := range kicked {
		g.RunAfter(0)
	}
	close(free)
	var last int64
	for range urgent {
		select {
		case n := <-done:
			last = max(last, n)
		case <-time.After(30 * time.Second):
			t.Fatal("it was not run")
		}
	}
	r.Close()
	if n := last - from; n > 2*urgent {
		t.Errorf("%d others ran before %d had run that asked to", n, urgent)
	}
}
