package streams

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/engine/logs"
)

// Every byte of real programs, once, in order, with whole lines in each file of a busy rotation.
func TestEveryByteInOrder(t *testing.T) {
	const total = 8 << 20
	tests := []struct {
		name   string
		piece  int
		max    int64
		output Output
	}{
		{"lines", 100, 64 << 10, Output{}},
		{"blocks", 4096, 64 << 10, Output{}},
		{"blocks across lines", 4000, 256 << 10, Output{}},
		{"without rotation", 4096, 0, Output{}},
		{"consumers", 4096, 64 << 10, Output{Tap: func([]byte) {}, Line: func([]byte) {}}},
		{"stripped", 4096, 64 << 10, Output{StripANSI: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := t.TempDir() + "/log"
			f := open(t, logs.NewStore(), path, logs.Options{MaxBytes: tt.max, Backups: 1000})
			cmd, r := startWriter(t, tt.piece, total)
			ended := make(chan struct{})
			o := tt.output
			o.File = f
			o.Closed = func() { close(ended) }
			var tapped, lined int
			if o.Tap != nil {
				o.Tap = func(b []byte) { tapped += len(b) }
				o.Line = func(b []byte) { lined++ }
			}
			newPump(t, Options{}).Attach(dupFD(t, r), o)
			check(t, cmd.Wait())
			<-ended
			files := rotated(t, path)
			size := 0
			for i, b := range files {
				if tt.max > 0 && len(b) > int(tt.max)+128 {
					t.Errorf("file %d has %d bytes", i, len(b))
				}
				size += len(b)
			}
			line := min(tt.piece, 128)
			wantLines(t, files, size/line)
			if size < total {
				t.Errorf("%d bytes, want %d", size, total)
			}
			if o.Tap != nil && (tapped != size || lined != size/line) {
				t.Errorf("consumers got %d bytes and %d lines, want %d and %d", tapped, lined, size, size/line)
			}
		})
	}
}

func TestManyWriters(t *testing.T) {
	const writers, total = 20, 1 << 20
	dir := t.TempDir()
	s := logs.NewStore()
	p := newPump(t, Options{})
	var cmds []*exec.Cmd
	var wg sync.WaitGroup
	for i := range writers {
		cmd, r := startWriter(t, 100, total)
		cmds = append(cmds, cmd)
		wg.Add(1)
		p.Attach(dupFD(t, r), Output{
			File:   open(t, s, fmt.Sprint(dir, "/", i), logs.Options{MaxBytes: 100 << 10, Backups: 100}),
			Closed: wg.Done,
		})
	}
	for _, c := range cmds {
		check(t, c.Wait())
	}
	wg.Wait()
	for i := range writers {
		wantLines(t, rotated(t, fmt.Sprint(dir, "/", i)), (total+99)/100)
	}
}

// Two programs with one log: nothing is lost, and the rotation is one.
func TestSharedLog(t *testing.T) {
	const total = 2 << 20
	path := t.TempDir() + "/log"
	s := logs.NewStore()
	p := newPump(t, Options{})
	var wg sync.WaitGroup
	size := 0
	for range 2 {
		cmd, r := startWriter(t, 4096, total)
		wg.Add(1)
		p.Attach(dupFD(t, r), Output{File: open(t, s, path, logs.Options{MaxBytes: 100 << 10, Backups: 100}), Closed: wg.Done})
		defer func() { check(t, cmd.Wait()) }()
	}
	wg.Wait()
	for _, b := range rotated(t, path) {
		if len(b) > 100<<10+256 {
			t.Errorf("a file of %d bytes", len(b))
		}
		size += len(b)
	}
	if size != 2*total {
		t.Errorf("%d bytes, want %d", size, 2*total)
	}
}

func TestDrain(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name string
		o    Output
		max  int64
	}{
		{"spliced", Output{}, 0},
		{"rotating", Output{}, 60},
		{"stripped", Output{StripANSI: true}, 0},
		{"stripped and rotating", Output{StripANSI: true}, 60},
		{"consumer", Output{Line: func([]byte) {}}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(dir, tt.name)
			o := tt.o
			o.File = open(t, logs.NewStore(), path, logs.Options{MaxBytes: tt.max, Backups: 1000})
			pr := attach(t, newPump(t, Options{}), o)
			want := ""
			for i := range 200 {
				text := fmt.Sprintf("line %d\nbeginning of ", i)
				pr.write(text)
				want += text
				Drain(pr.s) // the pipe stays open
				if got := string(bytes.Join(rotated(t, path), nil)); got != want {
					t.Fatalf("after %d: %d bytes, want %d; the end is %q", i, len(got), len(want), got[max(0, len(got)-40):])
				}
			}
			pr.end()
			Drain(pr.s)
		})
	}
}

func TestLinesAndTap(t *testing.T) {
	path := t.TempDir() + "/log"
	var mu sync.Mutex
	var lines []string
	var tap strings.Builder
	pr := attach(t, newPump(t, Options{}), Output{
		File: open(t, logs.NewStore(), path, logs.Options{}),
		Line: func(b []byte) { mu.Lock(); lines = append(lines, string(b)); mu.Unlock() },
		Tap:  func(b []byte) { mu.Lock(); tap.Write(b); mu.Unlock() },
	})
	text := "one\ntw"
	pr.write(text)
	until(t, "the first piece", func() bool { mu.Lock(); defer mu.Unlock(); return tap.String() == text })
	mu.Lock()
	if got := strings.Join(lines, "|"); got != "one" {
		t.Errorf("lines %q", got)
	}
	mu.Unlock()
	pr.write("o\n\nthree")
	pr.end()
	if got := strings.Join(lines, "|"); got != "one|two||three" {
		t.Errorf("lines %q", got)
	}
	if got := content(t, path); got != "one\ntwo\n\nthree" || tap.String() != got {
		t.Errorf("file %q, tap %q", got, tap.String())
	}
}

func TestWithoutFile(t *testing.T) {
	var got strings.Builder
	pr := attach(t, newPump(t, Options{}), Output{Tap: func(b []byte) { got.Write(b) }})
	pr.write("abc")
	pr.end()
	if got.String() != "abc" {
		t.Errorf("%q", got.String())
	}
	pr = attach(t, newPump(t, Options{}), Output{})
	pr.write(strings.Repeat("into nothing", 100000))
	pr.end()
}

// The original leaks the end of a sequence that is cut by a read; here the state is carried over.
func TestStripANSI(t *testing.T) {
	path := t.TempDir() + "/log"
	pr := attach(t, newPump(t, Options{}), Output{File: open(t, logs.NewStore(), path, logs.Options{}), StripANSI: true})
	for _, piece := range []string{"a\x1b[", "1mB\x1b", "[0m", "c\x1b", "x\x1b"} {
		pr.write(piece)
		Drain(pr.s)
	}
	pr.end()
	if got, want := content(t, path), "aBc\x1bx\x1b"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Somebody else appends to the log, and a tool truncates it: nothing of theirs is overwritten, no holes.
func TestOutsideChanges(t *testing.T) {
	path := t.TempDir() + "/log"
	pr := attach(t, newPump(t, Options{}), Output{File: open(t, logs.NewStore(), path, logs.Options{})})
	step := func(text string) {
		pr.write(text)
		Drain(pr.s)
	}
	step("one\n")
	other, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	check(t, err)
	defer other.Close()
	_, err = other.WriteString("theirs\n")
	check(t, err)
	step("two\n")
	if got := content(t, path); got != "one\ntheirs\ntwo\n" {
		t.Errorf("%q", got)
	}
	check(t, os.Truncate(path, 0))
	step("three\n")
	if got := content(t, path); got != "three\n" {
		t.Errorf("after truncation: %q", got)
	}
	check(t, os.Remove(path))
	step("four\n")
	if got := content(t, path); got != "four\n" {
		t.Errorf("after deletion: %q", got)
	}
	pr.end()
}

func TestCloseMovesWhatIsThere(t *testing.T) {
	path := t.TempDir() + "/log"
	s := logs.NewStore()
	p := newPump(t, Options{})
	pr := attach(t, p, Output{File: open(t, s, path, logs.Options{})})
	text := strings.Repeat("0123456789\n", 5000)
	pr.write(text)
	check(t, pr.s.Close())
	check(t, pr.s.Close())
	check(t, p.Close())
	if got := content(t, path); got != text {
		t.Errorf("%d bytes, want %d", len(got), len(text))
	}
	if _, err := pr.w.WriteString("x"); err == nil {
		t.Error("somebody still reads")
	}
	Drain(pr.s)
	late := attach(t, p, Output{}) // a closed pump takes the descriptor and closes it
	if _, err := late.w.WriteString("x"); err == nil {
		t.Error("a closed pump reads")
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// Quiet programs: well under 1 KiB of memory each, no wake-ups, and all descriptors come back.
func TestQuietPrograms(t *testing.T) {
	const n = 500
	dir := t.TempDir()
	s := logs.NewStore()
	p := newPump(t, Options{})
	before := descriptors(t)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	fds := make([][2]int, n)
	for i := range fds {
		check(t, unix.Pipe2(fds[i][:], unix.O_CLOEXEC))
	}
	base := heap()
	streams := make([]*Stream, n)
	for i := range fds {
		streams[i] = p.Attach(fds[i][0], Output{File: open(t, s, fmt.Sprint(dir, "/", i), logs.Options{MaxBytes: 50 << 20, Backups: 10})})
	}
	if per := int64(heap()-base) / n; per > 1024+256 { // with the file and its entry in the store
		t.Errorf("%d bytes for a quiet program and its log", per)
	} else {
		t.Logf("%d bytes for a quiet program and its log", per)
	}
	if g := runtime.NumGoroutine(); g > 50 {
		t.Errorf("%d goroutines", g)
	}
	// Each says something once; afterwards nothing is scheduled.
	for _, fd := range fds {
		_, err := unix.Write(fd[1], []byte("hello\n"))
		check(t, err)
	}
	for _, st := range streams {
		Drain(st)
	}
	for _, fd := range fds {
		unix.Close(fd[1])
	}
	until(t, "all streams to end", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.streams) == 0 })
	for i := range fds {
		if got := content(t, fmt.Sprint(dir, "/", i)); got != "hello\n" {
			t.Fatalf("log %d: %q", i, got)
		}
	}
	until(t, "descriptors to come back", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		spare := 0 // each has a pipe and a way to nowhere
		for _, c := range p.spare {
			for _, fd := range []int{c.r, c.w, c.null} {
				if fd >= 0 {
					spare++
				}
			}
		}
		return descriptors(t) == before+spare && len(p.spare) <= spareScratch
	})
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	check(t, err)
	return len(entries)
}

// A busy pipe is enlarged within the budget, and the budget is given back.
func TestBusyPipesGrow(t *testing.T) {
	p := newPump(t, Options{PipeMemory: 1 << 20})
	path := t.TempDir() + "/log"
	cmd, r := startWriter(t, 4096, 64<<20)
	ended := make(chan struct{})
	st := p.Attach(dupFD(t, r), Output{File: open(t, logs.NewStore(), path, logs.Options{}), Closed: func() { close(ended) }})
	check(t, cmd.Wait())
	<-ended
	until(t, "the stream to end", func() bool { st.mu.Lock(); defer st.mu.Unlock(); return st.ended })
	if st.capacity <= st.initial {
		t.Errorf("the capacity is still %d", st.capacity)
	}
	if want := 64 << 20; len(content(t, path)) != want {
		t.Errorf("%d bytes, want %d", len(content(t, path)), want)
	}
	r2, w2, err := os.Pipe()
	check(t, err)
	defer w2.Close()
	defer r2.Close()
	if got := p.budget.Grow(int(w2.Fd()), 64<<10, 64<<10); got != 256<<10 {
		t.Errorf("the budget was not given back: capacity %d", got)
	}
}

// A small piece is in the log at once, and small pieces in quick succession within the promised time.
func TestLatency(t *testing.T) {
	path := t.TempDir() + "/log"
	pr := attach(t, newPump(t, Options{}), Output{File: open(t, logs.NewStore(), path, logs.Options{})})
	var worst time.Duration
	for i := range 100 {
		pr.write("line\n")
		from := time.Now()
		until(t, "the line", func() bool {
			fi, err := os.Stat(path)
			return err == nil && fi.Size() == int64(5*(i+1))
		})
		worst = max(worst, time.Since(from))
	}
	t.Logf("worst of 100: %v", worst)
	pr.end()
}
