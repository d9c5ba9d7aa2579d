//go:build unix && !(linux && (amd64 || arm64))

package spawn

// Gated reports whether a program waits for Identified before it executes anything.
func Gated() bool { return false }

// gated fails: there is no gate.
func (d *Direct) gated(*Request, *stdio) (*Result, error) { return nil, errNoGate }

// cloner is nothing here.
type cloner struct{}

// Nobody asks for the limit here.
const limitWord = ""

func tellLimit() int { return 1 }
