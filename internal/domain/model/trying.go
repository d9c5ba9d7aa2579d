package model

import "time"

// NextTry is when a program in BACKOFF is started again, as far as its status tells; zero in other states. The wait grows
// by one second with each attempt, and is never less than restart_delay. Source: spec/supervisor 2.4.
func NextTry(st Status) time.Time {
	if st.State != Backoff {
		return time.Time{}
	}
	failed := st.Start
	if st.Stop.After(failed) {
		failed = st.Stop
	}
	wait := time.Duration(st.Tries) * backoffStep
	if st.Program != nil {
		wait = st.Program.Start.Wait(st.Tries)
	}
	return failed.Add(wait)
}

// The wait before an attempt grows by one step with each that has failed, and where attempts never end not beyond all bounds.
const (
	backoffStep = time.Second
	backoffMost = time.Minute
)

// Wait is how long a program stays in BACKOFF after a number of failed attempts in a row; 0 = none has failed, and it waits
// for its restart_delay alone.
func (p StartPolicy) Wait(tries int) time.Duration {
	wait := time.Duration(tries) * backoffStep
	if p.Retries == Endless {
		wait = min(wait, backoffMost)
	}
	return max(wait, p.Delay)
}
