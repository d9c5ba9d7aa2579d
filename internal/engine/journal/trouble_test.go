package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestRemovedWhileRunning: directory and file come back with everything in them; what somebody put in
// their place is kept.
func TestRemovedWhileRunning(t *testing.T) {
	for _, runtime := range []bool{false, true} {
		for name, hurt := range map[string]func(dir string) error{
			"directory": os.RemoveAll,
			"file":      func(dir string) error { return os.Remove(filepath.Join(dir, "state")) },
			"spare":     func(dir string) error { return os.Remove(filepath.Join(dir, "state.spare")) },
			"replaced": func(dir string) error {
				p := filepath.Join(dir, "state")
				return errors.Join(os.Rename(p, p+".backup"), os.WriteFile(p, []byte("mine"), 0o600))
			},
			"exchanged for a directory": func(dir string) error {
				p := filepath.Join(dir, "state")
				return errors.Join(os.Remove(p), os.Mkdir(p, 0o700))
			},
		} {
			dir := filepath.Join(t.TempDir(), "d")
			o := Options{Dir: dir, Name: "state", Runtime: runtime, CompactAt: 2000}
			s := open(t, o)
			s.Put("a", []byte("1"))
			if err := s.sync(); err != nil {
				t.Fatal(err)
			}
			if err := hurt(dir); err != nil {
				t.Fatal(err)
			}
			s.Put("b", []byte("2"))
			if err := s.Flush(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if runtime && name != "spare" { // nothing needs to be written for that it is seen
				until(t, name+": it is written again", func() bool {
					f, err := os.Lstat(filepath.Join(dir, "state"))
					return err == nil && f.Mode().IsRegular() && f.Size() > int64(len("mine"))
				})
			}
			for i := range 100 { // through a compaction
				s.Put("c", fmt.Append(nil, "value ", i))
				if err := s.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Close(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			s = open(t, o)
			want := bytesOf(map[string]string{"a": "1", "b": "2", "c": "value 99"})
			if diff := cmp.Diff(want, s.Recovered().Entries); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
			_ = s.Close()
			if _, err := os.Lstat(filepath.Join(dir, "state.damaged-1")); (err == nil) != (name == "replaced" || strings.HasPrefix(name, "exch")) {
				t.Errorf("%s: set aside: %v", name, err)
			}
		}
	}
}

// until polls for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what + ": never")
		}
	}
}

// TestVolatile: no directory, no complaint but one; and it is kept as soon as there is one.
func TestVolatile(t *testing.T) {
	top := t.TempDir()
	obstacle := filepath.Join(top, "d")
	if err := os.WriteFile(obstacle, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	talk := &said{}
	now := time.Unix(1000, 0)
	o := Options{Dir: obstacle, Name: "state", Log: talk.log, Now: func() time.Time { return now }}
	s := open(t, o)
	for i := range 3 {
		s.Put("a", fmt.Append(nil, i))
		if err := errors.Join(s.Flush(), s.sync()); err != nil {
			t.Error(err)
		}
	}
	if s.Recovered().Volatile == nil || len(talk.lines) != 1 {
		t.Errorf("%v, said %q", s.Recovered().Volatile, talk.lines)
	}
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(); err != nil || s.Recovered().Volatile == nil {
		t.Errorf("tried too early: %v", err)
	}
	now = now.Add(2 * time.Second)
	if err := s.Flush(); err != nil || s.Recovered().Volatile != nil || talk.count("again") != 1 {
		t.Errorf("%v, %v, said %q", err, s.Recovered().Volatile, talk.lines)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s = open(t, o)
	defer s.Close()
	if got := s.Recovered().Entries["a"]; string(got) != "2" {
		t.Errorf("kept %q", got)
	}
}

// TestShortage: when the file cannot be opened for want of descriptors it is not judged, and not
// overwritten once there are some.
func TestShortage(t *testing.T) {
	text, frames := sample(t, 20)
	m := holding("wishes", text)
	m.fail = func(_ int, op, _ string) error {
		if op == "open" {
			return syscall.EMFILE
		}
		return nil
	}
	o := options(m)
	o.Stamp = "era"
	s := open(t, o)
	if r := s.Recovered(); !errors.Is(r.Volatile, syscall.EMFILE) || len(m.damaged()) > 0 {
		t.Errorf("%+v", r)
	}
	m.fail = nil
	s.Put("a", []byte("1"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	kept := m.damaged()
	if len(kept) != 1 {
		t.Fatalf("kept %v", kept)
	}
	if got := decode(m.names[memDir+"/"+kept[0]].data); !cmp.Equal(got.entries, replay(frames)) {
		t.Error("what was there is lost")
	}
}

// TestFsyncOfThePast: the process before us was killed with content that no fsync had covered, or that
// one had lost. A Sync of ours covers it, although nothing was Put.
func TestFsyncOfThePast(t *testing.T) {
	m := newMem()
	o := options(m)
	s := open(t, o)
	s.Put("a", []byte("1"))
	if err := s.sync(); err != nil {
		t.Fatal(err)
	}
	s.Put("a", []byte("2"))
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, ino := range m.names {
		ino.work = nil // it failed: shown, never written
	}
	next := open(t, o) // the first is dead
	if got := next.Recovered().Entries["a"]; string(got) != "2" {
		t.Fatalf("found %q", got)
	}
	if err := next.sync(); err != nil {
		t.Fatal(err)
	}
	m.crashes(func(m *memFS, how string, _ bool) {
		o.FS = m
		s := open(t, o)
		if got := s.Recovered().Entries["a"]; string(got) != "2" {
			t.Errorf("%s: %q", how, got)
		}
		_ = s.Close()
	})
	_ = next.Close()
}

// TestErrorsAreTold: an fsync that fails for good is reported to those that wait, and once to people; the
// content stays in force, and is kept when the disk is well.
func TestErrorsAreTold(t *testing.T) {
	m, talk := newMem(), &said{}
	o := options(m)
	o.Log = talk.log
	s := open(t, o)
	s.Put("a", []byte("1"))
	if err := s.sync(); err != nil {
		t.Fatal(err)
	}
	broken := true
	m.fail = func(_ int, op, _ string) error {
		if broken && op == "fsync" {
			return errEIO
		}
		return nil
	}
	for i := range 5 {
		s.Put("a", fmt.Append(nil, "new ", i))
		if err := s.sync(); !errors.Is(err, errEIO) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if string(s.Snapshot()["a"]) != "new 4" {
		t.Error("not in force")
	}
	m.mu.Lock()
	broken = false
	m.mu.Unlock()
	if err := s.sync(); err != nil {
		t.Error(err)
	}
	if len(talk.lines) != 3 || talk.count("fsync of") != 1 || talk.count("cannot write") != 1 || talk.count("again") != 1 {
		t.Errorf("said %q", talk.lines)
	}
	_ = s.Close()
}

// TestRetry: a Flush does not try to replace a large file again and again, a Sync does.
func TestRetry(t *testing.T) {
	m := newMem()
	now := time.Unix(1000, 0)
	o := options(m)
	o.Retry, o.Now = time.Second, func() time.Time { return now }
	s := open(t, o)
	creates, full := 0, true
	m.fail = func(_ int, op, _ string) error {
		if op == "create" {
			creates++
		}
		if full && op == "write" {
			return errFull
		}
		return nil
	}
	for range 10 {
		s.Put("a", []byte("1"))
		if err := s.Flush(); !errors.Is(err, errFull) {
			t.Error(err)
		}
	}
	if creates > 1 {
		t.Errorf("%d files made", creates)
	}
	if err := s.sync(); !errors.Is(err, errFull) || creates > 2 {
		t.Errorf("%v, %d files made", err, creates)
	}
	m.mu.Lock()
	full = false
	m.mu.Unlock()
	now = now.Add(time.Second)
	if err := s.Flush(); err != nil {
		t.Error(err)
	}
	_ = s.Close()
}

// TestBounds: with a disk that never takes anything, memory is bounded by the content; with one that
// does, the file is.
func TestBounds(t *testing.T) {
	m := newMem()
	o := options(m)
	s := open(t, o)
	m.fail = func(_ int, op, _ string) error {
		if op == "write" || op == "create" {
			return errFull
		}
		return nil
	}
	value := make([]byte, 1000)
	for i := range 20_000 {
		key := fmt.Sprint("p/x/", i)
		s.Put(key, value)
		s.Put(key, nil)
		if i%5000 == 2500 {
			_ = s.Flush()
		}
		if s.opsBytes > 2*maxPending || len(s.ops) > maxPending {
			t.Fatalf("%d bytes wait", s.opsBytes)
		}
	}
	s.Put("last", value)
	m.fail = nil
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := decode(m.names[memDir+"/wishes"].data); len(got.entries) != 1 {
		t.Errorf("%d entries", len(got.entries))
	}
	_ = s.Close()
	for _, runtime := range []bool{false, true} {
		o := Options{Dir: t.TempDir(), Name: "state", Runtime: runtime}
		s := open(t, o)
		for i := range 10_000 {
			s.Put(fmt.Sprint("k", i%10), fmt.Append(make([]byte, 500), i))
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(s.sync(), s.sync()); err != nil { // the second follows the compaction
			t.Fatal(err)
		}
		if st, err := os.Stat(filepath.Join(o.Dir, "state")); err != nil || runtime && st.Size() > 4200<<10 {
			t.Errorf("%v bytes, %v", st.Size(), err)
		}
		_ = s.Close()
		if list, _ := os.ReadDir(o.Dir); len(list) != 2 {
			t.Errorf("files %v", list)
		}
	}
}

// TestTornAppend: what a full disk took of a record is taken back before the next one, and the Puts keep
// their order.
func TestTornAppend(t *testing.T) {
	for _, truncates := range []bool{true, false} {
		m := newMem()
		o := options(m)
		o.Runtime, o.CompactAt = true, 1<<20
		s := open(t, o)
		s.Put("a", []byte("1"))
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		full := true
		m.fail = func(_ int, op, _ string) error {
			if full && (op == "write" || op == "create") || !truncates && op == "truncate" {
				return errFull
			}
			return nil
		}
		for i := range 3 {
			s.Put("a", fmt.Append(nil, "next ", i))
			s.Put("b", []byte("x"))
			if err := s.Flush(); !errors.Is(err, errFull) {
				t.Error(err)
			}
		}
		m.mu.Lock()
		full = false
		m.mu.Unlock()
		s.Put("b", nil)
		if err := s.Flush(); err != nil {
			t.Error(err)
		}
		got := decode(m.names[memDir+"/wishes"].data)
		if len(got.damage) > 0 || len(got.entries) != 1 || string(got.entries["a"]) != "next 2" {
			t.Errorf("truncates %v: %q, %v", truncates, got.entries, got.damage)
		}
		if continues := got.frames > 2; continues != truncates {
			t.Errorf("truncates %v: %d frames", truncates, got.frames)
		}
		_ = s.Close()
	}
}
