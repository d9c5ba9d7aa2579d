//go:build unix && !linux

package spawn

// reopen does nothing: this system cannot open a pipe again.
func reopen(int) (int, error) { return -1, nil }

// mark does nothing: this system locks no pipes.
func mark(int) error { return nil }
