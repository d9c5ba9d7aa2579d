//go:build darwin || freebsd

package peer

import "golang.org/x/sys/unix"

// solLocal is the level of options of unix sockets. It has the number of the internet protocol's, where the same option
// means another thing and is answered with nothing, which would look like root: hence the two checks.
const solLocal = 0

func credentials(fd int) (int, bool) {
	if own, err := unix.Getsockname(fd); err != nil || !local(own) {
		return 0, false
	}
	u, err := unix.GetsockoptXucred(fd, solLocal, unix.LOCAL_PEERCRED)
	if err != nil || u.Ngroups < 1 { // every user has a group
		return 0, false
	}
	return int(u.Uid), true
}

func local(a unix.Sockaddr) bool {
	_, ok := a.(*unix.SockaddrUnix)
	return ok
}
