//go:build unix

package pipe

import "golang.org/x/sys/unix"

// Inode tells what a descriptor stands for from everything else of its kind, in every process; 0 = unknown.
func Inode(fd int) uint64 {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return 0
	}
	return uint64(st.Ino)
}
