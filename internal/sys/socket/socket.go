// Package socket opens the listening sockets that programs inherit, as FastCGI programs do. A unix socket has
// its mode and its owner before it has its name, and it takes the place of an older one in one step: nobody ever
// finds another socket than the configured one, and never none.
//
// The sockets block, which is what programs that accept on an inherited descriptor expect.
//
// Source: spec/supervisor 2.11, F32.
package socket

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Socket is a listening socket with its name. Its methods are not safe for concurrent use.
type Socket struct {
	file *os.File
	path string // of a unix socket, else empty
	made fs.FileInfo
}

// unixScheme begins the address of a unix socket.
const unixScheme = "unix://"

// Open makes a socket and listens. A socket that has the path already is replaced, whoever listens there; what
// is no socket is left alone and is an error.
func Open(s *model.SocketSpec) (*Socket, error) {
	path, local := strings.CutPrefix(s.URL, unixScheme)
	if !local {
		l, err := net.Listen("tcp", strings.TrimPrefix(s.URL, "tcp://"))
		if err != nil {
			return nil, cause(err)
		}
		return inherit(l, s)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSocket == 0 {
		return nil, fmt.Errorf("%s exists and is not a socket", path)
	}
	private, err := os.MkdirTemp(filepath.Dir(path), ".")
	if err != nil {
		return nil, cause(err)
	}
	defer os.RemoveAll(private)
	made := filepath.Join(private, "s")
	l, err := bind(private)
	if err != nil {
		return nil, cause(err)
	}
	out, err := inherit(l, s)
	if err != nil {
		return nil, err
	}
	if err = settle(made, s); err == nil {
		err = os.Rename(made, path)
	}
	if err != nil {
		_ = out.file.Close()
		return nil, cause(err)
	}
	out.path = path
	out.made, _ = os.Lstat(path) // without it the file is left where it is
	return out, nil
}

// bind listens at s in a directory. It is reached by its descriptor where the system can do that, as a path may
// be longer than what the address of a socket holds.
func bind(dir string) (*net.UnixListener, error) {
	at := dir
	if d, err := os.Open(dir); err == nil {
		defer d.Close()
		short := fmt.Sprintf("/proc/self/fd/%d", d.Fd())
		if _, err := os.Stat(short); err == nil {
			at = short
		}
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(at, "s"), Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	return l, nil
}

// inherit makes the descriptor for the programs, and closes l.
func inherit(l net.Listener, s *model.SocketSpec) (*Socket, error) {
	defer l.Close()
	f, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		return nil, cause(err)
	}
	if err := tune(f, s.Backlog); err != nil {
		_ = f.Close()
		return nil, err
	}
	return &Socket{file: f}, nil
}

// settle gives a unix socket its owner and its mode.
func settle(path string, s *model.SocketSpec) error {
	if s.Owner != nil {
		if err := os.Chown(path, s.Owner.UID, s.Owner.GID); err != nil {
			return err
		}
	}
	return os.Chmod(path, fs.FileMode(s.Mode).Perm())
}

// Adopt takes over a socket that a predecessor has opened for the address; f belongs to the Socket.
func Adopt(f *os.File, url string) *Socket {
	s := &Socket{file: f}
	if path, local := strings.CutPrefix(url, unixScheme); local {
		s.path = path
		s.made, _ = os.Lstat(path)
	}
	return s
}

// File is the descriptor that programs inherit; it stays the Socket's.
func (s *Socket) File() *os.File { return s.file }

// Adjust gives the socket other settings for the same address. Connections that wait are not lost.
func (s *Socket) Adjust(to *model.SocketSpec) error {
	if s.ours() {
		if err := settle(s.path, to); err != nil {
			return cause(err)
		}
	}
	return tune(s.file, to.Backlog)
}

// ours reports whether the path leads to what was made.
func (s *Socket) ours() bool {
	if s.path == "" || s.made == nil {
		return false
	}
	now, err := os.Lstat(s.path)
	return err == nil && os.SameFile(now, s.made)
}

// Close closes the socket and removes its file when that is still ours.
func (s *Socket) Close() {
	if s.ours() {
		_ = os.Remove(s.path)
	}
	_ = s.file.Close()
}

// cause leaves out what the system's error is wrapped in: the address is told by whoever reports it.
func cause(err error) error {
	var op *net.OpError
	var sys *os.SyscallError
	var path *fs.PathError
	var link *os.LinkError
	if errors.As(err, &op) {
		err = op.Err
	}
	switch {
	case errors.As(err, &sys):
		return sys.Err
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
