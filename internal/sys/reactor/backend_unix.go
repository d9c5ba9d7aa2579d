//go:build unix && !linux && !darwin && !freebsd

package reactor

func newBackend(Options, *timers) (backend, error) { return newGoBackend(openUnixWaiter), nil }
