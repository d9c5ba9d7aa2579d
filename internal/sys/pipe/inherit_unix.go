//go:build unix

package pipe

import "golang.org/x/sys/unix"

// Inherit says whether the image that this process executes next gets a descriptor. It is for descriptors of ours alone
// while nothing is started.
func Inherit(fd int, on bool) error {
	flag := unix.FD_CLOEXEC
	if on {
		flag = 0
	}
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, flag)
	return err
}
