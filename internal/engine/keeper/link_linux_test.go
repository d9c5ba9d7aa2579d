package keeper

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/sys/fdpass"
	wire "github.com/upkeep-project/upkeep/internal/wire/keeper"
)

// peer is the other end of a link, played by the test.
type peer struct {
	t    *testing.T
	conn *fdpass.Conn
	buf  []byte
}

// attach connects this process with a peer that hands items over.
func attach(t *testing.T, hello wire.Message, items ...wire.Message) (*Link, []Item, *peer) {
	t.Helper()
	conn, fd, err := fdpass.Pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	name := comm(os.Getpid())
	t.Cleanup(func() { _ = fdpass.SetName(name) })
	t.Setenv(linkVariable, strconv.Itoa(fd))
	p := &peer{t, conn, make([]byte, wire.MaxSize)}
	hello.Type = wire.Hello
	p.say(hello)
	for _, m := range items {
		p.say(m)
	}
	p.say(wire.Message{Type: wire.Done})
	l, got, err := Attach()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	if m := p.next(); m.Type != wire.Hello || m.PID != os.Getpid() || m.Version != wire.Version {
		t.Fatalf("%+v", m)
	}
	return l, got, p
}

func (p *peer) say(m wire.Message) {
	p.t.Helper()
	if err := p.conn.Send(m.Append(nil), nil); err != nil {
		p.t.Fatal(err)
	}
}

// next is the next message; its descriptors are closed and counted in Number.
func (p *peer) next() wire.Message {
	p.t.Helper()
	for {
		n, fds, err := p.conn.Recv(p.buf)
		if errors.Is(err, fdpass.ErrAgain) {
			if ok, err := p.conn.Wait(false, patience); !ok || err != nil {
				p.t.Fatalf("nothing comes: %v", err)
			}
			continue
		}
		if err != nil {
			p.t.Fatal(err)
		}
		fdpass.CloseAll(fds)
		m, err := wire.Parse(p.buf[:n])
		if err != nil {
			p.t.Fatal(err)
		}
		if m.Type == wire.Hold || m.Type == wire.Bind {
			m.Number = uint64(len(fds))
		}
		return m
	}
}

// TestFullLink: a keeper that does not read delays Bind and nothing else, loses nothing, and gets the
// descriptors that were open at the time of the call.
func TestFullLink(t *testing.T) {
	l, _, p := attach(t, wire.Message{PID: 1})
	const n = 2000
	note := make([]byte, 32<<10)
	before := fdCount(t, os.Getpid())
	for i := range n {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Hold(Item{Key: strconv.Itoa(i), Note: note, Roles: "x", FDs: []int{fd}}); err != nil {
			t.Fatal(err)
		}
		unix.Close(fd)
	}
	bound := make(chan error, 1)
	go func() { bound <- l.Bind("b", 5, 0) }()
	select {
	case err := <-bound:
		t.Fatalf("bound while there is no room: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	for i := range n {
		if m := p.next(); m.Type != wire.Hold || m.Key != strconv.Itoa(i) || len(m.Note) != len(note) || m.Number != 1 {
			t.Fatalf("%d: %+v", i, m)
		}
	}
	if m := p.next(); m.Type != wire.Bind || m.PID != 5 || m.Number != 1 {
		t.Fatalf("%+v", m)
	}
	if err := <-bound; err != nil {
		t.Error(err)
	}
	until(t, "duplicates are closed", func() bool { return fdCount(t, os.Getpid()) <= before })
}

// TestCloseEndsWaits: whoever waits for a keeper that takes nothing is let go.
func TestCloseEndsWaits(t *testing.T) {
	l, _, _ := attach(t, wire.Message{PID: 1})
	for range 1000 {
		if err := l.Note("k", make([]byte, 32<<10)); err != nil {
			t.Fatal(err)
		}
	}
	bound := make(chan error, 1)
	go func() { bound <- l.Bind("b", 5, -1) }()
	until(t, "it waits", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.queue) > 0 && len(l.queue[len(l.queue)-1].msg) < 100
	})
	l.Serve(Events{Lost: func(err error) { t.Errorf("lost: %v", err) }})
	l.Close()
	l.Close()
	if err := <-bound; !errors.Is(err, ErrLost) {
		t.Error(err)
	}
	if err := l.Drop("k"); !errors.Is(err, ErrLost) {
		t.Error(err)
	}
}

// TestEvents: every message becomes its event, in order; what a newer keeper says besides is ignored.
func TestEvents(t *testing.T) {
	l, items, p := attach(t,
		wire.Message{PID: 77, Safe: true, Text: "why", Last: "signal 9", Path: "/x"},
		wire.Message{Type: 250, Key: "?"},
		wire.Message{Type: wire.Item, Key: "a", Note: []byte("n"), Roles: "ip", PID: 3, Ended: true, Raw: 256})
	if l.KeeperPID() != 77 || !l.Safe() || l.RolledBack() != "why" || l.Previous() != "signal 9" {
		t.Errorf("%+v", l.hello)
	}
	// Descriptors that did not come are marked.
	if len(items) != 1 || fmt.Sprint(items[0]) != "{a [110] ip [-1 -1] 3 true 256}" {
		t.Errorf("%v", items)
	}
	told := make(chan string, 100)
	var reply func()
	l.Serve(Events{
		Exit:    func(key string, raw uint32) { told <- fmt.Sprint("exit ", key, raw) },
		Orphans: func(n, pid int, raw uint32) { told <- fmt.Sprint("orphans ", n, pid, raw) },
		Signal:  func(n int) { told <- fmt.Sprint("signal ", n) },
		Leave:   func() { told <- "leave" },
		Refused: func(key string, err error) { told <- fmt.Sprint("refused ", key, err) },
		Alive:   func(r func()) { reply = r; told <- "alive" },
		Lost:    func(err error) { told <- fmt.Sprint("lost ", errors.Is(err, ErrLost)) },
	})
	p.say(wire.Message{Type: wire.Exit, Key: "k", Raw: 9})
	p.say(wire.Message{Type: 251})
	if err := p.conn.Send([]byte{byte(wire.Exit), 3}, nil); err != nil { // malformed
		t.Fatal(err)
	}
	p.say(wire.Message{Type: wire.Orphans, Number: 4, PID: 5, Raw: 6})
	p.say(wire.Message{Type: wire.Signal, Number: 15})
	p.say(wire.Message{Type: wire.Leave})
	p.say(wire.Message{Type: wire.Refused, Key: "r", Text: "no"})
	p.say(wire.Message{Type: wire.Ping, Number: 8})
	for _, want := range []string{"exit k9", "orphans 4 5 6", "signal 15", "leave", "refused rno", "alive"} {
		if got := <-told; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if m := p.next(); m.Type != wire.Obeyed || m.Number != 15 {
		t.Errorf("%+v", m)
	}
	reply()
	reply()
	if m := p.next(); m.Type != wire.Pong || m.Number != 8 {
		t.Errorf("%+v", m)
	}
	p.conn.Shutdown()
	if got := <-told; got != "lost true" {
		t.Error(got)
	}
	if err := l.Ready(); !errors.Is(err, ErrLost) {
		t.Error(err)
	}
}

// TestAttachFails: a keeper that goes away, or refuses, leaves nothing behind.
func TestAttachFails(t *testing.T) {
	for _, last := range []*wire.Message{nil, {Type: wire.Refused, Text: "no"}, {Type: wire.Done}} {
		before := fdCount(t, os.Getpid())
		conn, fd, err := fdpass.Pair()
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv(linkVariable, strconv.Itoa(fd))
		m := wire.Message{Type: wire.Item, Key: "k", Roles: "x"}
		if err := conn.Send(m.Append(nil), []int{0}); err != nil {
			t.Fatal(err)
		}
		if last != nil {
			if err := conn.Send(last.Append(nil), nil); err != nil {
				t.Fatal(err)
			}
		}
		conn.Shutdown()
		if l, items, err := Attach(); l != nil || items != nil || err == nil {
			t.Errorf("%v, %v, %v", l, items, err)
		}
		conn.Close()
		if after := fdCount(t, os.Getpid()); after != before {
			t.Errorf("%d descriptors, want %d", after, before)
		}
	}
}

// TestHungKeeper: a keeper that is stopped is killed, and its manager takes its place.
func TestHungKeeper(t *testing.T) {
	tm := quick()
	tm.PingEvery, tm.HangAfter = 100*time.Millisecond, 4*time.Second
	r := newRig(t, rigOptions{Timings: tm})
	m := r.manager()
	m.do(order{Do: "ready", Argv: []string{"become", "quick"}})
	want := m.do(order{Do: "hold", Key: "h", Roles: "x", Count: 3}).Items
	if err := unix.Kill(m.KeeperPID, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	next := r.manager()
	if next.KeeperPID != m.PID || len(next.Items) != len(want) {
		t.Errorf("%+v", next.event)
	}
	if status := r.end(); status != -9 {
		t.Errorf("the keeper ended with %d", status)
	}
}
