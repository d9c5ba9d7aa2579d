package native

import (
	"testing"
	"time"
)

func TestParseWhen(t *testing.T) {
	zone := time.FixedZone("here", 3600)
	now := time.Date(2026, 11, 21, 14, 30, 15, 0, zone)
	const form = "2006-01-02 15:04:05.999"
	for text, want := range map[string]string{
		"now": "2026-11-21 14:30:15", "10m": "2026-11-21 14:20:15", "10m ago": "2026-11-21 14:20:15", "1h 30m": "2026-11-21 13:00:15",
		"1.5h": "2026-11-21 13:00:15", "1h30m": "2026-11-21 13:00:15", "2d": "2026-11-19 14:30:15", "1w": "2026-11-14 14:30:15",
		"15s": "2026-11-21 14:30:00", "500ms": "2026-11-21 14:30:14.5", "5min": "2026-11-21 14:25:15",
		"14:02": "2026-11-21 14:02:00", "14:02:31": "2026-11-21 14:02:31", "23:00": "2026-11-20 23:00:00",
		"today": "2026-11-21 00:00:00", "yesterday": "2026-11-20 00:00:00", "yesterday 14:02": "2026-11-20 14:02:00",
		"2026-11-19": "2026-11-19 00:00:00", "2026-11-19 14:02": "2026-11-19 14:02:00", "2026-11-19T14:02:31": "2026-11-19 14:02:31",
		"2026-11-21 14:30:16.5": "2026-11-21 14:30:16.5",
		"19 Nov":                "2026-11-19 00:00:00", "19 Nov 14:02": "2026-11-19 14:02:00", "24 Dec": "2025-12-24 00:00:00", "24 Dec 2024": "2024-12-24 00:00:00",
		"29 Feb": "2024-02-29 00:00:00", "29 Feb 12:00": "2024-02-29 12:00:00", "0000-11-19": "0000-11-19 00:00:00",
		"2026-11-21T14:02:31Z": "2026-11-21 15:02:31", "@1795267815": "2026-11-21 14:30:15", "@0.5": "1970-01-01 01:00:00.5",
	} {
		got, err := parseWhen(text, now)
		if err != nil || got.In(zone).Format(form) != want {
			t.Errorf("%q: %s, %v, want %s", text, got.In(zone).Format(form), err, want)
		}
	}
	for _, text := range []string{"", " ", "soon", "10", "10x", "m", "25:00", "14:60", "-10m", "2026-13-01", "yesterday soon", "@x", "@-1", "1e3h", "9999999999w", "1..5h", "31 Feb", "@999999999999"} {
		if got, err := parseWhen(text, now); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func FuzzParseWhen(f *testing.F) {
	for _, s := range []string{"10m", "yesterday 14:02", "@1", "1h 30m", "19 Nov", "9999999999999999999d", "29 Feb", "0000-01-01", "@137438953471"} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 21, 14, 30, 15, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		if d, ok := ago(s); ok && (d < 0 || d > maxAgo) {
			t.Errorf("%q is %v ago", s, d)
		}
		got, err := parseWhen(s, now)
		if err != nil {
			return
		}
		if again, err := time.Parse(time.RFC3339Nano, got.Format(time.RFC3339Nano)); err != nil || !again.Equal(got) {
			t.Errorf("%q is %v, which a daemon is told as %v, %v", s, got, again, err)
		}
	})
}
