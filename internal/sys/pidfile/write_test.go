//go:build unix

package pidfile

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestWrite: whatever lies at the place is replaced by a file of ours or left alone, never written through.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	victim := at("victim")
	for _, err := range []error{
		os.WriteFile(victim, []byte("keep"), 0o600), os.WriteFile(at("old"), []byte("1\n"), 0o600),
		os.Symlink(victim, at("link")), os.Symlink(at("none"), at("dangling")), os.Symlink(os.DevNull, at("tonull")),
		os.Link(victim, at("hard")), os.Mkdir(at("dir"), 0o700), syscall.Mkfifo(at("fifo"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]error{
		"new": nil, "old": nil, "link": nil, "dangling": nil, "tonull": nil, "hard": nil, "dir": ErrNotFile, "fifo": ErrNotFile,
	} {
		before, _ := os.Lstat(at(name))
		err := Write(at(name), 4711, nil)
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
			continue
		}
		after, serr := os.Lstat(at(name))
		if serr != nil {
			t.Fatal(serr)
		}
		if want != nil {
			if !os.SameFile(before, after) {
				t.Errorf("%s was replaced", name)
			}
			continue
		}
		if text, _ := os.ReadFile(at(name)); string(text) != "4711\n" || !after.Mode().IsRegular() || after.Mode().Perm() != 0o644 {
			t.Errorf("%s: %q, %v", name, text, after.Mode())
		}
	}
	if text, _ := os.ReadFile(victim); string(text) != "keep" {
		t.Errorf("the target of a link has %q", text)
	}
	if _, err := os.Lstat(at("none")); err == nil {
		t.Error("the target of a dangling link was made")
	}
	if err := Write(at("no/such/dir"), 1, nil); err == nil {
		t.Error("written into a directory that is not there")
	}
	for _, path := range []string{os.DevNull, "/dev/stdout", "/dev/tty"} {
		if _, err := os.Lstat(path); err != nil {
			continue
		}
		if err := Replaceable(path); !errors.Is(err, ErrDevice) { // never try it for real
			t.Errorf("%s: %v", path, err)
		}
	}
	rest, err := filepath.Glob(at(".*"))
	if err != nil || len(rest) > 0 {
		t.Errorf("left behind: %v %v", rest, err)
	}
}
