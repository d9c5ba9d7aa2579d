//go:build unix

package listen

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// duplicate is what a successor gets of a socket.
func duplicate(t *testing.T, l *Listener) *os.File {
	t.Helper()
	fd, err := l.Descriptor()
	if err != nil {
		t.Fatal(err)
	}
	n, err := syscall.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(n), "duplicate")
}

// TestDescriptorStaysNonBlocking: whoever waits for a connection can still be told to stop.
func TestDescriptorStaysNonBlocking(t *testing.T) {
	l, err := OpenInet(Inet{Host: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Descriptor(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err == nil {
			t.Error("a connection from nowhere")
		}
	case <-time.After(time.Minute):
		t.Fatal("Accept does not end")
	}
}

func TestHandOver(t *testing.T) {
	unixOnly(t)
	path := filepath.Join(t.TempDir(), "s")
	old, err := OpenUnix(Unix{Path: path, Mode: DefaultMode})
	if err != nil {
		t.Fatal(err)
	}
	next, err := Adopt(duplicate(t, old), path)
	if err != nil {
		t.Fatal(err)
	}
	_ = old.Listener.Close() // the predecessor ends without closing properly
	talks(t, next, "unix", path)
	if err := next.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	tcp, err := OpenInet(Inet{Host: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	again, err := Adopt(duplicate(t, tcp), "")
	if err != nil || again.Local() {
		t.Fatal(err)
	}
	_ = again.Close()
}
