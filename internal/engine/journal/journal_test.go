package journal

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// said collects what a store tells.
type said struct {
	mu    sync.Mutex
	lines []string
}

func (s *said) log(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

func (s *said) count(part string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, l := range s.lines {
		if strings.Contains(l, part) {
			n++
		}
	}
	return n
}

func bytesOf(m map[string]string) map[string][]byte {
	out := map[string][]byte{}
	for k, v := range m {
		out[k] = []byte(v)
	}
	return out
}

func TestRoundTrip(t *testing.T) {
	for _, runtime := range []bool{false, true} {
		o := Options{Dir: filepath.Join(t.TempDir(), "a", "b"), Name: "state", Runtime: runtime, Stamp: "boot 1"}
		s := open(t, o)
		if r := s.Recovered(); len(r.Entries) > 0 || !r.Same || r.Volatile != nil || r.Stamp != "" {
			t.Errorf("empty: %+v", r)
		}
		s.Put("a", []byte("1"))
		s.Put("b", []byte("2"))
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		s.Put("a", nil)
		s.Put("c", []byte{})
		s.Put("\x00\xff", []byte("\xf5uJ\x01"))
		s.Put("none", nil)
		want := bytesOf(map[string]string{"b": "2", "c": "", "\x00\xff": "\xf5uJ\x01"})
		if diff := cmp.Diff(want, s.Snapshot()); diff != "" {
			t.Errorf("in memory (-want +got):\n%s", diff)
		}
		if err := s.sync(); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for range 3 { // what is not changed is carried on
			s = open(t, o)
			r := s.Recovered()
			if diff := cmp.Diff(want, r.Entries); diff != "" || !r.Same || r.Stamp != "boot 1" || len(r.Damage) > 0 {
				t.Errorf("%+v (-want +got):\n%s", r, diff)
			}
			if s.Forget(); s.Recovered().Entries != nil || len(s.Snapshot()) != 3 {
				t.Error("forgets the wrong thing")
			}
			s.Put("b", []byte("2"))
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		for path, mode := range map[string]fs.FileMode{
			o.Dir: 0o700 | fs.ModeDir, filepath.Dir(o.Dir): 0o700 | fs.ModeDir,
			filepath.Join(o.Dir, "state"): 0o600, filepath.Join(o.Dir, "state.spare"): 0o600,
		} {
			if st, err := os.Stat(path); err != nil || st.Mode() != mode {
				t.Errorf("%s: %v, %v; want %v", path, st, err, mode)
			}
		}
	}
}

func TestOptions(t *testing.T) {
	dir := t.TempDir()
	for _, o := range []Options{
		{},
		{Dir: dir},
		{Dir: "relative", Name: "x"},
		{Dir: dir, Name: ".."},
		{Dir: dir, Name: "a/b"},
		{Dir: dir, Name: "a\x00"},
		{Dir: dir, Name: "x", Stamp: strings.Repeat("x", 1<<17)},
	} {
		if s, err := Open(o); err == nil {
			_ = s.Close()
			t.Errorf("%.200v is accepted", o)
		}
	}
}

// TestStamp: content of another era is history. It is shown until there is something to take its place.
func TestStamp(t *testing.T) {
	o := Options{Dir: t.TempDir(), Name: "state", Runtime: true, Stamp: "boot 1"}
	s := open(t, o)
	s.Put("a", []byte("1"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	o.Stamp = "boot 2"
	for range 2 { // the first of these may have died before it could deal with it
		s = open(t, o)
		r := s.Recovered()
		if r.Same || r.Stamp != "boot 1" || string(r.Entries["a"]) != "1" || len(s.Snapshot()) != 0 {
			t.Errorf("%+v", r)
		}
		if err := errors.Join(s.Flush(), s.sync(), s.Close()); err != nil {
			t.Error(err)
		}
	}
	s = open(t, o)
	s.Put("b", []byte("2"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, o)
	defer s.Close()
	if r := s.Recovered(); !r.Same || len(r.Entries) != 1 || string(r.Entries["b"]) != "2" || len(r.Aside) > 0 {
		t.Errorf("%+v", r)
	}
}

// TestStampOutlivesFirstFrame: damage of the first sector does not turn what is valid into history, nor
// history into what is valid.
func TestStampOutlivesFirstFrame(t *testing.T) {
	text, frames := sample(t, 40)
	text[20] ^= 1
	for _, stamp := range []string{"era", "another"} {
		o := options(holding("wishes", text))
		o.Stamp = stamp
		s := open(t, o)
		r := s.Recovered()
		if diff := cmp.Diff(replay(frames[1:]), r.Entries); diff != "" || r.Same != (stamp == "era") {
			t.Errorf("%s: %+v\n%s", stamp, r, diff)
		}
		_ = s.Close()
	}
}

// TestStrangers: whatever is in the place of the file gets another name, and nothing is refused.
func TestStrangers(t *testing.T) {
	text, _ := sample(t, 10)
	newer := slices.Clone(text)
	newer[3]++
	for _, c := range []struct {
		name string
		make func(path string) error
		kept bool
		root bool
	}{
		{"empty", func(p string) error { return os.WriteFile(p, nil, 0o600) }, false, false},
		{"zeros", func(p string) error { return os.WriteFile(p, make([]byte, 5000), 0o600) }, false, false},
		{"newer", func(p string) error { return os.WriteFile(p, newer, 0o600) }, true, false},
		{"another text", func(p string) error { return os.WriteFile(p, []byte("hello\n"), 0o600) }, true, false},
		{"directory", func(p string) error { return os.MkdirAll(filepath.Join(p, "x"), 0o700) }, true, false},
		{"link", func(p string) error { return os.Symlink("/etc/passwd", p) }, true, false},
		{"dangling link", func(p string) error { return os.Symlink(p+".nowhere", p) }, true, false},
		{"fifo", func(p string) error { return exec.Command("mkfifo", p).Run() }, true, false},
		{"foreign", func(p string) error {
			return errors.Join(os.WriteFile(p, text, 0o644), os.Chown(p, 12345, 12345))
		}, true, true},
		{"spare in the way", func(p string) error { return os.MkdirAll(p+".spare/x", 0o700) }, false, false},
		{"spare is a link", func(p string) error { return os.Symlink("/etc/passwd", p+".spare") }, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.root && os.Geteuid() != 0 {
				t.Skip("only root gives files away")
			}
			dir := t.TempDir()
			path := filepath.Join(dir, "state")
			if err := c.make(path); err != nil {
				t.Skip("cannot be made here: ", err)
			}
			before, _ := os.Lstat(path)
			talk := &said{}
			o := Options{Dir: dir, Name: "state", Log: talk.log, Stamp: "era"}
			for range 2 {
				s := open(t, o)
				r := s.Recovered()
				if r.Volatile != nil || len(r.Entries) > 1 {
					t.Errorf("%+v", r)
				}
				s.Put("a", []byte("1"))
				if err := s.sync(); err != nil {
					t.Error(err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
			s := open(t, o)
			if got := s.Recovered(); string(got.Entries["a"]) != "1" || len(got.Damage)+len(got.Aside) > 0 {
				t.Errorf("afterwards %+v", got)
			}
			_ = s.Close()
			kept, err := os.Lstat(path + ".damaged-1")
			if (err == nil) != c.kept || c.kept && !os.SameFile(kept, before) {
				t.Errorf("kept: %v, %v", kept, err)
			}
			if c.kept && talk.count(".damaged-1") != 1 {
				t.Errorf("said %q", talk.lines)
			}
		})
	}
}

// TestSetAsideCounts: a second damaged file does not replace the first, with and without hard links.
func TestSetAsideCounts(t *testing.T) {
	text, frames := sample(t, 30)
	text[frames[9].at+10] ^= 1
	for _, links := range []bool{true, false} {
		m := newMem()
		m.links = links
		for n := range 3 {
			ino := &inode{data: text, safe: text}
			m.names[memDir+"/wishes"] = ino
			o := options(m)
			o.Stamp = "era"
			s := open(t, o)
			if r := s.Recovered(); len(r.Damage) != 1 || len(r.Aside) != 1 || len(r.Entries) == 0 {
				t.Errorf("%+v", r)
			}
			_ = s.Close()
			if got := m.damaged(); len(got) != n+1 {
				t.Fatalf("links %v: %v", links, got)
			}
		}
		for _, n := range m.damaged() {
			if string(m.names[memDir+"/"+n].data) != string(text) {
				t.Errorf("%s is not what was damaged", n)
			}
		}
	}
}

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
		for i := range 5000 {
			s.Put(fmt.Sprint("k", i%10), fmt.Append(make([]byte, 100), i))
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(s.sync(), s.sync()); err != nil { // the second follows the compaction
			t.Fatal(err)
		}
		if st, err := os.Stat(filepath.Join(o.Dir, "state")); err != nil || runtime && st.Size() > 70<<10 {
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

func TestTooLarge(t *testing.T) {
	s := open(t, options(newMem()))
	defer s.Close()
	s.Put("fits", []byte("1"))
	s.Put(strings.Repeat("k", maxKey+1), []byte("1"))
	var size *SizeError
	if err := s.Flush(); !errors.As(err, &size) || len(err.Error()) > 200 {
		t.Errorf("%v", err)
	}
	if err := s.Flush(); err != nil || len(s.Snapshot()) != 1 {
		t.Errorf("%v", err)
	}
	s.Put("v", make([]byte, maxValue+1))
	if err := s.sync(); !errors.As(err, &size) || size.Key != "v" {
		t.Errorf("%v", err)
	}
	s.Put(strings.Repeat("k", maxKey), []byte("1"))
	if err := s.sync(); err != nil {
		t.Error(err)
	}
}

// TestSyncIsShared: all that wait while one fsync is at work share the next.
func TestSyncIsShared(t *testing.T) {
	m := newMem()
	s := open(t, options(m))
	s.Put("first", []byte("1"))
	if err := s.sync(); err != nil {
		t.Fatal(err)
	}
	syncs, inside, leave := 0, make(chan struct{}), make(chan struct{})
	m.after = func(op string) {
		if op != "fsync" {
			return
		}
		if syncs++; syncs == 1 {
			close(inside)
			<-leave
		}
	}
	var wg sync.WaitGroup
	wait := func(key string) {
		s.Put(key, []byte("x"))
		wg.Add(1)
		s.Sync(func(err error) {
			defer wg.Done()
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait("early")
	<-inside
	for i := range 50 {
		wait(fmt.Sprint("k", i))
	}
	close(leave)
	wg.Wait()
	if syncs > 4 { // the early one, the shared one, and a compaction
		t.Errorf("%d fsyncs for 51 callers", syncs)
	}
	_ = s.Close()
}

func TestClose(t *testing.T) {
	m := newMem()
	s := open(t, options(m))
	s.Put("a", []byte("1"))
	answers := make(chan error, 10)
	for range 10 {
		s.Sync(func(err error) { answers <- err })
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for range 10 {
		select {
		case err := <-answers:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Fatal("Close did not wait")
		}
	}
	s.Put("a", []byte("2"))
	if err := s.Flush(); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if err := s.sync2(); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s = open(t, options(m))
	s.Put("b", []byte("not synced"))
	if string(s.Recovered().Entries["a"]) != "1" || s.Close() != nil {
		t.Error("not kept")
	}
	if got := decode(m.names[memDir+"/wishes"].safe).entries; len(got) != 2 {
		t.Errorf("Close made %v last", got)
	}
}

// sync2 is sync where done comes before Sync returns.
func (s *Store) sync2() (err error) {
	s.Sync(func(e error) { err = e })
	return err
}

// TestConcurrent: Put, Flush, Sync and reading by many; what each was told is there.
func TestConcurrent(t *testing.T) {
	for _, runtime := range []bool{false, true} {
		dir := t.TempDir()
		o := Options{Dir: dir, Name: "state", Runtime: runtime, CompactAt: 4000}
		s := open(t, o)
		var wg sync.WaitGroup
		const workers, rounds = 8, 40
		for w := range workers {
			wg.Go(func() {
				for i := range rounds {
					s.Put(fmt.Sprint("w", w), fmt.Append(nil, "round ", i))
					s.Put(fmt.Sprint("w", w, "/", i), []byte("x"))
					s.Put(fmt.Sprint("w", w, "/", i-1), nil)
					var err error
					if i%4 == 0 {
						err = s.sync()
					} else {
						err = s.Flush()
					}
					if err != nil {
						t.Error(err)
					}
					_, _ = s.Snapshot(), s.Recovered()
				}
				// another process sees it, although this one goes on
				text, err := os.ReadFile(filepath.Join(dir, "state"))
				if got := decode(text).entries[fmt.Sprint("w", w)]; err != nil || string(got) != fmt.Sprint("round ", rounds-1) {
					t.Errorf("worker %d: %q, %v", w, got, err)
				}
			})
		}
		wg.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		s = open(t, o)
		if r := s.Recovered(); len(r.Entries) != 2*workers || len(r.Damage) > 0 {
			t.Errorf("%d entries, %v", len(r.Entries), r.Damage)
		}
		_ = s.Close()
	}
}

// TestAgainstMap lives random lives: Put, Flush, Sync, kill, power cut, damage of the end, another era.
func TestAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMem()
		o := options(m)
		o.Runtime = rapid.Bool().Draw(t, "runtime")
		reopen := func() *Store {
			o.FS = m
			s, err := Open(o)
			if err != nil || s.Recovered().Volatile != nil {
				t.Fatal(err, s.Recovered().Volatile)
			}
			return s
		}
		s := reopen()
		now, flushed := map[string][]byte{}, map[string][]byte{}
		clone := func(m map[string][]byte) map[string][]byte { return after(nil2ops(m)) }
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				k := rapid.SampledFrom([]string{"a", "b", "c", "d", ""}).Draw(t, "key")
				v := rapid.SliceOfN(rapid.Byte(), 0, 70).Draw(t, "value")
				if len(v)%7 == 3 {
					s.Put(k, nil)
					delete(now, k)
					return
				}
				s.Put(k, v)
				now[k] = append([]byte{}, v...)
			},
			"flush": func(t *rapid.T) {
				if err := s.Flush(); err != nil {
					t.Fatal(err)
				}
				flushed = clone(now)
			},
			"sync": func(t *rapid.T) {
				if err := s.sync(); err != nil {
					t.Fatal(err)
				}
				flushed = clone(now)
			},
			"kill": func(t *rapid.T) {
				s.quitOnly()
				m = m.killed()
				s = reopen()
				if diff := cmp.Diff(flushed, s.Recovered().Entries); diff != "" {
					t.Fatalf("after a kill (-flushed +found):\n%s", diff)
				}
				now = clone(flushed)
			},
			"torn": func(t *rapid.T) {
				s.quitOnly()
				m = m.killed()
				if ino := m.names[memDir+"/wishes"]; ino != nil {
					junk := identify(1, "").encode(nil, kindPut, 1, "torn", []byte("never acknowledged"))
					ino.data = append(slices.Clip(ino.data), junk[:rapid.IntRange(1, len(junk)-1).Draw(t, "cut")]...)
				}
				s = reopen()
				if diff := cmp.Diff(flushed, s.Recovered().Entries); diff != "" {
					t.Fatalf("after a torn write (-flushed +found):\n%s", diff)
				}
				now = clone(flushed)
			},
			"close": func(t *rapid.T) {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = reopen()
				flushed = clone(now)
				if diff := cmp.Diff(now, s.Recovered().Entries); diff != "" {
					t.Fatalf("after Close (-put +found):\n%s", diff)
				}
			},
			"": func(t *rapid.T) {
				if diff := cmp.Diff(now, s.Snapshot()); diff != "" {
					t.Fatalf("in memory (-want +got):\n%s", diff)
				}
			},
		})
		_ = s.Close()
	})
}

func nil2ops(m map[string][]byte) (ops []op) {
	for k, v := range m {
		ops = append(ops, op{k, v})
	}
	return ops
}

// quitOnly ends the goroutine of a store that plays dead, and nothing else.
func (s *Store) quitOnly() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	close(s.quit)
	<-s.done
}

// TestMain lets the test binary be a process that keeps state and is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("JOURNAL_TEST_DIR"); dir != "" {
		s, err := Open(Options{Dir: dir, Name: "state", Runtime: true, CompactAt: 4000})
		if err != nil {
			os.Exit(2)
		}
		value := strings.Repeat("v", 300)
		for i := len(s.Recovered().Entries); ; i++ {
			s.Put(fmt.Sprint("k", i), []byte(value))
			s.Put("count", fmt.Append(nil, i))
			if s.Flush() != nil {
				os.Exit(3)
			}
			if i > 20 {
				s.Put(fmt.Sprint("k", i-20), nil)
			}
			fmt.Println(i)
		}
	}
	os.Exit(m.Run())
}

// TestKilledProcess kills a real process that writes to a real file, again and again.
func TestKilledProcess(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	rounds := 10
	if *long {
		rounds = 500
	}
	for round := range rounds {
		c := exec.Command(exe)
		c.Env = append(os.Environ(), "JOURNAL_TEST_DIR="+dir)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		last := ""
		for n := 0; lines.Scan(); n++ {
			last = lines.Text()
			if n == 3+7*round%150 {
				if err := c.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = c.Wait()
		var told, got int
		if _, err := fmt.Sscan(last, &told); err != nil {
			t.Fatalf("round %d: the process said %q", round, last)
		}
		s := open(t, Options{Dir: dir, Name: "state", Runtime: true})
		r := s.Recovered()
		_, _ = fmt.Sscan(string(r.Entries["count"]), &got)
		if got < told || got > told+1 || len(r.Entries[fmt.Sprint("k", got)]) != 300 {
			t.Errorf("round %d: acknowledged %d, found %d; %v", round, told, got, r.Damage)
		}
		for _, d := range r.Damage {
			if !d.Tail {
				t.Errorf("round %d: %v", round, d)
			}
		}
		_ = s.Close()
	}
}
