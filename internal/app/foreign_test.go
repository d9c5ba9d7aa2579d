package app

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/upkeep-project/upkeep/internal/engine/logs"
)

// TestWishesOfABoot: under another tool's name what a person has wished counts until the machine is started anew.
func TestWishesOfABoot(t *testing.T) {
	dir := t.TempDir()
	wishes := func(boot string, put map[string]string) map[string][]byte {
		t.Helper()
		s, err := OpenState(Place{State: dir, Runtime: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		s.boot = boot
		s.thisBoot()
		for k, v := range put {
			s.wishes.Put(k, []byte(v))
		}
		return s.wishes.Snapshot()
	}
	wishes("one", map[string]string{"web:web": "down"})
	if got := wishes("one", nil); string(got["web:web"]) != "down" {
		t.Errorf("within a boot: %q", got)
	}
	if got := wishes("two", nil); len(got) != 1 || string(got[bootKey]) != "two" {
		t.Errorf("after it: %q", got)
	}
}

// TestProblems: lines of trouble go to a file of their own, all of them to where they go otherwise.
func TestProblems(t *testing.T) {
	store := logs.NewStore()
	path := filepath.Join(t.TempDir(), "err.log")
	f, err := store.Open(path, logs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all bytes.Buffer
	p := &problems{f, &all}
	const lines = "2026-01-02 03:04:05,006 INFO fine\n2026-01-02 03:04:05,006 WARN a\nno line\n2026-01-02 03:04:05,006 CRIT b c\n"
	if n, err := p.Write([]byte(lines)); n != len(lines) || err != nil {
		t.Fatal(n, err)
	}
	if _, err := (&problems{file: f}).Write([]byte("2026-01-02 03:04:05,006 ERRO d\n")); err != nil {
		t.Fatal(err)
	}
	if all.String() != lines {
		t.Errorf("%q", all.String())
	}
	full, err := store.Open("/dev/full", logs.Options{})
	if err != nil {
		t.Skipf("there is no full disk to write to: %v", err)
	}
	defer full.Close()
	var other bytes.Buffer
	if _, err := (&problems{full, &other}).Write([]byte(lines)); err == nil || other.String() != lines {
		t.Errorf("the file is full: %q, %v", other.String(), err)
	}
	const want = "2026-01-02 03:04:05,006 WARN a\n2026-01-02 03:04:05,006 CRIT b c\n2026-01-02 03:04:05,006 ERRO d\n"
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%q %v", got, err)
	}
}
