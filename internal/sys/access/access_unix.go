//go:build unix

package access

import "golang.org/x/sys/unix"

// Executable reports whether the real user of this process may execute the file.
func Executable(path string) bool { return unix.Access(path, unix.X_OK) == nil }
