package peer

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/upkeep-project/upkeep/internal/sys/local"
	"github.com/upkeep-project/upkeep/internal/sys/privilege"
)

// TestUID: who is at the other end of a pipe is known once it has said something; of other connections it never is.
func TestUID(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := local.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	client, err := local.Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server := <-accepted
	defer server.Close()
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if uid, ok := UID(server); !ok || uid != privilege.UID() {
		t.Errorf("%d, %v", uid, ok)
	}
	if uid, ok := UID(client); ok {
		t.Errorf("the listener is %d", uid)
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if _, ok := UID(a); ok {
		t.Error("a pipe without a system has a user")
	}
}
