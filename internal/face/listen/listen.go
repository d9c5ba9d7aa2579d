// Package listen opens the sockets that the HTTP servers listen on: unix sockets that are private from
// their first moment, and TCP sockets that are closed to strangers unless opened on purpose. Its errors
// have the texts that people and scripts know.
//
// Source: spec/supervisor 1.7, 1.11, 5.1; spec/reliability S1, S11.
package listen

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Unix describes a unix socket.
type Unix struct {
	Path  string       // absolute
	Mode  fs.FileMode  // permission bits as they are to be; DefaultMode is the usual one
	Owner *model.Owner // nil = unchanged
	// Username is who runs the daemon, for the text of an *OwnerError.
	Username string
	// Notice takes the message about a stale socket, without a line end; nil drops it.
	Notice func(msg string)
}

// DefaultMode is the mode of a unix socket for which none is configured.
const DefaultMode fs.FileMode = 0o700

// Inet describes a TCP socket.
type Inet struct {
	Host        string // address or name; "" and "*" mean every address
	Port        int
	Credentials bool   // the server asks for a password
	Insecure    bool   // insecure_http=yes
	Section     string // for the text of an *OpenError
}

// BusyError is an address that somebody is listening on already.
type BusyError struct{ Address string }

// Error is the text of spec/supervisor 1.11.
func (e *BusyError) Error() string {
	return "Another program is already listening on a port that one of our HTTP servers is configured to use.  " +
		"Shut this program down first before starting supervisord."
}

// SocketError is a socket that cannot be opened.
type SocketError struct {
	Address string
	Errno   syscall.Errno
}

// Error is the text of spec/supervisor 1.11.
func (e *SocketError) Error() string {
	return fmt.Sprintf("Cannot open an HTTP server: socket.error reported errno.%s (%d)", units.ErrnoName(e.Errno), int(e.Errno))
}

// Unwrap is the errno.
func (e *SocketError) Unwrap() error { return e.Errno }

// OwnerError is a socket that cannot be given to its configured owner.
type OwnerError struct {
	Path     string
	UID, GID int
	Username string
}

// Error is the text of spec/supervisor 1.11.
func (e *OwnerError) Error() string {
	return fmt.Sprintf("Not permitted to chown %s to uid/gid (%d, %d); adjust \"sockchown\" value in config file or on command line "+
		"to values that the current user (%s) can successfully chown", e.Path, e.UID, e.GID, e.Username)
}

// HostError is a host name without an address.
type HostError struct{ Host string }

// Error is the text of spec/supervisor 1.11.
func (e *HostError) Error() string {
	return "Could not determine IP address for hostname " + e.Host + ", please try setting an explicit IP address in the \"port\" " +
		"setting of your [inet_http_server] section.  For example, instead of \"port = 9001\", try \"port = 127.0.0.1:9001.\""
}

// OpenError is a server that would let everyone in who can reach the machine. The daemon runs on without
// it. Source: spec/reliability S1.
type OpenError struct{ Section, Address string }

// Error says which line to add.
func (e *OpenError) Error() string {
	return fmt.Sprintf("[%s] is not served: %s can be reached from other machines and no password is set. "+
		"Add username= and password= to the section, or listen on 127.0.0.1 only, or add insecure_http=yes to let everyone in",
		e.Section, e.Address)
}

// PathError is a path or address that must not or cannot be used for a socket.
type PathError struct{ Path, Reason string }

// Error names the path and the reason.
func (e *PathError) Error() string {
	return "Cannot open an HTTP server: " + e.Path + " " + e.Reason
}

// Listener is a listening socket. Closing it removes the file that was made for it, and only that.
type Listener struct {
	net.Listener
	path string
	made fs.FileInfo
	once sync.Once
}

// Local makes a Listener of one that stands for the unix socket of a path: a named pipe.
func Local(l net.Listener, path string) *Listener { return &Listener{Listener: l, path: path} }

// Addr is the address as configured.
func (l *Listener) Addr() net.Addr {
	if l.path != "" {
		return &net.UnixAddr{Name: l.path, Net: "unix"}
	}
	return l.Listener.Addr()
}

// Close closes the socket and removes its file when it is still ours.
func (l *Listener) Close() error {
	l.once.Do(func() {
		if l.path == "" || l.made == nil {
			return
		}
		if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.made) {
			_ = os.Remove(l.path)
		}
	})
	return l.Listener.Close()
}

// Keep makes Close leave the file alone: the socket lives on in another process.
func (l *Listener) Keep() { l.once.Do(func() {}) }

// Local reports whether the socket is a unix socket.
func (l *Listener) Local() bool { return l.path != "" }

// Descriptor is the socket's descriptor, to be handed to a successor; it stays the Listener's.
func (l *Listener) Descriptor() (int, error) {
	c, ok := l.Listener.(syscall.Conn)
	if !ok {
		return -1, errors.ErrUnsupported
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	err = raw.Control(func(n uintptr) { fd = int(n) })
	return fd, err
}

// Adopt makes a Listener of a descriptor that a predecessor has handed over; f is closed. path is that of
// the unix socket, empty for TCP: the file is removed when the Listener is closed.
func Adopt(f *os.File, path string) (*Listener, error) {
	nl, err := net.FileListener(f)
	_ = f.Close()
	if err != nil {
		return nil, err
	}
	l := &Listener{Listener: nl}
	if u, ok := nl.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
		l.path = path
		if l.made, err = os.Lstat(path); err != nil {
			l.path = "" // somebody removed it: there is nothing to remove
		}
	}
	return l, nil
}

// OpenInet opens a TCP socket. Errors: *OpenError, *BusyError, *HostError, *SocketError.
func OpenInet(o Inet) (*Listener, error) {
	host := o.Host
	if host == "*" {
		host = ""
	}
	address := net.JoinHostPort(host, strconv.Itoa(o.Port))
	open := func() error { return &OpenError{Section: o.Section, Address: address} }
	guarded := !o.Credentials && !o.Insecure
	if ip, err := netip.ParseAddr(host); guarded && (host == "" || err == nil && !ip.Unmap().IsLoopback()) {
		return nil, open()
	}
	nl, err := net.Listen("tcp", address)
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return nil, &HostError{Host: host}
	case err != nil:
		return nil, socketError(address, err)
	}
	if a, ok := nl.Addr().(*net.TCPAddr); guarded && (!ok || !a.IP.IsLoopback()) {
		_ = nl.Close() // a name that leads outside
		return nil, open()
	}
	return &Listener{Listener: nl}, nil
}

func socketError(address string, err error) error {
	var errno syscall.Errno
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return &BusyError{Address: address}
	case errors.As(err, &errno):
		return &SocketError{Address: address, Errno: errno}
	}
	return &PathError{address, "cannot be listened on: " + err.Error()}
}

// OpenUnix opens a unix socket. The socket is made in a folder that only we can enter, gets its mode and
// owner there, and only then its name: nobody ever connects to it with other rights than the configured
// ones. Errors: *BusyError, *SocketError, *OwnerError, *PathError.
func OpenUnix(o Unix) (*Listener, error) {
	dir := filepath.Dir(o.Path)
	if st, err := os.Stat(dir); err == nil && os.Geteuid() == 0 && st.Mode().Perm()&0o002 != 0 && st.Mode()&fs.ModeSticky == 0 {
		return nil, &PathError{dir, "can be written by everybody and has no sticky bit: anyone could replace the socket"}
	}
	private, err := os.MkdirTemp(dir, ".")
	if err != nil {
		return nil, socketError(o.Path, err)
	}
	defer os.RemoveAll(private)
	made := filepath.Join(private, "s")
	nl, err := bind(private, made)
	if err != nil {
		return nil, socketError(o.Path, err)
	}
	l := &Listener{Listener: nl, path: o.Path}
	if err := l.settle(o, made); err != nil {
		_ = nl.Close()
		return nil, err
	}
	return l, nil
}

// maxPath is how long the path of a unix socket may be on every system.
const maxPath = 103

// bind listens at made. When the path is too long for the system, the folder is reached through its
// descriptor where /proc offers that.
func bind(private, made string) (*net.UnixListener, error) {
	at := made
	if len(at) > maxPath {
		d, err := os.Open(private)
		if err != nil {
			return nil, err
		}
		defer d.Close()
		short := fmt.Sprintf("/proc/self/fd/%d", d.Fd())
		if _, err := os.Stat(short); err == nil {
			at = short + "/s"
		}
	}
	nl, err := net.ListenUnix("unix", &net.UnixAddr{Name: at, Net: "unix"})
	if err != nil {
		return nil, err
	}
	nl.SetUnlinkOnClose(false)
	return nl, nil
}

// settle gives the socket its mode, owner and name.
func (l *Listener) settle(o Unix, made string) error {
	if o.Owner != nil {
		if err := os.Chown(made, o.Owner.UID, o.Owner.GID); err != nil {
			if errors.Is(err, fs.ErrPermission) {
				return &OwnerError{Path: o.Path, UID: o.Owner.UID, GID: o.Owner.GID, Username: o.Username}
			}
			return socketError(o.Path, err)
		}
	}
	if err := os.Chmod(made, o.Mode.Perm()); err != nil {
		return socketError(o.Path, err)
	}
	// A link, unlike a rename, never replaces what somebody else has put there meanwhile.
	for try := 0; ; try++ {
		err := os.Link(made, o.Path)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrExist) || try == 3 {
			return socketError(o.Path, err)
		}
		if err := clearStale(o); err != nil {
			return err
		}
	}
	var err error
	if l.made, err = os.Lstat(o.Path); err != nil {
		return socketError(o.Path, err)
	}
	return nil
}

// answerTime is how long a listener may take to accept before it counts as alive but busy.
const answerTime = 2 * time.Second

// clearStale removes the socket at o.Path when nobody listens on it any more. Whoever accepts a
// connection is alive, even when the answer takes its time. Source: spec/supervisor 5.1.
func clearStale(o Unix) error {
	before, err := os.Lstat(o.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return socketError(o.Path, err)
	}
	if before.Mode()&fs.ModeSocket == 0 {
		return &PathError{o.Path, "exists and is not a socket"}
	}
	c, err := net.DialTimeout("unix", o.Path, answerTime)
	if err == nil {
		_ = c.Close()
		return &BusyError{Address: o.Path}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case !errors.Is(err, syscall.ECONNREFUSED):
		return &BusyError{Address: o.Path} // it may be alive
	}
	now, err := os.Lstat(o.Path)
	if err != nil || !os.SameFile(before, now) {
		return nil // not what was tried: look again
	}
	if o.Notice != nil {
		o.Notice("Unlinking stale socket " + o.Path)
	}
	if err := os.Remove(o.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return socketError(o.Path, err)
	}
	return nil
}
