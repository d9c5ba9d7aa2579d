package notified

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain plays a program that sends its arguments, and waits for a barrier when it is to.
func TestMain(m *testing.M) {
	if os.Getenv("NOTIFIED_TEST") == "" {
		os.Exit(m.Run())
	}
	conn, err := net.Dial("unixgram", os.Getenv(Variable))
	if err != nil {
		os.Exit(1)
	}
	if _, err := conn.Write([]byte(os.Getenv("NOTIFIED_TEST"))); err != nil {
		os.Exit(2)
	}
}

// rig is a socket and what is heard of it.
type rig struct {
	*Socket
	heard chan Message
	end   context.CancelFunc
	over  chan error
}

func place(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ntf") // short: the path of a socket is limited
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func run(t *testing.T, s *Socket) *rig {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &rig{Socket: s, heard: make(chan Message, 100), end: cancel, over: make(chan error, 1)}
	go func() { r.over <- s.Run(ctx, func(m Message) { r.heard <- m }) }()
	t.Cleanup(cancel)
	return r
}

func (r *rig) next(t *testing.T) Message {
	t.Helper()
	select {
	case m := <-r.heard:
		return m
	case <-time.After(30 * time.Second):
		t.Fatal("nothing was heard")
		return Message{}
	}
}

func TestSocket(t *testing.T) {
	path := place(t)
	if err := os.WriteFile(path, nil, 0o600); err != nil { // something is left there
		t.Fatal(err)
	}
	s, err := Listen(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	r := run(t, s)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "NOTIFIED_TEST=READY=1\nPID=1", Variable+"="+s.Path())
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if m := r.next(t); !m.Ready || m.PID != cmd.Process.Pid || m.UID != os.Getuid() {
		t.Errorf("%+v of %d", m, cmd.Process.Pid)
	}
	conn, err := net.Dial("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(make([]byte, maxMessage+1)); err != nil { // too long: ignored
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("STATUS=here")); err != nil {
		t.Fatal(err)
	}
	if m := r.next(t); m.Status != "here" || m.PID != os.Getpid() {
		t.Errorf("%+v", m)
	}
	r.end()
	if err := <-r.over; err != nil {
		t.Error(err)
	}
	if err := s.Close(false); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the path is still there: %v", err)
	}
}

// TestBarrier: descriptors that come along are closed when the message was heard, and none of them stays.
func TestBarrier(t *testing.T) {
	s, err := Listen(place(t), true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(false)
	r := run(t, s)
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.Path(), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	rights := unix.UnixRights(int(write.Fd()), int(write.Fd()), int(write.Fd()))
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var sent error
	if err := raw.Write(func(fd uintptr) bool {
		sent = unix.Sendmsg(int(fd), []byte("READY=1\nBARRIER=1"), rights, nil, 0)
		return true
	}); err != nil || sent != nil {
		t.Fatal(err, sent)
	}
	write.Close()
	if m := r.next(t); !m.Ready {
		t.Errorf("%+v", m)
	}
	if err := read.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := read.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d, %v: the other end is still open", n, err)
	}
}

// TestSlowClose: a descriptor that takes its time to be closed holds up no other message.
func TestSlowClose(t *testing.T) {
	s, err := Listen(place(t), true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(false)
	r := run(t, s)
	conn, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(conn)
	to := &unix.SockaddrUnix{Name: s.Path()}
	for range 3 {
		slow := lingering(t)
		if err := unix.Sendmsg(conn, []byte("STATUS=slow"), unix.UnixRights(slow), to, 0); err != nil {
			t.Fatal(err)
		}
		unix.Close(slow) // the last one is the receiver's
	}
	if err := unix.Sendmsg(conn, []byte("READY=1"), nil, to, 0); err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		if m := r.next(t); m.Ready {
			break
		} else if n == 3 {
			t.Fatalf("%+v", m)
		}
	}
}

// lingering is a connection whose close waits for five minutes, as nobody reads what was sent.
func lingering(t *testing.T) int {
	t.Helper()
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(l) })
	if err := errors.Join(unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(l, 1)); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(l)
	if err != nil {
		t.Fatal(err)
	}
	c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(c, at); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptLinger(c, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 300}); err != nil {
		t.Fatal(err)
	}
	for text := make([]byte, 1<<20); ; { // until nothing more goes in
		if _, err := unix.SendmsgN(c, text, nil, nil, unix.MSG_DONTWAIT); err != nil {
			if !errors.Is(err, unix.EAGAIN) {
				t.Fatal(err)
			}
			return c
		}
	}
}

// TestAdopt: what was sent while nobody read is heard by who goes on with the socket.
func TestAdopt(t *testing.T) {
	path := place(t)
	s, err := Listen(path, false)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := s.Descriptor()
	if err != nil {
		t.Fatal(err)
	}
	held, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(true); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("READY=1")); err != nil {
		t.Fatal(err)
	}
	next, err := Adopt(held, path)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close(false)
	if m := run(t, next).next(t); !m.Ready || m.PID != os.Getpid() {
		t.Errorf("%+v", m)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	other, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Adopt(other, path); err == nil {
		t.Error("a socket that nobody can reach was adopted")
	}
}

// TestFlood: more than one burst comes through, in order.
func TestFlood(t *testing.T) {
	s, err := Listen(place(t), false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(false)
	r := run(t, s)
	go func() {
		conn, err := net.Dial("unixgram", s.Path())
		if err != nil {
			return
		}
		defer conn.Close()
		for range 2 * burst {
			_, _ = conn.Write([]byte("WATCHDOG=1"))
		}
		_, _ = conn.Write([]byte("STOPPING=1"))
	}()
	for n := 0; ; n++ {
		if m := r.next(t); m.Stopping {
			if n != 2*burst {
				t.Errorf("%d messages before the last", n)
			}
			return
		}
	}
}
