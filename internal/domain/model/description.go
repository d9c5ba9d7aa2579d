package model

import (
	"strconv"
	"time"
)

// Describe is the one-line description of a status that every face shows; times are shown in now's
// location. Source: spec/supervisor 2.10.
func Describe(st Status, now time.Time) string { return string(AppendDescription(nil, &st, now)) }

// AppendDescription appends what Describe returns.
func AppendDescription(b []byte, st *Status, now time.Time) []byte {
	switch st.State {
	case Running:
		b = append(b, "pid "...)
		b = strconv.AppendInt(b, int64(st.PID), 10)
		b = append(b, ", uptime "...)
		return appendUptime(b, now.Unix()-unix(st.Start))
	case Fatal, Backoff:
		if st.SpawnErr != "" {
			return append(b, st.SpawnErr...)
		}
		b = append(b, `unknown error (try "tail `...)
		b = append(b, st.ID.Name...)
		return append(b, `")`...)
	case Starting:
		if st.Waiting != "" {
			return append(append(b, "waiting for "...), st.Waiting...)
		}
	case Stopped, Exited:
		if st.State == Stopped && st.Program != nil && st.Program.Disabled {
			return append(b, "disabled"...)
		}
		if st.Start.IsZero() {
			return append(b, "Not started"...)
		}
		return time.Unix(unix(st.Stop), 0).In(now.Location()).AppendFormat(b, "Jan 02 03:04 PM")
	}
	return b
}

// unix is the time in seconds since 1970, 0 for never.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// appendUptime writes seconds as H:MM:SS with days in front; less than nothing counts as nothing.
func appendUptime(b []byte, seconds int64) []byte {
	seconds = max(seconds, 0)
	if days := seconds / 86400; days > 0 {
		b = strconv.AppendInt(b, days, 10)
		b = append(b, " day"...)
		if days > 1 {
			b = append(b, 's')
		}
		b = append(b, ", "...)
	}
	b = strconv.AppendInt(b, seconds%86400/3600, 10)
	for _, n := range [...]int64{seconds % 3600 / 60, seconds % 60} {
		b = append(b, ':', byte('0'+n/10), byte('0'+n%10))
	}
	return b
}
