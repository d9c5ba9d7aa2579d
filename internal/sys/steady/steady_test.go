package steady

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

const long = time.Minute // more than any wait here takes

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	if _, err := Read(path, long); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for _, text := range []string{"", "one\n", strings.Repeat("x", 1<<20)} {
		write(t, path, text)
		if got, err := Read(path, long); err != nil || string(got) != text {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	if _, err := Read(filepath.Dir(path), long); err == nil {
		t.Error("a directory was read")
	}
}

// TestWriterIsWaitedFor: a text that somebody is writing is read when it is whole, and not at all when that takes too long.
func TestWriterIsWaitedFor(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells of those who have a file open for writing")
	}
	path := filepath.Join(t.TempDir(), "x")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("half"); err != nil {
		t.Fatal(err)
	}
	if _, known := writers(f); !known {
		t.Skip("this file system gives no leases")
	}
	var busy *BusyError
	if text, err := Read(path, time.Millisecond); !errors.As(err, &busy) || busy.Path != path || text != nil {
		t.Errorf("%q, %v", text, err)
	}
	type answer struct {
		text []byte
		err  error
	}
	done := make(chan answer)
	go func() {
		text, err := Read(path, long)
		done <- answer{text, err}
	}()
	select {
	case a := <-done:
		t.Fatalf("%q, %v while it is being written", a.text, a.err)
	case <-time.After(5 * look):
	}
	if _, err := f.WriteString(" and half"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if a := <-done; a.err != nil || string(a.text) != "half and half" {
		t.Errorf("%q, %v", a.text, a.err)
	}
}

// TestNeverHalf: of a file that is written again and again, in pieces, no reading is a piece.
func TestNeverHalf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	write(t, path, "0\n0\n0\n0\n")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	_, known := writers(f)
	f.Close()
	if !known {
		t.Skip("the system does not tell of writers here")
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for n := 1; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			f, err := os.Create(path)
			if err != nil {
				t.Error(err)
				return
			}
			for range 4 {
				if _, err := f.WriteString(string(rune('0'+n%10)) + "\n"); err != nil {
					t.Error(err)
				}
			}
			f.Close()
		}
	}()
	whole := 0
	for over := time.Now().Add(500 * time.Millisecond); time.Now().Before(over) || whole == 0; {
		text, err := Read(path, long)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) != 8 || strings.Count(string(text), string(text[:1])) != 4 {
			t.Fatalf("%q", text)
		}
		whole++
	}
	close(stop)
	<-ended
}

// TestQuiet: where the system does not tell of writers, a file of the future is read too, and one that changes is waited for.
func TestQuiet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	at := func(text string, when time.Duration) fs.FileInfo {
		t.Helper()
		write(t, path, text)
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(when)); err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	old, next := at("a", -time.Hour), at("a", time.Hour)
	if !quiet(nil, old) || quiet(nil, next) || quiet(old, next) || !quiet(next, next) {
		t.Error("a file of the past, or one of the future")
	}
	if other := at("ab", time.Hour); quiet(next, other) {
		t.Error("a file that grows")
	}
}
