//go:build darwin || freebsd

package peer

import "golang.org/x/sys/unix"

func credentials(fd int) (int, bool) {
	u, err := unix.GetsockoptXucred(fd, 0, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, false
	}
	return int(u.Uid), true
}
