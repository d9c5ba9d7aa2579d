package timeindex

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/sys/logfile"
)

var origin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// after is so many milliseconds after the origin.
func after(ms int) time.Time { return origin.Add(time.Duration(ms) * time.Millisecond) }

// fixture is a log file of a size, for an index beside it.
type fixture struct {
	t    testing.TB
	path string
}

func newFixture(t testing.TB) *fixture {
	return &fixture{t, filepath.Join(t.TempDir(), "log")}
}

func (f *fixture) size(n int64) *fixture {
	f.t.Helper()
	if err := os.WriteFile(f.path, nil, 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Truncate(f.path, n); err != nil {
		f.t.Fatal(err)
	}
	return f
}

func (f *fixture) open() *Writer {
	f.t.Helper()
	log, err := os.Open(f.path)
	if err != nil {
		f.t.Fatal(err)
	}
	defer log.Close()
	info, err := logfile.InfoOfFile(log)
	if err != nil {
		f.t.Fatal(err)
	}
	w := Open(f.path, 0o600, info)
	if w == nil {
		f.t.Fatal("no index")
	}
	f.t.Cleanup(w.Close)
	return w
}

func (f *fixture) index(suffix string) string {
	return filepath.Join(filepath.Dir(f.path), Name("log"+suffix))
}

func (f *fixture) reader(suffix string) *Reader {
	f.t.Helper()
	b, err := os.ReadFile(f.index(suffix))
	if err != nil {
		f.t.Fatal(err)
	}
	r := NewReader(bytes.NewReader(b))
	if r == nil {
		f.t.Fatalf("no index: %q", b)
	}
	return r
}

func records(r *Reader) (out []Record) {
	for i := range r.Len() {
		if rec, ok := r.At(i); ok {
			out = append(out, rec)
		}
	}
	return out
}

func expect(t testing.TB, got []Record, want ...Record) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// TestWriter: what is noted, and what is left out because it is too soon.
func TestWriter(t *testing.T) {
	f := newFixture(t).size(0)
	w := f.open()
	w.Bytes(0, after(0))
	w.Bytes(10, after(9))  // too soon
	w.Bytes(20, after(10)) // soon enough
	w.Start(30, after(12), 7)
	w.Bytes(30, after(13))
	w.Bytes(40, after(30))
	w.End(50, after(31), Killed, 9)
	w.Bytes(50, after(25)) // the clock went back a little
	w.End(60, after(28), Exited, 3)
	w.Bytes(70, after(-3600_000)) // and far
	expect(
		t, records(f.reader("")),
		Record{Kind: Bytes, Time: after(0)},
		Record{Kind: Bytes, Time: after(10), Offset: 20},
		Record{Kind: Started, Time: after(12), Offset: 30, Run: after(12), Value: 7},
		Record{Kind: Bytes, Time: after(30), Offset: 40, Run: after(12), Value: 7},
		Record{Kind: Killed, Time: after(31), Offset: 50, Run: after(12), Value: 9},
		Record{Kind: Exited, Time: after(31), Offset: 60, Run: after(12), Value: 3},
		Record{Kind: Bytes, Time: after(-3600_000), Offset: 70, Run: after(12), Value: 7},
	)
}

// TestGoesOn: a later writer continues the index, the run included.
func TestGoesOn(t *testing.T) {
	f := newFixture(t).size(100)
	w := f.open()
	w.Start(0, after(0), 7)
	w.End(100, after(5), Ended, 0)
	w.Close()
	f.open().Bytes(100, after(100))
	got := records(f.reader(""))
	expect(t, got[2:], Record{Kind: Bytes, Time: after(100), Offset: 100, Run: after(0), Value: 7})
}

// TestAnotherFile: an index is never used for a file that it does not belong to.
func TestAnotherFile(t *testing.T) {
	at100 := func(f *fixture) {
		w := f.size(1000).open()
		w.Start(0, after(0), 7)
		w.Bytes(100, after(100))
		w.Close()
	}
	t.Run("emptied meanwhile", func(t *testing.T) {
		f := newFixture(t)
		at100(f)
		f.size(50)
		f.open()
		r := f.reader("")
		expect(t, records(r), Record{Kind: Bytes, Time: after(100), Run: after(0), Value: 7})
		if base, ok := r.Base(); base != 100 || !ok {
			t.Errorf("base %d, %v", base, ok)
		}
	})
	t.Run("renamed by somebody else", func(t *testing.T) {
		f := newFixture(t)
		at100(f)
		if err := os.Rename(f.path, f.path+".1"); err != nil {
			t.Fatal(err)
		}
		f.size(0).open()
		if got := records(f.reader(".1")); len(got) != 2 {
			t.Errorf("the index did not follow its log: %+v", got)
		}
		r := f.reader("")
		expect(t, records(r), Record{Kind: Bytes, Time: after(100), Run: after(0), Value: 7})
		if base, ok := r.Base(); base != 1000 || !ok {
			t.Errorf("base %d, %v", base, ok)
		}
	})
	t.Run("exchanged", func(t *testing.T) {
		f := newFixture(t)
		at100(f)
		other := f.path + "-other"
		if err := os.WriteFile(other, make([]byte, 5000), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(other, f.path); err != nil {
			t.Fatal(err)
		}
		f.open().Bytes(5000, after(200))
		expect(t, records(f.reader("")), Record{Kind: Bytes, Time: after(200), Offset: 5000})
	})
}

// TestBound: an index stays small however small the pieces of a log are; runs are always noted.
func TestBound(t *testing.T) {
	f := newFixture(t).size(0)
	w := f.open()
	const pieces = 20_000
	for i := range pieces {
		w.Bytes(int64(i), after(20*i))
	}
	w.Start(pieces, after(20*pieces), 1)
	info, err := os.Stat(f.index(""))
	if err != nil {
		t.Fatal(err)
	}
	if limit := int64(slack + pieces/2 + 2*recordSize); info.Size() > limit || info.Size() < slack {
		t.Errorf("%d bytes for a log of %d, want at most %d", info.Size(), pieces, limit)
	}
	if last, ok := f.reader("").Last(); !ok || last.Kind != Started {
		t.Errorf("%+v", last)
	}
}

// TestTorn: a record that was written in part spoils no other.
func TestTorn(t *testing.T) {
	f := newFixture(t).size(1000)
	w := f.open()
	w.Bytes(0, after(0))
	w.Bytes(10, after(100))
	w.Close()
	if err := os.Truncate(f.index(""), 3*recordSize-7); err != nil {
		t.Fatal(err)
	}
	f.open().Bytes(20, after(200))
	expect(t, records(f.reader(""))[:1], Record{Kind: Bytes, Time: after(0)})
	last, _ := f.reader("").Last()
	expect(t, []Record{last}, Record{Kind: Bytes, Time: after(200), Offset: 20})
}

// TestNowhere: nothing is an error for who writes.
func TestNowhere(t *testing.T) {
	var w *Writer
	w.Bytes(0, after(0))
	w.Start(0, after(0), 1)
	w.End(0, after(0), Exited, 0)
	w.Clear(0)
	w.Close()
	f := newFixture(t).size(0)
	if err := os.Mkdir(f.index(""), 0o700); err != nil {
		t.Fatal(err)
	}
	if w := Open(f.path, 0o600, logfile.Info{}); w != nil {
		t.Error("a directory is an index")
	}
	if w := Open(filepath.Join(f.path, "none"), 0o600, logfile.Info{}); w != nil {
		t.Error("an index without a directory")
	}
	var r *Reader
	if _, ok := r.Last(); ok || r.Len() != 0 || r.Refresh() || r.Of(0) || r.AfterOffset(5) != 0 {
		t.Error("no index has something")
	}
}

// TestSearch compares the searches with a walk through all.
func TestSearch(t *testing.T) {
	f := newFixture(t).size(1 << 20)
	w := f.open()
	for i := range 1000 {
		if i%100 == 50 {
			w.Start(int64(10*i), after(20*i), uint64(i))
		}
		w.Bytes(int64(10*i), after(20*i+15))
	}
	r := f.reader("")
	walk := func(f func(Record) bool) int {
		for i := range r.Len() {
			if rec, _ := r.At(i); f(rec) {
				return i
			}
		}
		return r.Len()
	}
	for x := -5; x < 10_100; x += 97 {
		if got, want := r.AfterOffset(int64(x)), walk(func(rec Record) bool { return rec.Offset > int64(x) }); got != want {
			t.Fatalf("after offset %d: %d, want %d", x, got, want)
		}
		at := after(2 * x)
		if got, want := r.AtTime(at), walk(func(rec Record) bool { return !rec.Time.Before(at) }); got != want {
			t.Fatalf("at time %d: %d, want %d", x, got, want)
		}
		if got, want := r.AtRun(at), walk(func(rec Record) bool { return !rec.Run.Before(at) }); got != want {
			t.Fatalf("at run %d: %d, want %d", x, got, want)
		}
	}
}

// TestRefresh: a reader sees what is appended, and that a log was emptied.
func TestRefresh(t *testing.T) {
	f := newFixture(t).size(0)
	w := f.open()
	file, err := os.Open(f.index(""))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r := NewReader(file)
	for i := range 300 {
		w.Bytes(int64(i), after(20*i))
		if r.Refresh() || r.Len() != i+1 {
			t.Fatalf("%d: %d", i, r.Len())
		}
		if last, ok := r.Last(); !ok || last.Offset != int64(i) {
			t.Fatalf("%d: %+v", i, last)
		}
	}
	w.Clear(300)
	if !r.Refresh() || r.Len() != 0 || r.Refresh() {
		t.Errorf("%d", r.Len())
	}
	if base, ok := r.Base(); base != 300 || !ok {
		t.Errorf("base %d, %v", base, ok)
	}
}

// FuzzReader: whatever is in an index, looking things up ends, and what is found is within it.
func FuzzReader(f *testing.F) {
	fix := newFixture(f).size(1000)
	w := fix.open()
	w.Start(0, after(0), 1)
	for i := range 5 {
		w.Bytes(int64(100*i), after(100*i))
	}
	w.End(500, after(600), Exited, 1)
	good, err := os.ReadFile(fix.index(""))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-5])
	f.Add(good[:recordSize])
	f.Add([]byte{})
	f.Add(append(bytes.Clone(good), make([]byte, 100*recordSize)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		// The header is what makes an index; so that the rest is reached it is put right, in a copy: b is the fuzzer's.
		if b = bytes.Clone(b); len(b) >= recordSize {
			copy(b, magic)
			seal(b)
		}
		r := NewReader(bytes.NewReader(b))
		if r == nil {
			return
		}
		if want := len(b)/recordSize - 1; r.Len() != want {
			t.Fatalf("%d records, want %d", r.Len(), want)
		}
		for _, got := range []int{r.AfterOffset(0), r.AfterOffset(250), r.AtTime(after(250)), r.AtRun(after(0))} {
			if got < 0 || got > r.Len() {
				t.Fatalf("%d of %d", got, r.Len())
			}
		}
		for i := -1; i <= r.Len(); i++ {
			rec, ok := r.At(i)
			if ok && (rec.Kind < Bytes || rec.Kind > Ended || rec.Offset < 0) {
				t.Fatalf("%+v", rec)
			}
			r.Generation(i)
		}
		r.Base()
		r.Refresh()
	})
}
