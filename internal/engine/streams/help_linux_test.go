package streams

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/logs"
)

// dupFD gives a descriptor of its own to whom takes it over, and closes f.
func dupFD(tb testing.TB, f *os.File) int {
	tb.Helper()
	rc, err := f.SyscallConn()
	if err != nil {
		tb.Fatal(err)
	}
	fd := -1
	if err := rc.Control(func(p uintptr) { fd, err = unix.FcntlInt(p, unix.F_DUPFD_CLOEXEC, 3) }); err != nil || fd < 0 {
		tb.Fatal(err)
	}
	f.Close()
	return fd
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// until polls for a condition with a deadline.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timed out: %s", what)
		}
	}
}

// recorder is a log of the pump's own lines.
type recorder struct {
	mu    sync.Mutex
	lines []string
}

func (r *recorder) Logf(l activity.Level, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, l.String()+" "+fmt.Sprintf(format, args...))
}

func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.lines...)
}

func newPump(t *testing.T, o Options) *Pump {
	t.Helper()
	p, err := NewPump(o)
	check(t, err)
	t.Cleanup(func() { p.Close() })
	return p
}

// program is the writing side of a stream in a test.
type program struct {
	t      *testing.T
	w      *os.File
	s      *Stream
	closed chan struct{}
}

// attach makes a pipe and attaches its reading end.
func attach(t *testing.T, p *Pump, o Output) *program {
	t.Helper()
	r, w, err := os.Pipe()
	check(t, err)
	pr := &program{t: t, w: w, closed: make(chan struct{})}
	o.Closed = func() { close(pr.closed) }
	pr.s = p.Attach(dupFD(t, r), o)
	t.Cleanup(func() { w.Close() })
	return pr
}

func (p *program) write(text string) {
	p.t.Helper()
	_, err := p.w.WriteString(text)
	check(p.t, err)
}

// end closes the writing side and waits until all has been moved.
func (p *program) end() {
	p.t.Helper()
	p.w.Close()
	select {
	case <-p.closed:
	case <-time.After(30 * time.Second):
		p.t.Fatal("timed out waiting for the end of the pipe")
	}
}

func open(t *testing.T, s *logs.Store, path string, o logs.Options) *logs.File {
	t.Helper()
	f, err := s.Open(path, o)
	check(t, err)
	return f
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	check(t, err)
	return string(b)
}

// rotated is the log and its backups, oldest first.
func rotated(t *testing.T, path string) [][]byte {
	t.Helper()
	var files [][]byte
	for i := 1; ; i++ {
		b, err := os.ReadFile(path + "." + strconv.Itoa(i))
		if err != nil {
			break
		}
		files = append([][]byte{b}, files...)
	}
	b, err := os.ReadFile(path)
	check(t, err)
	return append(files, b)
}

// wantLines checks that the files together are the numbered lines 0 … n-1, whole in each file.
func wantLines(t *testing.T, files [][]byte, n int) {
	t.Helper()
	next := 0
	for i, b := range files {
		for len(b) > 0 {
			line, rest, found := bytes.Cut(b, []byte("\n"))
			num, _, _ := strings.Cut(string(line), " ")
			k, err := strconv.Atoi(num)
			if !found || err != nil || k != next {
				t.Fatalf("file %d of %d: line %.40q (whole: %v), want number %d", i, len(files), line, found, next)
			}
			next++
			b = rest
		}
	}
	if next != n {
		t.Fatalf("%d lines, want %d", next, n)
	}
}

// smallDisk mounts a file system of its own of about that size in bytes.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755,size="+strconv.Itoa(size)); err != nil {
		t.Skipf("cannot mount a file system: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	check(t, err)
	var n []string
	for _, e := range entries {
		n = append(n, filepath.Base(e.Name()))
	}
	return strings.Join(n, " ")
}
