package native

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/cli/instance"
)

// morning is when the pictures of these tests are taken.
func morning() time.Time { return time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC) }

// screen is a command whose output is looked at.
type screen struct {
	*command
	out, err bytes.Buffer
}

// newScreen makes one: of a terminal of that width, 0 = of a file.
func newScreen(width int, locale string, colours bool) *screen {
	s := &screen{}
	vars := map[string]string{"LANG": locale}
	if !colours {
		vars["NO_COLOR"] = "1"
	}
	s.command = &command{out: &s.out, err: &s.err, width: width, outTTY: width > 0, now: morning, environ: func(n string) string { return vars[n] }}
	return s
}

// shown is what was printed, colours visible.
func (s *screen) shown() string { return strings.ReplaceAll(s.out.String(), "\x1b", "^") }

func is[T any](v T) *T { return &v }

// shop is a list of programs in all states.
func shop() []upkeep.Process {
	at := func(d time.Duration) *time.Time { return is(morning().Add(-d)) }
	from := upkeep.Origin{File: "/etc/upkeep/programs/shop.conf", Line: 3}
	return []upkeep.Process{
		{ID: "data:db", Group: "data", Name: "db", State: "FATAL", Since: at(time.Hour), Summary: "exit 1 after 0.2s, gave up after 4 tries", Origin: from},
		{ID: "nightly", Group: "nightly", Name: "nightly", State: "EXITED", Since: at(6 * time.Hour), LastExit: &upkeep.Exit{Code: is(0), Expected: true}, Summary: "exit 0, 6h ago", Origin: from},
		{ID: "scratch", Group: "scratch", Name: "scratch", State: "STOPPED", Summary: "2d ago", Origin: from},
		{ID: "shop:web", Group: "shop", Name: "web", State: "RUNNING", PID: is(48121), Since: at(76 * time.Hour), CPU: is(3.14), Memory: is(int64(182 << 20)), Listen: []string{":8000"}, Command: "gunicorn app:app", Origin: from},
		{ID: "shop:店", Group: "shop", Name: "店", State: "RUNNING", PID: is(7), Since: at(70 * time.Minute), CPU: is(0.2), Memory: is(int64(64 << 20)), Command: "mailer", Origin: from},
		{ID: "shop:worker", Group: "shop", Name: "worker", State: "BACKOFF", Summary: "exit 3 after 0.2s, next try 2.6s\x1b]0;x\a", Origin: from},
	}
}

func TestStatusTable(t *testing.T) {
	for _, c := range []struct {
		name  string
		s     *screen
		wide  bool
		want  string
		lines int
	}{
		{name: "120 columns", s: newScreen(120, "C.UTF-8", false), want: `
GROUP    NAME     STATE      UP       CPU     MEM  PORTS  NOTE
data     db       ✕ fatal                                 exit 1 after 0.2s, gave up after 4 tries
nightly  nightly  ○ exited                                exit 0, 6h ago
scratch  scratch  – stopped                               2d ago
shop     web      ● running  3d 4h   3.1%  182 MB  :8000
shop     店       ● running  1h 10m  0.2%   64 MB
shop     worker   ↻ backoff                               exit 3 after 0.2s, next try 2.6s
`},
		{name: "80 columns", s: newScreen(80, "C.UTF-8", false), want: `
GROUP    NAME     STATE      UP       CPU     MEM  NOTE
data     db       ✕ fatal                          exit 1 after 0.2s, gave up a…
nightly  nightly  ○ exited                         exit 0, 6h ago
scratch  scratch  – stopped                        2d ago
shop     web      ● running  3d 4h   3.1%  182 MB
shop     店       ● running  1h 10m  0.2%   64 MB
shop     worker   ↻ backoff                        exit 3 after 0.2s, next try …
`},
		{name: "ASCII, 60 columns", s: newScreen(60, "C", false), want: `
NAME     STATE      UP      NOTE
db       x fatal            exit 1 after 0.2s, gave up af...
nightly  o exited           exit 0, 6h ago
scratch  - stopped          2d ago
web      * running  3d 4h
店       * running  1h 10m
worker   ~ backoff          exit 3 after 0.2s, next try 2.6s
`},
		{name: "colours", s: newScreen(120, "C.UTF-8", true), lines: 2, want: `
^[2mGROUP^[0m    ^[2mNAME^[0m     ^[2mSTATE^[0m      ^[2mUP^[0m       ^[2mCPU^[0m     ^[2mMEM^[0m  ^[2mPORTS^[0m  ^[2mNOTE^[0m
data     db       ^[31m✕ fatal^[0m                                 exit 1 after 0.2s, gave up after 4 tries
`},
		{name: "wide", s: newScreen(0, "C", false), wide: true, lines: 2, want: `
GROUP    NAME     STATE      UP       CPU     MEM  PORTS  NOTE                                        PID  COMMAND           FROM
data     db       x fatal                                 exit 1 after 0.2s, gave up after 4 tries                           /etc/upkeep/programs/shop.conf:3
`},
	} {
		if err := c.s.statusTable(shop(), c.wide, instance.Instance{}); err != nil {
			t.Fatal(err)
		}
		got := c.s.shown()
		if c.lines > 0 {
			got = strings.Join(strings.SplitAfter(got, "\n")[:c.lines], "")
		}
		if d := cmp.Diff(strings.TrimPrefix(c.want, "\n"), got); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
		for line := range strings.Lines(got) {
			if c.s.width > 0 && !strings.Contains(line, "^") && textWidth(strings.TrimSuffix(line, "\n")) > c.s.width {
				t.Errorf("%s: too wide: %s", c.name, line)
			}
		}
		if d := cmp.Diff("\n6 programs: 2 running, 2 need attention.   upkeep why data:db\n", c.s.err.String()); d != "" {
			t.Errorf("%s: talk (-want +got):\n%s", c.name, d)
		}
	}
}

func TestLogLines(t *testing.T) {
	at := morning().Add(-1500 * time.Millisecond)
	lines := []upkeep.LogLine{
		{ID: "web", Stream: "stdout", Time: at, Text: "GET / \x1b[32m200\x1b[0m \x1b]0;owned\a"},
		{ID: "worker", Stream: "stderr", Time: at, Mark: "restarted (exit 3)"},
		{ID: "worker", Stream: "stderr", Time: at, Text: "ready"},
	}
	two := []upkeep.Process{{ID: "web"}, {ID: "worker"}}
	for _, c := range []struct {
		name  string
		s     *screen
		flags logsFlags
		list  []upkeep.Process
		want  string
	}{
		{"several", newScreen(80, "C.UTF-8", false), logsFlags{}, two, "web    │ GET / 200 \n── worker restarted (exit 3) ──\nworker │ ready\n"},
		{"ASCII", newScreen(120, "C", false), logsFlags{}, two, "web    | GET / 200 \n-- worker restarted (exit 3) --\nworker | ready\n"},
		{"one", newScreen(80, "C.UTF-8", false), logsFlags{}, two[:1], "GET / 200 \n── restarted (exit 3) ──\nready\n"},
		{"no prefix", newScreen(80, "C.UTF-8", false), logsFlags{noPrefix: true}, two, "GET / 200 \n── restarted (exit 3) ──\nready\n"},
		{"raw", newScreen(0, "C", false), logsFlags{}, two[:1], "GET / ^[32m200^[0m ^]0;owned\a\n-- restarted (exit 3) --\nready\n"},
		{
			"times", newScreen(80, "C", false),
			logsFlags{times: true},
			two[:1],
			"2026-11-21 09:29:58.500 GET / 200 \n2026-11-21 09:29:58.500 -- restarted (exit 3) --\n2026-11-21 09:29:58.500 ready\n",
		},
		{
			"colours", newScreen(80, "C.UTF-8", true),
			logsFlags{},
			two,
			"^[" + colourOf("web") + "mweb    │ ^[0mGET / ^[32m200^[0m \n^[2m── worker restarted (exit 3) ──^[0m\n^[" + colourOf("worker") + "mworker │ ^[0mready\n",
		},
	} {
		v, err := c.s.logView(&c.flags)
		if err != nil {
			t.Fatal(err)
		}
		v.names(c.list)
		for _, l := range lines {
			if err := v.put(l); err != nil {
				t.Fatal(err)
			}
		}
		if d := cmp.Diff(c.want, c.s.shown()); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
}

func TestLogForms(t *testing.T) {
	line := upkeep.LogLine{ID: "web", Stream: "stdout", Time: morning(), Text: "a<b"}
	for _, c := range []struct {
		output string
		follow bool
		want   string
		fails  bool
	}{
		{output: "ndjson", want: "{\"process\":\"web\",\"stream\":\"stdout\",\"time\":\"2026-11-21T09:30:00Z\",\"text\":\"a<b\"}\n"},
		{output: "json", follow: true, want: "{\"process\":\"web\",\"stream\":\"stdout\",\"time\":\"2026-11-21T09:30:00Z\",\"text\":\"a<b\"}\n"},
		{output: "json", want: "[\n  {\n    \"process\": \"web\",\n    \"stream\": \"stdout\",\n    \"time\": \"2026-11-21T09:30:00Z\",\n    \"text\": \"a<b\"\n  }\n]\n"},
		{output: "template={{.ID}}={{.Text}}", want: "web=a<b\n"},
		{output: "template={{.Nope}}", fails: true},
		{output: "name", fails: true},
		{output: "nope", fails: true},
	} {
		s := newScreen(0, "C", false)
		s.output = c.output
		v, err := s.logView(&logsFlags{follow: c.follow})
		if err == nil {
			if err = v.put(line); err == nil {
				v.end()
			}
		}
		var usage usageError
		if errors.As(err, &usage) != c.fails || s.shown() != c.want {
			t.Errorf("%s: %q, %v", c.output, s.shown(), err)
		}
	}
}

func TestShowWhy(t *testing.T) {
	x := upkeep.Explanation{
		ID: "api", State: "FATAL", Headline: "gave up after 4 tries in 11s", Failed: true,
		Facts:    []string{"was ended by SIGKILL each time, after 3.1s and 3.0s"},
		Evidence: []upkeep.Evidence{{Kind: "stdout", Lines: []string{"loading model\x1b[2J"}}},
		Checked:  []string{"4 processes were killed for memory"},
		Hints:    []upkeep.Hint{{Text: "It may have more:", Command: "upkeep set api memory_max=512MB"}},
		Timeline: []upkeep.Event{
			{Time: morning().Add(-11 * time.Second), Type: "PROCESS_STATE_STARTING", Text: "started"},
			{Time: morning(), Type: "PROCESS_STATE_FATAL", Text: "given up"},
		},
	}
	s := newScreen(80, "C.UTF-8", false)
	s.showWhy(&s.out, &x)
	if d := cmp.Diff(`api is FATAL: gave up after 4 tries in 11s (today 09:30:00)

  was ended by SIGKILL each time, after 3.1s and 3.0s
  last stdout line
    loading model

  upkeep looked: 4 processes were killed for memory
  It may have more:
      upkeep set api memory_max=512MB

  09:29:49  started
  09:30:00  given up

  upkeep events api   upkeep logs api
`, s.shown()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	s = newScreen(80, "C", true)
	s.showWhy(&s.out, &upkeep.Explanation{ID: "web", State: "RUNNING", Headline: "is running for 3s (since 09:29:57), pid 5"})
	if got := s.shown(); got != "^[1mweb is running for 3s (since 09:29:57), pid 5^[0m\n" {
		t.Errorf("%q", got)
	}
}

func TestShowEvents(t *testing.T) {
	s := newScreen(80, "C.UTF-8", true)
	for _, e := range []upkeep.Event{
		{Time: morning().Add(-24 * time.Hour), Type: "SUPERVISOR_STATE_CHANGE_RUNNING", Text: "the daemon runs"},
		{Time: morning(), Type: "PROCESS_GROUP_ADDED", Group: "shop", Text: "added"},
		{Time: morning(), Type: "PROCESS_STATE_FATAL", ID: "店", Group: "shop", Text: "given up"},
		{Time: morning(), Type: "PROCESS_STATE_EXITED", ID: "web", Expected: is(true), Text: "ended as expected"},
	} {
		s.showEvent(&e, 3)
	}
	if d := cmp.Diff(`^[2myesterday 09:30^[0m  upkeep  the daemon runs
^[2m09:30:00    ^[0m  shop:*  added
^[2m09:30:00    ^[0m  店      ^[31mgiven up^[0m
^[2m09:30:00    ^[0m  web     ended as expected
`, s.shown()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestTreeTable(t *testing.T) {
	list := []upkeep.Process{
		{ID: "web", State: "RUNNING", Tree: []upkeep.Branch{
			{PID: 10, Command: "gunicorn app:app", CPU: 3.14, Memory: 41 << 20},
			{PID: 11, Parent: 10, Command: "sh -c a\nb", Memory: 1 << 20},
			{PID: 13, Parent: 11, Command: "[sleep]", Ended: true},
			{PID: 12, Parent: 10, Command: strings.Repeat("long ", 20), Memory: 1 << 20},
		}},
		{ID: "db", State: "FATAL"},
	}
	s := newScreen(60, "C.UTF-8", false)
	s.treeTable(list)
	if d := cmp.Diff(`PID   CPU    MEM  PROCESS
                  ● web
 10  3.1%  41 MB  └─ gunicorn app:app
 11  0.0%   1 MB     ├─ sh -c a b
 13                  │  └─ [sleep]  (ended, its parent has …
 12  0.0%   1 MB     └─ long long long long long long long …
                  ✕ db  fatal
`, s.shown()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	s = newScreen(0, "C", false)
	s.treeTable(list[:1])
	if d := cmp.Diff("PID   CPU    MEM  PROCESS\n                  * web\n 10  3.1%  41 MB  `- gunicorn app:app\n 11  0.0%   1 MB     |- sh -c a b\n",
		strings.Join(strings.SplitAfter(s.shown(), "\n")[:4], "")); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestResume cuts a stream of lines off at each place: together with what a second one gives, nothing is lost or doubled.
func TestResume(t *testing.T) {
	var all []upkeep.LogLine
	for i := range 60 {
		at := morning().Add(time.Duration(i/4) * 50 * time.Millisecond)
		all = append(all,
			upkeep.LogLine{ID: "a", Stream: "stdout", Time: at, Text: "tick"}, // the same text again and again
			upkeep.LogLine{ID: "b", Stream: "stdout", Time: at, Text: fmt.Sprint("line ", i)})
	}
	for cut := range all {
		r := newResume()
		var got []upkeep.LogLine
		put := func(l upkeep.LogLine) error { got = append(got, l); return nil }
		for _, l := range all[:cut] {
			if err := r.put(l, put); err != nil {
				t.Fatal(err)
			}
		}
		r.query(upkeep.LogFilter{Tail: -1, Follow: true}) // nobody answers
		q := r.query(upkeep.LogFilter{Tail: -1, Follow: true})
		if cut == 0 {
			if q.Tail != -1 || !q.Since.IsZero() {
				t.Errorf("nothing was given, and then %+v is asked", q)
			}
			continue
		}
		if q.Tail != 0 || q.Since.IsZero() || !q.Follow {
			t.Fatalf("%+v", q)
		}
		for _, l := range all {
			if !l.Time.Before(q.Since) {
				if err := r.put(l, put); err != nil {
					t.Fatal(err)
				}
			}
		}
		if d := cmp.Diff(all, got); d != "" {
			t.Fatalf("cut after %d lines (-want +got):\n%s", cut, d)
		}
	}
}

func TestLogQueries(t *testing.T) {
	now := morning()
	for _, c := range []struct {
		flags logsFlags
		want  upkeep.LogFilter
		fails string
	}{
		{flags: logsFlags{}, want: upkeep.LogFilter{Tail: 10}},
		{flags: logsFlags{follow: true, lines: "0"}, want: upkeep.LogFilter{Tail: -1, Follow: true}},
		{flags: logsFlags{lines: "all", stdout: true}, want: upkeep.LogFilter{Stream: "stdout"}},
		{flags: logsFlags{since: "10m", stderr: true}, want: upkeep.LogFilter{Since: now.Add(-10 * time.Minute), Stream: "stderr"}},
		{flags: logsFlags{since: "10m", lines: "3", stdout: true, stderr: true}, want: upkeep.LogFilter{Since: now.Add(-10 * time.Minute), Tail: 3}},
		{flags: logsFlags{until: "09:00", grep: "a|b", run: -1}, want: upkeep.LogFilter{Until: now.Add(-30 * time.Minute), Tail: 10, Grep: "a|b", Run: -1}},
		{flags: logsFlags{daemon: true}, want: upkeep.LogFilter{Tail: 10, Daemon: true}},
		{flags: logsFlags{lines: "-1"}, fails: `"-1" is no number of lines, and not "all"`},
		{flags: logsFlags{since: "soon"}, fails: `"soon" is no time: say 10m, 14:02, yesterday, "2026-11-21 09:30"`},
		{flags: logsFlags{grep: "("}, fails: "--grep: error parsing regexp: missing closing ): `(`"},
		{flags: logsFlags{run: 1}, fails: "--run counts back: -1 is the previous run"},
		{flags: logsFlags{run: -1, follow: true}, fails: "a run that is over cannot be followed"},
		{flags: logsFlags{daemon: true, stderr: true}, fails: "the daemon's log is not that of a program"},
		{flags: logsFlags{daemon: true, times: true}, fails: "the lines of the daemon's log have their times in them:  upkeep logs --daemon -n all -g '14:0'"},
	} {
		got, err := c.flags.query(now)
		if c.fails != "" {
			var usage usageError
			if !errors.As(err, &usage) || err.Error() != c.fails {
				t.Errorf("%+v: %v", c.flags, err)
			}
		} else if d := cmp.Diff(c.want, got); d != "" || err != nil {
			t.Errorf("%+v: %v (-want +got):\n%s", c.flags, err, d)
		}
	}
}
