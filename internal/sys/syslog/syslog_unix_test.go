//go:build unix

package syslog

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// listen is a log: a datagram socket.
func listen(t testing.TB, path string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func receive(t testing.TB, c *net.UnixConn) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1<<20)
	n, err := c.Read(b)
	if err != nil {
		t.Fatalf("nothing arrived: %v", err)
	}
	return string(b[:n])
}

func sender(t testing.TB, paths ...string) *Sender {
	t.Helper()
	at := time.Date(2026, 11, 2, 7, 5, 34, 0, time.Local)
	s := NewWith("supervisord", Options{Paths: paths, Now: func() time.Time { return at }})
	t.Cleanup(func() { s.Close() })
	return s
}

func TestForm(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	c := listen(t, path)
	s := sender(t, path)
	for line, want := range map[string]string{
		"sy l1":      "<14>Nov  2 07:05:34 supervisord: sy l1",
		"":           "<14>Nov  2 07:05:34 supervisord: ",
		"\xff%s ü":   "<14>Nov  2 07:05:34 supervisord: \xff%s ü",
		"two\nlines": "<14>Nov  2 07:05:34 supervisord: two\nlines",
	} {
		s.Send(line)
		if got := receive(t, c); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if s.Dropped() != 0 {
		t.Errorf("%d lines were dropped", s.Dropped())
	}
}

// TestReconnect: the log may appear late, go, and come back.
func TestReconnect(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "log"), filepath.Join(dir, "other")
	s := sender(t, path, other)
	s.Send("too early")
	if s.Dropped() != 1 {
		t.Errorf("%d dropped, want 1", s.Dropped())
	}
	for round := range 3 {
		c := listen(t, path)
		s.Send("here")
		if got := receive(t, c); !strings.HasSuffix(got, ": here") {
			t.Errorf("round %d: got %q", round, got)
		}
		c.Close()
		_ = os.Remove(path)
	}
	c := listen(t, other) // another of the known places
	s.Send("elsewhere")
	if got := receive(t, c); !strings.HasSuffix(got, ": elsewhere") {
		t.Errorf("got %q", got)
	}
	if s.Dropped() != 1 {
		t.Errorf("%d dropped, want 1", s.Dropped())
	}
}

// TestNeverBlocks: a log that does not read costs lines, not time.
func TestNeverBlocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	c := listen(t, path)
	s := sender(t, path)
	const n = 20000
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range n {
			s.Send("nobody reads this")
		}
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("Send blocks")
	}
	lost := s.Dropped()
	if lost == 0 || lost >= n {
		t.Fatalf("%d of %d lines were dropped", lost, n)
	}
	receive(t, c) // room again
	s.Send("after")
	if s.Dropped() != lost {
		t.Error("a line was dropped although there was room")
	}
}

func TestLongLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	c := listen(t, path)
	s := sender(t, path)
	s.Send(strings.Repeat("x", 1<<22))
	got := receive(t, c)
	if len(got) < shortest || strings.Trim(got[len("<14>Nov  2 07:05:34 supervisord: "):], "x") != "" {
		t.Errorf("%d bytes arrived, %.60q", len(got), got)
	}
	s.Send("next")
	if got := receive(t, c); !strings.HasSuffix(got, ": next") {
		t.Errorf("got %q", got)
	}
}

func TestConcurrentAndClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	c := listen(t, path)
	s := sender(t, path)
	go func() {
		b := make([]byte, 4096)
		for {
			if _, err := c.Read(b); err != nil {
				return
			}
		}
	}()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				s.Send("x")
			}
		})
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	before := s.Dropped()
	s.Send("late")
	if s.Dropped() != before+1 {
		t.Error("a line after Close was not counted")
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestDefaults(t *testing.T) {
	s := New("x")
	defer s.Close()
	s.Send("a line of upkeep's tests") // goes wherever this system logs, or is dropped
	if got := string(s.format("y")); !strings.HasPrefix(got, "<14>") || !strings.HasSuffix(got, " x: y") {
		t.Errorf("format %q", got)
	}
}
