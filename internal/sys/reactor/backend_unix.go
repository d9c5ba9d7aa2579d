//go:build unix && !linux

package reactor

func newBackend(Options, *timers) (backend, error) { return newGoBackend(openUnixWaiter), nil }
