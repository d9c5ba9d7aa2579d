//go:build !linux

package statefile

import "os"

// Reserve does nothing: only Linux keeps storage for a file without changing its length.
func Reserve(*os.File, int64) error { return nil }
