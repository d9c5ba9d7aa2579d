package spawn

// Gated reports whether a program waits for Identified before it executes anything.
func Gated() bool { return false }
