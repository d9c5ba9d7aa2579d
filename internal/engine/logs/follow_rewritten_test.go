package logs

import (
	"context"
	"os"
	"path/filepath"
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
