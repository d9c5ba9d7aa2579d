package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestFullDisk fills a real file system: small stores go on in what was reserved, replacements included,
// and another process finds all of it.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m,mode=0700"); err != nil {
		t.Skip("no file system of our own: ", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	fill := func() {
		f, err := os.OpenFile(filepath.Join(dir, "filler"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for {
			if _, err := f.Write(make([]byte, 4096)); errors.Is(err, syscall.ENOSPC) {
				return
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	talk := &said{}
	o := Options{Dir: filepath.Join(dir, "d"), Name: "state", Retry: -1, CompactAt: 20_000, Log: talk.log}
	s := open(t, o)
	s.Put("a", []byte("1"))
	if err := s.sync(); err != nil {
		t.Fatal(err)
	}
	fill()
	for i := range 200 { // 50 KB: through two replacements
		s.Put("b", fmt.Append(make([]byte, 200), i))
		if err := s.sync(); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	fill()
	s = open(t, o) // starting on a full disk works too
	if r := s.Recovered(); len(r.Entries) != 2 || r.Volatile != nil || len(r.Damage) > 0 {
		t.Fatalf("%+v", r)
	}
	s.Put("c", []byte("1"))
	if err := s.sync(); err != nil {
		t.Error(err)
	}
	fill()

	s.Put("large", make([]byte, 1<<20)) // beyond any reserve
	var told error
	if told = s.sync(); !errors.Is(told, syscall.ENOSPC) {
		t.Errorf("large: %v", told)
	}
	s.Put("large", nil)
	if err := os.Remove(filepath.Join(dir, "filler")); err != nil {
		t.Fatal(err)
	}
	if err := s.sync(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s = open(t, o)
	if r := s.Recovered(); len(r.Entries) != 3 || len(r.Damage)+len(r.Aside) > 0 {
		t.Errorf("%+v", r)
	}
	_ = s.Close()
	if talk.count("cannot") != 2 || talk.count("again") != 1 {
		t.Errorf("said %q", talk.lines)
	}
}
