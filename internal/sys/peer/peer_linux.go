package peer

import "golang.org/x/sys/unix"

func credentials(fd int) (int, bool) {
	u, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil || u.Pid == 0 { // a socket that is not a unix one has no pid there
		return 0, false
	}
	return int(u.Uid), true
}
