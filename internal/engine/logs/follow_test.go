package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"
)

// follow collects what a follower gives until it has all of want, or another text, or time runs out.
func expect(t *testing.T, f *Follower, want string) {
	t.Helper()
	got := make(chan string, 1)
	go func() {
		b := make([]byte, len(want))
		n, _ := io.ReadFull(f, b)
		got <- string(b[:n])
	}()
	select {
	case s := <-got:
		if s != want {
			t.Fatalf("followed %.200q, want %.200q", s, want)
		}
	case <-time.After(time.Minute):
		t.Fatalf("timed out waiting for %.200q", want)
	}
}

func mustFollow(t *testing.T, path string, backlog int64) *Follower {
	t.Helper()
	f, err := Follow(t.Context(), path, backlog)
	check(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func TestFollow(t *testing.T) {
	dir := t.TempDir()
	f := mustOpen(t, NewStore(), dir+"/F", Options{})
	mustWrite(t, f, "0123456789")
	when := time.Unix(1e9, 0)
	check(t, os.Chtimes(dir+"/F", when, when))
	for backlog, want := range map[int64]string{0: "", 4: "6789", 10: "0123456789", 100: "0123456789", -1: ""} {
		w := mustFollow(t, dir+"/F", backlog)
		expect(t, w, want)
		if !w.ModTime().Equal(when) {
			t.Errorf("ModTime %v", w.ModTime())
		}
	}
	w := mustFollow(t, dir+"/F", 2)
	expect(t, w, "89")
	mustWrite(t, f, "more")
	expect(t, w, "more")
	check(t, f.Clear())
	mustWrite(t, f, "new")
	// Clearing and writing fast enough looks like anything between two looks: the notice comes when the file
	// was seen smaller.
	expect(t, w, truncated+"new")
}

// The unread end of a rotated file comes before the new one, however many rotations lie between.
func TestFollowAcrossRotations(t *testing.T) {
	dir := t.TempDir()
	f := mustOpen(t, NewStore(), dir+"/F", Options{MaxBytes: 50, Backups: 100})
	mustWrite(t, f, "begin\n")
	w := mustFollow(t, dir+"/F", 0)
	var want strings.Builder
	for i := range 60 {
		line := fmt.Sprintf("line %d of many\n", i)
		want.WriteString(line)
		mustWrite(t, f, line)
		if i == 30 {
			expect(t, w, want.String())
			want.Reset()
		}
	}
	expect(t, w, want.String())
}

// A writer at full speed with rotation, and a reader beside it: every byte, once, in order.
func TestFollowWhileRotating(t *testing.T) {
	dir := t.TempDir()
	f := mustOpen(t, NewStore(), dir+"/F", Options{MaxBytes: 2000, Backups: 500})
	w := mustFollow(t, dir+"/F", 0)
	const lines = 20000
	go func() {
		for i := range lines {
			if _, err := fmt.Fprintf(f, "%d\n", i); err != nil {
				t.Error(err)
			}
		}
	}()
	var want strings.Builder
	for i := range lines {
		fmt.Fprintln(&want, i)
	}
	expect(t, w, want.String())
}

func TestFollowOutsideChanges(t *testing.T) {
	dir := t.TempDir()
	path := dir + "/F"
	put(t, path, "old\n")
	w := mustFollow(t, path, 100)
	expect(t, w, "old\n")
	// Renamed and made anew by an outside tool, while a late writer still has the old file.
	late, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	check(t, err)
	defer late.Close()
	check(t, os.Rename(path, path+"-2026"))
	put(t, path, "")
	_, err = late.WriteString("late\n")
	check(t, err)
	expect(t, w, "late\n")
	put(t, path, "new\n")
	expect(t, w, "new\n")
	check(t, os.Remove(path))
	put(t, path, "made again\n")
	expect(t, w, "made again\n")
	check(t, os.Truncate(path, 0))
	expect(t, w, truncated)
}

func TestFollowEnds(t *testing.T) {
	dir := t.TempDir()
	if _, err := Follow(t.Context(), dir+"/none", 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	put(t, dir+"/F", "x")
	for name, tt := range map[string]struct {
		end  func(*Follower, context.CancelFunc)
		want error
	}{
		"context": {func(_ *Follower, c context.CancelFunc) { c() }, context.Canceled},
		"close":   {func(f *Follower, _ context.CancelFunc) { f.Close(); f.Close() }, io.EOF},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		f, err := Follow(ctx, dir+"/F", 0)
		check(t, err)
		got := make(chan error)
		go func() {
			_, err := f.Read(make([]byte, 10))
			got <- err
		}()
		tt.end(f, cancel)
		select {
		case err := <-got:
			if !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %v", name, err, tt.want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s: Read does not end", name)
		}
		f.Close()
	}
}
