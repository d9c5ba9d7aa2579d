// Package words says small things to people: durations, sizes, counts, how a process ended, and which known
// word is close to a mistyped one. Every face uses it, so that the same fact reads the same everywhere.
// Texts are English, short, and stable enough to be compared in tests; programs read the JSON instead.
package words

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/units"
)

// day is the longest unit of a duration.
const day = 24 * time.Hour

// Duration says how long something took or lasts, with two units at most: "12ms", "0.2s", "11s", "1m 10s", "3d 4h".
// It never rounds up to the next unit, and less than nothing is nothing.
func Duration(d time.Duration) string {
	const tenth = 100 * time.Millisecond
	switch d = max(d, 0); {
	case d == 0:
		return "0s"
	case d < tenth:
		return strconv.Itoa(max(1, int(d/time.Millisecond))) + "ms"
	case d < 10*time.Second:
		return strconv.FormatFloat(float64(d/tenth)/10, 'f', 1, 64) + "s"
	case d < time.Minute:
		return strconv.Itoa(int(d/time.Second)) + "s"
	case d < time.Hour:
		return pair(int(d/time.Minute), "m", int(d%time.Minute/time.Second), "s")
	case d < day:
		return pair(int(d/time.Hour), "h", int(d%time.Hour/time.Minute), "m")
	case d < 10*day:
		return pair(int(d/day), "d", int(d%day/time.Hour), "h")
	}
	return strconv.Itoa(int(d/day)) + "d"
}

// Limit says a configured duration as it was configured: in seconds, however many, and finer only when it is not whole.
func Limit(d time.Duration) string {
	return strconv.FormatFloat(max(d, 0).Seconds(), 'f', -1, 64) + "s"
}

// pair leaves the second unit out when there is none of it.
func pair(a int, unitA string, b int, unitB string) string {
	s := strconv.Itoa(a) + unitA
	if b > 0 {
		s += " " + strconv.Itoa(b) + unitB
	}
	return s
}

// Size says a number of bytes in powers of 1024, as the configuration counts them: "512 bytes", "41 MB", "1.9 GB".
func Size(n int64) string {
	if n < 1024 {
		return Count(int(max(n, 0)), "byte", "bytes")
	}
	f, unit := float64(n)/1024, 0
	names := [...]string{"KB", "MB", "GB", "TB", "PB", "EB"}
	for f >= 1024 && unit < len(names)-1 {
		f /= 1024
		unit++
	}
	digits := 0
	if tenth := int(f * 10); f < 10 && tenth%10 != 0 {
		f, digits = float64(tenth)/10, 1
	} else {
		f = float64(int(f))
	}
	return strconv.FormatFloat(f, 'f', digits, 64) + " " + names[unit]
}

// Count is a number with its word: Count(1, "try", "tries") is "1 try".
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// Times says how often: "once", "twice", "3 times".
func Times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return strconv.Itoa(n) + " times"
}

// List joins items as in a sentence: "a", "a and b", "a, b and c".
func List(items []string) string {
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	last := len(items) - 1
	return strings.Join(items[:last], ", ") + " and " + items[last]
}

// Either lists what can be chosen from: "a", "a or b", "a, b or c".
func Either(items []string) string {
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	last := len(items) - 1
	return strings.Join(items[:last], ", ") + " or " + items[last]
}

// End is how a process ended, as far as words go. Signal is 0 when it ended by itself.
type End struct {
	Known  bool
	Code   int
	Signal int
	Core   bool   // a memory image was written
	Reason string // why it is not known
}

// String is the sentence without its subject: "exited with code 3", "was ended by SIGKILL".
func (e End) String() string {
	switch {
	case !e.Known && e.Reason != "":
		return "ended, nobody knows how (" + e.Reason + ")"
	case !e.Known:
		return "ended, nobody knows how"
	case e.Signal != 0 && e.Core:
		return "was ended by " + units.SignalName(e.Signal) + " (core dumped)"
	case e.Signal != 0:
		return "was ended by " + units.SignalName(e.Signal)
	}
	return "exited with code " + strconv.Itoa(e.Code)
}

// Short is for a column: "exit 3", "SIGKILL", "unknown".
func (e End) Short() string {
	switch {
	case !e.Known:
		return "unknown"
	case e.Signal != 0:
		return units.SignalName(e.Signal)
	}
	return "exit " + strconv.Itoa(e.Code)
}

// Logged is for a line of a log, in the original's words: "exit status 3", "terminated by SIGKILL (core dumped)".
// Source: spec/supervisor 2.6.
func (e End) Logged() string {
	switch {
	case !e.Known:
		return "exit status unknown: " + e.Reason
	case e.Signal != 0 && e.Core:
		return "terminated by " + units.SignalName(e.Signal) + " (core dumped)"
	case e.Signal != 0:
		return "terminated by " + units.SignalName(e.Signal)
	}
	return "exit status " + strconv.Itoa(e.Code)
}

// same reports whether two ends read the same.
func (e End) same(o End) bool {
	return e.Known == o.Known && e.Code == o.Code && e.Signal == o.Signal
}

// maxLasted bounds how many run times a sentence lists.
const maxLasted = 4

// Ends says how the last runs of a program ended, oldest first, when the newest are alike; the run times of those
// that are:
//
//	exited with code 3 after 0.2s
//	exited with code 3 after 0.2s, twice
//	was ended by SIGKILL each time, after 3.1s, 3.0s, 3.2s and 3.1s
//
// Runs before a different end are not spoken of. Both slices have the same length; an empty one says nothing.
func Ends(ends []End, lasted []time.Duration) string {
	last := len(ends) - 1
	if last < 0 || len(lasted) != len(ends) {
		return ""
	}
	first := last
	for first > 0 && ends[first-1].same(ends[last]) {
		first--
	}
	n := last - first + 1
	text := ends[last].String()
	if n == 1 {
		return text + " after " + Duration(lasted[last])
	}
	var said []string
	equal := true
	for _, d := range lasted[max(first, last-maxLasted+1):] {
		said = append(said, Duration(d))
		equal = equal && said[len(said)-1] == said[0]
	}
	switch {
	case equal:
		return fmt.Sprintf("%s after %s, %s", text, said[0], Times(n))
	case n > maxLasted:
		return fmt.Sprintf("%s %s, the last ones after %s", text, Times(n), List(said))
	}
	return fmt.Sprintf("%s each time, after %s", text, List(said))
}

// Clock says when something was, seen from now and in now's location: "14:02:31", "yesterday 14:02", "19 Nov 14:02",
// "19 Nov 2025". The zero time is "never".
func Clock(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	t = t.In(now.Location())
	switch midnight := func(t time.Time) time.Time {
		return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())
	}; {
	case midnight(t).Equal(midnight(now)):
		return t.Format("15:04:05")
	case midnight(t).Equal(midnight(now).AddDate(0, 0, -1)):
		return "yesterday " + t.Format("15:04")
	case t.Year() == now.Year():
		return t.Format("2 Jan 15:04")
	}
	return t.Format("2 Jan 2006")
}

// plain are the characters that no shell gives a meaning.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-"

// Quote writes a word so that a POSIX shell reads it back as it is: bare when it can be, else in single quotes.
func Quote(s string) string {
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
