package journal

import (
	"flag"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
)

// book is what a test knows about a store: every Put, and how many of them were acknowledged.
type book struct {
	turn  sync.Mutex // held while states are judged, so that nothing is acknowledged meanwhile
	mu    sync.Mutex
	puts  []op
	acked int
}

func (b *book) add(key string, value []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.puts = append(b.puts, op{key, value})
}

func (b *book) ack(n int) {
	b.turn.Lock()
	defer b.turn.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.acked = max(b.acked, n)
}

func (b *book) now() (puts []op, acked int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.puts, b.acked
}

// after is the content after n Puts.
func after(puts []op) map[string][]byte {
	m := map[string][]byte{}
	for _, o := range puts {
		if o.value == nil {
			delete(m, o.key)
		} else {
			m[o.key] = o.value
		}
	}
	return m
}

// judge says what is wrong with a content that was found, "" when nothing is: each key must have the value
// it had when the last Put was acknowledged, or one that was Put later. Where the disk kept the order the
// whole must be what it was after some Put.
func (b *book) judge(got map[string][]byte, ordered bool) string {
	puts, acked := b.now()
	base := after(puts[:acked])
	keys := maps.Clone(base)
	for _, o := range puts {
		keys[o.key] = nil
	}
	for k := range got {
		keys[k] = nil
	}
	for k := range keys {
		g, has := got[k]
		w, want := base[k]
		ok := has == want && string(g) == string(w)
		for _, o := range puts[acked:] {
			ok = ok || o.key == k && (o.value != nil) == has && string(o.value) == string(g)
		}
		if !ok {
			return fmt.Sprintf("key %q is %q (there: %v), acknowledged was %q (there: %v)", k, g, has, w, want)
		}
	}
	if !ordered {
		return ""
	}
	for n := acked; n <= len(puts); n++ {
		if maps.EqualFunc(got, after(puts[:n]), func(a, b []byte) bool { return string(a) == string(b) }) {
			return ""
		}
	}
	return "a mixture of several states"
}

// options are those of a small store on a disk in memory, with numbers that repeat.
func options(m *memFS) Options {
	n := uint64(0)
	return Options{
		Dir: memDir, Name: "wishes", FS: m, Retry: -1, CompactAt: 300,
		ID: func() uint64 { n++; return n<<32 | 0xabcdef },
	}
}

func open(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sync waits for a Sync.
func (s *Store) sync() error {
	done := make(chan error)
	s.Sync(func(err error) { done <- err })
	return <-done
}

// workload is a life of a store with everything in it: new keys, changes, deletions, enough for several
// replacements, Flush and Sync. step is called after each.
func workload(s *Store, b *book, step func()) {
	put := func(k, v string) {
		value := []byte(v)
		if v == "" {
			value = nil
		}
		b.add(k, value)
		s.Put(k, value)
	}
	sync := func() {
		puts, _ := b.now()
		if s.sync() == nil {
			b.ack(len(puts))
		}
		step()
	}
	flush := func() {
		_ = s.Flush()
		step()
	}
	put("a", "up")
	put("b", "up")
	sync()
	put("a", "")
	flush()
	put("c", strings.Repeat("c", 90))
	put("b", "down")
	sync()
	sync()
	for i := range 9 {
		put("b", fmt.Sprint("round ", i))
		if i%3 == 2 {
			sync()
		} else {
			flush()
		}
	}
	put("a", "again")
	put("c", "")
	sync()
	put("b", "last")
}

// TestCrashStates cuts the power after every call of a store's life, in every way, and opens what is left.
func TestCrashStates(t *testing.T) {
	for _, runtime := range []bool{false, true} {
		t.Run(fmt.Sprint("runtime=", runtime), func(t *testing.T) {
			states, bad := crashStates(t, newMem(), runtime, true)
			if bad > 0 {
				t.Errorf("%d of %d states", bad, states)
			}
			if states < 2000 {
				t.Errorf("only %d states", states)
			}
			t.Logf("%d states", states)
		})
	}
}

// crashStates runs the workload on a disk and judges all states. With again, it goes on from each with
// another Put, Sync and power cut.
func crashStates(t *testing.T, m *memFS, runtime, again bool) (states, bad int) {
	t.Helper()
	b := &book{}
	o := options(m)
	o.Runtime = runtime
	fault := func(format string, args ...any) {
		if bad++; bad <= 5 && !m.lie {
			t.Errorf(format, args...)
		}
	}
	seen := map[string]bool{}
	check := func() {
		b.turn.Lock()
		defer b.turn.Unlock()
		m.crashes(func(left *memFS, how string, ordered bool) {
			states++
			puts, acked := b.now()
			key := fmt.Sprint(left.text(), len(puts), acked, ordered)
			if seen[key] {
				return
			}
			seen[key] = true
			o := options(left)
			o.ID = func() uint64 { return 1 << 60 }
			o.Runtime = runtime
			s, err := Open(o)
			if err != nil || s.Recovered().Volatile != nil {
				fault("%s: refused: %v, %v", how, err, s.Recovered().Volatile)
				return
			}
			got := s.Recovered().Entries
			// A runtime store does not sync a file before it takes its place: after a power cut all of
			// it may be gone, and is history anyway.
			if why := b.judge(got, ordered); why != "" && !runtime {
				fault("%s, %d of %d acknowledged: %s", how, acked, len(puts), why)
			}
			if again {
				reopen(t, s, left, got, fault)
			}
			_ = s.Close()
		})
	}
	m.after = func(string) { check() }
	s := open(t, o)
	workload(s, b, func() {
		check()
		left := m.killed() // only this process died: everything that was flushed is there
		puts, _ := b.now()
		s := open(t, options(left))
		if d := diff(after(puts), s.Recovered().Entries); d != "" && !m.lie {
			t.Errorf("after a kill (-put +found):\n%s", d)
		}
		_ = s.Close()
	})
	_ = s.Close()
	return states, bad
}

// reopen continues on what a power cut left, and cuts the power again after a Sync.
func reopen(t *testing.T, s *Store, m *memFS, had map[string][]byte, fault func(string, ...any)) {
	t.Helper()
	s.Put("z", []byte("new"))
	if err := s.sync(); err != nil {
		fault("no Sync after a power cut: %v", err)
		return
	}
	want := maps.Clone(had)
	want["z"] = []byte("new")
	m.crashes(func(left *memFS, how string, _ bool) {
		o := options(left)
		o.ID = func() uint64 { return 1 << 61 }
		s := open(t, o)
		if d := diff(want, s.Recovered().Entries); d != "" {
			fault("second cut, %s (-want +got):\n%s", how, d)
		}
		_ = s.Close()
	})
}

func (m *memFS) text() string {
	var b strings.Builder
	for _, n := range m.list() {
		fmt.Fprintf(&b, "%s=%x ", n, m.names[memDir+"/"+n].data)
	}
	return b.String()
}

// TestCrashStatesFindLoss: a disk whose syncs do nothing must be found out by the same judge.
func TestCrashStatesFindLoss(t *testing.T) {
	m := newMem()
	m.lie = true
	if states, bad := crashStates(t, m, false, false); bad == 0 {
		t.Errorf("none of %d states shows that nothing was synced", states)
	}
}

// long is for by hand: everything in its full size.
var long = flag.Bool("long", false, "run the tests of damage and faults in full")

// TestFaults lets every call of a store's life fail in turn, once and from then on, and cuts the power
// after each. No Sync may have said more than is true, opening is never refused, and when the disk is well
// again everything is kept.
func TestFaults(t *testing.T) {
	life := func(fault func(n int, op, name string) error) (calls int, why string) {
		m := newMem()
		b := &book{}
		m.fail = fault
		seen := map[string]bool{}
		check := func() {
			b.turn.Lock()
			defer b.turn.Unlock()
			puts, acked := b.now()
			m.crashes(func(left *memFS, how string, _ bool) {
				key := fmt.Sprint(left.text(), len(puts), acked)
				if seen[key] {
					return
				}
				seen[key] = true
				o := options(left)
				o.ID = func() uint64 { return 1 << 60 }
				s := open(t, o)
				if got := b.judge(s.Recovered().Entries, false); got != "" && why == "" {
					why = how + ": " + got
				}
				_ = s.Close()
			})
		}
		s := open(t, options(m))
		volatile := s.Recovered().Volatile != nil // then it promises nothing; the end is judged
		workload(s, b, func() {
			if volatile = volatile && s.Recovered().Volatile != nil; volatile {
				b.mu.Lock()
				b.acked = 0
				b.mu.Unlock()
			}
			check()
		})
		m.mu.Lock()
		calls, m.fail = m.n, nil
		m.mu.Unlock()
		puts, _ := b.now()
		if err := s.sync(); err != nil && why == "" {
			why = "no Sync on a disk that is well again: " + err.Error()
		}
		b.ack(len(puts))
		check()
		_ = s.Close()
		return calls, why
	}
	calls, why := life(nil)
	if why != "" || calls < 30 { // how many share an fsync is a matter of chance
		t.Fatalf("without faults: %d calls, %s", calls, why)
	}
	lengths, step := []int{1, 1 << 30}, 1
	if testing.Short() {
		step = 7
	}
	if *long {
		lengths = []int{1, 2, 3, 5, 8, 13, 1 << 30}
	}
	for _, c := range []struct {
		name string
		err  error
		ops  string // "" = all
	}{
		{"eio", errEIO, ""},
		{"full", errFull, ""},
		{"full for data", errFull, "write create link reserve"},
		{"fsync", errEIO, "fsync syncdir"},
		{"fsync of files", errEIO, "fsync"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for n := 0; n < calls; n += step {
				for _, length := range lengths {
					_, why := life(func(i int, op, _ string) error {
						if i >= n && i-n < length && (c.ops == "" || strings.Contains(c.ops, op)) {
							return c.err
						}
						return nil
					})
					if why != "" {
						t.Errorf("%d calls from %d: %s", length, n, why)
					}
				}
			}
		})
	}
}
