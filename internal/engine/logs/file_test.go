package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustOpen(t *testing.T, s *Store, path string, o Options) *File {
	t.Helper()
	f, err := s.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func mustWrite(t *testing.T, f *File, text string) {
	t.Helper()
	if n, err := f.Write([]byte(text)); err != nil || n != len(text) {
		t.Fatalf("Write: %d, %v; want %d", n, err, len(text))
	}
}

// contents maps the names in a directory to what is in them.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]string{}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			m[e.Name()] = "<" + e.Type().String() + ">"
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		m[e.Name()] = string(b)
	}
	return m
}

func wantContents(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, contents(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The observation of spec/supervisor 3.3: 19-byte lines, maxbytes 100, three backups.
func TestRotationAsObserved(t *testing.T) {
	for _, burst := range []int{1, 5, 24} { // lines a write
		t.Run(fmt.Sprint(burst), func(t *testing.T) {
			dir := t.TempDir()
			f := mustOpen(t, NewStore(), dir+"/F", Options{MaxBytes: 100, Backups: 3})
			var text string
			var lines []string
			for i := range 24 {
				lines = append(lines, fmt.Sprintf("line %02d 0123456789\n", i))
				if text += lines[i]; (i+1)%burst == 0 || i == 23 {
					mustWrite(t, f, text)
					text = ""
				}
			}
			part := func(i int) string { return strings.Join(lines[6*i:6*i+6], "") }
			wantContents(t, dir, map[string]string{"F": "", "F.1": part(3), "F.2": part(2), "F.3": part(1)})
		})
	}
}

func TestRotation(t *testing.T) {
	tests := []struct {
		name   string
		before map[string]string
		o      Options
		writes []string
		want   map[string]string
	}{
		{"no backups: emptied", nil, Options{MaxBytes: 3}, []string{"abc\n", "d"}, map[string]string{"F": "d"}},
		{"never", nil, Options{Backups: 2}, []string{"abc\n", "d\n"}, map[string]string{"F": "abc\nd\n"}},
		{"not at open", map[string]string{"F": "long enough\n"}, Options{MaxBytes: 5, Backups: 1}, nil, map[string]string{"F": "long enough\n"}},
		{"after the first write", map[string]string{"F": "long enough\n"}, Options{MaxBytes: 5, Backups: 1}, []string{"x\ny\n"}, map[string]string{"F": "y\n", "F.1": "long enough\nx\n"}},
		{"exactly the limit", nil, Options{MaxBytes: 4, Backups: 1}, []string{"abc\n"}, map[string]string{"F": "", "F.1": "abc\n"}},
		{"one below", nil, Options{MaxBytes: 4, Backups: 1}, []string{"ab\n"}, map[string]string{"F": "ab\n"}},
		{"without a line end", nil, Options{MaxBytes: 4, Backups: 1}, []string{"abcdef", "g"}, map[string]string{"F": "g", "F.1": "abcdef"}},
		{"the oldest goes", map[string]string{"F.1": "1", "F.2": "2"}, Options{MaxBytes: 1, Backups: 2}, []string{"a\n"}, map[string]string{"F": "", "F.1": "a\n", "F.2": "1"}},
		{"numbers beyond are left alone", map[string]string{"F.1": "1", "F.2": "2", "F.7": "7"}, Options{MaxBytes: 1, Backups: 2}, []string{"a\n"}, map[string]string{"F": "", "F.1": "a\n", "F.2": "1", "F.7": "7"}},
		{"gap after a crash is closed first", map[string]string{"F.1": "1", "F.3": "3"}, Options{MaxBytes: 1, Backups: 3}, []string{"a\n"}, map[string]string{"F": "", "F.1": "a\n", "F.2": "1", "F.3": "3"}},
		{"crash before the new file", map[string]string{"F.1": "just rotated\n"}, Options{MaxBytes: 1, Backups: 3}, []string{"a\n"}, map[string]string{"F": "", "F.1": "a\n", "F.2": "just rotated\n"}},
		{"several in one write", nil, Options{MaxBytes: 2, Backups: 9}, []string{"a\nb\nc"}, map[string]string{"F": "c", "F.1": "b\n", "F.2": "a\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range tt.before {
				put(t, filepath.Join(dir, name), text)
			}
			f := mustOpen(t, NewStore(), dir+"/F", tt.o)
			for _, w := range tt.writes {
				mustWrite(t, f, w)
			}
			wantContents(t, dir, tt.want)
			if err := f.Problem(); err != nil {
				t.Errorf("problem: %v", err)
			}
		})
	}
}

// Dying between any two steps of a rotation loses no file: the states are made by doing the steps.
func TestRotationAfterCrash(t *testing.T) {
	const backups = 4
	for steps := 0; steps <= backups; steps++ {
		t.Run(fmt.Sprint(steps), func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir+"/F", "0\n")
			for i := 1; i < backups; i++ {
				put(t, fmt.Sprintf("%s/F.%d", dir, i), fmt.Sprint(i, "\n"))
			}
			for i := range steps { // F.3 → F.4, F.2 → F.3 …
				from := fmt.Sprintf("%s/F.%d", dir, backups-1-i)
				if i == backups-1 {
					from = dir + "/F"
				}
				if i < backups {
					if err := os.Rename(from, fmt.Sprintf("%s/F.%d", dir, backups-i)); err != nil {
						t.Fatal(err)
					}
				}
			}
			f := mustOpen(t, NewStore(), dir+"/F", Options{MaxBytes: 1, Backups: backups})
			mustWrite(t, f, "new\n")
			var all string
			for i := backups; i >= 0; i-- {
				b, _ := os.ReadFile(filepath.Join(dir, backup("F", i)))
				all += string(b)
			}
			want := "3\n2\n1\n0\nnew\n"
			if steps == backups { // complete but for the new file: nothing is free, and the oldest goes as always
				want = want[2:]
			}
			if all != want {
				t.Errorf("in order: %q, want %q", all, want)
			}
		})
	}
}

func TestRotationThatFails(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(dir+"/F.1/full", 0o755); err != nil { // cannot be renamed over
		t.Fatal(err)
	}
	f := mustOpen(t, NewStore(), dir+"/F", Options{MaxBytes: 4, Backups: 1})
	mustWrite(t, f, "abcd\n")
	mustWrite(t, f, "more\n")
	if err := f.Problem(); err == nil {
		t.Error("no problem is reported")
	}
	if err := f.Problem(); err != nil {
		t.Errorf("reported twice: %v", err)
	}
	if got := contents(t, dir)["F"]; got != "abcd\nmore\n" {
		t.Errorf("log: %q", got)
	}
	if err := os.RemoveAll(dir + "/F.1"); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, f, strings.Repeat("x", rotateRetry)+"\n")
	if got := contents(t, dir); got["F"] != "" || len(got["F.1"]) != 10+rotateRetry+1 {
		t.Errorf("not rotated later: %d in F, %d in F.1", len(got["F"]), len(got["F.1"]))
	}
}

func TestOutsideInterference(t *testing.T) {
	tests := []struct {
		name string
		act  func(t *testing.T, dir string, f *File)
		want map[string]string
	}{
		{"renamed: goes on there", func(t *testing.T, dir string, _ *File) {
			check(t, os.Rename(dir+"/F", dir+"/old"))
		}, map[string]string{"old": "one\ntwo\n"}},
		{"renamed and reopened", func(t *testing.T, dir string, f *File) {
			check(t, os.Rename(dir+"/F", dir+"/old"))
			check(t, f.Reopen())
		}, map[string]string{"old": "one\n", "F": "two\n"}},
		{"deleted: begins anew", func(t *testing.T, dir string, _ *File) {
			check(t, os.Remove(dir+"/F"))
		}, map[string]string{"F": "two\n"}},
		{"truncated: no hole", func(t *testing.T, dir string, _ *File) {
			check(t, os.Truncate(dir+"/F", 0))
		}, map[string]string{"F": "two\n"}},
		{"truncated in part", func(t *testing.T, dir string, _ *File) {
			check(t, os.Truncate(dir+"/F", 2))
		}, map[string]string{"F": "ontwo\n"}},
		{"appended to", func(t *testing.T, dir string, _ *File) {
			h, err := os.OpenFile(dir+"/F", os.O_APPEND|os.O_WRONLY, 0)
			check(t, err)
			_, err = h.WriteString("other\n")
			check(t, errors.Join(err, h.Close()))
		}, map[string]string{"F": "one\nother\ntwo\n"}},
		{"replaced", func(t *testing.T, dir string, _ *File) {
			check(t, os.Rename(dir+"/F", dir+"/old"))
			put(t, dir+"/F", "foreign\n")
		}, map[string]string{"old": "one\ntwo\n", "F": "foreign\n"}},
		{"cleared", func(t *testing.T, _ string, f *File) {
			check(t, f.Clear())
		}, map[string]string{"F": "two\n"}},
		{"deleted and cleared", func(t *testing.T, dir string, f *File) {
			check(t, os.Remove(dir+"/F"))
			check(t, f.Clear())
		}, map[string]string{"F": "two\n"}},
		{"replaced and cleared", func(t *testing.T, dir string, f *File) {
			check(t, os.Rename(dir+"/F", dir+"/old"))
			put(t, dir+"/F", "foreign\n")
			check(t, f.Clear())
		}, map[string]string{"old": "one\n", "F": "two\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			f := mustOpen(t, NewStore(), dir+"/F", Options{})
			mustWrite(t, f, "one\n")
			tt.act(t, dir, f)
			mustWrite(t, f, "two\n")
			wantContents(t, dir, tt.want)
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// When somebody else has renamed our file and made a new one, a rotation must not touch that one.
func TestRotationLeavesForeignFileAlone(t *testing.T) {
	dir := t.TempDir()
	f := mustOpen(t, NewStore(), dir+"/F", Options{MaxBytes: 4, Backups: 2})
	mustWrite(t, f, "a\n")
	check(t, os.Rename(dir+"/F", dir+"/old"))
	put(t, dir+"/F", "new")
	mustWrite(t, f, "bcd\n")
	mustWrite(t, f, "e\n")
	wantContents(t, dir, map[string]string{"old": "a\nbcd\n", "F": "", "F.1": "newe\n"})
}

func TestDeletedDirectory(t *testing.T) {
	dir := t.TempDir() + "/sub"
	check(t, os.Mkdir(dir, 0o755))
	f := mustOpen(t, NewStore(), dir+"/F", Options{MaxBytes: 10, Backups: 1})
	check(t, os.RemoveAll(dir))
	mustWrite(t, f, strings.Repeat("into nowhere\n", 5))
	check(t, os.Mkdir(dir, 0o755))
	mustWrite(t, f, "back\n")
	wantContents(t, dir, map[string]string{"F": "back\n"})
}

func TestSharedFile(t *testing.T) {
	dir := t.TempDir()
	s := NewStore()
	const writers, lines = 4, 500
	var wg sync.WaitGroup
	for w := range writers {
		f := mustOpen(t, s, dir+"/F", Options{MaxBytes: 1 << 10, Backups: 1000})
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range lines {
				if _, err := fmt.Fprintf(f, "%d %d\n", w, i); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
	var all string
	for i := 1000; i >= 0; i-- {
		b, _ := os.ReadFile(filepath.Join(dir, backup("F", i)))
		if i > 0 && len(b) > 1<<10+20 {
			t.Errorf("F.%d has %d bytes", i, len(b))
		}
		all += string(b)
	}
	next := map[int]int{}
	for line := range strings.Lines(all) {
		var w, i int
		if _, err := fmt.Sscanf(line, "%d %d\n", &w, &i); err != nil || next[w] != i {
			t.Fatalf("line %q: want number %d (%v)", line, next[w], err)
		}
		next[w]++
	}
	if diff := cmp.Diff(map[int]int{0: lines, 1: lines, 2: lines, 3: lines}, next); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestStoreSharesAndCounts(t *testing.T) {
	dir := t.TempDir()
	s := NewStore()
	a, err := s.Open(dir+"/F", Options{})
	check(t, err)
	b, err := s.Open(dir+"/./F", Options{MaxBytes: 2, Backups: 1})
	check(t, err)
	if a != b {
		t.Fatal("two files for one path")
	}
	check(t, a.Close())
	mustWrite(t, b, "x\n") // still open, and the later options hold
	wantContents(t, dir, map[string]string{"F": "", "F.1": "x\n"})
	check(t, b.Close())
	if _, err := b.Write([]byte("y")); err == nil {
		t.Error("written after the last Close")
	}
	if n := len(s.files); n != 0 {
		t.Errorf("%d files left in the store", n)
	}
}

func TestFreeOldest(t *testing.T) {
	dir := t.TempDir()
	f := mustOpen(t, NewStore(), dir+"/F", Options{MaxBytes: 100, Backups: 5})
	for _, n := range []string{"F.1", "F.3", "F.9"} {
		put(t, dir+"/"+n, n)
	}
	for i, want := range []bool{true, true, false} {
		if got := f.FreeOldest(); got != want {
			t.Errorf("call %d: %v, want %v", i, got, want)
		}
	}
	wantContents(t, dir, map[string]string{"F": "", "F.9": "F.9"})
}

func TestStoreReopenAndClear(t *testing.T) {
	dir := t.TempDir()
	s := NewStore()
	a := mustOpen(t, s, dir+"/a", Options{})
	b := mustOpen(t, s, dir+"/b", Options{})
	mustWrite(t, a, "1\n")
	mustWrite(t, b, "1\n")
	check(t, os.Rename(dir+"/a", dir+"/a.old"))
	check(t, os.Rename(dir+"/b", dir+"/b.old"))
	check(t, s.Reopen())
	mustWrite(t, a, "2\n")
	mustWrite(t, b, "2\n")
	wantContents(t, dir, map[string]string{"a": "2\n", "b": "2\n", "a.old": "1\n", "b.old": "1\n"})
	put(t, dir+"/closed", "text")
	for _, n := range []string{"a", "closed"} {
		check(t, s.Clear(dir+"/"+n))
	}
	wantContents(t, dir, map[string]string{"a": "", "b": "2\n", "a.old": "1\n", "b.old": "1\n", "closed": ""})
	if err := s.Clear(dir + "/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	// A path that cannot be opened any more keeps its file.
	check(t, os.Remove(dir+"/b"))
	check(t, os.Mkdir(dir+"/b", 0o755))
	if err := s.Reopen(); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("Reopen over a directory: %v", err)
	}
	if _, err := b.Write([]byte("3\n")); err != nil {
		t.Errorf("after that: %v", err)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]error{dir: syscall.EISDIR, dir + "/no/F": syscall.ENOENT, "/dev/null/F": syscall.ENOTDIR} {
		if _, err := NewStore().Open(path, Options{}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
}

func TestEndsLine(t *testing.T) {
	dir := t.TempDir()
	f := mustOpen(t, NewStore(), dir+"/F", Options{})
	for _, tt := range []struct {
		add  string
		want bool
	}{{"", true}, {"a", false}, {"\n", true}, {"b\nc", false}} {
		mustWrite(t, f, tt.add)
		if got := f.EndsLine(); got != tt.want {
			t.Errorf("after %q: %v", tt.add, got)
		}
	}
}

func FuzzCut(f *testing.F) {
	f.Add("a\nbc\nd", int64(3), false)
	f.Add("abc", int64(0), true)
	f.Fuzz(func(t *testing.T, text string, room int64, final bool) {
		if text == "" {
			return
		}
		n := cut([]byte(text), room, final)
		if n < 0 || n > len(text) || final && n == 0 {
			t.Fatalf("cut(%q, %d, %v) = %d", text, room, final, n)
		}
		reaches := int64(n) >= room
		if reaches && n > 0 && n < len(text) && text[n-1] != '\n' {
			t.Errorf("cut(%q, %d, %v) = %d: a rotation in the middle of a line", text, room, final, n)
		}
		if reaches && room > 0 && strings.Contains(text[room-1:max(n-1, int(room-1))], "\n") {
			t.Errorf("cut(%q, %d, %v) = %d: there is an earlier line end", text, room, final, n)
		}
	})
}
