package history

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// told is a line as it was written.
type told struct {
	source, second, gen int
	text                string
}

func (l told) String() string {
	return fmt.Sprintf("%c %d %d %s", 'a'+l.source, l.second, l.gen, l.text)
}

// randomStories writes some logs, with lines of all lengths that come in pieces, over runs and rotations. It returns
// also how many runs each has had.
func randomStories(t *testing.T, r *rand.Rand) (logs []Source, lines []told, runs []int) {
	dir := t.TempDir()
	stories := make([]*story, 1+r.IntN(3))
	runs = make([]int, len(stories))
	open := make([]int, len(stories)) // the number of the line that has no end yet, from 1
	for i := range stories {
		path := filepath.Join(dir, fmt.Sprint(i))
		logs = append(logs, Source{Path: path})
		stories[i] = newStory(t, path)
	}
	for second := range 40 + r.IntN(100) {
		i := r.IntN(len(stories))
		s := stories[i]
		switch what := r.IntN(10); {
		case what == 0 || runs[i] == 0:
			open[i] = 0
			runs[i]++
			s.exit(second, 1).start(second, runs[i])
		case what == 1:
			open[i] = 0 // a line that a rotation cuts is two
			s.rotate(50)
		default:
			for range 1 + r.IntN(4) {
				text := strings.Repeat(string(rune('a'+r.IntN(26))), 1+r.IntN(1<<r.IntN(1+r.IntN(18))))
				if open[i] == 0 {
					lines = append(lines, told{source: i, second: second, gen: runs[i]})
					open[i] = len(lines)
				}
				lines[open[i]-1].text += text
				if r.IntN(4) > 0 {
					open[i] = 0
					text += "\n"
				}
				s.say(second, text)
			}
		}
	}
	return logs, lines, runs
}

func texts(lines []told) []string {
	out := []string{}
	for _, l := range lines {
		out = append(out, l.String())
	}
	return out
}

// withoutMarks drops those.
func withoutMarks(lines []string) []string {
	return slices.DeleteFunc(lines, func(s string) bool { return strings.Contains(s, "-- ") })
}

// same compares.
func same(t *testing.T, what string, got []string, want []told) {
	t.Helper()
	got = withoutMarks(got)
	w := texts(want)
	if slices.Equal(got, w) {
		return
	}
	n := 0
	for n < min(len(got), len(w)) && got[n] == w[n] {
		n++
	}
	near := func(lines []string) (out []string) {
		for _, l := range lines[min(n, len(lines)):min(n+3, len(lines))] {
			out = append(out, fmt.Sprintf("%.30s (%d)", l, len(l)))
		}
		return out
	}
	t.Fatalf("%s: %d lines, want %d; from line %d on got %q, want %q", what, len(got), len(w), n, near(got), near(w))
}

// TestRandomStories compares every kind of query with the lines as they were written.
func TestRandomStories(t *testing.T) {
	for seed := range uint64(25) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			logs, lines, runs := randomStories(t, r)
			// At the same second the order is by source.
			slices.SortStableFunc(lines, func(a, b told) int {
				if a.second != b.second {
					return a.second - b.second
				}
				return a.source - b.source
			})
			same(t, "all", all(t, Query{Logs: logs}), lines)
			for range 6 {
				n := 1 + r.IntN(len(lines)+3)
				same(t, fmt.Sprint("tail ", n), all(t, Query{Logs: logs, Tail: n}), lines[max(0, len(lines)-n):])
				from, to := r.IntN(150), r.IntN(150)
				between := slices.DeleteFunc(slices.Clone(lines), func(l told) bool { return l.second < from || l.second >= to })
				same(t, fmt.Sprint("between ", from, to), all(t, Query{Logs: logs, Since: at(from), Until: at(to)}), between)
				same(
					t, fmt.Sprint("tail ", n, " between ", from, to),
					all(t, Query{Logs: logs, Since: at(from), Until: at(to), Tail: n}), between[max(0, len(between)-n):],
				)
				match := regexp.MustCompile("^[" + string(rune('a'+r.IntN(26))) + "-z]+$")
				matching := slices.DeleteFunc(slices.Clone(lines), func(l told) bool { return !match.MatchString(l.text) })
				same(
					t, fmt.Sprint("tail ", n, " of ", match),
					all(t, Query{Logs: logs, Match: match, Tail: n}), matching[max(0, len(matching)-n):],
				)
				run := 1 + r.IntN(3)
				of := slices.DeleteFunc(slices.Clone(lines), func(l told) bool { return l.gen != runs[l.source]-run })
				same(t, fmt.Sprint("run -", run), all(t, Query{Logs: logs, Run: -run}), of)
			}
		})
	}
}
