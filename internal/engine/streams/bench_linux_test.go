package streams

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/engine/logs"
)

// childEnv makes the test binary a program that writes: "PIECE TOTAL", bytes a write and in all;
// or, as "pump MODE PATH STAGES", one that moves descriptor 3 into a log.
const childEnv = "STREAMS_TEST_WRITER"

func TestMain(m *testing.M) {
	if spec := os.Getenv(childEnv); spec != "" {
		writer(spec)
		return
	}
	os.Exit(m.Run())
}

// writer writes numbered lines of the given size, or blocks of such lines.
func writer(spec string) {
	if args, ok := strings.CutPrefix(spec, "pump "); ok {
		pumpMain(args)
		return
	}
	var piece, total int
	if _, err := fmt.Sscan(spec, &piece, &total); err != nil {
		os.Exit(3)
	}
	line := 128
	if piece < line {
		line = piece
	}
	buf := make([]byte, 0, piece+line)
	n := 0
	for written := 0; written < total; written += piece {
		buf = buf[:0]
		for len(buf) < piece {
			buf = numbered(buf, n, line)
			n++
		}
		if _, err := os.Stdout.Write(buf); err != nil {
			os.Exit(4)
		}
	}
}

// numbered appends the n-th line: its number and filling, size bytes with the line end.
func numbered(b []byte, n, size int) []byte {
	from := len(b)
	b = strconv.AppendInt(b, int64(n), 10)
	b = append(b, ' ')
	for len(b)-from < size-1 {
		b = append(b, 'x')
	}
	return append(b, '\n')
}

// startWriter starts a child that writes and returns the reading end of its output.
func startWriter(tb testing.TB, piece, total int) (*exec.Cmd, *os.File) {
	tb.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	defer w.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+fmt.Sprint(piece, " ", total))
	cmd.Stdout = w
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	return cmd, r
}

func benchmarkPump(b *testing.B, writers, piece, total int) {
	benchmarkTimes(b, writers, piece, total, false)
}

// benchmarkTimes is benchmarkPump, with an index of times beside each log or without.
func benchmarkTimes(b *testing.B, writers, piece, total int, times bool) {
	dir := b.TempDir()
	store := logs.NewStore()
	p, err := NewPump(Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	b.SetBytes(int64(writers) * int64(total))
	spent := cpu(b)
	for b.Loop() {
		ended := make(chan struct{}, writers)
		var cmds []*exec.Cmd
		for i := range writers {
			cmd, r := startWriter(b, piece, total)
			cmds = append(cmds, cmd)
			f, err := store.Open(filepath.Join(dir, fmt.Sprint(i)), logs.Options{MaxBytes: 50 << 20, Backups: 2, Times: times})
			if err != nil {
				b.Fatal(err)
			}
			p.Attach(dupFD(b, r), Output{File: f, Closed: func() { ended <- struct{}{} }})
		}
		for range writers {
			<-ended
		}
		for _, c := range cmds {
			if err := c.Wait(); err != nil {
				b.Fatal(err)
			}
		}
	}
	spent.report(b, writers*total)
}

// spending is what this process had used at a moment.
type spending unix.Rusage

func cpu(b *testing.B) spending {
	b.Helper()
	var u unix.Rusage
	check(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return spending(u)
}

// report says what was used since then, for so many bytes in each round.
func (s spending) report(b *testing.B, bytes int) {
	b.Helper()
	now := cpu(b)
	gb := float64(b.N) * float64(bytes) / 1e9
	used := now.Utime.Nano() + now.Stime.Nano() - s.Utime.Nano() - s.Stime.Nano()
	b.ReportMetric(float64(used)/1e9/gb, "cpu-s/GB")
	b.ReportMetric(float64(now.Nvcsw+now.Nivcsw-s.Nvcsw-s.Nivcsw)/gb, "switches/GB")
}

func BenchmarkPump100B(b *testing.B)       { benchmarkPump(b, 1, 100, 200<<20) }
func BenchmarkPump4KiB(b *testing.B)       { benchmarkPump(b, 1, 4096, 1<<30) }
func BenchmarkPump50Writers(b *testing.B)  { benchmarkPump(b, 50, 4096, 20<<20) }
func BenchmarkPump50Small(b *testing.B)    { benchmarkPump(b, 50, 100, 4<<20) }
func BenchmarkTimes100B(b *testing.B)      { benchmarkTimes(b, 1, 100, 200<<20, true) }
func BenchmarkTimes4KiB(b *testing.B)      { benchmarkTimes(b, 1, 4096, 1<<30, true) }
func BenchmarkTimes50Writers(b *testing.B) { benchmarkTimes(b, 50, 4096, 20<<20, true) }
func BenchmarkTimes50Small(b *testing.B)   { benchmarkTimes(b, 50, 100, 4<<20, true) }
func BenchmarkLoop100B(b *testing.B)       { benchmarkLoop(b, 100, 200<<20) }
func BenchmarkLoop4KiB(b *testing.B)       { benchmarkLoop(b, 4096, 1<<30) }
func BenchmarkDirect100B(b *testing.B)     { benchmarkDirect(b, 100, 200<<20) }
func BenchmarkDirect4KiB(b *testing.B)     { benchmarkDirect(b, 4096, 1<<30) }

// benchmarkLoop is what a simple supervisor does: read 128 KiB, write it.
func benchmarkLoop(b *testing.B, piece, total int) {
	dir := b.TempDir()
	b.SetBytes(int64(total))
	buf := make([]byte, chunk)
	spent := cpu(b)
	for b.Loop() {
		cmd, r := startWriter(b, piece, total)
		f, err := os.Create(filepath.Join(dir, "log"))
		if err != nil {
			b.Fatal(err)
		}
		for {
			n, err := r.Read(buf)
			if err == io.EOF {
				break
			}
			if _, err := f.Write(buf[:n]); err != nil {
				b.Fatal(err)
			}
		}
		r.Close()
		f.Close()
		if err := cmd.Wait(); err != nil {
			b.Fatal(err)
		}
	}
	spent.report(b, total)
}

// benchmarkDirect is a child that writes to the file itself.
func benchmarkDirect(b *testing.B, piece, total int) {
	dir := b.TempDir()
	b.SetBytes(int64(total))
	for b.Loop() {
		f, err := os.Create(filepath.Join(dir, "log"))
		if err != nil {
			b.Fatal(err)
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+fmt.Sprint(piece, " ", total))
		cmd.Stdout = f
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}

// BenchmarkQuietMemory is what quiet programs cost, each with two outputs and two logs.
func BenchmarkQuietMemory(b *testing.B) {
	const programs = 2000
	heap := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	dir := b.TempDir()
	for b.Loop() {
		p, err := NewPump(Options{})
		check(b, err)
		store := logs.NewStore()
		files := make([]*logs.File, 2*programs)
		pipes := make([][2]int, 2*programs)
		streams := make([]*Stream, 2*programs)
		for i := range pipes {
			check(b, unix.Pipe2(pipes[i][:], unix.O_CLOEXEC))
		}
		before := heap()
		for i := range files {
			files[i], err = store.Open(filepath.Join(dir, strconv.Itoa(i)), logs.Options{MaxBytes: 50 << 20, Backups: 10})
			check(b, err)
		}
		opened := heap()
		for i := range streams {
			streams[i] = p.Attach(pipes[i][0], Output{File: files[i]})
		}
		b.ReportMetric((opened-before)/programs, "logB/program")
		b.ReportMetric((heap()-opened)/programs, "streamB/program")
		entries, err := os.ReadDir("/proc/self/fd")
		check(b, err)
		b.ReportMetric((float64(len(entries))-4*programs)/programs, "logfd/program")
		runtime.KeepAlive(streams)
		for i := range pipes {
			unix.Close(pipes[i][1])
		}
		_ = p.Close() // a busy machine may need longer than its patience
	}
}
