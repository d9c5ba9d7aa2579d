package statefile

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func write(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	write(t, good, "text", 0o666)
	for _, c := range []struct {
		name   string
		make   func(path string) error
		reason string // of an *UnfitError, "" = opens
	}{
		{"good", func(p string) error { return os.WriteFile(p, []byte("text"), 0o666) }, ""},
		{"link", func(p string) error { return os.Symlink(good, p) }, "symbolic link"},
		{"dangling", func(p string) error { return os.Symlink(p+"x", p) }, "symbolic link"},
		{"directory", func(p string) error { return os.Mkdir(p, 0o700) }, "directory"},
		{"fifo", func(p string) error { return exec.Command("mkfifo", p).Run() }, "not a regular file"},
		{"foreign", func(p string) error {
			return errors.Join(os.WriteFile(p, nil, 0o666), os.Chown(p, 12345, 0))
		}, "belongs to user 12345"},
	} {
		path := filepath.Join(t.TempDir(), "f")
		err := c.make(path)
		if _, none := os.Lstat(path); err == nil {
			err = none // some say that they have made a link
		}
		if err != nil {
			t.Logf("%s cannot be made here: %v", c.name, err)
			continue
		}
		f, writable, err := Open(path)
		var unfit *UnfitError
		switch {
		case c.reason != "":
			if !errors.As(err, &unfit) || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		case err != nil || !writable:
			t.Errorf("%s: %v, %v", c.name, writable, err)
			continue
		}
		if _, err := f.Write([]byte(" more")); err != nil {
			t.Error(err)
		}
		if got, err := os.ReadFile(path); string(got) != "text more" {
			t.Errorf("%q, %v", got, err)
		}
		f.Close()
	}
	if _, _, err := Open(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := Create(path); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	if at, err := At(f, path); !at || err != nil {
		t.Error(at, err)
	}
	to := filepath.Join(filepath.Dir(path), "g")
	write(t, to, "old", 0o600)
	if err := Move(path, to); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	g, err := Replace(f, path, to)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if _, err := g.Write([]byte("new")); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(to); string(got) != "new" {
		t.Errorf("%q", got)
	}
	if at, err := At(g, path); at || err != nil {
		t.Error(at, err)
	}
	if runtime.GOOS == "windows" {
		return // an open file cannot be renamed here
	}
	if err := Move(to, path); err != nil {
		t.Error(err)
	}
	if err := os.Rename(path, to); err != nil {
		t.Error(err)
	}
	write(t, path, "another", 0o600)
	if at, err := At(g, path); at || err != nil {
		t.Error(at, err)
	}
	if at, err := At(g, filepath.Join(to, "below")); at || err != nil {
		t.Error(at, err)
	}
}

func TestMkdirAll(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "a", "b", "c")
	for range 2 {
		if err := MkdirAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := SyncDir(dir); err != nil {
		t.Error(err)
	}
	write(t, filepath.Join(dir, "f"), "", 0o600)
	for _, p := range []string{"f", "f/g"} {
		if err := MkdirAll(filepath.Join(dir, p)); err == nil {
			t.Errorf("%s is a directory", p)
		}
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	for _, text := range []string{"one", "", strings.Repeat("x", 1<<16)} {
		if err := Write(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	if st, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && st.Mode() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	if err := os.Mkdir(filepath.Join(dir, "taken"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Write(filepath.Join(dir, "taken"), nil); err == nil {
		t.Error("a directory was replaced")
	}
	write(t, filepath.Join(dir, ".x.new"), "of a killed attempt", 0o600)
	if err := Write(path, []byte("two")); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("%v", entries)
	}
}
