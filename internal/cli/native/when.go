package native

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/units"
)

const shortDay = "2 Jan"

// The ways in which people write days and times of day; words.Clock writes some of them.
var (
	dayForms   = [...]string{"2006-01-02", "2 Jan 2006", shortDay}
	clockForms = [...]string{"15:04", "15:04:05", "15:04:05.999999999"}
)

// parseWhen reads a moment as people write it: how long ago ("10m", "1h 30m", "2d", "10m ago"), a time of day ("14:02", the
// last one), a day ("today", "yesterday", "2026-11-19", "19 Nov"), both, RFC 3339, "@" with seconds since 1970, or "now".
func parseWhen(text string, now time.Time) (time.Time, error) {
	s := strings.TrimSpace(text)
	if s == "now" {
		return now, nil
	}
	if n, ok := strings.CutPrefix(s, "@"); ok {
		if f, err := strconv.ParseFloat(n, 64); err == nil && f >= 0 && f < 1<<37 { // years have four digits
			return time.UnixMilli(int64(f * 1000)), nil
		}
	}
	if d, ok := ago(strings.TrimSuffix(s, " ago")); ok {
		return now.Add(-d), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	if day, ok := dayOf(s, now); ok {
		return day, nil
	}
	if clock, ok := clockOf(s); ok {
		t := clock.on(now)
		if t.After(now) {
			t = clock.on(now.AddDate(0, 0, -1))
		}
		return t, nil
	}
	if at := strings.LastIndexAny(s, " T"); at > 0 {
		day, isDay := dayOf(s[:at], now)
		clock, isClock := clockOf(s[at+1:])
		if isDay && isClock {
			return clock.on(day), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: say 10m, 14:02, yesterday, %q", text, now.Format("2006-01-02 15:04"))
}

// maxAgo bounds how long ago something can be: ten thousand years are not representable.
const maxAgo = 100 * 365 * 24 * time.Hour

// ago reads a duration in units from days to milliseconds: "1h 30m", "1.5h", "2d", "1w".
func ago(s string) (time.Duration, bool) {
	units := map[string]time.Duration{
		"w": 7 * 24 * time.Hour, "d": 24 * time.Hour, "h": time.Hour, "m": time.Minute, "min": time.Minute, "s": time.Second,
		"ms": time.Millisecond,
	}
	total := 0.0
	if s == "" {
		return 0, false
	}
	for s != "" {
		n := len(s) - len(strings.TrimLeft(s, "0123456789."))
		f, err := strconv.ParseFloat(s[:n], 64)
		rest := strings.TrimLeft(s[n:], "abcdefghijklmnopqrstuvwxyz")
		unit, ok := units[s[n:len(s)-len(rest)]]
		if err != nil || !ok {
			return 0, false
		}
		total += f * float64(unit)
		s = strings.TrimLeft(rest, " ")
	}
	return time.Duration(total), total <= float64(maxAgo)
}

// dayOf reads a day: its begin, in now's location. Without a year it is the last one of that name.
func dayOf(s string, now time.Time) (time.Time, bool) {
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	switch s {
	case "today":
		return midnight, true
	case "yesterday":
		return midnight.AddDate(0, 0, -1), true
	}
	for _, form := range dayForms {
		t, err := time.ParseInLocation(form, s, now.Location())
		if err != nil {
			continue
		}
		if form == shortDay {
			t = lastOf(t.Month(), t.Day(), now)
		}
		return t, true
	}
	return time.Time{}, false
}

// lastOf is the last day of that name; the 29th of February is not in every year.
func lastOf(month time.Month, day int, now time.Time) time.Time {
	for year := now.Year(); ; year-- {
		t := time.Date(year, month, day, 0, 0, 0, 0, now.Location())
		if time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Day() == day && !t.After(now) {
			return t
		}
	}
}

// clock is a time of day: what passes since midnight where no clock is changed.
type clock struct{ hour, minute, second, nanosecond int }

func clockOf(s string) (clock, bool) {
	for _, form := range clockForms {
		if t, err := time.Parse(form, s); err == nil {
			return clock{t.Hour(), t.Minute(), t.Second(), t.Nanosecond()}, true
		}
	}
	return clock{}, false
}

// on is the time of day of a day.
func (c clock) on(day time.Time) time.Time {
	return time.Date(day.Year(), day.Month(), day.Day(), c.hour, c.minute, c.second, c.nanosecond, day.Location())
}

// period is a flag that is a length of time, as configurations have it.
type period time.Duration

// Set reads one.
func (p *period) Set(text string) error {
	d, err := units.Duration(text)
	*p = period(d)
	return err
}

// String is what the help shows: nothing for none.
func (p *period) String() string {
	if *p == 0 {
		return ""
	}
	return time.Duration(*p).String()
}

// Type is what the help calls it.
func (p *period) Type() string { return "duration" }
