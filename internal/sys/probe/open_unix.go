//go:build unix

package probe

import "syscall"

// onlyDirectory has an open fail for what is no directory, and noLink for a link.
const (
	onlyDirectory = syscall.O_DIRECTORY | syscall.O_NONBLOCK
	noLink        = syscall.O_NOFOLLOW
)
