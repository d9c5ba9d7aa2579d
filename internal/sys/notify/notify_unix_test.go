//go:build unix

package notify

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// listen is an init system's side; it returns the address and what reads one message.
func listen(t *testing.T, address string) func() string {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return func() string {
		var buf [64]byte
		if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(buf[:])
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
}

func TestReady(t *testing.T) {
	dir, err := os.MkdirTemp("", "ntf") // short: the path of a socket is limited
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for name, address := range map[string]string{
		"path": filepath.Join(dir, "s"), "abstract": "@upkeep-notify-test-" + strconv.Itoa(os.Getpid()),
	} {
		t.Run(name, func(t *testing.T) {
			if name == "abstract" && runtime.GOOS != "linux" {
				t.Skip("only Linux has such names")
			}
			read := listen(t, address)
			t.Setenv(socketVariable, address)
			s := Take()
			if _, ok := os.LookupEnv(socketVariable); ok {
				t.Error("the address is still in the environment")
			}
			for range 2 {
				if err := s.Ready(); err != nil {
					t.Fatal(err)
				}
			}
			if got := read(); got != "READY=1" {
				t.Errorf("said %q", got)
			}
			if err := s.send("END"); err != nil {
				t.Fatal(err)
			}
			if got := read(); got != "END" {
				t.Errorf("%q was said the second time", got)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	for _, empty := range []bool{false, true} {
		t.Setenv(socketVariable, "")
		if !empty {
			os.Unsetenv(socketVariable)
		}
		s := Take()
		if err := s.Ready(); s != nil || err != nil {
			t.Errorf("%+v, %v", s, err)
		}
	}
	path := filepath.Join(t.TempDir(), "none")
	t.Setenv(socketVariable, path)
	if err := Take().Ready(); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
}
