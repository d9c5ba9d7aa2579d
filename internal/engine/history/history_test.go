package history

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/engine/timeindex"
	"github.com/upkeep-project/upkeep/internal/sys/logfile"
)

// origin is when the stories of these tests begin; at is so many seconds later.
var origin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return origin.Add(time.Duration(seconds) * time.Second) }

// story writes a log with its index, at times that it says.
type story struct {
	t    testing.TB
	path string
	w    *timeindex.Writer
	pos  int64
}

func newStory(t testing.TB, path string) *story {
	t.Helper()
	s := &story{t: t, path: path}
	s.open()
	t.Cleanup(func() { s.w.Close() })
	return s
}

func (s *story) open() {
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	s.check(err)
	defer f.Close()
	info, err := logfile.InfoOfFile(f)
	s.check(err)
	s.pos = info.Size
	s.w = timeindex.Open(s.path, 0o600, info)
	if s.w == nil {
		s.t.Fatal("no index")
	}
}

func (s *story) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// say writes text that comes at a second.
func (s *story) say(second int, text string) *story {
	s.t.Helper()
	s.w.Bytes(s.pos, at(second))
	f, err := os.OpenFile(s.path, os.O_WRONLY|os.O_APPEND, 0)
	s.check(err)
	defer f.Close()
	_, err = f.WriteString(text)
	s.check(err)
	s.pos += int64(len(text))
	return s
}

func (s *story) start(second, gen int) *story {
	s.w.Start(s.pos, at(second), uint64(gen))
	return s
}

func (s *story) exit(second, status int) *story {
	s.w.End(s.pos, at(second), timeindex.Exited, uint32(status))
	return s
}

// rotate renames the log and its backups, as its writer does.
func (s *story) rotate(backups int) *story {
	s.t.Helper()
	d, err := logfile.OpenDir(s.path)
	s.check(err)
	defer d.Close()
	name := func(k int) string {
		if k == 0 {
			return d.Name()
		}
		return fmt.Sprint(d.Name(), ".", k)
	}
	for k := backups - 1; k >= 0; k-- {
		if d.Rename(name(k), name(k+1)) == nil {
			timeindex.Moved(d, name(k), name(k+1))
		}
	}
	s.w.Close()
	s.open()
	return s
}

func (s *story) clear() *story {
	s.check(os.Truncate(s.path, 0))
	s.w.Clear(s.pos)
	s.pos = 0
	return s
}

// tell is a line as the tests compare it: the source's letter, the second, the run, and the text or the mark.
func tell(l Line) string {
	s := fmt.Sprintf("%c %d %d %s", 'a'+l.Source, int(l.Time.Sub(origin)/time.Second), l.Run, l.Text)
	if l.Mark != "" {
		s += "-- " + l.Mark
	}
	return s
}

// all reads a query that does not follow to its end.
func all(t testing.TB, q Query) []string {
	t.Helper()
	r, err := Open(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out := []string{}
	for {
		l, err := r.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, tell(l))
	}
}

func expect(t testing.TB, got []string, want ...string) {
	t.Helper()
	if d := cmp.Diff(append([]string{}, want...), got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// shop writes two programs of which one has two logs, over rotations and runs.
func shop(t testing.TB) []Source {
	dir := t.TempDir()
	web, err, db := filepath.Join(dir, "web.out"), filepath.Join(dir, "web.err"), filepath.Join(dir, "db.out")
	newStory(t, web).
		start(0, 1).say(1, "w1\n").say(3, "w3\nw3'\n").rotate(3).say(5, "w5\n").exit(6, 3).
		start(7, 2).say(8, "w8\n").rotate(3).say(9, "w9 without an end").exit(10, 0).
		start(11, 3).say(12, "w12\n")
	newStory(t, err).start(0, 1).say(2, "e2\n").exit(6, 3).start(7, 2).say(9, "e9\n").exit(10, 0).start(11, 3)
	newStory(t, db).start(1, 1).say(4, "d4\n").say(8, "d8\n").say(13, "d13\n")
	return []Source{{web, "web"}, {err, "web"}, {db, "db"}}
}

func TestMerge(t *testing.T) {
	logs := shop(t)
	expect(
		t, all(t, Query{Logs: logs}),
		"a 1 1 w1", "b 2 1 e2", "a 3 1 w3", "a 3 1 w3'", "c 4 1 d4", "a 5 1 w5", "a 7 2 -- restarted (exit 3)",
		"c 8 1 d8", "a 8 2 w8", "a 9 2 w9 without an end", "b 9 2 e9", "a 11 3 -- restarted (exit 0)", "a 12 3 w12", "c 13 1 d13",
	)
}

func TestQueries(t *testing.T) {
	logs := shop(t)
	for _, c := range []struct {
		name string
		q    Query
		want []string
	}{
		{"tail 1", Query{Tail: 1}, []string{"c 13 1 d13"}},
		{"tail 3", Query{Tail: 3}, []string{"b 9 2 e9", "a 11 3 -- restarted (exit 0)", "a 12 3 w12", "c 13 1 d13"}},
		{"tail 4 goes into a backup's line without an end", Query{Tail: 4}, []string{
			"a 9 2 w9 without an end", "b 9 2 e9", "a 11 3 -- restarted (exit 0)", "a 12 3 w12", "c 13 1 d13",
		}},
		{"more than there are", Query{Tail: 1000, Match: regexp.MustCompile(`^w3`)}, []string{"a 3 1 w3", "a 3 1 w3'"}},
		{"nothing old", Query{Tail: -1}, nil},
		{"match", Query{Match: regexp.MustCompile(`[12]$`)}, []string{"a 1 1 w1", "b 2 1 e2", "a 12 3 w12"}},
		{"last matches", Query{Tail: 2, Match: regexp.MustCompile(`[12]$`)}, []string{"b 2 1 e2", "a 12 3 w12"}},
		{"since", Query{Since: at(9)}, []string{"a 9 2 w9 without an end", "b 9 2 e9", "a 11 3 -- restarted (exit 0)", "a 12 3 w12", "c 13 1 d13"}},
		{"since, in a backup", Query{Since: at(5), Until: at(8)}, []string{"a 5 1 w5", "a 7 2 -- restarted (exit 3)"}},
		{"until", Query{Until: at(3)}, []string{"a 1 1 w1", "b 2 1 e2"}},
		{"last before", Query{Until: at(8), Tail: 2}, []string{"c 4 1 d4", "a 5 1 w5", "a 7 2 -- restarted (exit 3)"}},
		{"between, the last", Query{Since: at(2), Until: at(5), Tail: 1}, []string{"c 4 1 d4"}},
		{"until, without the mark at that time", Query{Since: at(5), Until: at(7)}, []string{"a 5 1 w5"}},
		{"future", Query{Since: at(100)}, nil},
		{"past", Query{Until: at(-100)}, nil},
		{"the run before", Query{Run: -1}, []string{"a 8 2 w8", "a 9 2 w9 without an end", "b 9 2 e9"}},
		{"the one before that", Query{Run: -2}, []string{"a 1 1 w1", "b 2 1 e2", "a 3 1 w3", "a 3 1 w3'", "a 5 1 w5"}},
		{"its last line", Query{Run: -2, Tail: 1}, []string{"a 5 1 w5"}},
		{"never had so many", Query{Run: -3}, nil},
		{"never had so many, the last", Query{Run: -3, Tail: 5}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.q.Logs = logs
			expect(t, all(t, c.q), c.want...)
		})
	}
}
