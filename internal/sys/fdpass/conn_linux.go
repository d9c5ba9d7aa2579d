package fdpass

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Supported reports whether this system has what the package needs.
func Supported() bool { return true }

// buffer is how many bytes may wait in a socket, in each direction. The kernel counts its own overhead, so
// that this is room for a few thousand messages; without privileges it gives less.
const buffer = 4 << 20

// Conn is one end of a connection. Send and Recv do not wait; each may be used by one goroutine at a time.
type Conn struct{ fd int }

// Pair makes two connected ends; other is the bare descriptor of the second one. Both are closed on exec.
func Pair() (c *Conn, other int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, -1, os.NewSyscallError("socketpair", err)
	}
	c, _ = Open(fds[0])
	enlarge(fds[1])
	return c, fds[1], nil
}

// Open takes over a descriptor. It fails, and leaves the descriptor alone, when that is no socket of the
// right kind.
func Open(fd int) (*Conn, error) {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return nil, os.NewSyscallError("getsockopt", err)
	}
	if kind != unix.SOCK_SEQPACKET {
		return nil, fmt.Errorf("descriptor %d is no packet socket", fd)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	unix.CloseOnExec(fd)
	enlarge(fd)
	return &Conn{fd}, nil
}

func enlarge(fd int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, buffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, buffer) // as much as is allowed
	}
}

// FD is the descriptor, which stays the connection's.
func (c *Conn) FD() int { return c.fd }

// Send sends one message with duplicates of the descriptors, or nothing. ErrAgain: there is no room now.
func (c *Conn) Send(msg []byte, fds []int) error {
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	for {
		err := unix.Sendmsg(c.fd, msg, oob, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOBUFS),
			errors.Is(err, unix.ETOOMANYREFS): // too many descriptors are on their way
			return ErrAgain
		default:
			return os.NewSyscallError("sendmsg", err)
		}
	}
}

// Recv receives one message into buf, with its descriptors, which are closed on exec. io.EOF: the other
// end is closed and everything was received. ErrTruncated: a message came that is no use; n bytes of it
// are in buf.
func (c *Conn) Recv(buf []byte) (n int, fds []int, err error) {
	var oob [unix.SizeofCmsghdr + 4*(MaxDescriptors+1)]byte
	var got, flags int
	for {
		n, got, flags, _, err = unix.Recvmsg(c.fd, buf, oob[:], unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	switch {
	case errors.Is(err, unix.EAGAIN):
		return 0, nil, ErrAgain
	case err != nil:
		return 0, nil, os.NewSyscallError("recvmsg", err)
	case n == 0 && got == 0:
		return 0, nil, io.EOF // an empty message is never sent
	}
	if got > 0 {
		if fds, err = rights(oob[:got]); err != nil {
			return n, nil, err
		}
	}
	if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		CloseAll(fds)
		return n, nil, ErrTruncated
	}
	return n, fds, nil
}

func rights(oob []byte) ([]int, error) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, os.NewSyscallError("recvmsg", err)
	}
	var fds []int
	for i := range msgs {
		if got, err := unix.ParseUnixRights(&msgs[i]); err == nil {
			fds = append(fds, got...)
		}
	}
	return fds, nil
}

// Wait waits until something can be received, or sent, at most so long (negative: for ever). It reports
// whether the wait was successful. Shutdown ends it.
func (c *Conn) Wait(writable bool, limit time.Duration) (bool, error) {
	events := int16(unix.POLLIN)
	if writable {
		events = unix.POLLOUT
	}
	return pollFD(c.fd, events, limit)
}

// pollFD waits for events of one descriptor.
func pollFD(fd int, events int16, limit time.Duration) (bool, error) {
	deadline := time.Now().Add(limit)
	for {
		ms := -1
		if limit >= 0 {
			ms = milliseconds(time.Until(deadline))
		}
		p := []unix.PollFd{{Fd: int32(fd), Events: events}}
		n, err := unix.Poll(p, ms)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return false, os.NewSyscallError("poll", err)
		default:
			return n > 0, nil
		}
	}
}

// milliseconds rounds up, so that a wait never ends before its time.
func milliseconds(d time.Duration) int {
	return int(min(max((d+time.Millisecond-1)/time.Millisecond, 0), 1<<30))
}

// Shutdown ends every wait, here and on the other side.
func (c *Conn) Shutdown() { _ = unix.Shutdown(c.fd, unix.SHUT_RDWR) }

// Close closes the connection.
func (c *Conn) Close() error { return os.NewSyscallError("close", unix.Close(c.fd)) }

// Same reports whether the process on the other side of a connection through a path runs as the same user
// as this one.
func (c *Conn) Same() (pid int, same bool, err error) {
	cred, err := unix.GetsockoptUcred(c.fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, false, os.NewSyscallError("getsockopt", err)
	}
	return int(cred.Pid), int(cred.Uid) == unix.Geteuid(), nil
}

// Listen makes a socket at path that only its owner can connect to, in place of whatever has the name, and
// returns its descriptor. It appears there complete, never with other rights.
func Listen(path string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := bind(fd, path); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func bind(fd int, path string) error {
	temporary := fmt.Sprintf("%s.%d", path, os.Getpid())
	_ = os.Remove(temporary)
	// The mode of the descriptor becomes the mode of the name that bind makes.
	if err := unix.Fchmod(fd, 0o600); err != nil {
		return os.NewSyscallError("fchmod", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: temporary}); err != nil {
		return &os.PathError{Op: "bind", Path: temporary, Err: err}
	}
	err := os.Chmod(temporary, 0o600)
	if err == nil {
		err = os.NewSyscallError("listen", unix.Listen(fd, 4))
	}
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		_ = os.Remove(temporary)
	}
	return err
}

// Accept takes the next connection of a descriptor of Listen; ErrAgain when there is none.
func Accept(fd int) (*Conn, error) {
	for {
		got, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ECONNABORTED):
			return nil, ErrAgain
		case err != nil:
			return nil, os.NewSyscallError("accept", err)
		default:
			enlarge(got)
			return &Conn{got}, nil
		}
	}
}

// Dial connects to a socket of Listen.
func Dial(path string) (*Conn, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		unix.Close(fd)
		return nil, &os.PathError{Op: "connect", Path: path, Err: err}
	}
	return Open(fd)
}

// CloseAll closes descriptors; negative ones are none.
func CloseAll(fds []int) {
	for _, fd := range fds {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// Duplicates are new descriptors, closed on exec, of the same open files.
func Duplicates(fds []int) ([]int, error) {
	out := make([]int, 0, len(fds))
	for _, fd := range fds {
		d, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			CloseAll(out)
			return nil, os.NewSyscallError("fcntl", err)
		}
		out = append(out, d)
	}
	return out, nil
}
