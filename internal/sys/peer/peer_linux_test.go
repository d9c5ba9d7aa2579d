package peer

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestUID(t *testing.T) {
	for _, c := range []struct {
		network, address string
		ok               bool
	}{{"unix", filepath.Join(t.TempDir(), "s"), true}, {"tcp", "127.0.0.1:0", false}} {
		l, err := net.Listen(c.network, c.address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		client, err := net.Dial(c.network, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		uid, ok := UID(server)
		if ok != c.ok || ok && uid != os.Getuid() {
			t.Errorf("%s: %d, %v", c.network, uid, ok)
		}
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if _, ok := UID(a); ok {
		t.Error("a pipe has a user")
	}
}
