package peek

import "golang.org/x/sys/unix"

// readOnly is the flag of a file system that cannot be written.
const readOnly = unix.ST_RDONLY
