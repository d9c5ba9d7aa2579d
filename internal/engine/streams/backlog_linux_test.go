package streams

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/engine/logs"
	"github.com/upkeep-project/upkeep/internal/sys/pipe"
	"github.com/upkeep-project/upkeep/internal/sys/stage"
)

// stand is a backlog with a pipe to fill it from.
type stand struct {
	t    *testing.T
	b    *backlog
	mem  *memory
	c    *scratch
	r, w int
}

func newStand(t *testing.T) *stand {
	t.Helper()
	f, err := stage.New()
	check(t, err)
	r, w, err := pipe.New(1 << 20)
	check(t, err)
	t.Cleanup(func() { unix.Close(r); unix.Close(w) })
	mem := &memory{limit: 1 << 30}
	return &stand{t: t, b: newBacklog(f, mem), mem: mem, c: &scratch{r: -1, w: -1, buf: make([]byte, chunk)}, r: r, w: w}
}

// add puts text on the stage and applies the limit.
func (s *stand) add(text string, most int64) {
	s.t.Helper()
	from := s.b.f.Size()
	_, err := pipe.Write(s.w, []byte(text))
	check(s.t, err)
	n, err := s.b.f.Fill(s.r, len(text))
	if n != len(text) || err != nil {
		s.t.Fatal(n, err)
	}
	s.b.limit(from, most, s.c, unix.ENOSPC)
}

// again is the backlog as a successor finds it.
func (s *stand) again() {
	s.t.Helper()
	dup, err := unix.FcntlInt(uintptr(s.b.f.FD()), unix.F_DUPFD_CLOEXEC, 3)
	check(s.t, err)
	s.mem.used.Add(-s.b.counted)
	s.b.f.Close()
	f, err := stage.Adopt(dup)
	check(s.t, err)
	s.b = newBacklog(f, s.mem)
}

// drain writes all to a log and returns what is in it.
func (s *stand) drain(path string, strip rules) string {
	s.t.Helper()
	f := open(s.t, logs.NewStore(), path, logs.Options{})
	defer f.Close()
	s.b.settle(f, s.c, strip)
	for s.b.pending(true) {
		_, err := s.b.write(f, s.c, strip, true, true, unix.ENOSPC)
		check(s.t, err)
	}
	s.b.trim()
	return content(s.t, path)
}

func TestBacklogLimit(t *testing.T) {
	const most = 100
	line := func(n int) string { return string(numbered(nil, n, 20)) }
	tests := []struct {
		name string
		adds []string
		want string
	}{
		{"all fits", []string{line(1), line(2)}, line(1) + line(2)},
		{
			"a gap at the end",
			[]string{line(1) + line(2) + line(3), line(4) + line(5) + line(6)},
			line(1) + line(2) + line(3) + line(4) + line(5) + "[upkeep: 20 bytes lost: no space left on device]\n",
		},
		{
			"and it goes on",
			[]string{line(1) + line(2) + line(3) + line(4) + line(5), line(6), line(7)},
			line(1) + line(2) + line(3) + line(4) + line(5) + "[upkeep: 40 bytes lost: no space left on device]\n",
		},
		{
			"cut at a line end",
			[]string{"0123456789" + strings.Repeat("x", 80), "yyy\nzzzzzzzzzzzzzzz"},
			"0123456789" + strings.Repeat("x", 80) + "yyy\n[upkeep: 15 bytes lost: no space left on device]\n",
		},
		{"no line end fits", []string{strings.Repeat("x", 150)}, "[upkeep: 150 bytes lost: no space left on device]\n"},
		{
			"in the middle of a line",
			[]string{strings.Repeat("x", 90), strings.Repeat("y", 90)},
			strings.Repeat("x", 90) + "\n[upkeep: 90 bytes lost: no space left on device]\n",
		},
	}
	for _, tt := range tests {
		for _, killed := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.name, "/", killed), func(t *testing.T) {
				s := newStand(t)
				for _, text := range tt.adds {
					s.add(text, most)
					if s.b.held() > most {
						t.Errorf("%d bytes are held", s.b.held())
					}
					if killed {
						s.again()
					}
				}
				if got := s.drain(t.TempDir()+"/log", 0); got != tt.want {
					t.Errorf("got  %q\nwant %q", got, tt.want)
				}
				if n := s.mem.used.Load(); n != 0 {
					t.Errorf("%d bytes are still counted", n)
				}
			})
		}
	}
}

// After a gap what comes is kept again when half of the room is free, from the next line on.
func TestBacklogAfterAGap(t *testing.T) {
	const most = 200
	dir := t.TempDir()
	s := newStand(t)
	text := ""
	add := func(p string) { text += p; s.add(p, most) }
	for i := range 15 {
		add(string(numbered(nil, i, 20)))
	}
	f := open(t, logs.NewStore(), dir+"/log", logs.Options{})
	_, err := s.b.write(f, s.c, 0, true, false, unix.ENOSPC) // up to the gap
	check(t, err)
	add("rest of a line\nnext\n")
	s.again()
	add(string(numbered(nil, 99, 20)))
	check(t, f.Close())
	lost, gaps := account(t, s.drain(dir+"/log", 0), text)
	if lost != 5*20+15 || gaps != 1 {
		t.Errorf("%d bytes lost in %d gaps", lost, gaps)
	}
}

// A write that was announced and not confirmed: the successor finds out how much of it was done, wherever the file is
// by now, whoever writes to it too.
func TestSettle(t *testing.T) {
	plain := string(numbered(nil, 1, 1000))
	for _, tt := range []struct {
		name  string
		strip rules
		text  string
		did   int // bytes in the log already
		after func(t *testing.T, path string)
		want  func(text string) string
	}{
		{name: "nothing", text: plain},
		{name: "a part", text: plain, did: 400},
		{name: "all", text: plain, did: 1000},
		{name: "a part of what is stripped", strip: noANSI, text: "ab\x1b[1mcd\x1bxef\x1b[", did: 5},
		{name: "all that is stripped", strip: noANSI, text: "ab\x1b[1mcd\x1bxef\x1b[", did: 8},
		{name: "with the end", strip: noANSI, text: "ab\x1b", did: 3},
		{name: "rotated meanwhile", text: plain, did: 1000, after: func(t *testing.T, path string) {
			check(t, os.Rename(path, path+".1"))
		}, want: func(string) string { return "" }},
		{name: "somebody else wrote", text: plain, did: 0, after: func(t *testing.T, path string) {
			appendTo(t, path, "theirs\n")
		}, want: func(text string) string { return "before\ntheirs\n" + text }},
		{name: "somebody else wrote before", text: plain, did: -1, after: func(t *testing.T, path string) {
			appendTo(t, path, "theirs\n"+plain)
		}, want: func(text string) string { return "before\ntheirs\n" + text }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := t.TempDir() + "/log"
			check(t, os.WriteFile(path, []byte("before\n"), 0o600))
			s := newStand(t)
			s.add(tt.text, 1<<20)
			var want ansi
			expect := tt.text
			if tt.strip != 0 {
				expect = string(want.end(want.strip(nil, []byte(tt.text))))
			}
			var st unix.Stat_t
			check(t, unix.Stat(path, &st))
			s.b.r.intent = intent{logs.Place{Dev: uint64(st.Dev), Ino: st.Ino, Pos: st.Size}, uint32(len(expect))}
			s.b.commit()
			appendTo(t, path, expect[:max(tt.did, 0)])
			if tt.after != nil {
				tt.after(t, path)
			}
			s.again()
			f := open(t, logs.NewStore(), path, logs.Options{MaxBytes: 1 << 20, Backups: 3})
			s.b.settle(f, s.c, tt.strip)
			for s.b.pending(true) {
				_, err := s.b.write(f, s.c, tt.strip, true, true, nil)
				check(t, err)
			}
			check(t, f.Close())
			result := "before\n" + expect
			if tt.want != nil {
				result = tt.want(expect)
			}
			if got := content(t, path); got != result {
				t.Errorf("got  %q\nwant %q", got, result)
			}
		})
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	check(t, err)
	defer f.Close()
	_, err = f.WriteString(text)
	check(t, err)
}

// The record of a gap of which something is in the log is completed as it was begun: what is dropped after it, in
// whatever life, is counted anew. A record of which nothing is there yet counts it too.
func TestSettleInAGap(t *testing.T) {
	const first, more = "[upkeep: 100 bytes lost: no space left on device]\n", "[upkeep: 2 bytes lost: no space left on device]\n"
	for _, tt := range []struct {
		name    string
		written int
		want    string
	}{
		{"nothing", 0, "[upkeep: 102 bytes lost: no space left on device]\n"},
		{"the beginning", 20, first + more},
		{"all but the end", len(first) - 1, first + more},
		{"all", len(first), first + more},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := t.TempDir() + "/log"
			s := newStand(t)
			s.add("kept\n"+strings.Repeat("x", 100), 50)
			f := open(t, logs.NewStore(), path, logs.Options{})
			_, err := s.b.write(f, s.c, 0, true, false, unix.ENOSPC)
			check(t, err)
			check(t, f.Close())
			s.b.r.gaps[0].errno = uint32(unix.ENOSPC)
			var st unix.Stat_t
			check(t, unix.Stat(path, &st))
			s.b.r.intent = intent{logs.Place{Dev: uint64(st.Dev), Ino: st.Ino, Pos: st.Size}, uint32(len(first))}
			s.b.commit()
			appendTo(t, path, first[:tt.written])
			s.again()
			f = open(t, logs.NewStore(), path, logs.Options{})
			s.b.settle(f, s.c, 0)
			check(t, f.Close())
			s.add("y\nz\n", 50)
			if got, want := s.drain(path, 0), "kept\n"+tt.want+"z\n"; got != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

// What was given up is cut off before the record says so, and the next piece comes to its place: killed in both
// moments, nothing of the piece is taken for what was given up.
func TestKilledAroundACut(t *testing.T) {
	s := newStand(t)
	s.add("kept\n"+strings.Repeat("x", 100), 50)
	s.b.r.gaps[0].skip = 100 // as it was before the cut
	s.b.commit()
	s.again()
	_, err := pipe.Write(s.w, []byte("y\nz\n"))
	check(t, err)
	if n, err := s.b.f.Fill(s.r, 4); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	s.again()
	s.b.r.dropping = false // there is room
	if got, want := s.drain(t.TempDir()+"/log", 0), "kept\n[upkeep: 100 bytes lost: no space left on device]\ny\nz\n"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// As many gaps as there may be, and a kill between a piece and what becomes of it: the last gap takes it, and the
// record still tells of all.
func TestNoMoreGaps(t *testing.T) {
	s := newStand(t)
	text := strings.Repeat("k\n", maxGaps)
	s.add(text, 1<<20)
	for i := range maxGaps {
		s.b.r.gaps = append(s.b.r.gaps, gap{at: int64(2 + 2*i), lost: 10})
	}
	s.b.r.dropping = true
	s.b.commit()
	s.again()
	_, err := pipe.Write(s.w, []byte("y\n"))
	check(t, err)
	if n, err := s.b.f.Fill(s.r, 2); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	s.again()
	s.add("zzz\n", 1<<20)
	s.again()
	if n := len(s.b.r.gaps); n != maxGaps {
		t.Fatalf("%d gaps", n)
	}
	if got, want := s.b.r.gaps[maxGaps-1].lost, int64(10+len("y\nzzz\n")); got != want {
		t.Errorf("%d bytes are counted, want %d", got, want)
	}
	if s.b.f.Size() != int64(len(text)) {
		t.Errorf("%d bytes are held", s.b.f.Size())
	}
}

// An empty stage is cut, and a kill between the cut and the record of it changes nothing.
func TestBacklogTrim(t *testing.T) {
	path := t.TempDir() + "/log"
	s := newStand(t)
	for range 3 {
		s.add(strings.Repeat("0123456789\n", resetAt/10), 1<<20)
		s.b.seen = s.b.f.Size()
		s.b.r.shown = s.b.seen
		s.drain(path, 0)
		if n := s.b.f.Size(); n != 0 {
			t.Errorf("%d bytes are left on the stage", n)
		}
	}
	s.add("x\n", 1<<20)
	s.b.r.done, s.b.r.shown = 12345, 12345 // of before
	s.b.commit()
	check(t, s.b.f.Cut(0))
	s.again()
	s.add("last\n", 1<<20)
	if got := s.drain(path, 0); !strings.HasSuffix(got, "0123456789\nlast\n") {
		t.Errorf("%q", got[max(0, len(got)-30):])
	}
}

func TestRecord(t *testing.T) {
	full := record{
		done: 5, shown: 7, text: filter{ansi: ansiInside}, shownANSI: ansiEscape, dropping: true,
		intent: intent{logs.Place{Dev: 1, Ino: 2, Pos: 3}, 4},
	}
	for i := range maxGaps {
		full.gaps = append(full.gaps, gap{at: int64(5 + i), skip: 1, lost: 1 << 40, errno: 28, newline: true, sent: 3})
	}
	opts := cmp.AllowUnexported(filter{}, record{}, gap{}, intent{})
	b := full.encode(nil)
	if len(b) > stage.MaxState {
		t.Errorf("%d bytes", len(b))
	}
	var got record
	got.decode(b, 100)
	if diff := cmp.Diff(full, got, opts); diff != "" {
		t.Error(diff)
	}
	got.decode(b[:10], 100)
	if diff := cmp.Diff(record{}, got, opts); diff != "" {
		t.Error(diff)
	}
	got.decode(b, 6) // gaps behind the end are none, what they skip is gone
	if len(got.gaps) != 2 || got.gaps[1].skip != 0 || got.shown != 6 {
		t.Errorf("%+v", got)
	}
}

func FuzzRecord(f *testing.F) {
	full := record{done: 5, shown: 7, gaps: []gap{{at: 6, lost: 3}, {at: 6, skip: 2, lost: 3}}}
	f.Add(full.encode(nil), int64(100))
	f.Add([]byte("short"), int64(0))
	f.Add(bytes.Repeat([]byte{0xff}, 300), int64(7))
	f.Fuzz(func(t *testing.T, b []byte, size int64) {
		if size < 0 {
			return
		}
		var r, again record
		r.decode(b, size)
		last := r.done
		for _, g := range r.gaps {
			if g.at < last || g.skip < 0 || g.at+g.skip > size || g.lost < 0 {
				t.Fatalf("%+v of %d bytes", r, size)
			}
			last = g.at
		}
		if r.done < 0 || r.done > size || r.shown < 0 || r.shown > size || len(r.gaps) > maxGaps {
			t.Fatalf("%+v of %d bytes", r, size)
		}
		again.decode(r.encode(nil), size)
		if diff := cmp.Diff(r, again, cmp.AllowUnexported(filter{}, record{}, gap{}, intent{})); diff != "" {
			t.Fatal(diff)
		}
	})
}

// upto finds the raw bytes behind each of the bytes that remain.
func TestANSIUpTo(t *testing.T) {
	text := []byte("ab\x1b[1mcd\x1bxe\x1b\x1bf\x1b\x1b[mg")
	for cut := range len(text) {
		for _, start := range []ansi{ansiText, ansiEscape, ansiInside} {
			whole := start
			want := whole.strip(nil, text[cut:])
			for n := range want {
				a := start
				used := a.upto(text[cut:], n)
				rest := a.strip(nil, text[cut+used:])
				if got := string(want[:n]) + string(rest); got != string(want) {
					t.Errorf("from %d, state %d, %d bytes: %q, want %q", cut, start, n, got, want)
				}
			}
		}
	}
}

// keeping is a Keeper in this process.
type keeping struct {
	t    *testing.T
	held map[int]int
	err  error
}

func (k *keeping) Keep(key string, fd int) error {
	if k.err != nil {
		return k.err
	}
	if key != "key" {
		k.t.Errorf("key %q", key)
	}
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	k.held[fd] = dup
	return err
}

func (k *keeping) Drop(_ string, fd int) {
	unix.Close(k.held[fd])
	delete(k.held, fd)
}

// Without a keeper that takes it, the way through memory is used all the same, and said so.
func TestKeeperThatFails(t *testing.T) {
	var rec recorder
	path := t.TempDir() + "/log"
	k := &keeping{t, map[int]int{}, errors.New("no keeper")}
	pr := attach(t, newPump(t, Options{Log: &rec, Keeper: k}), Output{
		File: open(t, logs.NewStore(), path, logs.Options{}), StripANSI: true, Key: "key",
	})
	pr.write("a\x1b[1mb\n")
	pr.end()
	if got := content(t, path); got != "ab\n" {
		t.Errorf("%q", got)
	}
	if lines := rec.all(); len(lines) != 1 || !strings.Contains(lines[0], "would be lost by a kill: no keeper") {
		t.Errorf("%q", lines)
	}
}

// Detach leaves all where it is, at any moment; somebody else goes on with it.
func TestDetach(t *testing.T) {
	for name, mode := range killModes() {
		if name == "fifo" || name == "full" || name == "block" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var fds [2]int
			check(t, unix.Pipe2(fds[:], unix.O_CLOEXEC))
			w := os.NewFile(uintptr(fds[1]), "w")
			allowance := make(chan int, 1)
			lines := make(chan int)
			go func() {
				n, err := talk(w, 100, allowance, func(b []byte) []byte { return b })
				if err != nil {
					t.Error(err)
				}
				w.Close()
				lines <- n
			}()
			k := &keeping{t, map[int]int{}, nil}
			var stages []int
			for life := range 20 {
				p, err := NewPump(Options{Keeper: k})
				check(t, err)
				if mode.fast {
					p.fastBytes, p.fastRate = 1, 0
				}
				o := mode.out
				o.Key, o.Stages = "key", stages
				o.File = open(t, logs.NewStore(), dir+"/log", mode.logs)
				ended := make(chan struct{})
				o.Closed = func() { close(ended) }
				s := p.Attach(fds[0], o)
				if life == 19 {
					close(allowance)
					n := <-lines
					<-ended
					check(t, p.Close())
					wantExactly(t, rotated(t, dir+"/log"), n, 100)
					return
				}
				allowance <- 100_000 * (1 + life%3)
				until(t, "some output", func() bool { fi, err := os.Stat(dir + "/log"); return err == nil && fi.Size() > 0 })
				check(t, p.Detach())
				Drain(s) // does not hang
				var fd int
				if fd, stages = s.Descriptors(); fd != fds[0] {
					t.Fatalf("descriptor %d", fd)
				}
				if len(stages) != len(k.held) {
					t.Errorf("%d stages, %d are kept", len(stages), len(k.held))
				}
				check(t, p.Close())
				check(t, p.Detach())
				late := p.Attach(1234567, Output{}) // touches nothing
				Drain(late)
			}
		})
	}
}
