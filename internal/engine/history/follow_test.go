package history

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/engine/logs"
)

const patience = 30 * time.Second

// reading is a query that follows, read by the test.
type reading struct {
	t   *testing.T
	r   *Reader
	ctx context.Context
}

func follow(t *testing.T, q Query) *reading {
	t.Helper()
	q.Follow = true
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	r, err := Open(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return &reading{t, r, ctx}
}

// next are the next n lines, without their times.
func (f *reading) next(n int) (out []string) {
	f.t.Helper()
	for range n {
		l, err := f.r.Next(f.ctx)
		if err != nil {
			f.t.Fatalf("after %q: %v", out, err)
		}
		s := fmt.Sprintf("%c %s", 'a'+l.Source, l.Text)
		if l.Mark != "" {
			s += "-- " + l.Mark
		}
		out = append(out, s)
	}
	return out
}

// nothing sees that nothing comes for some looks.
func (f *reading) nothing() {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.ctx, 3*lookEvery)
	defer cancel()
	if l, err := f.r.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		f.t.Fatalf("%+v, %v", l, err)
	}
}

func TestFollow(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	s := newStory(t, a).start(0, 1).say(1, "old\n").say(2, "last\n")
	f := follow(t, Query{Logs: []Source{{a, "a"}, {b, "b"}}, Tail: 1})
	expect(t, f.next(1), "a last")
	f.nothing()

	s.say(3, "one\ntwo, not ")
	expect(t, f.next(1), "a one")
	f.nothing() // the line has no end
	s.say(4, "ended\n")
	expect(t, f.next(1), "a two, not ended")

	newStory(t, b).start(5, 1).say(5, "another log, made meanwhile\n")
	expect(t, f.next(2), "b -- started", "b another log, made meanwhile")

	s.say(6, "before ").exit(7, 3).start(8, 2)
	expect(t, f.next(2), "a before ", "a -- restarted (exit 3)")
	s.say(9, "after\n")
	expect(t, f.next(1), "a after")

	s.say(10, "end of the file\n").rotate(2).say(11, "next file\n").rotate(2).say(12, "the one after\n")
	expect(t, f.next(3), "a end of the file", "a next file", "a the one after")

	s.clear()
	expect(t, f.next(1), "a -- cleared")
	s.say(13, "anew\n")
	expect(t, f.next(1), "a anew")
	// Filled again with as much as there was, and with the same.
	s.clear().say(14, "anew\n")
	expect(t, f.next(2), "a -- cleared", "a anew")
	f.nothing()
}

// TestSlowFollower: files that are gone before they were read are announced, with how much was in them.
func TestSlowFollower(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	s := newStory(t, path).say(1, "first\n")
	f := follow(t, Query{Logs: []Source{{Path: path}}})
	expect(t, f.next(1), "a first")
	for i := range 5 {
		s.say(2+i, fmt.Sprintf("line %d\n", i)).rotate(2)
	}
	s.say(9, "present\n")
	// The file at hand is read to its end although it has no name any more.
	expect(t, f.next(5), "a line 0", "a -- skipped 14 bytes", "a line 3", "a line 4", "a present")
	f.nothing()
}

// TestFollowRemoved: a log that somebody removes is followed at its path.
func TestFollowRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	newStory(t, path).say(1, "first\n")
	f := follow(t, Query{Logs: []Source{{Path: path}}})
	expect(t, f.next(1), "a first")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	f.nothing()
	newStory(t, path).say(2, "second\n")
	expect(t, f.next(1), "a second")
}

// TestFollowWithoutIndex is a log of which no times are kept: rotated, emptied, renamed by somebody else.
func TestFollowWithoutIndex(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	write := func(text string) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	f := follow(t, Query{Logs: []Source{{Path: path}}, Tail: -1})
	f.nothing()
	write("made\n")
	expect(t, f.next(1), "a made")
	write("rest\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write("new file\n")
	expect(t, f.next(2), "a rest", "a new file")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	expect(t, f.next(1), "a -- cleared")
	write("x\n")
	expect(t, f.next(1), "a x")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	write("longer than what was there\n")
	expect(t, f.next(2), "a -- cleared", "a longer than what was there")
	if _, err := os.Stat(filepath.Join(filepath.Dir(path), ".log.times")); !errors.Is(err, os.ErrNotExist) {
		t.Error("an index was made by reading:", err)
	}
}

func TestFollowUntil(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	newStory(t, path).say(1, "past\n")
	f := follow(t, Query{Logs: []Source{{Path: path}}, Until: time.Now().Add(200 * time.Millisecond)})
	expect(t, f.next(1), "a past")
	if l, err := f.r.Next(f.ctx); !errors.Is(err, io.EOF) {
		t.Errorf("%+v, %v", l, err)
	}
}

// TestFollowOrder: what two logs get one after the other, in both directions, comes in that order.
func TestFollowOrder(t *testing.T) {
	dir := t.TempDir()
	store := logs.NewStore()
	var files []*logs.File
	var q Query
	for i := range 3 {
		path := filepath.Join(dir, fmt.Sprint(i))
		f, err := store.Open(path, logs.Options{Times: true, MaxBytes: 200, Backups: 50})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files = append(files, f)
		q.Logs = append(q.Logs, Source{Path: path})
	}
	f := follow(t, q)
	const lines = 60
	wrote := make(chan error, 1)
	go func() {
		for n := range lines {
			if _, err := fmt.Fprintf(files[n*7%3], "line %d\n", n); err != nil {
				wrote <- err
				return
			}
			time.Sleep(12 * time.Millisecond) // more than the times can tell apart
		}
		wrote <- nil
	}()
	for n, got := range f.next(lines) {
		if !strings.HasSuffix(got, fmt.Sprintf(" line %d", n)) {
			t.Fatalf("%d: %s", n, got)
		}
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
}

func TestCancelAndClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	newStory(t, path).say(1, "line\n")
	f := follow(t, Query{Logs: []Source{{Path: path}}})
	expect(t, f.next(1), "a line")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for range 3 {
		if _, err := f.r.Next(ctx); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if _, err := Open(ctx, Query{Logs: []Source{{Path: path}}, Tail: 1}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	before := descriptors(t)
	for range 50 {
		r, err := Open(context.Background(), Query{Logs: []Source{{Path: path}}, Follow: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Next(context.Background()); err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
	if after := descriptors(t); after > before+5 {
		t.Errorf("%d descriptors, then %d", before, after)
	}
}

func descriptors(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(entries)
}

// TestLongLines: what is longer than MaxLine is cut, with a mark that says by how much.
func TestLongLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for _, c := range []struct {
		length int
		marks  []string
	}{
		{MaxLine - 1, nil},
		{MaxLine, nil},
		{MaxLine + 1, []string{"cut: 1 more bytes of this line"}},
		{5*MaxLine + 17, []string{fmt.Sprintf("cut: %d more bytes of this line", 4*MaxLine+17)}},
	} {
		os.Remove(path)
		long := bytes.Repeat([]byte("0123456789abcdef"), c.length/16+1)[:c.length]
		newStory(t, path).say(1, "before\n").say(2, string(long)+"\n").say(3, "behind\n")
		for _, q := range []Query{{}, {Tail: 3}, {Tail: 2}} {
			q.Logs = []Source{{Path: path}}
			r, err := Open(context.Background(), q)
			if err != nil {
				t.Fatal(err)
			}
			var got, marks []string
			for {
				l, err := r.Next(context.Background())
				if err != nil {
					break
				}
				switch {
				case l.Mark != "":
					marks = append(marks, l.Mark)
				case len(l.Text) > 100:
					got = append(got, fmt.Sprint(len(l.Text), bytes.HasPrefix(long, l.Text)))
				default:
					got = append(got, string(l.Text))
				}
			}
			r.Close()
			want := []string{"before", fmt.Sprint(min(c.length, MaxLine), true), "behind"}
			if q.Tail > 0 {
				want = want[3-q.Tail:]
			}
			expect(t, got, want...)
			expect(t, append([]string{}, marks...), c.marks...)
		}
	}
}

// TestDamage: whatever an index has become, every line is shown, in the order of its log.
func TestDamage(t *testing.T) {
	for name, damage := range map[string]func(index []byte) []byte{
		"gone":        nil,
		"empty":       func([]byte) []byte { return nil },
		"header":      func(b []byte) []byte { b[3] ^= 1; return b },
		"of another":  func(b []byte) []byte { b[8] ^= 1; return b },
		"torn":        func(b []byte) []byte { return b[:len(b)-5] },
		"zeros":       func(b []byte) []byte { clear(b[64:]); return b },
		"zeros after": func(b []byte) []byte { return append(b, make([]byte, 500)...) },
		"one record":  func(b []byte) []byte { b[32*5+9] ^= 4; return b },
		"garbage": func(b []byte) []byte {
			for i := range b[32:] {
				b[32+i] = byte(i * 7)
			}
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			s := newStory(t, path).start(0, 1)
			var want []string
			for i := range 20 {
				s.say(i+1, fmt.Sprintf("line %d\n", i))
				want = append(want, fmt.Sprintf("line %d", i))
			}
			index := filepath.Join(filepath.Dir(path), ".log.times")
			if damage == nil {
				os.Remove(index)
			} else {
				b, err := os.ReadFile(index)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(index, damage(b), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			read := func(q Query) (out []string) {
				q.Logs = []Source{{Path: path}}
				for _, l := range all(t, q) {
					out = append(out, l[strings.Index(l, "line"):])
				}
				return out
			}
			expect(t, read(Query{}), want...)
			expect(t, read(Query{Tail: 3}), want[17:]...)
			// Who writes on repairs what has to be.
			s.w.Close()
			s.open()
			s.say(1000, "line 20\n")
			expect(t, read(Query{}), append(want, "line 20")...)
			if got := read(Query{Since: at(999)}); len(got) == 0 || got[len(got)-1] != "line 20" {
				t.Errorf("since: %q", got)
			}
		})
	}
}

// TestUnreadable: a log that cannot be read does not keep the others from being shown.
func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	good, link := filepath.Join(dir, "good"), filepath.Join(dir, "fifo")
	newStory(t, good).say(1, "line\n")
	if err := os.Mkdir(link, 0o700); err != nil {
		t.Fatal(err)
	}
	expect(t, all(t, Query{Logs: []Source{{Path: link}, {Path: good}, {Path: filepath.Join(dir, "none")}}}), "b 1 0 line")
}
