package logs

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// A log that is emptied and filled again with as many bytes between two looks has not shrunk, and yet it
// is another text.
func TestFollowerSeesARewrittenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("hello\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := Follow(context.Background(), path, 1024)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	read := func(want string) {
		t.Helper()
		b := make([]byte, 100)
		n, err := f.Read(b)
		if err != nil || string(b[:n]) != want {
			t.Fatalf("%q %v, want %q", b[:n], err, want)
		}
	}
	read("hello\n")
	for _, text := range []string{"fresh\n", "longer than before\n", "short\n"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil { // truncates in place
			t.Fatal(err)
		}
		read(truncated)
		read(text)
	}
}

// Who follows a log that is cleared on purpose sees what comes next, and no notice.
func TestFollowerAcrossClear(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	store := NewStore()
	w, err := store.Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	f, err := store.Follow(context.Background(), path, 1024)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, step := range []struct {
		clear       func() error
		write, want string
	}{
		{nil, "hello\n", "hello\n"},
		{func() error { return store.Clear(path) }, "fresh\n", "fresh\n"},
		{func() error { return store.Clear(path) }, "again\n", "again\n"},
		{func() error { return os.Truncate(path, 0) }, "other\n", truncated},
	} {
		if step.clear != nil {
			if err := step.clear(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.Write([]byte(step.write)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		if n, err := f.Read(b); err != nil || string(b[:n]) != step.want {
			t.Fatalf("%q %v, want %q", b[:n], err, step.want)
		}
	}
}

// A log that is filled again with the very same text after a clear looks as before, and yet all of it is new.
func TestFollowerAcrossClearToTheSameText(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	store := NewStore()
	w, err := store.Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	const line = "the same text each time\n"
	if _, err := w.Write([]byte(line)); err != nil {
		t.Fatal(err)
	}
	f, err := store.Follow(context.Background(), path, 1024)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := range 20 {
		b := make([]byte, 100)
		if n, err := f.Read(b); err != nil || string(b[:n]) != line {
			t.Fatalf("%d: %q %v", i, b[:n], err)
		}
		if i%5 == 4 { // somebody removes it as well
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		if err := store.Clear(path); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
}

// Beside a log that is written and cleared all the time, no text is given out twice, cut or announced as lost.
func TestFollowerBesideClears(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	store := NewStore()
	w, err := store.Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	f, err := store.Follow(context.Background(), path, 0)
	if err != nil {
		t.Fatal(err)
	}
	const most = 3000
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		for i := range most {
			if i%3 == 0 {
				if err := store.Clear(path); err != nil {
					failed <- err
					return
				}
			}
			if _, err := fmt.Fprintf(w, "%08d\n", i); err != nil {
				failed <- err
				return
			}
		}
	}()
	last := -1
	buf := make([]byte, 9)
	for last < most-1 {
		if _, err := io.ReadFull(f, buf); err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(string(buf[:8]))
		if err != nil || buf[8] != '\n' || n <= last {
			t.Fatalf("after %d: %q", last, buf)
		}
		last = n
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	f.Close()
}
