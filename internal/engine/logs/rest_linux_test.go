package logs

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// crowded makes a store that holds few logs open.
func crowded(few, many int) *Store {
	s := NewStore()
	s.open.few, s.open.many = few, many
	return s
}

func (l *openFiles) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.list)
}

// Of many logs few are open; every one is there from the beginning and takes bytes at any time.
func TestQuietLogsAreClosed(t *testing.T) {
	const n, few = 100, 8
	dir := t.TempDir()
	s := crowded(few, few)
	var fs []*File
	for i := range n {
		fs = append(fs, mustOpen(t, s, fmt.Sprintf("%s/%03d", dir, i), Options{MaxBytes: 1 << 20, Backups: 1}))
	}
	if got := s.open.count(); got != few {
		t.Errorf("%d are open", got)
	}
	if got := len(contents(t, dir)); got != n {
		t.Errorf("%d files", got)
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for round := range 5 {
				for i := w; i < n; i += 4 {
					if _, err := fs[i].Write([]byte(fmt.Sprintln("round", round))); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if got := s.open.count(); got > few+4 {
		t.Errorf("%d are open", got)
	}
	for name, text := range contents(t, dir) {
		if text != "round 0\nround 1\nround 2\nround 3\nround 4\n" {
			t.Errorf("%s: %q", name, text)
		}
	}
	for _, f := range fs {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := s.open.count(); got != 0 {
		t.Errorf("%d are open after the last Close", got)
	}
}

// Logs that are written to stay open as long as there are not too many.
func TestBusyLogsStayOpen(t *testing.T) {
	dir := t.TempDir()
	s := crowded(2, 10)
	for i := range 6 {
		f := mustOpen(t, s, fmt.Sprint(dir, "/", i), Options{})
		mustWrite(t, f, "x")
	}
	if got := s.open.count(); got != 6 {
		t.Errorf("%d are open, want 6", got)
	}
	old := time.Now().Add(-2 * quietAfter).UnixNano()
	for _, f := range s.open.list {
		f.last.Store(old)
	}
	mustWrite(t, mustOpen(t, s, dir+"/one more", Options{}), "x")
	if got := s.open.count(); got > 2 {
		t.Errorf("%d are open after a rest, want 2", got)
	}
}

// When this process has no descriptor left, a log gets that of another one.
func TestLogsWithoutDescriptors(t *testing.T) {
	dir := t.TempDir()
	s := NewStore()
	var fs []*File
	for i := range 6 {
		f := mustOpen(t, s, fmt.Sprint(dir, "/", i), Options{})
		mustWrite(t, f, "x")
		fs = append(fs, f)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	top, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(top)
	for fd := 3; fd < top; fd++ { // no number below the limit is free
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			unix.Dup3(0, fd, unix.O_CLOEXEC)
			defer unix.Close(fd)
		}
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(top), Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	if _, err := os.Open(dir); err == nil {
		t.Fatal("there are descriptors")
	}
	more := mustOpen(t, s, dir+"/more", Options{})
	for range 3 {
		for _, f := range append(fs, more) {
			if _, err := f.Write([]byte("y")); err != nil {
				t.Error(err)
			}
		}
	}
	unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	for name, text := range contents(t, dir) {
		if want := map[bool]string{true: "yyy", false: "xyyy"}[name == "more"]; text != want {
			t.Errorf("%s: %q", name, text)
		}
	}
}

// Everything that can be done with a log can be done while it is closed.
func TestRestedLog(t *testing.T) {
	tests := []struct {
		name string
		do   func(t *testing.T, s *Store, f *File, path string)
		want map[string]string
	}{
		{"write", func(t *testing.T, _ *Store, f *File, _ string) { mustWrite(t, f, "two\n") }, map[string]string{"F": "one\ntwo\n"}},
		{"rotate", func(t *testing.T, _ *Store, f *File, _ string) {
			mustWrite(t, f, "0123456789\n")
			mustWrite(t, f, "x\n")
		}, map[string]string{"F.1": "one\n0123456789\n", "F": "x\n"}},
		{"clear", func(t *testing.T, s *Store, _ *File, path string) {
			if err := s.Clear(path); err != nil {
				t.Error(err)
			}
		}, map[string]string{"F": ""}},
		{"renamed and reopened", func(t *testing.T, s *Store, f *File, path string) {
			if err := os.Rename(path, path+".old"); err != nil {
				t.Fatal(err)
			}
			if err := s.Reopen(); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(path); err != nil {
				t.Error(err)
			}
			mustWrite(t, f, "two\n")
		}, map[string]string{"F.old": "one\n", "F": "two\n"}},
		{"renamed", func(t *testing.T, _ *Store, f *File, path string) {
			if err := os.Rename(path, path+".old"); err != nil {
				t.Fatal(err)
			}
			mustWrite(t, f, "two\n")
		}, map[string]string{"F.old": "one\n", "F": "two\n"}},
		{"deleted", func(t *testing.T, _ *Store, f *File, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			mustWrite(t, f, "two\n")
		}, map[string]string{"F": "two\n"}},
		{"the end of a line", func(t *testing.T, _ *Store, f *File, path string) {
			put(t, path, "half")
			if f.EndsLine() {
				t.Error("EndsLine")
			}
		}, map[string]string{"F": "half"}},
		{"freed", func(t *testing.T, _ *Store, f *File, path string) {
			put(t, path+".2", "old")
			if !f.FreeOldest() {
				t.Error("nothing was freed")
			}
		}, map[string]string{"F": "one\n"}},
		{"closed", func(t *testing.T, _ *Store, f *File, _ string) {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			if _, err := f.Write([]byte("x")); err == nil || !strings.Contains(err.Error(), "closed") {
				t.Errorf("Write after Close: %v", err)
			}
		}, map[string]string{"F": "one\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, other := t.TempDir(), t.TempDir()
			s := crowded(1, 1)
			f, err := s.Open(dir+"/F", Options{MaxBytes: 15, Backups: 3})
			if err != nil {
				t.Fatal(err)
			}
			mustWrite(t, f, "one\n")
			mustWrite(t, mustOpen(t, s, other+"/G", Options{}), "x")
			if f.h != nil {
				t.Fatal("it is open")
			}
			tt.do(t, s, f, dir+"/F")
			wantContents(t, dir, tt.want)
		})
	}
}

// A directory that is gone is an error of the write, and no more.
func TestRestedLogCannotBeOpened(t *testing.T) {
	dir := t.TempDir() + "/d"
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := crowded(1, 1)
	f := mustOpen(t, s, dir+"/F", Options{})
	mustWrite(t, mustOpen(t, s, t.TempDir()+"/G", Options{}), "x")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("x")); err == nil {
		t.Errorf("Write: %v", err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, f, "again")
	wantContents(t, dir, map[string]string{"F": "again"})
}

// Each piece is announced with its place before it is written, and what was announced is found.
func TestWriteNotedAndFind(t *testing.T) {
	dir := t.TempDir()
	f := mustOpen(t, NewStore(), dir+"/F", Options{MaxBytes: 25, Backups: 5})
	text := []byte("line 1 is here\nline 2 is here\nline 3 is here\nline 4\n")
	type noted struct {
		at      Place
		from, n int
	}
	var notes []noted
	if n, err := f.WriteNoted(text, true, func(at Place, from, n int) {
		if got := f2size(t, at, dir); got != at.Pos {
			t.Errorf("announced at %d of a file with %d bytes", at.Pos, got)
		}
		notes = append(notes, noted{at, from, n})
	}); n != len(text) || err != nil {
		t.Fatal(n, err)
	}
	next := 0
	for _, x := range notes {
		if x.from != next {
			t.Errorf("from %d, want %d", x.from, next)
		}
		next += x.n
		if got := f.Find(x.at, text[x.from:x.from+x.n]); got != x.n {
			t.Errorf("%d of %d bytes are found", got, x.n)
		}
	}
	if next != len(text) || len(notes) < 2 {
		t.Errorf("%d notes for %d bytes", len(notes), next)
	}
	if got := f.Find(Place{}, text); got != 0 {
		t.Errorf("nowhere: %d", got)
	}
	if got := f.Find(Place{Dev: 1, Ino: 1}, text); got != 0 {
		t.Errorf("elsewhere: %d", got)
	}
}

// f2size is the size of the file in dir that a place is in.
func f2size(t *testing.T, at Place, dir string) int64 {
	t.Helper()
	for name, text := range contents(t, dir) {
		d, err := os.Stat(dir + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if inode(d) == at.Ino {
			return int64(len(text))
		}
	}
	t.Errorf("no file with inode %d", at.Ino)
	return -1
}
