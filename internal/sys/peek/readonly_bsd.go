//go:build darwin || freebsd

package peek

import "golang.org/x/sys/unix"

// readOnly is the flag of a file system that cannot be written.
const readOnly = unix.MNT_RDONLY
