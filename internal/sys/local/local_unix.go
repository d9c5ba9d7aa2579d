//go:build unix

package local

import (
	"context"
	"errors"
	"net"
)

// Pipes reports whether a named pipe stands for a unix socket here.
const Pipes = false

// Name is where people find what listens at a path: the path itself, or the name of the pipe.
func Name(path string) string { return path }

// Dial connects to who listens at a path. Errors: those of the system, fs.ErrNotExist when there is nobody.
func Dial(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", path)
}

// Listen makes a pipe: there are none here, and a unix socket has rights of its own to be given.
func Listen(string) (net.Listener, error) { return nil, errors.ErrUnsupported }
