// Package clock is the time that processes of one boot agree on.
package clock

import "time"

// Monotonic is the time since some moment before every process of this boot that is alive: it never jumps
// when the time of day is set, stands still during a suspend, and has the same origin in all processes
// where the system offers that (Shared).
func Monotonic() time.Duration { return monotonic() }
