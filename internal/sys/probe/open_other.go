//go:build !unix

package probe

// There is nothing on this system that an open would wait for.
const (
	onlyDirectory = 0
	noLink        = 0
)
