package reactor

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestPauseIsNotWatched: while a registration waits for its time nothing hangs on the descriptor that each write would
// have to call on; afterwards it is watched as before, and its end is seen.
func TestPauseIsNotWatched(t *testing.T) {
	r, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	rd, wr := pipePair(t)
	ran := make(chan struct{}, 100)
	regs := make(chan *Registration, 1)
	g, err := r.Register(rd, Readable, func() {
		ran <- struct{}{}
		g := <-regs
		regs <- g
		g.ArmAfter(time.Hour)
	})
	if err != nil {
		t.Fatal(err)
	}
	regs <- g
	watched := func() bool {
		text, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", r.be.(*epollBackend).fd))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(text), "\n") {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "tfd:" && f[1] == fmt.Sprint(rd) {
				return true
			}
		}
		return false
	}
	if !watched() {
		t.Fatal("not watched from the beginning")
	}
	for _, again := range []func(){func() { g.ArmAfter(time.Millisecond) }, g.Arm, func() { g.RunAfter(0) }} {
		write(t, wr, "x")
		<-ran
		until(t, "a pause", func() bool { return !watched() })
		again()
	}
	<-ran // the kick, though something is there
	until(t, "a pause", func() bool { return !watched() })
	var b [8]byte
	if n, err := unix.Read(rd, b[:]); n != 3 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	g.Arm()
	if !watched() {
		t.Error("not watched after a pause")
	}
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(null)
	if err := unix.Dup3(null, wr, unix.O_CLOEXEC); err != nil { // the end of the pipe
		t.Fatal(err)
	}
	<-ran
}

// full is a backend that has no room to watch a descriptor for a few times.
type full struct {
	backend
	refuse int
	armed  chan struct{}
}

func (f *full) add(*Registration) error { return nil }
func (f *full) pause(*Registration)     {}
func (f *full) close()                  {}

func (f *full) arm(*Registration) error {
	if f.refuse--; f.refuse >= 0 {
		return unix.ENOSPC
	}
	close(f.armed)
	return nil
}

// TestNoRoomAfterPause: a descriptor that cannot be watched again is not forgotten.
func TestNoRoomAfterPause(t *testing.T) {
	be := &full{refuse: 3, armed: make(chan struct{})}
	r := &Reactor{be: be, timers: newTimers()}
	defer r.Close()
	g, err := r.Register(0, Readable, func() {})
	if err != nil {
		t.Fatal(err)
	}
	g.run()
	g.ArmAfter(time.Millisecond)
	<-be.armed
}
