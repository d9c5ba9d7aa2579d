package streams

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/engine/logs"
)

// killsEnv is how many kills each of the tests makes; 100 without it.
const killsEnv = "STREAMS_TEST_KILLS"

func killsWanted() int {
	if n, err := strconv.Atoi(os.Getenv(killsEnv)); err == nil {
		return n
	}
	return 100
}

// killMode is one way for bytes to the log, under kills.
type killMode struct {
	logs logs.Options
	pump Options
	out  Output
	fast bool // through a second pipe from the first byte on
}

func killModes() map[string]killMode {
	rotating := logs.Options{MaxBytes: 64 << 10, Backups: 100_000}
	return map[string]killMode{
		"splice": {logs: rotating},
		"fast":   {logs: logs.Options{MaxBytes: 1 << 20, Backups: 100_000}, fast: true},
		"strip":  {logs: rotating, out: Output{StripANSI: true}},
		"lines":  {logs: rotating, out: Output{Line: func([]byte) {}}},
		"full":   {pump: Options{StreamMemory: 32 << 10}},
		"block":  {out: Output{Block: true}},
		"fifo":   {out: Output{Block: true}}, // else a slow reader has output dropped, which is another test
	}
}

// keeperStub sends what is to be kept to the test, over a socket.
type keeperStub struct{ sock int }

func (k keeperStub) Keep(_ string, fd int) error {
	return unix.Sendmsg(k.sock, []byte("K "+strconv.Itoa(fd)), unix.UnixRights(fd), nil, 0)
}

func (k keeperStub) Drop(_ string, fd int) {
	_ = unix.Sendmsg(k.sock, []byte("D "+strconv.Itoa(fd)), nil, nil, 0)
}

// pumpMain is the child: it moves descriptor 3 into a log, keeps by descriptor 4, and gets as many stages as it is
// told from 5 on.
func pumpMain(args string) {
	var name, path string
	var stages int
	if _, err := fmt.Sscan(args, &name, &path, &stages); err != nil {
		os.Exit(5)
	}
	mode := killModes()[name]
	keeper := keeperStub{4}
	mode.pump.Keeper = keeper
	for fd := 3; fd < 5+stages; fd++ {
		unix.CloseOnExec(fd)
	}
	p, err := NewPump(mode.pump)
	if err != nil {
		os.Exit(6)
	}
	if mode.fast {
		p.fastBytes, p.fastRate = 1, 0
	}
	f, err := logs.NewStore().Open(path, mode.logs)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(7)
	}
	ended := make(chan struct{})
	o := mode.out
	o.File, o.Key, o.Closed = f, "k", func() { close(ended) }
	for i := range stages {
		o.Stages = append(o.Stages, 5+i)
	}
	if o.Line != nil {
		seen, err := unix.Open(path+"-lines", unix.O_WRONLY, 0)
		if err != nil {
			os.Exit(8)
		}
		o.Line = func(b []byte) { _, _ = unix.Write(seen, append(bytes.Clone(b), '\n')) } // whole or not at all
	}
	p.Attach(3, o)
	_ = unix.Sendmsg(4, []byte("A"), nil, nil, 0)
	<-ended
	if err := p.Close(); err != nil {
		os.Exit(9)
	}
}

// victim is a process that moves, and who keeps for it.
type victim struct {
	t      *testing.T
	mode   string
	path   string
	r      *os.File
	kept   map[string]int // by the number that the child has for it
	most   int            // that were kept at a time
	staged int            // how often something was taken over
}

// child is one life of it.
type child struct {
	cmd      *exec.Cmd
	attached chan struct{}
	over     chan struct{} // all it has sent has been taken
}

func (v *victim) start() *child {
	v.t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	check(v.t, err)
	theirs := os.NewFile(uintptr(pair[1]), "keeper")
	cmd := exec.Command(os.Args[0])
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{v.r, theirs}
	before := v.kept
	v.kept = map[string]int{}
	for _, fd := range before {
		n := 3 + len(cmd.ExtraFiles)
		cmd.ExtraFiles = append(cmd.ExtraFiles, os.NewFile(uintptr(fd), "stage"))
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		check(v.t, err)
		v.kept[strconv.Itoa(n)] = dup
	}
	if len(before) > 0 {
		v.staged++
	}
	cmd.Env = append(os.Environ(), childEnv+"="+fmt.Sprint("pump ", v.mode, " ", v.path, " ", len(before)))
	check(v.t, cmd.Start())
	for _, f := range cmd.ExtraFiles[1:] {
		f.Close()
	}
	c := &child{cmd: cmd, attached: make(chan struct{}), over: make(chan struct{})}
	go v.serve(pair[0], c)
	return c
}

// serve keeps and drops until the child is gone.
func (v *victim) serve(sock int, c *child) {
	defer close(c.over)
	defer unix.Close(sock)
	for {
		b, oob := make([]byte, 64), make([]byte, 64)
		n, on, _, _, err := unix.Recvmsg(sock, b, oob, unix.MSG_CMSG_CLOEXEC)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return
		}
		what, num, _ := strings.Cut(string(b[:n]), " ")
		switch what {
		case "A":
			close(c.attached)
		case "K":
			msgs, err := unix.ParseSocketControlMessage(oob[:on])
			if err != nil || len(msgs) != 1 {
				v.t.Error("a descriptor is missing")
				return
			}
			fds, err := unix.ParseUnixRights(&msgs[0])
			if err != nil || len(fds) != 1 {
				v.t.Error("a descriptor is missing")
				return
			}
			v.kept[num] = fds[0]
			v.most = max(v.most, len(v.kept))
		case "D":
			fd, ok := v.kept[num]
			if !ok {
				v.t.Errorf("%s was not kept", num)
				continue
			}
			unix.Close(fd)
			delete(v.kept, num)
		}
	}
}

// kill ends a life at a random instant.
func (v *victim) kill(c *child) {
	if rand.IntN(10) > 0 { // else while it begins
		select {
		case <-c.attached:
		case <-c.over:
			v.t.Fatal("it died by itself")
		}
	}
	time.Sleep(time.Duration(rand.IntN(12_000)) * time.Microsecond)
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
	<-c.over
}

// newVictim makes the pipe.
func newVictim(t *testing.T, mode, path string) (v *victim, w *os.File) {
	t.Helper()
	var fds [2]int
	check(t, unix.Pipe2(fds[:], unix.O_CLOEXEC))
	v = &victim{t: t, mode: mode, path: path, r: os.NewFile(uintptr(fds[0]), "r"), kept: map[string]int{}}
	w = os.NewFile(uintptr(fds[1]), "w")
	t.Cleanup(func() {
		v.r.Close()
		w.Close()
		for _, fd := range v.kept {
			unix.Close(fd)
		}
	})
	return v, w
}

// talk writes numbered lines of that size as long as there is allowance, in pieces that end anywhere. make turns a
// line into what is written for it. It returns the number of lines when allowance is closed.
func talk(w io.Writer, size int, allowance <-chan int, dress func([]byte) []byte) (lines int, err error) {
	var b []byte
	for n := range allowance {
		for n > 0 {
			for len(b) < 10_000 {
				b = append(b, dress(numbered(nil, lines, size))...)
				lines++
			}
			k := min(1+rand.IntN(9_000), len(b))
			if _, err := w.Write(b[:k]); err != nil {
				return lines, err
			}
			b = b[k:]
			n -= k
		}
	}
	_, err = w.Write(b)
	return lines, err
}

// wantExactly checks that the files together are the numbered lines 0 … n-1.
func wantExactly(t *testing.T, files [][]byte, n, size int) {
	t.Helper()
	all := bytes.Join(files, nil)
	at := 0
	for i := range n {
		line := numbered(nil, i, size)
		if !bytes.HasPrefix(all[at:], line) {
			t.Fatalf("at byte %d of %d: %.120q, want line %d of %d", at, len(all), all[at:], i, n)
		}
		at += len(line)
	}
	if at != len(all) {
		t.Fatalf("%d bytes too many: %.120q", len(all)-at, all[at:])
	}
}

// The process that moves the bytes is killed again and again while a program writes: whatever way they go, every
// byte is in the log, once, in order. Source: spec/reliability R1, R2, R17.
func TestKillsLoseNothing(t *testing.T) {
	for _, tt := range []struct {
		mode string
		size int // of a line
		each int // bytes for a life
	}{{"splice", 100, 300_000}, {"fast", 4096, 2_000_000}, {"strip", 100, 200_000}, {"lines", 100, 60_000}} {
		t.Run(tt.mode, func(t *testing.T) {
			dir := t.TempDir()
			v, w := newVictim(t, tt.mode, dir+"/log")
			dress := func(b []byte) []byte { return b }
			if tt.mode == "strip" {
				dress = dressed
			}
			allowance := make(chan int, 1)
			var lines int
			written := make(chan error, 1)
			go func() {
				var err error
				lines, err = talk(w, tt.size, allowance, dress)
				w.Close()
				written <- err
			}()
			var seen *collector
			if tt.mode == "lines" {
				seen = collect(t, dir+"/log-lines")
			}
			kills := killsWanted()
			for range kills {
				select {
				case allowance <- tt.each:
				default: // it has not written the last one yet
				}
				v.kill(v.start())
			}
			close(allowance)
			last := v.start()
			check(t, <-written)
			check(t, last.cmd.Wait())
			<-last.over
			if len(v.kept) > 0 {
				t.Errorf("%d descriptors are still kept", len(v.kept))
			}
			wantExactly(t, rotated(t, dir+"/log"), lines, tt.size)
			if tt.mode == "lines" {
				wantLinesAgain(t, string(seen.end(lines*tt.size)), lines, tt.size, kills)
			}
			t.Logf("%d kills, %d MB, %d times something was taken over", kills, lines*tt.size/1_000_000, v.staged)
			if tt.mode != "splice" && v.staged == 0 {
				t.Error("nothing was ever taken over: the test has shown nothing")
			}
		})
	}
}

// dressed puts terminal sequences into a line.
func dressed(line []byte) []byte {
	var b []byte
	for i, c := range line {
		switch i % 17 {
		case 3:
			b = append(b, "\x1b[1;31m"...)
		case 9:
			b = append(b, "\x1b[0m\x1b[K"...)
		}
		b = append(b, c)
	}
	return b
}

// wantLinesAgain checks what was given out line by line: all, in order, and at most one again for each kill.
func wantLinesAgain(t *testing.T, text string, n, size, kills int) {
	t.Helper()
	next, again := 0, 0
	for _, line := range strings.SplitAfter(text, "\n") {
		switch line {
		case string(numbered(nil, next, size)):
			next++
		case "":
		default:
			if next == 0 || line != string(numbered(nil, next-1, size)) {
				t.Fatalf("line %.100q, want number %d", line, next)
			}
			again++
		}
	}
	if next != n || again > kills {
		t.Errorf("%d lines of %d, %d of them twice in %d kills", next, n, again, kills)
	}
}

// A full disk, and kills in it: every byte is in the log or counted where it is missing, whoever it was that dropped
// it. With Block nothing is dropped.
func TestKillsOnAFullDisk(t *testing.T) {
	for _, mode := range []string{"full", "block"} {
		t.Run(mode, func(t *testing.T) {
			const size, first = 96 << 20, 128 << 10
			disk := smallDisk(t, size)
			path := disk + "/log"
			room := int64(first)
			filler, err := os.Create(disk + "/filler")
			check(t, err)
			defer filler.Close()
			check(t, unix.Fallocate(int(filler.Fd()), 0, 0, size-room))
			v, w := newVictim(t, mode, path)
			var text bytes.Buffer // what was written
			var mu sync.Mutex
			var stop atomic.Bool
			written := make(chan struct{})
			go func() {
				defer close(written)
				for i := 0; !stop.Load(); i++ {
					line := numbered(nil, i, 100)
					_, _ = w.Write(line)
					mu.Lock()
					text.Write(line)
					mu.Unlock()
					if i%20 == 0 {
						time.Sleep(time.Millisecond)
					}
				}
				w.Close()
			}()
			more := func(n int64) { // room, when there is none
				var st unix.Statfs_t
				check(t, unix.Statfs(disk, &st))
				if st.Bfree == 0 {
					room += n
					check(t, filler.Truncate(max(size-room, 0)))
				}
			}
			kills := killsWanted()
			for i := range kills {
				c := v.start()
				if i%3 == 2 {
					more(8_000)
				}
				v.kill(c)
			}
			stop.Store(true)
			last := v.start()
			ended := make(chan error, 1)
			go func() { ended <- last.cmd.Wait() }()
			for end := time.Now().Add(time.Minute); ; {
				select {
				case err := <-ended:
					check(t, err)
					<-written
					<-last.over
					lost, gaps := account(t, content(t, path), text.String())
					t.Logf("%d kills, %d bytes, %d lost in %d gaps, %d times something was taken over",
						kills, text.Len(), lost, gaps, v.staged)
					if mode == "block" && lost > 0 {
						t.Error("something was dropped")
					}
					if mode == "full" && (lost == 0 || v.staged == 0) {
						t.Error("nothing was dropped or taken over: the test has shown nothing")
					}
					return
				case <-time.After(20 * time.Millisecond):
					if time.Now().After(end) {
						t.Fatal("timed out")
					}
					more(1 << 20)
				}
			}
		})
	}
}

// Output to a FIFO goes from pipe to pipe inside the kernel, so that kills lose nothing there either. Only what had to
// wait in memory, because the reader was slow, can come again, little of it.
func TestKillsBeforeAFIFO(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	got := collect(t, fifo)
	v, w := newVictim(t, "fifo", fifo)
	allowance := make(chan int, 1)
	var lines int
	written := make(chan error, 1)
	go func() {
		var err error
		lines, err = talk(w, 100, allowance, func(b []byte) []byte { return b })
		w.Close()
		written <- err
	}()
	kills := killsWanted()
	for range kills {
		select {
		case allowance <- 200_000:
		default:
		}
		v.kill(v.start())
	}
	close(allowance)
	last := v.start()
	check(t, <-written)
	check(t, last.cmd.Wait())
	<-last.over
	again := wantNearly(t, got.end(lines*100), lines, 100)
	t.Logf("%d kills, %d MB, %d times up to 4 KiB again", kills, lines*100/1_000_000, again)
	if again > kills {
		t.Error("more often than there were kills")
	}
}

// wantNearly is wantExactly, except that now and then a piece of at most 4 KiB comes again; it returns how often.
func wantNearly(t *testing.T, got []byte, n, size int) (again int) {
	t.Helper()
	var want []byte
	for i := range n {
		want = numbered(want, i, size)
	}
	at := 0 // in want
	for i := 0; i < len(got); {
		if at < len(want) && got[i] == want[at] {
			i, at = i+1, at+1
			continue
		}
		// Up to a line may have matched by chance before the difference was seen.
		next := got[i:min(i+2*size, len(got))]
		d := 1
		for ; d <= wholePiece+size && d <= at; d++ {
			if bytes.HasPrefix(want[at-d:], next) {
				break
			}
		}
		if d > wholePiece+size || d > at {
			t.Fatalf("at byte %d: %.120q, want %.120q", i, next, want[at:])
		}
		again++
		at -= d
	}
	if at != len(want) {
		t.Fatalf("%d bytes are missing", len(want)-at)
	}
	return again
}

// collector reads all that comes through a FIFO.
type collector struct {
	t    *testing.T
	f    *os.File
	over chan struct{}
	mu   sync.Mutex
	got  bytes.Buffer
}

// collect makes a FIFO that somebody reads.
func collect(t *testing.T, path string) *collector {
	t.Helper()
	check(t, unix.Mkfifo(path, 0o600))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	c := &collector{t: t, f: f, over: make(chan struct{})}
	go func() {
		defer close(c.over)
		b := make([]byte, 100_000)
		for {
			n, err := f.Read(b)
			c.mu.Lock()
			c.got.Write(b[:n])
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { f.Close() })
	return c
}

// end waits until at least so many bytes have come and the FIFO is empty, and returns all.
func (c *collector) end(atLeast int) []byte {
	c.t.Helper()
	until(c.t, "the last byte", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		n := 0
		rc, err := c.f.SyscallConn()
		check(c.t, err)
		err = rc.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
		return c.got.Len() >= atLeast && n == 0 && err == nil
	})
	c.f.Close()
	<-c.over
	return c.got.Bytes()
}
