// Package fdpass is what the operating system has for a process that keeps other processes' descriptors:
// sockets that carry descriptors and keep the bounds of messages, one wait for everything, children that
// are looked at without being reaped, and an execution of another image that keeps what is open.
//
// It works on Linux. Elsewhere Supported is false and every function returns errors.ErrUnsupported.
package fdpass

import "errors"

// MaxDescriptors is how many descriptors one message carries.
const MaxDescriptors = 253

// The errors on which a caller decides.
var (
	// ErrAgain says that nothing is there to be received, or no room to send.
	ErrAgain = errors.New("not now")
	// ErrTruncated says that not everything of a message could be received: it was larger than the buffer,
	// or this process has no room for its descriptors. What was received is closed.
	ErrTruncated = errors.New("a message or its descriptors did not fit")
	// ErrNoChild says that a process is no child of this one, or was reaped.
	ErrNoChild = errors.New("not a child of this process")
)

// Ready is what a Poller found.
type Ready struct {
	Token              uint64
	Readable, Writable bool // an error or a hang-up counts as both
}

// Process is a process to be started by Start.
type Process struct {
	Path string
	Argv []string
	Env  []string
	// Files are the descriptors that it gets, as 0, 1, 2, …
	Files []int
	// OwnGroup makes it the leader of a process group of its own.
	OwnGroup bool
}
