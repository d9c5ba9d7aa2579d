package words

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDuration(t *testing.T) {
	const s, m, h = time.Second, time.Minute, time.Hour
	for d, want := range map[time.Duration]string{
		-s: "0s", 0: "0s", time.Microsecond: "1ms", 12 * time.Millisecond: "12ms", 99 * time.Millisecond: "99ms",
		200 * time.Millisecond: "0.2s", 299 * time.Millisecond: "0.2s", s: "1.0s", 9990 * time.Millisecond: "9.9s", 10 * s: "10s",
		59*s + 999*time.Millisecond: "59s", m: "1m", 70 * s: "1m 10s", h - s: "59m 59s", h: "1h", 70 * m: "1h 10m",
		24*h - 1: "23h 59m", 24 * h: "1d", 76 * h: "3d 4h", 239 * h: "9d 23h", 250 * h: "10d", 400 * 24 * h: "400d",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%d ns: %q, want %q", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "0s", 90 * s: "90s", 1500 * time.Millisecond: "1.5s", h: "3600s"} {
		if got := Limit(d); got != want {
			t.Errorf("limit of %v: %q, want %q", d, got, want)
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{
		-5: "0 bytes", 0: "0 bytes", 1: "1 byte", 1023: "1023 bytes", 1024: "1 KB", 1536: "1.5 KB", 10 << 10: "10 KB",
		41 << 20: "41 MB", 1<<20 - 1: "1023 KB", 19 << 30 / 10: "1.8 GB", 5 << 40: "5 TB", 7 << 60: "7 EB",
	} {
		if got := Size(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestCounting(t *testing.T) {
	for _, c := range [][2]string{
		{Count(0, "try", "tries"), "0 tries"},
		{Count(1, "try", "tries"), "1 try"},
		{Count(4, "try", "tries"), "4 tries"},
		{Times(1), "once"},
		{Times(2), "twice"},
		{Times(3), "3 times"},
		{List(nil), ""},
		{List([]string{"web"}), "web"},
		{List([]string{"web", "db"}), "web and db"},
		{List([]string{"web", "db", "worker"}), "web, db and worker"},
	} {
		if c[0] != c[1] {
			t.Errorf("%q, want %q", c[0], c[1])
		}
	}
}

func TestEnds(t *testing.T) {
	exit := func(code int) End { return End{Known: true, Code: code} }
	kill := End{Known: true, Signal: 9}
	tenths := func(n ...int) (out []time.Duration) {
		for _, d := range n {
			out = append(out, time.Duration(d)*100*time.Millisecond)
		}
		return out
	}
	for _, c := range []struct {
		ends   []End
		lasted []time.Duration
		want   string
	}{
		{nil, nil, ""},
		{[]End{exit(3)}, nil, ""},
		{[]End{exit(3)}, tenths(2), "exited with code 3 after 0.2s"},
		{[]End{exit(3), exit(3)}, tenths(2, 2), "exited with code 3 after 0.2s, twice"},
		{[]End{exit(1), exit(3), exit(3)}, tenths(9, 2, 2), "exited with code 3 after 0.2s, twice"},
		{[]End{kill, kill, kill, kill}, tenths(31, 30, 32, 31), "was ended by SIGKILL each time, after 3.1s, 3.0s, 3.2s and 3.1s"},
		{[]End{exit(1), exit(1), exit(1), exit(1), exit(1)}, tenths(9, 1, 2, 3, 4), "exited with code 1 5 times, the last ones after 0.1s, 0.2s, 0.3s and 0.4s"},
		{[]End{exit(3), {Reason: "no record"}}, tenths(2, 30), "ended, nobody knows how (no record) after 3.0s"},
	} {
		if got := Ends(c.ends, c.lasted); got != c.want {
			t.Errorf("%v: %q, want %q", c.ends, got, c.want)
		}
	}
	for e, want := range map[End][3]string{
		{}:                                   {"ended, nobody knows how", "unknown", "exit status unknown: "},
		{Known: true, Code: 1}:               {"exited with code 1", "exit 1", "exit status 1"},
		{Known: true, Signal: 6, Core: true}: {"was ended by SIGABRT (core dumped)", "SIGABRT", "terminated by SIGABRT (core dumped)"},
	} {
		if got := [3]string{e.String(), e.Short(), e.Logged()}; got != want {
			t.Errorf("%+v: %q", e, got)
		}
	}
}

func TestClock(t *testing.T) {
	now := time.Date(2026, 11, 21, 14, 2, 31, 0, time.UTC)
	for _, c := range []struct {
		t    time.Time
		want string
	}{
		{time.Time{}, "never"},
		{now, "14:02:31"},
		{now.Add(-14 * time.Hour), "00:02:31"},
		{now.Add(-15 * time.Hour), "yesterday 23:02"},
		{now.AddDate(0, 0, -3), "18 Nov 14:02"},
		{now.AddDate(-1, 0, 0), "21 Nov 2025"},
		{now.In(time.FixedZone("far", 9*3600)), "14:02:31"},
	} {
		if got := Clock(c.t, now); got != c.want {
			t.Errorf("%v: %q, want %q", c.t, got, c.want)
		}
	}
}

func TestClose(t *testing.T) {
	known := []string{"worker", "web", "worked", "autorestart", "autostart", "Web2", "["}
	for word, want := range map[string][]string{
		"wroker": {"worker", "worked"}, "wbe": {"web"}, "WORKER": {"worker"}, "autorestrat": {"autorestart", "autostart"},
		"web": {}, "": {}, "entirely": {}, "x": {}, "web2": {"Web2", "web"},
	} {
		if diff := cmp.Diff(want, append([]string{}, Close(word, known, 3)...)); diff != "" {
			t.Errorf("%q: %s", word, diff)
		}
	}
	if got := Close("wroker", known, 1); len(got) != 1 || got[0] != "worker" {
		t.Errorf("one: %q", got)
	}
}

func FuzzDistance(f *testing.F) {
	f.Add("wroker", "worker")
	f.Add("", "é")
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a) > maxWord || len(b) > maxWord {
			return
		}
		d := Distance(a, b)
		if d != Distance(b, a) || (d == 0) != (a == b) || d > max(len(a), len(b)) || d < abs(len(a)-len(b)) {
			t.Errorf("%q, %q: %d", a, b, d)
		}
	})
}
