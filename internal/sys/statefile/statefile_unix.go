//go:build unix

package statefile

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// openFlags keep an open from following a link, from waiting for the other end of a fifo and from getting
// a terminal.
const openFlags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK | syscall.O_NOCTTY | syscall.O_CLOEXEC

const errNotDir = syscall.ENOTDIR

func readOnly(err error) bool {
	return errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EROFS)
}

// foreign says that the file belongs to neither us nor root.
func foreign(st os.FileInfo) string {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok || sys.Uid == 0 || int(sys.Uid) == os.Geteuid() {
		return ""
	}
	return fmt.Sprintf("belongs to user %d", sys.Uid)
}

// Replace renames the open file from one path over another and returns the file that is open from then on.
// When it fails the file is still open, as f.
func Replace(f *os.File, from, to string) (*os.File, error) {
	return f, os.Rename(from, to)
}

// SyncDir makes the names in a directory last through a power cut. A file system that has no such thing is
// taken to do it by itself.
func SyncDir(dir string) error {
	d, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer d.Close()
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil
	}
	return err
}

// Unreadable reports whether the error of an open or a read speaks about the file, so that another try
// gives no better answer; a shortage of ours (descriptors, memory) is none.
func Unreadable(err error) bool {
	return readOnly(err) || errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ELOOP)
}
