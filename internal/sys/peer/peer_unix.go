//go:build unix

package peer

import (
	"net"
	"syscall"
)

func user(c net.Conn) (uid int, ok bool) {
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
