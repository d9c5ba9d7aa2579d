// Package peer tells who is at the other end of a unix socket. Source: interfaces 4.5.
package peer

import (
	"net"
	"syscall"
)

// UID is the user at the other end, as the kernel knows it; false when that cannot be told: another kind of connection,
// another system.
func UID(c net.Conn) (uid int, ok bool) {
	s, is := c.(syscall.Conn)
	if !is {
		return 0, false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return 0, false
	}
	err = raw.Control(func(fd uintptr) { uid, ok = credentials(int(fd)) })
	return uid, ok && err == nil
}
