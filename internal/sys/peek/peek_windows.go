package peek

import (
	"errors"
	"io/fs"
)

const openFlags = 0

// may allows what the daemon may do itself.
func (w Who) may(fs.FileInfo, Right) bool { return true }

// Owner is the user that a file belongs to; -1 where there is none.
func Owner(fs.FileInfo) int { return -1 }

// Space is the room in a file system.
type Space struct {
	Free, Size          int64
	FreeFiles, MaxFiles int64
	ReadOnly            bool
}

// SpaceAt tells the room in the file system of an existing path.
func SpaceAt(string) (Space, error) { return Space{}, errors.ErrUnsupported }
