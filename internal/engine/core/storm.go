package core

import "time"

// Automatic restarts of programs that keep ending share one budget, so that a storm of them cannot
// become the outage. First starts and orders never wait. Source: spec/reliability R15.
const (
	stormWindow = 10 * time.Second      // two ends within it make a program part of the storm
	stormGap    = 20 * time.Millisecond // 50 launches a second …
	stormBurst  = 50                    // … after this many at once
)

// ends remembers the last two ends of a program.
type ends struct{ last, before time.Duration }

func (e *ends) add(now time.Duration) { e.before, e.last = e.last, now }

// often reports whether both lie within the window before now. A program that ended once or never has
// a zero that is older than any window on a clock that starts at stormWindow or later.
func (e *ends) often(now time.Duration) bool {
	return e.before != 0 && now-e.before < stormWindow
}

// limiter is a token bucket kept as the time at which it would be full again.
type limiter struct{ full time.Duration }

// take reserves one launch and says how long it has to wait.
func (l *limiter) take(now time.Duration) time.Duration {
	l.full = max(l.full, now) + stormGap
	return max(0, l.full-now-stormBurst*stormGap)
}
