package activity

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/engine/logs"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func fixedClock() time.Time {
	return time.Date(2026, 11, 20, 17, 36, 16, 915999999, time.Local)
}

func mustNew(t *testing.T, o Options) *Logger {
	t.Helper()
	if o.Now == nil {
		o.Now = fixedClock
	}
	l, err := New(o)
	check(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	check(t, err)
	return string(b)
}

// buffer is a destination whose writes can be held up or made to fail.
type buffer struct {
	mu   sync.Mutex
	b    bytes.Buffer
	fail error
}

func (w *buffer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		return 0, w.fail
	}
	return w.b.Write(p)
}

func (w *buffer) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

func TestLineFormat(t *testing.T) {
	path := t.TempDir() + "/log"
	var out buffer
	var syslog []string
	l := mustNew(t, Options{Level: Blather, Path: path, Files: logs.NewStore(), Stdout: &out, Syslog: func(s string) { syslog = append(syslog, s) }})
	l.Criticalf("Server '%s' running", "x")
	l.Errorf("e")
	l.Warnf("w")
	l.Infof("waiting for %s to die", "a, b")
	l.Debugf("'cat' stdout output:\n%s", "two\nlines\n")
	l.Tracef("t")
	l.Blatherf("100%% b")
	l.Logf(Level(25), "between")
	l.Flush()
	const at = "2026-11-20 17:36:16,915 " // cut, not rounded
	want := at + "CRIT Server 'x' running\n" + at + "ERRO e\n" + at + "WARN w\n" + at + "INFO waiting for a, b to die\n" +
		at + "DEBG 'cat' stdout output:\ntwo\nlines\n\n" + at + "TRAC t\n" + at + "BLAT 100% b\n" + at + "INFO between\n"
	if diff := cmp.Diff(want, read(t, path)); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("stdout (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(strings.Split(strings.TrimSuffix(want, "\n"), "\n"), syslog); diff != "" {
		t.Errorf("syslog (-want +got):\n%s", diff)
	}
}

func TestRealClock(t *testing.T) {
	var out buffer
	l := mustNew(t, Options{Level: Info, Stdout: &out, Now: time.Now})
	before := time.Now().Truncate(time.Millisecond)
	l.Infof("x")
	l.Flush()
	m := regexp.MustCompile(`^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3}) INFO x\n$`).FindStringSubmatch(out.String())
	if m == nil {
		t.Fatalf("line %q", out.String())
	}
	got, err := time.ParseInLocation("2006-01-02 15:04:05.000", m[1]+"."+m[2], time.Local)
	if err != nil || got.Before(before) || got.After(time.Now()) {
		t.Errorf("time %v, %v", got, err)
	}
}

func TestLevels(t *testing.T) {
	var out buffer
	l := mustNew(t, Options{Level: Warn, Stdout: &out})
	l.Infof("not")
	l.Warnf("yes")
	l.Flush()
	if got := out.String(); !strings.HasSuffix(got, "WARN yes\n") || strings.Contains(got, "not") {
		t.Errorf("at warn: %q", got)
	}
	if l.Enabled(Info) || !l.Enabled(Warn) || !l.Enabled(Critical) {
		t.Error("Enabled")
	}
}

func TestRotationReopenClear(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	var out buffer
	l := mustNew(t, Options{Level: Info, Path: path, MaxBytes: 200, Backups: 3, Files: logs.NewStore(), Stdout: &out})
	if l.Path() != path {
		t.Errorf("Path %q", l.Path())
	}
	for i := range 20 {
		l.Infof("line %d", i)
	}
	l.Flush()
	var all string
	for _, n := range []string{"log.3", "log.2", "log.1", "log"} {
		text := read(t, filepath.Join(dir, n))
		if len(text) > 240 || text != "" && !strings.HasSuffix(text, "\n") {
			t.Errorf("%s: %d bytes, %q", n, len(text), text)
		}
		all += text
	}
	if !strings.HasSuffix(out.String(), all) || !strings.Contains(all, "line 19") {
		t.Errorf("the files in order: %q", all)
	}
	check(t, l.Problem())

	check(t, os.Rename(path, dir+"/old"))
	l.Infof("still old")
	check(t, l.Reopen())
	l.Infof("new")
	l.Flush()
	if got := read(t, dir+"/old"); !strings.HasSuffix(got, "still old\n") {
		t.Errorf("old: %q", got)
	}
	if got := read(t, path); !strings.HasSuffix(got, "INFO new\n") || strings.Contains(got, "still") {
		t.Errorf("new: %q", got)
	}

	check(t, l.Clear())
	if got := read(t, path); got != "" {
		t.Errorf("after Clear: %q", got)
	}
	l.Flush() // Clear waits for the file alone
	if !strings.HasSuffix(out.String(), "INFO reopening log file\n") {
		t.Errorf("stdout: %q", out.String())
	}
}

// gate is a destination that takes nothing until it is opened.
type gate struct {
	buffer
	open    chan struct{}
	entered chan struct{}
	once    sync.Once
}

func newGate() *gate { return &gate{open: make(chan struct{}), entered: make(chan struct{})} }

func (g *gate) Write(p []byte) (int, error) {
	g.once.Do(func() { close(g.entered) })
	<-g.open
	return g.buffer.Write(p)
}

// A destination that hangs holds up neither the caller nor the others, and what does not fit is counted at
// its place.
func TestStalledDestination(t *testing.T) {
	path := t.TempDir() + "/log"
	g := newGate()
	l := mustNew(t, Options{Level: Info, Path: path, Files: logs.NewStore(), Stdout: g, QueueBytes: 1000})
	l.Infof("first")
	<-g.entered // holds the first line now
	const n = 200
	for i := range n {
		l.Infof("line %03d", i)
		if i%10 == 0 {
			_ = l.main.flush(time.Minute) // the file's own queue is as small
		}
	}
	_ = l.main.flush(time.Minute)
	if got := strings.Count(read(t, path), "\n"); got != n+1 {
		t.Errorf("the file has %d lines, want %d", got, n+1)
	}
	close(g.open)
	l.Flush()
	l.Infof("after")
	l.Flush()
	var kept, lost int
	lines := strings.Split(strings.TrimSuffix(g.String(), "\n"), "\n")
	for i, line := range lines {
		var k int
		_, text, _ := strings.Cut(line, ",915 ")
		switch {
		case strings.HasPrefix(text, "INFO line"):
			if _, err := fmt.Sscanf(text, "INFO line %d", &k); err != nil || k != kept {
				t.Errorf("line %d is %q, want number %d", i, line, kept)
			}
			kept++
		case strings.HasPrefix(text, "WARN "):
			if _, err := fmt.Sscanf(text, "WARN %d lines of this log were lost: the queue was full", &lost); err != nil || i != len(lines)-2 {
				t.Errorf("line %d of %d: %q, %v", i, len(lines), line, err)
			}
		}
	}
	if kept+lost != n || kept == 0 || lost == 0 {
		t.Errorf("%d kept, %d lost, want %d together", kept, lost, n)
	}
	if !strings.HasSuffix(g.String(), "INFO after\n") {
		t.Errorf("end: %q", lines[len(lines)-1])
	}
}

// A file that cannot be written is reported once, keeps what fits, and says so when it can be written again.
func TestFailingFile(t *testing.T) {
	var w buffer
	w.fail = syscall.ENOSPC
	var mu sync.Mutex
	var alarms []error
	l := &Logger{now: fixedClock}
	s := newSink(1000, true, w.Write, l.format, func(err error) {
		mu.Lock()
		defer mu.Unlock()
		alarms = append(alarms, err)
	})
	s.put([]byte("one\n"))
	for end := time.Now().Add(10 * time.Second); ; {
		mu.Lock()
		n := len(alarms)
		mu.Unlock()
		if n > 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("no alarm")
		}
		time.Sleep(time.Millisecond)
	}
	s.put([]byte("two\n"))
	if err := s.flush(time.Hour); !errors.Is(err, errStuck) {
		t.Errorf("flush of a failing file: %v", err)
	}
	w.mu.Lock()
	w.fail = nil
	w.mu.Unlock()
	for end := time.Now().Add(10 * time.Second); !strings.HasSuffix(w.String(), "two\n"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not recovered: %q", w.String())
		}
	}
	if want := `^one\n.* WARN this log could not be written for \d+ seconds: no space left on device\ntwo\n$`; !regexp.MustCompile(want).MatchString(w.String()) {
		t.Errorf("%q does not match %s", w.String(), want)
	}
	if len(alarms) != 1 || !errors.Is(alarms[0], syscall.ENOSPC) {
		t.Errorf("alarms: %v", alarms)
	}
	check(t, s.close(time.Second))
}

// A failing copy is dropped: standard output may be gone for ever.
func TestFailingCopy(t *testing.T) {
	r, pw, err := os.Pipe()
	check(t, err)
	r.Close()
	defer pw.Close()
	path := t.TempDir() + "/log"
	alarms := make(chan string, 10)
	l := mustNew(t, Options{Level: Info, Path: path, Files: logs.NewStore(), Stdout: pw, Alarm: func(d string, err error) { alarms <- fmt.Sprint(d, ": ", err) }})
	for i := range 5 {
		l.Infof("line %d", i)
		l.Flush()
	}
	if n := strings.Count(read(t, path), "\n"); n != 5 {
		t.Errorf("%d lines in the file", n)
	}
	if got := <-alarms; !strings.Contains(got, "standard output: ") || !strings.Contains(got, "write |1: ") {
		t.Errorf("alarm %q", got)
	}
	if len(alarms) != 0 {
		t.Errorf("a second alarm: %q", <-alarms)
	}
}

func TestClose(t *testing.T) {
	path := t.TempDir() + "/log"
	l, err := New(Options{Level: Info, Path: path, Files: logs.NewStore(), Now: fixedClock})
	check(t, err)
	l.Infof("last")
	check(t, l.Close())
	check(t, l.Close())
	l.Infof("too late")
	l.Flush()
	if got := read(t, path); !strings.HasSuffix(got, "INFO last\n") {
		t.Errorf("%q", got)
	}
	g := newGate()
	l, err = New(Options{Level: Info, Stdout: g})
	check(t, err)
	l.Infof("x")
	<-g.entered
	if err := l.Close(); !errors.Is(err, errStuck) {
		t.Errorf("Close of a hanging destination: %v", err)
	}
	close(g.open)
}

func TestNoFile(t *testing.T) {
	if _, err := New(Options{Path: t.TempDir() + "/no/log", Files: logs.NewStore()}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	l := mustNew(t, Options{Stdout: io.Discard})
	check(t, errors.Join(l.Reopen(), l.Clear(), l.Problem()))
	if l.Path() != "" {
		t.Errorf("Path %q", l.Path())
	}
}

// Many writers at once: every line whole, each writer's in order.
func TestConcurrentWriters(t *testing.T) {
	path := t.TempDir() + "/log"
	l := mustNew(t, Options{Level: Info, Path: path, Files: logs.NewStore(), QueueBytes: 8 << 20})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 500 {
				l.Infof("%d %d", w, i)
			}
		}()
	}
	wg.Wait()
	l.Flush()
	next := map[int]int{}
	for line := range strings.Lines(read(t, path)) {
		var w, i int
		if _, err := fmt.Sscanf(line[24:], "INFO %d %d\n", &w, &i); err != nil || next[w] != i {
			t.Fatalf("line %q: %v, want %d", line, err, next[w])
		}
		next[w]++
	}
	for w := range 8 {
		if next[w] != 500 {
			t.Errorf("writer %d: %d lines", w, next[w])
		}
	}
}

func BenchmarkLogf(b *testing.B) {
	l, err := New(Options{Level: Info, Path: b.TempDir() + "/log", Files: logs.NewStore(), QueueBytes: 64 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	for b.Loop() {
		l.Logf(Info, "spawned: '%s' with pid %d", "cat", 3443)
	}
}
