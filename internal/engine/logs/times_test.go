package logs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/timeindex"
)

func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// records are those of the index of a file.
func records(t *testing.T, path string) (out []timeindex.Record) {
	t.Helper()
	f, err := os.Open(filepath.Join(filepath.Dir(path), timeindex.Name(filepath.Base(path))))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := timeindex.NewReader(f)
	for i := range r.Len() {
		if rec, ok := r.At(i); ok {
			out = append(out, rec)
		}
	}
	return out
}

// TestTimesFollowTheirLog: each file of a log has its index, through rotation, clearing, resting and removal.
func TestTimesFollowTheirLog(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "F")
	o := Options{MaxBytes: 100, Backups: 2, Times: true}
	s := NewStore()
	f := mustOpen(t, s, path, o)
	started := time.Now()
	if err := s.Began(path, o, started, 5); err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("x", 49) + "\n"
	for range 7 {
		if _, err := f.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := names(t, dir), []string{".F.1.times", ".F.2.times", ".F.times", "F", "F.1", "F.2"}; !slices.Equal(got, want) {
		t.Fatalf("%q", got)
	}
	for _, name := range []string{"F", "F.1", "F.2"} {
		recs := records(t, filepath.Join(dir, name))
		for _, r := range recs {
			if !r.Run.Equal(started.Round(0)) || r.Value != 5 || r.Offset > 100 {
				t.Errorf("%s: %+v", name, r)
			}
		}
		if len(recs) == 0 {
			t.Errorf("%s: no record", name)
		}
	}
	if err := s.Ended(path, o, time.Now(), model.Exit{Known: true, Signal: 9}); err != nil {
		t.Fatal(err)
	}
	recs := records(t, path)
	if last := recs[len(recs)-1]; last.Kind != timeindex.Killed || last.Value != 9 || last.Offset != 50 {
		t.Errorf("%+v", last)
	}
	if err := f.Clear(); err != nil {
		t.Fatal(err)
	}
	if recs := records(t, path); len(recs) != 1 || recs[0].Offset != 0 {
		t.Errorf("after clearing: %+v", recs)
	}
	if !f.FreeOldest() {
		t.Error("nothing was freed")
	}
	if got, want := names(t, dir), []string{".F.1.times", ".F.times", "F", "F.1"}; !slices.Equal(got, want) {
		t.Fatalf("%q", got)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Remove(path, 2); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}

// TestTimesOff: nothing new is in the directory of whoever has not asked for it.
func TestTimesOff(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "F")
	o := Options{MaxBytes: 10, Backups: 1}
	s := NewStore()
	f := mustOpen(t, s, path, o)
	if err := s.Began(path, o, time.Now(), 1); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := f.Write([]byte("0123456789\n")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Ended(path, o, time.Now(), model.Exit{}); err != nil {
		t.Fatal(err)
	}
	if got, want := names(t, dir), []string{"F", "F.1"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// TestTimesRest: a log that gives its descriptor up gives up that of its index, and goes on with it.
func TestTimesRest(t *testing.T) {
	dir := t.TempDir()
	s := NewStore()
	s.open.few, s.open.many = 2, 2
	o := Options{Times: true}
	var files []*File
	for i := range 6 {
		files = append(files, mustOpen(t, s, filepath.Join(dir, fmt.Sprint(i)), o))
	}
	for round := range 3 {
		for i, f := range files {
			if _, err := f.Write([]byte("line\n")); err != nil {
				t.Fatal(err)
			}
			if err := s.Began(f.Path(), o, time.Now(), uint64(round)); err != nil {
				t.Fatal(i, err)
			}
		}
	}
	for i, f := range files {
		recs := records(t, f.Path())
		starts := 0
		for _, r := range recs {
			if r.Kind == timeindex.Started {
				starts++
			}
		}
		if starts != 3 {
			t.Errorf("%d: %+v", i, recs)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := len(s.open.list); n != 0 {
		t.Errorf("%d are open", n)
	}
}
