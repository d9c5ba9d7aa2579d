//go:build !unix

package pidfile

import (
	"io/fs"
	"os"
)

const openFlags = os.O_RDONLY

// ownerOf is not told here: access lists keep others out.
func ownerOf(fs.FileInfo) int { return -1 }

// isLink is not told here.
func isLink(error) bool { return false }
