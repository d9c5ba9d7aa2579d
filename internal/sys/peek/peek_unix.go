//go:build unix

package peek

import (
	"io/fs"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// openFlags keep an open from following a link, from waiting for the other side of a pipe, and from getting a terminal.
const openFlags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK | syscall.O_NOCTTY

// may reports whether the permission bits give a right: those of the owner to the owner, those of the group to its
// members, the others' to everybody else. Root needs one execute bit to execute a file, and nothing else.
func (w Who) may(info fs.FileInfo, right Right) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || right == Here {
		return true
	}
	mode := uint32(info.Mode().Perm())
	if w.UID == 0 {
		return right&Exec == 0 || info.IsDir() || mode&0o111 != 0
	}
	switch {
	case int(st.Uid) == w.UID:
		mode >>= 6
	case slices.Contains(w.Groups, int(st.Gid)):
		mode >>= 3
	}
	return mode&uint32(right) == uint32(right)
}

// Owner is the user that a file belongs to; -1 where there is none.
func Owner(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}

// Space is the room in a file system.
type Space struct {
	Free, Size          int64 // bytes; free to ordinary users
	FreeFiles, MaxFiles int64 // files that can still be made; both 0 where there is no such limit
	ReadOnly            bool
}

// SpaceAt tells the room in the file system of an existing path.
func SpaceAt(path string) (Space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return Space{}, &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	unit := int64(st.Bsize)
	return Space{
		Free: int64(st.Bavail) * unit, Size: int64(st.Blocks) * unit,
		FreeFiles: int64(st.Ffree), MaxFiles: int64(st.Files), ReadOnly: uint64(st.Flags)&readOnly != 0,
	}, nil
}
