package streams

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/logs"
)

// gapLine is a record; a successor that drops before it has tried to write does not know the reason.
var gapLine = regexp.MustCompile(`\n?\[upkeep: (\d+) bytes lost: (?:no space left on device|the log could not be written)\]\n`)

// account checks that the log is the text with pieces replaced by records of their length.
func account(t *testing.T, log, text string) (lost, gaps int) {
	t.Helper()
	at := 0 // in text
	rest := log
	for {
		m := gapLine.FindStringSubmatchIndex(rest)
		piece := rest
		if m != nil {
			piece = rest[:m[0]]
			// A record in the middle of a line brings its own line end; one at a line end does not.
			if strings.HasPrefix(rest[m[0]:], "\n") && strings.HasPrefix(text[at+len(piece):], "\n") {
				piece = rest[:m[0]+1]
			}
		}
		if !strings.HasPrefix(text[at:], piece) {
			same := 0
			for same < len(piece) && at+same < len(text) && piece[same] == text[at+same] {
				same++
			}
			t.Fatalf("the log goes wrong at byte %d of the text, %d bytes after the last gap of %d: %.200q, text %.100q", at+same, same, gaps, piece[max(same-50, 0):], text[at+same:])
		}
		at += len(piece)
		if m == nil {
			break
		}
		n, err := strconv.Atoi(rest[m[2]:m[3]])
		check(t, err)
		at += n
		lost += n
		gaps++
		rest = rest[m[1]:]
	}
	if at != len(text) {
		t.Fatalf("the log accounts for %d bytes of %d", at, len(text))
	}
	return lost, gaps
}

func numberedText(n int) string {
	var b []byte
	for i := range n {
		b = numbered(b, i, 100)
	}
	return string(b)
}

// A full disk: output waits, then is counted; when there is room again it goes on by itself within two
// seconds, and all bytes are accounted for. Another stream does not notice.
func TestFullDisk(t *testing.T) {
	for _, mode := range []string{"spliced", "stripped", "consumer"} {
		t.Run(mode, func(t *testing.T) {
			disk := smallDisk(t, 1<<20)
			other := t.TempDir() + "/other"
			var rec recorder
			s := logs.NewStore()
			var stalled, most atomic.Int64
			p := newPump(t, Options{Log: &rec, StreamMemory: 256 << 10, Stalled: func(n int, err error) {
				if stalled.Store(int64(n)); n == 1 {
					most.Store(1)
					if !errors.Is(err, syscall.ENOSPC) {
						t.Errorf("told of %v", err)
					}
				}
			}})
			var flow model.Flow
			o := Output{File: open(t, s, disk+"/log", logs.Options{}), StripANSI: mode == "stripped", Flow: &flow}
			shown := 0
			if mode == "consumer" {
				o.Tap = func(b []byte) { shown += len(b) }
			}
			pr := attach(t, p, o)
			calm := attach(t, p, Output{File: open(t, s, other, logs.Options{})})
			text := numberedText(50_000) // 5 MB
			for i := 0; i < len(text); i += 10_000 {
				pr.write(text[i : i+10_000]) // the program never waits for long
				calm.write("tick\n")
			}
			until(t, "the other log", func() bool { return len(content(t, other)) == 5*len(text)/10_000 })
			Drain(pr.s)
			if n := p.mem.used.Load(); n > 256<<10 {
				t.Errorf("%d bytes of memory, limit 256 KiB", n)
			}
			// Room: somebody moves the log away.
			moved := t.TempDir() + "/moved"
			copyFile(t, disk+"/log", moved)
			first := content(t, moved)
			check(t, os.Truncate(disk+"/log", 0))
			from := time.Now()
			until(t, "the recovery", func() bool { return len(content(t, disk+"/log")) > 0 })
			if d := time.Since(from); d > 30*time.Second {
				t.Errorf("recovered after %v", d)
			}
			pr.write("last\n")
			pr.end()
			// The queue and the rest may not have fitted again.
			if strings.Contains(content(t, disk+"/log"), "last\n") {
				lost, gaps := account(t, first+content(t, disk+"/log"), text+"last\n")
				if lost == 0 || gaps == 0 {
					t.Errorf("%d bytes lost in %d gaps: the test has shown nothing", lost, gaps)
				}
				if w, d := flow.Written.Load(), flow.Dropped.Load(); w != uint64(len(text)+5) || d != uint64(lost) {
					t.Errorf("counted: %d bytes, %d dropped; it was %d, %d", w, d, len(text)+5, lost)
				}
			} else {
				t.Errorf("the end is not there: %.100q", content(t, disk+"/log"))
			}
			if n := p.mem.used.Load(); n != 0 {
				t.Errorf("%d bytes of memory are still taken", n)
			}
			if most.Load() != 1 || stalled.Load() != 0 {
				t.Errorf("told of a log that cannot be written: %v; %d cannot now", most.Load() == 1, stalled.Load())
			}
			if mode == "consumer" && shown != len(text)+5 {
				t.Errorf("the consumer was shown %d bytes, want %d", shown, len(text)+5)
			}
			lines := rec.all()
			if len(lines) != 2 || !strings.Contains(lines[0], "no space left on device; output waits") || !strings.Contains(lines[1], "bytes of output were lost") {
				t.Errorf("activity log: %q", lines)
			}
			calm.end()
		})
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	check(t, os.WriteFile(to, []byte(content(t, from)), 0o644))
}

// Own backups go first, oldest first, before anything waits.
func TestFullDiskFreesBackups(t *testing.T) {
	disk := smallDisk(t, 1<<20)
	var rec recorder
	p := newPump(t, Options{Log: &rec})
	for i := 1; i <= 8; i++ {
		check(t, os.WriteFile(fmt.Sprintf("%s/log.%d", disk, i), make([]byte, 100<<10), 0o644))
	}
	check(t, os.WriteFile(disk+"/precious", make([]byte, 100<<10), 0o644))
	pr := attach(t, p, Output{File: open(t, logs.NewStore(), disk+"/log", logs.Options{MaxBytes: 200 << 10, Backups: 50})})
	text := numberedText(6_000) // 600 kB
	pr.write(text)
	pr.end()
	all := string(bytes.Join(rotated(t, disk+"/log"), nil))
	if !strings.HasSuffix(all, text) {
		t.Errorf("the new lines are not all there: %d bytes in %s", len(all), names(t, disk))
	}
	if got := names(t, disk); !strings.Contains(got, "precious") {
		t.Errorf("files: %s", got)
	}
	for _, l := range rec.all() {
		if strings.Contains(l, "lost") {
			t.Errorf("activity log: %s", l)
		}
	}
}

// With Block the program waits instead, and nothing is lost.
func TestFullDiskBlocks(t *testing.T) {
	disk := smallDisk(t, 512<<10)
	p := newPump(t, Options{})
	pr := attach(t, p, Output{File: open(t, logs.NewStore(), disk+"/log", logs.Options{}), Block: true})
	text := numberedText(40_000) // 4 MB: more than disk and enlarged pipe take
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = pr.w.WriteString(text)
	}()
	full := func() bool {
		pr.s.mu.Lock()
		defer pr.s.mu.Unlock()
		return !pr.s.busy && pr.s.stalled()
	}
	until(t, "a full disk", full)
	until(t, "a full pipe", func() bool { pr.s.mu.Lock(); defer pr.s.mu.Unlock(); n, _, _ := pr.s.available(); return n >= 1<<20 })
	select {
	case <-written:
		t.Fatal("the program was not held up")
	default:
	}
	got := ""
	for len(got)+len(content(t, disk+"/log")) < len(text) {
		// Nothing is appended while the disk is full, so what is read is what is cut off.
		until(t, "a full disk or the end", func() bool { return full() || len(got)+len(content(t, disk+"/log")) == len(text) })
		if full() {
			got += content(t, disk+"/log")
			check(t, os.Truncate(disk+"/log", 0))
			until(t, "a retry", func() bool { return len(content(t, disk+"/log")) > 0 })
		}
	}
	<-written
	pr.end()
	if got += content(t, disk+"/log"); got != text {
		t.Errorf("%d bytes, want %d", len(got), len(text))
	}
}

func TestFullDevice(t *testing.T) {
	var rec recorder
	p, err := NewPump(Options{Log: &rec, StreamMemory: 100 << 10})
	check(t, err)
	pr := attach(t, p, Output{File: open(t, logs.NewStore(), "/dev/full", logs.Options{MaxBytes: 10, Backups: 1})})
	for range 30 {
		pr.write(strings.Repeat("x", 9999) + "\n")
	}
	Drain(pr.s)
	pr.w.Close()
	check(t, p.Close()) // gives up after its patience
	lines := rec.all()
	if len(lines) != 2 || !strings.Contains(lines[0], "/dev/full: no space left on device; output waits") || !strings.Contains(lines[1], "/dev/full: 300000 bytes of output were lost") {
		t.Errorf("activity log: %q", lines)
	}
}

// A FIFO whose reader is slow holds up its own stream only, and loses nothing that memory has room for.
func TestSlowReader(t *testing.T) {
	fifo := t.TempDir() + "/fifo"
	check(t, unix.Mkfifo(fifo, 0o600))
	p := newPump(t, Options{})
	pr := attach(t, p, Output{File: open(t, logs.NewStore(), fifo, logs.Options{})})
	text := numberedText(20_000) // 2 MB
	pr.write(text)
	reader, err := os.Open(fifo)
	check(t, err)
	defer reader.Close()
	got := make([]byte, len(text))
	read := make(chan error)
	go func() {
		_, err := io.ReadFull(reader, got)
		read <- err
	}()
	select {
	case err := <-read:
		if err != nil || string(got) != text {
			t.Errorf("%v, equal: %v", err, string(got) == text)
		}
	case <-time.After(60 * time.Second):
		t.Fatal("timed out")
	}
	pr.end()
}

// occupy has a disk hold up all the workers that it may.
func occupy(t *testing.T, p *Pump, disk any) {
	t.Helper()
	for k := range places {
		if ok, _ := p.enter(disk, &Stream{}, k >= diskShare); !ok {
			t.Fatal("no room for a worker")
		}
	}
}

// hang has nobody come back from a disk for too long.
func hang(p *Pump, disk any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.disks[disk].back = time.Now().Add(-hangs)
}

// vacate is the counterpart of occupy.
func vacate(p *Pump, disk any) {
	for range places {
		p.leave(disk)
	}
}

// places is how many workers one disk may hold up in all.
const places = diskShare + urgentShare

// One disk holds up its share of workers only.
func TestDiskShare(t *testing.T) {
	p := newPump(t, Options{})
	occupy(t, p, "slow")
	late := &Stream{}
	if ok, hanging := p.enter("slow", late, false); ok || hanging {
		t.Errorf("another one: entered %v, hangs %v", ok, hanging)
	}
	p.standDown("slow", late)
	dir := t.TempDir()
	pr := attach(t, p, Output{File: open(t, logs.NewStore(), dir+"/log", logs.Options{})})
	dev := disk(pr.s.out.file)
	occupy(t, p, dev) // as if this disk hung too
	text := numberedText(3000)
	pr.write(text) // more than the pipe holds: it goes to memory
	Drain(pr.s)
	if got := content(t, dir+"/log"); got != "" {
		t.Errorf("%d bytes were written", len(got))
	}
	vacate(p, dev)
	pr.end()
	if got := content(t, dir+"/log"); got != text {
		t.Errorf("%d bytes, want %d", len(got), len(text))
	}
	occupy(t, p, dev) // all were counted out
}

func TestInput(t *testing.T) {
	p := newPump(t, Options{})
	r, w, err := os.Pipe()
	check(t, err)
	in := p.AttachInput(dupFD(t, w), 100_000)
	check(t, in.Write([]byte("abc")))
	check(t, in.Write(nil))
	got := make([]byte, 3)
	if _, err := io.ReadFull(r, got); err != nil || string(got) != "abc" {
		t.Errorf("%q, %v", got, err)
	}
	if err := in.Write(make([]byte, 100_001)); !errors.Is(err, ErrFull) {
		t.Errorf("more than the limit: %v", err)
	}
	// Nobody reads: the pipe fills, then the queue, and a refused piece leaves nothing behind.
	piece := func(i int) []byte { return numbered(nil, i, 10_000) }
	var want []byte
	n := 0
	for ; ; n++ {
		if err := in.Write(piece(n)); err != nil {
			if !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
			break
		}
		want = append(want, piece(n)...)
	}
	if len(want) < 150_000 || len(want) > 170_000 {
		t.Errorf("%d bytes were taken", len(want))
	}
	got = make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v, equal: %v", err, bytes.Equal(got, want))
	}
	until(t, "room", func() bool { return in.Write([]byte("more")) == nil })
	r.Close()
	until(t, "the end to be noticed", func() bool { return errors.Is(in.Write([]byte("x")), ErrClosed) })
	check(t, in.Close())
	check(t, in.Close())

	r, w, err = os.Pipe()
	check(t, err)
	defer r.Close()
	in = p.AttachInput(dupFD(t, w), 10)
	check(t, in.Write([]byte("bye")))
	check(t, in.Close())
	if b, err := io.ReadAll(r); err != nil || string(b) != "bye" {
		t.Errorf("%q, %v", b, err)
	}
	if err := in.Write([]byte("x")); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	check(t, p.Close())
	_, w, err = os.Pipe()
	check(t, err)
	if err := p.AttachInput(dupFD(t, w), 10).Write(nil); !errors.Is(err, ErrClosed) {
		t.Errorf("at a closed pump: %v", err)
	}
}

// A rotation that fails is reported, and the log grows on.
func TestRotationTroubleIsReported(t *testing.T) {
	dir := t.TempDir()
	check(t, os.MkdirAll(dir+"/log.1/full", 0o755))
	var rec recorder
	pr := attach(t, newPump(t, Options{Log: &rec}), Output{File: open(t, logs.NewStore(), dir+"/log", logs.Options{MaxBytes: 10, Backups: 1})})
	for range 3 {
		pr.write("twenty bytes of text")
		Drain(pr.s)
	}
	pr.end()
	if got := content(t, filepath.Join(dir, "log")); len(got) != 60 {
		t.Errorf("%q", got)
	}
	if lines := rec.all(); len(lines) != 1 || !strings.Contains(lines[0], "cannot rotate "+dir+"/log: ") {
		t.Errorf("activity log: %q", lines)
	}
}
