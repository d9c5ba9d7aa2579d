package keeper

import "time"

// policy decides when a manager that crashed is started again, and how.
type policy struct {
	t       Timings
	n       int         // crashes since a manager proved itself
	crashes []time.Time // the last ones, oldest first, at most SafeCrashes
}

// crashed notes a crash and returns the pause before the next start. ready is how long the manager was
// READY, negative when it never was.
func (p *policy) crashed(now time.Time, ready time.Duration) time.Duration {
	if ready >= p.t.Settled {
		p.n = 0
	}
	pause := p.t.BackoffMax
	if p.n < 30 {
		pause = min(p.t.Backoff<<p.n, p.t.BackoffMax)
	}
	p.n++
	p.crashes = append(p.crashes, now)
	if extra := len(p.crashes) - p.t.SafeCrashes; extra > 0 {
		p.crashes = append(p.crashes[:0], p.crashes[extra:]...)
	}
	return pause
}

// safe reports whether a manager that is started now starts nothing.
func (p *policy) safe(now time.Time) bool {
	return len(p.crashes) >= p.t.SafeCrashes && now.Sub(p.crashes[0]) <= p.t.SafeWindow
}

// forget begins anew: another image is another chance.
func (p *policy) forget() { p.n, p.crashes = 0, nil }
