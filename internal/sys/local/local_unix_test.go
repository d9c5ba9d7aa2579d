//go:build unix

package local

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestDial(t *testing.T) {
	dir, err := os.MkdirTemp("", "l") // a short path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if Name(path) != path || Pipes {
		t.Errorf("a socket is found at %s", Name(path))
	}
	if _, err := Listen(path); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a pipe: %v", err)
	}
}
