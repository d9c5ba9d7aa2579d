package spawn

// Gated reports whether a program waits for Identified before it executes anything: its first thread is made suspended.
func Gated() bool { return true }
