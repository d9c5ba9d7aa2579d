//go:build unix

package socket

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

func open(t *testing.T, s *model.SocketSpec) *Socket {
	t.Helper()
	out, err := Open(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.Close)
	return out
}

func local(t *testing.T, name string) *model.SocketSpec {
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &model.SocketSpec{URL: "unix://" + filepath.Join(dir, name), Mode: 0o700}
}

func path(s *model.SocketSpec) string { return strings.TrimPrefix(s.URL, "unix://") }

// waits connects and reports whether somebody listens.
func waits(t *testing.T, network, address string) bool {
	t.Helper()
	c, err := net.Dial(network, address)
	if err == nil {
		c.Close()
	}
	return err == nil
}

func TestUnix(t *testing.T) {
	spec := local(t, "x.sock")
	spec.Mode, spec.Owner, spec.Backlog = 0o642, &model.Owner{UID: os.Getuid(), GID: -1}, 3
	s := open(t, spec)
	info, err := os.Lstat(path(spec))
	if err != nil || info.Mode() != fs.ModeSocket|0o642 {
		t.Fatal(info, err)
	}
	if flags, err := unix.FcntlInt(s.File().Fd(), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
		t.Errorf("it does not block: %x, %v", flags, err)
	}
	if !Listens(s.File()) || !waits(t, "unix", path(spec)) {
		t.Error("nobody listens")
	}
	if rest, _ := os.ReadDir(filepath.Dir(path(spec))); len(rest) != 1 {
		t.Errorf("something is left: %v", rest)
	}
	s.Close()
	if _, err := os.Lstat(path(spec)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file stays: %v", err)
	}
}

// A connection that waits at an inherited socket is accepted after the socket was adjusted and adopted.
func TestAdjustAndAdopt(t *testing.T) {
	spec := local(t, "x.sock")
	s := open(t, spec)
	c, err := net.Dial("unix", path(spec))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	other := *spec
	other.Mode, other.Backlog = 0o777, 7
	if err := s.Adjust(&other); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path(spec)); err != nil || info.Mode().Perm() != 0o777 {
		t.Error(info, err)
	}
	fd, err := syscall.Dup(int(s.File().Fd()))
	if err != nil {
		t.Fatal(err)
	}
	again := Adopt(os.NewFile(uintptr(fd), "x"), spec.URL)
	conn, _, err := syscall.Accept(int(again.File().Fd()))
	if err != nil {
		t.Fatal(err)
	}
	syscall.Close(conn)
	again.Close()
	if _, err := os.Lstat(path(spec)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file stays: %v", err)
	}
}

// A socket takes the place of an older one, which leaves the newer one's file alone when it is closed.
func TestReplaces(t *testing.T) {
	spec := local(t, "x.sock")
	first := open(t, spec)
	second := open(t, spec)
	first.Close()
	if !waits(t, "unix", path(spec)) {
		t.Error("nobody listens")
	}
	second.Close()
	if waits(t, "unix", path(spec)) {
		t.Error("somebody listens")
	}
}

func TestLongPath(t *testing.T) {
	spec := local(t, strings.Repeat("a", 60))
	dir := filepath.Join(filepath.Dir(path(spec)), strings.Repeat("d", 90))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	spec.URL = "unix://" + filepath.Join(dir, "s")
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("no /proc/self/fd here")
	}
	open(t, spec)
	if info, err := os.Lstat(path(spec)); err != nil || info.Mode()&fs.ModeSocket == 0 {
		t.Error(info, err)
	}
}

func TestTCP(t *testing.T) {
	spec := &model.SocketSpec{URL: "tcp://127.0.0.1:0"}
	s := open(t, spec)
	l, err := net.FileListener(s.File())
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	if !waits(t, "tcp", address) {
		t.Error("nobody listens")
	}
	if _, err := Open(&model.SocketSpec{URL: "tcp://" + address}); !errors.Is(err, syscall.EADDRINUSE) || err.Error() != "address already in use" {
		t.Errorf("an address in use: %v", err)
	}
	s.Close()
	open(t, &model.SocketSpec{URL: "tcp://" + address}) // at once, with connections that linger
}

func TestRefusals(t *testing.T) {
	taken := local(t, "file")
	if err := os.WriteFile(path(taken), []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spec *model.SocketSpec
		want string
	}{
		"no socket":    {taken, path(taken) + " exists and is not a socket"},
		"no directory": {&model.SocketSpec{URL: taken.URL + "/x/y"}, "not a directory"},
		"no host":      {&model.SocketSpec{URL: "tcp://256.0.0.1:1"}, "no such host"},
	} {
		if _, err := Open(c.spec); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if b, err := os.ReadFile(path(taken)); err != nil || string(b) != "precious" {
		t.Errorf("%q, %v", b, err)
	}
	if os.Getuid() != 0 {
		spec := local(t, "x.sock")
		spec.Owner = &model.Owner{UID: 0, GID: 0}
		if _, err := Open(spec); !errors.Is(err, syscall.EPERM) {
			t.Errorf("an owner who cannot be: %v", err)
		}
		if rest, _ := os.ReadDir(filepath.Dir(path(spec))); len(rest) != 0 {
			t.Errorf("something is left: %v", rest)
		}
	}
}

// TestRecover takes the socket back from a process that has it: this one, with the socket as descriptor 0.
func TestRecover(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("Linux alone offers this")
	}
	spec := local(t, "x.sock")
	if _, err := Recover(os.Getpid(), spec); err == nil {
		t.Error("descriptor 0 was taken for a socket")
	}
	s := open(t, spec)
	p, err := os.StartProcess("/bin/sleep", []string{"sleep", "60"}, &os.ProcAttr{Files: []*os.File{s.File()}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = p.Kill()
		_, _ = p.Wait()
	}()
	again, err := Recover(p.Pid, spec)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSYS) {
		t.Skipf("this system does not permit it: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if !again.ours() || !Listens(again.File()) {
		t.Error("it is not what was made")
	}
	again.Close()
}
