//go:build !linux

package procfd

// Descriptor is the pidfd of a handle: there are none here.
func Descriptor(Handle) int { return -1 }
