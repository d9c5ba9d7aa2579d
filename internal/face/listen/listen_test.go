package listen

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// unixOnly skips where there are no unix permissions.
func unixOnly(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("needs unix permissions")
	}
}

// talks reports whether a connection to the path is accepted by l.
func talks(t *testing.T, l *Listener, network, path string) {
	t.Helper()
	go func() {
		for { // ends with the listener
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "hi")
			_ = c.Close()
		}
	}()
	c, err := net.Dial(network, path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if b, err := io.ReadAll(c); err != nil || string(b) != "hi" {
		t.Errorf("%q %v", b, err)
	}
}

func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range es {
		list = append(list, e.Name())
	}
	return list
}

func TestUnix(t *testing.T) {
	unixOnly(t)
	dir := t.TempDir()
	for _, mode := range []fs.FileMode{DefaultMode, 0o777, 0o600, 0o770} {
		path := filepath.Join(dir, "s.sock")
		l, err := OpenUnix(Unix{Path: path, Mode: mode, Owner: &model.Owner{UID: os.Getuid(), GID: -1}})
		if err != nil {
			t.Fatal(err)
		}
		st, err := os.Lstat(path)
		if err != nil || st.Mode().Perm() != mode || st.Mode()&fs.ModeSocket == 0 {
			t.Errorf("%v %v", st, err)
		}
		if l.Addr().String() != path || l.Addr().Network() != "unix" || !l.Local() {
			t.Error(l.Addr())
		}
		talks(t, l, "unix", path)
		if d := cmp.Diff([]string{"s.sock"}, names(t, dir)); d != "" {
			t.Error(d)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if left := names(t, dir); left != nil {
			t.Errorf("left: %v", left)
		}
	}
}

func TestUnixBusyAndStale(t *testing.T) {
	unixOnly(t)
	path := filepath.Join(t.TempDir(), "s")
	var notices []string
	o := Unix{Path: path, Mode: DefaultMode, Notice: func(m string) { notices = append(notices, m) }}
	first, err := OpenUnix(o)
	if err != nil {
		t.Fatal(err)
	}
	var busy *BusyError
	if _, err := OpenUnix(o); !errors.As(err, &busy) || !strings.HasPrefix(err.Error(), "Another program is already listening on a port") {
		t.Errorf("%v", err)
	}
	talks(t, first, "unix", path) // still there
	_ = first.Listener.Close()    // as a killed daemon leaves it
	second, err := OpenUnix(o)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"Unlinking stale socket " + path}, notices); d != "" {
		t.Error(d)
	}
	if err := first.Close(); err == nil {
		t.Error("closed twice without a word")
	}
	if _, err := os.Lstat(path); err != nil {
		t.Error("the first listener removed the second one's socket")
	}
	_ = second.Close()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestUnixNotASocket(t *testing.T) {
	unixOnly(t)
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link, dir} {
		var pe *PathError
		if _, err := OpenUnix(Unix{Path: path, Mode: DefaultMode}); !errors.As(err, &pe) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if b, _ := os.ReadFile(link); string(b) != "precious" {
		t.Errorf("%q", b)
	}
}

func TestUnixErrors(t *testing.T) {
	unixOnly(t)
	_, err := OpenUnix(Unix{Path: filepath.Join(t.TempDir(), "missing", "s"), Mode: DefaultMode})
	if err == nil || err.Error() != "Cannot open an HTTP server: socket.error reported errno.ENOENT (2)" || !errors.Is(err, syscall.ENOENT) {
		t.Errorf("%v", err)
	}
	open := t.TempDir()
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	_, err = OpenUnix(Unix{Path: filepath.Join(open, "s"), Mode: DefaultMode})
	var pe *PathError
	if os.Geteuid() == 0 && !errors.As(err, &pe) {
		t.Errorf("%v", err)
	}
	oe := &OwnerError{Path: "/s", UID: 65534, GID: 65534, Username: "www-data"}
	if got := oe.Error(); got != `Not permitted to chown /s to uid/gid (65534, 65534); adjust "sockchown" value in config file or on command line to values that the current user (www-data) can successfully chown` {
		t.Error(got)
	}
	if os.Geteuid() != 0 {
		dir := t.TempDir()
		_, err := OpenUnix(Unix{Path: filepath.Join(dir, "s"), Mode: DefaultMode, Owner: &model.Owner{UID: 0, GID: 0}})
		if !errors.As(err, &oe) || names(t, dir) != nil {
			t.Errorf("%v", err)
		}
	}
}

func TestUnixOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	path := filepath.Join(t.TempDir(), "s")
	l, err := OpenUnix(Unix{Path: path, Mode: 0o660, Owner: &model.Owner{UID: 65534, GID: 65534}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	st, err := os.Lstat(path)
	if err != nil || st.Mode().Perm() != 0o660 {
		t.Fatalf("%v %v", st, err)
	}
	if err := os.Chown(path, 65534, -1); err != nil {
		t.Error(err)
	}
}

func TestUnixLongPath(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("needs /proc")
	}
	dir := t.TempDir()
	pad := 100 - len(dir) - 1
	if pad < 1 {
		t.Skip("the temporary folder's path is too long")
	}
	dir = filepath.Join(dir, strings.Repeat("d", pad))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	l, err := OpenUnix(Unix{Path: path, Mode: DefaultMode})
	if err != nil {
		t.Fatal(err)
	}
	talks(t, l, "unix", path)
	_ = l.Close()
	if left := names(t, dir); left != nil {
		t.Error(left)
	}
}

// TestUnixNeverOpen tries to connect to whatever appears, as fast as it can, while the socket comes and
// goes: what has the name has the mode. Source: spec/reliability S11.
func TestUnixNeverOpen(t *testing.T) {
	unixOnly(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			select {
			case <-stop:
				return
			default:
			}
			es, _ := os.ReadDir(dir)
			for _, e := range es {
				st, err := os.Lstat(filepath.Join(dir, e.Name()))
				if err != nil {
					continue
				}
				if st.Mode().Perm()&0o077 != 0 {
					t.Errorf("%s has mode %v", e.Name(), st.Mode())
					return
				}
			}
		}
	}()
	for range 300 {
		l, err := OpenUnix(Unix{Path: path, Mode: DefaultMode})
		if err != nil {
			t.Error(err)
			break
		}
		_ = l.Close()
	}
	close(stop)
	wg.Wait()
}

// noLocalhost reports whether the system cannot resolve its own name, as without /etc/hosts.
func noLocalhost() bool {
	_, err := net.LookupHost("localhost")
	return err != nil
}

func TestInet(t *testing.T) {
	tests := []struct {
		name    string
		o       Inet
		refused bool
	}{
		{"loopback", Inet{Host: "127.0.0.1"}, false},
		{"name of loopback", Inet{Host: "localhost"}, false},
		{"loopback range", Inet{Host: "127.1.2.3"}, false},
		{"IPv6 loopback", Inet{Host: "::1"}, false},
		{"everywhere", Inet{Host: "*"}, true},
		{"everywhere, empty", Inet{}, true},
		{"everywhere, IPv4", Inet{Host: "0.0.0.0"}, true},
		{"everywhere, IPv6", Inet{Host: "::"}, true},
		{"mapped", Inet{Host: "::ffff:192.0.2.1"}, true},
		{"foreign", Inet{Host: "192.0.2.1"}, true},
		{"everywhere with password", Inet{Host: "*", Credentials: true}, false},
		{"everywhere on purpose", Inet{Host: "0.0.0.0", Insecure: true}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.Section = "inet_http_server:x"
			l, err := OpenInet(tt.o)
			var oe *OpenError
			var se *SocketError
			switch {
			case errors.As(err, &se) && strings.Contains(tt.o.Host, ":"):
				t.Skip("no IPv6 here")
			case tt.o.Host == "localhost" && noLocalhost():
				t.Skip("this system does not know localhost")
			case tt.refused:
				if !errors.As(err, &oe) {
					t.Fatalf("%v", err)
				}
				for _, word := range []string{"[inet_http_server:x]", "username=", "password=", "insecure_http=yes"} {
					if !strings.Contains(err.Error(), word) {
						t.Errorf("%q lacks %q", err, word)
					}
				}
				return
			case err != nil:
				t.Fatal(err)
			}
			defer l.Close()
			if l.Local() {
				t.Error("local")
			}
			if tt.o.Host == "127.0.0.1" {
				talks(t, l, "tcp", l.Addr().String())
			}
		})
	}
}

func TestInetErrors(t *testing.T) {
	l, err := OpenInet(Inet{Host: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var busy *BusyError
	if _, err := OpenInet(Inet{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}); !errors.As(err, &busy) {
		t.Errorf("%v", err)
	}
	_, err = OpenInet(Inet{Host: "192.0.2.1", Port: 9001, Credentials: true})
	if err == nil || err.Error() != "Cannot open an HTTP server: socket.error reported errno.EADDRNOTAVAIL (99)" && runtime.GOOS == "linux" {
		t.Errorf("%v", err)
	}
	var he *HostError
	if _, err := OpenInet(Inet{Host: "no-such-host.invalid", Port: 9001, Credentials: true}); !errors.As(err, &he) ||
		!strings.HasPrefix(err.Error(), "Could not determine IP address for hostname no-such-host.invalid, please") {
		t.Errorf("%v", err)
	}
	if got := (&SocketError{Errno: 12345}).Error(); !strings.HasSuffix(got, "errno.E12345 (12345)") {
		t.Error(got)
	}
}
