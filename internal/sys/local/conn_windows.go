package local

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/windows"
)

// address is the name of a pipe.
type address string

// Network implements net.Addr.
func (address) Network() string { return "pipe" }

// String implements net.Addr.
func (a address) String() string { return string(a) }

// Conn is one end of a connected pipe. Time limits and Close end what waits, as with a socket.
type Conn struct {
	f    *os.File
	name string
	h    windows.Handle // of f; valid until it is closed
}

// newConn takes over a handle made for overlapped operations.
func newConn(h windows.Handle, name string) *Conn {
	return &Conn{os.NewFile(uintptr(h), name), name, h}
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return address(c.name) }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return address(c.name) }

// Read implements net.Conn. The other end that is gone is io.EOF.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.f.Read(b)
	switch err = c.cause("read", err); {
	case errors.Is(err, windows.ERROR_BROKEN_PIPE), errors.Is(err, windows.ERROR_PIPE_NOT_CONNECTED), errors.Is(err, windows.ERROR_NO_DATA):
		return n, io.EOF
	}
	return n, err
}

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (int, error) {
	n, err := c.f.Write(b)
	return n, c.cause("write", err)
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error { return c.f.SetDeadline(t) }

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.f.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.f.SetWriteDeadline(t) }

// Close implements net.Conn. What was written and not read yet can still be read.
func (c *Conn) Close() error { return c.cause("close", c.f.Close()) }

// cause is an error of a file as one of a connection: a server tells by its kind whether the time was over.
func (c *Conn) cause(op string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	if errors.Is(err, os.ErrClosed) {
		err = net.ErrClosed
	}
	return &net.OpError{Op: op, Net: "pipe", Addr: address(c.name), Err: err}
}

// Rank is what the user at the other end of a connection is to this process.
type Rank uint8

// The ranks.
const (
	Stranger Rank = iota
	Same          // the user of this process
	Mighty        // the system, or an administrator who uses that
)

// Client is what the user at the other end is, as the system knows it. Something must have been read before; a server alone
// may ask.
func (c *Conn) Client() (Rank, error) {
	me, err := self()
	if err != nil {
		return Stranger, err
	}
	// For a moment this thread is the client, as far as that one permits: it may be looked at.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	impersonate := windows.NewLazySystemDLL("advapi32.dll").NewProc("ImpersonateNamedPipeClient")
	if ok, _, err := impersonate.Call(uintptr(c.h)); ok == 0 {
		return Stranger, os.NewSyscallError("ImpersonateNamedPipeClient", err)
	}
	var token windows.Token
	err = windows.OpenThreadToken(windows.CurrentThread(), windows.TOKEN_QUERY, true, &token)
	if back := windows.RevertToSelf(); back != nil {
		// A thread that stays somebody else must do nothing more: it ends with its goroutine's lock.
		runtime.LockOSThread()
		return Stranger, os.NewSyscallError("RevertToSelf", back)
	}
	if err != nil {
		return Stranger, os.NewSyscallError("OpenThreadToken", err)
	}
	defer token.Close()
	u, err := token.GetTokenUser()
	switch {
	case err != nil:
		return Stranger, os.NewSyscallError("GetTokenInformation", err)
	case u.User.Sid.Equals(me):
		return Same, nil
	case mighty(u.User.Sid):
		return Mighty, nil
	}
	admins, err := windows.CreateWellKnownSid(windows.WinBuiltinAdministratorsSid)
	if err != nil {
		return Stranger, err
	}
	is, err := token.IsMember(admins)
	if err != nil || !is {
		return Stranger, err
	}
	return Mighty, nil
}
