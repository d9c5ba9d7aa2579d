package model

import "time"

// NextTry is when a program in BACKOFF is started again, as far as its status tells; zero in other states. The wait grows
// by one second with each attempt. Source: spec/supervisor 2.4.
func NextTry(st Status) time.Time {
	if st.State != Backoff {
		return time.Time{}
	}
	failed := st.Start
	if st.Stop.After(failed) {
		failed = st.Stop
	}
	return failed.Add(time.Duration(st.Tries) * time.Second)
}
