package logfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func content(t *testing.T, path string) string {
	t.Helper()
	f, err := OpenReader(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	b := make([]byte, 100)
	n, _ := f.ReadAt(b, 0)
	return string(b[:n])
}

// TestRotation: a log is moved, replaced and cleared while it is open here and read by somebody.
func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	open := func() *File {
		f, err := Open(path, 0, Create)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	write := func(f *File, text string) {
		if n, err := f.Append([]byte(text)); n != len(text) || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	read := func(path string) {
		f, err := OpenReader(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
	}
	d, err := OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	for k, text := range []string{"first", "second", "third"} {
		f := open()
		if !f.Regular() {
			t.Error("it is no file")
		}
		write(f, text)
		read(path)
		before, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if at, err := d.Stat("log"); err != nil || !at.Same(before) || at.Ino == 0 || at.Size != int64(len(text)) {
			t.Errorf("%+v is not %+v, %v", at, before, err)
		}
		if err := d.Rename("log", "log.1"); err != nil {
			t.Fatalf("rotation %d: %v", k+1, err)
		}
		if s := content(t, path+".1"); s != text {
			t.Errorf("%q", s)
		}
		write(f, "+")
		if s := content(t, path+".1"); s != text+"+" {
			t.Errorf("written on: %q", s)
		}
		if _, err := d.Stat("log"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("something is left: %v", err)
		}
		if at, err := d.Stat("log.1"); err != nil || !at.Same(before) {
			t.Errorf("another file: %+v, %v", at, err)
		}
	}
	f := open()
	write(f, "old")
	if err := f.Truncate(); err != nil {
		t.Fatal(err)
	}
	write(f, "new")
	if s := content(t, path); s != "new" {
		t.Errorf("after clearing: %q", s)
	}
	if err := d.Remove("log.1"); err != nil {
		t.Error(err)
	}
	if err := os.Mkdir(path+".2", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := d.Remove("log.2"); err == nil {
		t.Error("a directory was removed")
	}
}

// TestTwoWriters: nobody writes over what another one has written.
func TestTwoWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var files []*File
	for range 2 {
		f, err := Open(path, 0, Create)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files = append(files, f)
	}
	want := ""
	for k := range 6 {
		text := string(rune('a' + k))
		want += text
		if _, err := files[k%2].Append([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if s := content(t, path); s != want {
		t.Errorf("%q instead of %q", s, want)
	}
}

func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if _, err := Open(path, 0, Existing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, 0, Create); err == nil {
		t.Error("a directory is a log")
	}
	if _, err := OpenReader(path); err == nil {
		t.Error("a directory is read")
	}
}
