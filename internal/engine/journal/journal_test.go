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
	"testing"

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
