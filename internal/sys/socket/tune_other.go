//go:build !unix

package socket

import (
	"errors"
	"os"
)

// tune: programs inherit no sockets here.
func tune(*os.File, int) error { return errors.ErrUnsupported }

// Listens reports whether a descriptor is a listening socket: there are none here.
func Listens(*os.File) bool { return false }
