package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

const patience = 20 * time.Second

// open listens at a path of the test's own.
func open(t *testing.T) (net.Listener, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, path
}

// pair is a connection, the client's end first.
func pair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, path := open(t)
	got := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		got <- c
	}()
	client, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	server = <-got
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	return client, server
}

func TestName(t *testing.T) {
	long := `C:\` + strings.Repeat(`very-long\`, 40)
	for path, want := range map[string]string{
		`C:\Users\ann\upkeep.sock`:      `\\.\pipe\C:!Users!ann!upkeep.sock`,
		`C:/Users/ann/../ann/x!y`:       `\\.\pipe\C:!Users!ann!x!!y`,
		`\\.\pipe\mine`:                 `\\.\pipe\mine`,
		`C:\Users!ann\upkeep.sock`:      `\\.\pipe\C:!Users!!ann!upkeep.sock`,
		`C:\Users\ann\\upkeep\..\a.txt`: `\\.\pipe\C:!Users!ann!a.txt`,
	} {
		if got := Name(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	a, b, capital := Name(long+"a"), Name(long+"b"), Name(strings.ToUpper(long)+"A")
	if len(a) != maxName || a == b || a[len(a)-32:] != capital[len(capital)-32:] {
		t.Errorf("%s\n%s\n%s", a, b, capital)
	}
}

// TestBothWays: both ends talk at once, much more than the pipe holds, and see the end.
func TestBothWays(t *testing.T) {
	client, server := pair(t)
	const size = 4 << 20
	var work sync.WaitGroup
	for name, c := range map[string]net.Conn{"client": client, "server": server} {
		work.Go(func() {
			if n, err := c.Write(make([]byte, size)); n != size || err != nil {
				t.Errorf("%s: wrote %d, %v", name, n, err)
			}
		})
		work.Go(func() {
			if n, err := io.CopyN(io.Discard, c, size); err != nil {
				t.Errorf("%s: read %d, %v", name, n, err)
			}
		})
	}
	work.Wait()
	if _, err := server.Write([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(client); string(rest) != "last words" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	if _, err := client.Write([]byte("x")); err == nil {
		t.Error("nobody reads, and it was written")
	}
}

// TestInterrupted: time limits and Close end a read.
func TestInterrupted(t *testing.T) {
	client, server := pair(t)
	if err := client.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	_, err := client.Read(make([]byte, 1))
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("after the time: %v", err)
	}
	if err := client.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Write([]byte("y")); err != nil {
		t.Fatal(err)
	}
	if n, err := client.Read(make([]byte, 4)); n != 1 || err != nil {
		t.Errorf("after an interruption: %d, %v", n, err)
	}
	ended := make(chan error, 1)
	go func() { _, err := client.Read(make([]byte, 1)); ended <- err }()
	_ = client.Close()
	select {
	case err := <-ended:
		if !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) {
			t.Errorf("closed: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Close does not end a read")
	}
}

// TestCloseEndsAccept: and the name is free then.
func TestCloseEndsAccept(t *testing.T) {
	l, path := open(t)
	ended := make(chan error, 1)
	go func() {
		for { // the second one looks who is there
			c, err := l.Accept()
			if err != nil {
				ended <- err
				return
			}
			_ = c.Close()
		}
	}()
	if _, err := Listen(path); !errors.Is(err, ErrBusy) {
		t.Errorf("a second listener: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("Accept does not end")
	}
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed twice: %v", err)
	}
	if _, err := Dial(t.Context(), path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nobody is there: %v", err)
	}
	again, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
}

// made is a pipe that is not of a listener: of so many ends, and with a security descriptor.
func made(t *testing.T, path, sddl string, ends uint32) {
	t.Helper()
	sd, err := windows.SecurityDescriptorFromString(sddl)
	if err != nil {
		t.Fatal(err)
	}
	name, err := windows.UTF16PtrFromString(Name(path))
	if err != nil {
		t.Fatal(err)
	}
	sa := &windows.SecurityAttributes{SecurityDescriptor: sd}
	sa.Length = uint32(unsafe.Sizeof(*sa))
	h, err := windows.CreateNamedPipe(name, windows.PIPE_ACCESS_DUPLEX, 0, ends, 1, 1, 0, sa)
	if errors.Is(err, windows.ERROR_INVALID_OWNER) {
		t.Skip("who runs this test cannot give a pipe to somebody else")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = windows.CloseHandle(h) })
}

// TestSquatter: a pipe that was there first is not taken over, whatever it permits, and nobody talks to who made it.
func TestSquatter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	made(t, path, "O:BGG:BGD:(A;;GA;;;WD)", windows.PIPE_UNLIMITED_INSTANCES)
	var foreign *ForeignError
	if _, err := Dial(t.Context(), path); !errors.As(err, &foreign) || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a pipe of a guest: %v", err)
	}
	if _, err := Listen(path); !errors.Is(err, ErrBusy) {
		t.Errorf("%v", err)
	}
}

// TestRights: the owner is this user, and nobody else but administrators and the system is admitted.
func TestRights(t *testing.T) {
	client, _ := pair(t)
	me, err := self()
	if err != nil {
		t.Fatal(err)
	}
	sd, err := windows.GetSecurityInfo(client.(*Conn).h, windows.SE_KERNEL_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		t.Fatal(err)
	}
	owner, _, err := sd.Owner()
	if err != nil || !owner.Equals(me) {
		t.Errorf("the owner is %v, %v", owner, err)
	}
	text := sd.String()
	for _, sid := range []string{me.String(), "SY", "BA"} {
		if !strings.Contains(text, ";;;"+sid+")") {
			t.Errorf("%s is not admitted: %s", sid, text)
		}
	}
	if n := strings.Count(text, "(A;"); n != 3 || strings.Contains(text, ";;;WD)") {
		t.Errorf("admitted are %s", text)
	}
}

// TestClient: the listener knows who asks, and is itself again afterwards.
func TestClient(t *testing.T) {
	client, server := pair(t)
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if rank, err := server.(*Conn).Client(); rank != Same || err != nil {
			t.Errorf("%d, %v", rank, err)
		}
	}
	if _, err := client.(*Conn).Client(); err == nil {
		t.Error("a client has asked who it is itself")
	}
}

// TestServes: HTTP works over it, with many clients at once, and a server's orderly end.
func TestServes(t *testing.T) {
	l, path := open(t)
	s := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(r.URL.Path)
	})}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return Dial(ctx, path) }}
	client := &http.Client{Transport: transport, Timeout: patience}
	var work sync.WaitGroup
	for i := range 16 {
		work.Go(func() {
			for j := range 8 {
				at := fmt.Sprintf("/%d/%d", i, j)
				resp, err := client.Get("http://x" + at)
				if err != nil {
					t.Error(err)
					return
				}
				var got string
				err = json.NewDecoder(resp.Body).Decode(&got)
				_ = resp.Body.Close()
				if err != nil || got != at {
					t.Errorf("%s: %q, %v", at, got, err)
				}
			}
		})
	}
	work.Wait()
	transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

// TestGoneClient: who connects and goes at once does not stop the others.
func TestGoneClient(t *testing.T) {
	l, path := open(t)
	for range 5 {
		c, err := Dial(t.Context(), path)
		if err == nil {
			_ = c.Close()
		}
		// The end is taken by who has gone, until the listener looks at it.
		got := make(chan error, 1)
		go func() {
			c, err := l.Accept()
			if err == nil {
				_, err = io.Copy(io.Discard, c)
				_ = c.Close()
			}
			got <- err
		}()
		select {
		case err := <-got:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(50 * time.Millisecond): // it waits for the next one
			c, err := Dial(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			_ = c.Close()
			if err := <-got; err != nil {
				t.Error(err)
			}
		}
	}
}

// TestDialStops: whoever waits for a free end can be called back.
func TestDialStops(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	me, err := self()
	if err != nil {
		t.Fatal(err)
	}
	made(t, path, fmt.Sprintf("O:%[1]sD:(A;;GA;;;%[1]s)", me), 1)
	first, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := Dial(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}
