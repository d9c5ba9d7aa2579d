//go:build unix

package socket

import (
	"os"

	"golang.org/x/sys/unix"
)

// tune makes the socket block and sets how many connections may wait; 0 = as many as the system allows.
func tune(f *os.File, backlog int) error {
	fd := int(f.Fd())
	if err := unix.SetNonblock(fd, false); err != nil {
		return err
	}
	if backlog == 0 {
		backlog = unlimited
	}
	return unix.Listen(fd, backlog) // it may be called again
}

// unlimited is more than any system allows: each takes its own limit instead.
const unlimited = 65535

// Listens reports whether a descriptor is a listening socket.
func Listens(f *os.File) bool {
	n, err := unix.GetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	return err == nil && n == 1
}
