package logs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/sys/logfile"
)

// Devices, FIFOs and our own descriptors are written to, never rotated and never cleared (F11, F12).
func TestSpecialFiles(t *testing.T) {
	dir := t.TempDir()
	check(t, unix.Mkfifo(dir+"/fifo", 0o600))
	reader, err := os.OpenFile(dir+"/fifo", os.O_RDWR, 0)
	check(t, err)
	defer reader.Close()
	r, w, err := os.Pipe()
	check(t, err)
	defer r.Close()
	defer w.Close()
	check(t, os.Symlink("/dev/null", dir+"/null"))
	own := fmt.Sprintf("/dev/fd/%d", w.Fd())
	check(t, os.Symlink(own, dir+"/own"))
	const text = "more than ten bytes\n"
	for _, tt := range []struct {
		path string
		from io.Reader
	}{{dir + "/fifo", reader}, {own, r}, {dir + "/own", r}, {"/dev/null", nil}, {dir + "/null", nil}} {
		s := NewStore()
		f := mustOpen(t, s, tt.path, Options{MaxBytes: 10, Backups: 2})
		mustWrite(t, f, text)
		check(t, f.Clear())
		check(t, f.Reopen())
		check(t, s.Clear(tt.path))
		mustWrite(t, f, text)
		check(t, f.Problem())
		if f.FreeOldest() {
			t.Errorf("%s: there was a backup", tt.path)
		}
		if tt.from != nil {
			got := make([]byte, 2*len(text))
			if _, err := io.ReadFull(tt.from, got); err != nil || string(got) != text+text {
				t.Errorf("%s: %q, %v", tt.path, got, err)
			}
		}
	}
	wantContents(t, dir, map[string]string{"fifo": "<p--------->", "null": "<L--------->", "own": "<L--------->"})
}

func TestFullDevice(t *testing.T) {
	f := mustOpen(t, NewStore(), "/dev/full", Options{MaxBytes: 10, Backups: 2})
	if n, err := f.Write([]byte("x")); n != 0 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%d, %v", n, err)
	}
}

func TestFIFOThatNobodyReads(t *testing.T) {
	dir := t.TempDir()
	check(t, unix.Mkfifo(dir+"/fifo", 0o600))
	f := mustOpen(t, NewStore(), dir+"/fifo", Options{})
	n, err := f.Write(make([]byte, 1<<20))
	if n == 0 || n == 1<<20 || !errors.Is(err, logfile.ErrAgain) {
		t.Errorf("%d, %v; want some and ErrAgain", n, err)
	}
}

// A link to a log is followed for everything, and stays.
func TestLinkedLog(t *testing.T) {
	dir, target := t.TempDir(), t.TempDir()
	check(t, os.Symlink(target+"/T", dir+"/F"))
	s := NewStore()
	f := mustOpen(t, s, dir+"/F", Options{MaxBytes: 4, Backups: 1})
	mustWrite(t, f, "a\nbc\n")
	mustWrite(t, f, "d\n")
	wantContents(t, dir, map[string]string{"F": "<L--------->"})
	wantContents(t, target, map[string]string{"T": "d\n", "T.1": "a\nbc\n"})
	check(t, f.Clear())
	wantContents(t, dir, map[string]string{"F": "<L--------->"})
	wantContents(t, target, map[string]string{"T": "", "T.1": "a\nbc\n"})
}

// Bytes that go through the kernel obey the same rules as written ones.
func TestSpliceAndRotation(t *testing.T) {
	dir := t.TempDir()
	f := mustOpen(t, NewStore(), dir+"/F", Options{MaxBytes: 100, Backups: 3})
	var p [2]int
	check(t, unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK))
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	waiting := ""
	send := func(text string) {
		_, err := unix.Write(p[1], []byte(text))
		check(t, err)
		waiting += text
	}
	newline := func(limit int) (int, int) {
		n := min(limit, len(waiting))
		return strings.IndexByte(waiting[:n], '\n'), n
	}
	move := func(final bool) error {
		for {
			n, err := f.Splice(p[0], len(waiting), func(limit int) (int, int) { return newline(limit) }, final)
			waiting = waiting[n:]
			if err != nil || waiting == "" {
				return err
			}
		}
	}
	// The callback sees the pipe as it is at that moment, which a single call cannot show after a move within
	// it: so pieces here cross the limit once each.
	send(strings.Repeat("a", 98) + "\n")
	check(t, move(false))
	send("bcd")
	if err := move(false); !errors.Is(err, ErrPartial) || waiting != "bcd" {
		t.Fatalf("beginning of a line at the limit: %v, %q waits", err, waiting)
	}
	send("e\n")
	check(t, move(false))
	send("f")
	check(t, move(false))
	wantContents(t, dir, map[string]string{"F": "f", "F.1": strings.Repeat("a", 98) + "\nbcde\n"})
	send(strings.Repeat("g", 98))
	check(t, move(false))
	send("hi")
	check(t, move(true))
	wantContents(t, dir, map[string]string{
		"F": "", "F.1": "f" + strings.Repeat("g", 98) + "hi", "F.2": strings.Repeat("a", 98) + "\nbcde\n",
	})
}

// Somebody who appends to the same file is noticed, and then nothing of his is overwritten.
func TestSpliceGivesWayToOthers(t *testing.T) {
	dir := t.TempDir()
	f := mustOpen(t, NewStore(), dir+"/F", Options{})
	mustWrite(t, f, "ours\n")
	other, err := os.OpenFile(dir+"/F", os.O_APPEND|os.O_WRONLY, 0)
	check(t, err)
	defer other.Close()
	_, err = other.WriteString("theirs\n")
	check(t, err)
	var p [2]int
	check(t, unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK))
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	_, err = unix.Write(p[1], []byte("x"))
	check(t, err)
	if n, err := f.Splice(p[0], 1, nil, false); n != 0 || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%d, %v; want errors.ErrUnsupported", n, err)
	}
	mustWrite(t, f, "again\n")
	wantContents(t, dir, map[string]string{"F": "ours\ntheirs\nagain\n"})
	check(t, f.Reopen())
	if n, err := f.Splice(p[0], 1, nil, false); n != 1 || err != nil {
		t.Errorf("after Reopen: %d, %v", n, err)
	}
}

func TestWriteLines(t *testing.T) {
	dir := t.TempDir()
	f := mustOpen(t, NewStore(), dir+"/F", Options{MaxBytes: 10, Backups: 1})
	n, err := f.WriteLines([]byte("12\n45\n78901"), false)
	if n != 6 || !errors.Is(err, ErrPartial) {
		t.Errorf("%d, %v; want 6, ErrPartial", n, err)
	}
	n, err = f.WriteLines([]byte("78901\nab"), false)
	if n != 8 || err != nil {
		t.Errorf("%d, %v; want 8", n, err)
	}
	wantContents(t, dir, map[string]string{"F": "ab", "F.1": "12\n45\n78901\n"})
	n, err = f.WriteLines([]byte(strings.Repeat("x", longLine+20)), false)
	if n != longLine+20 || err != nil {
		t.Errorf("a long line: %d, %v", n, err)
	}
}

func TestModes(t *testing.T) {
	old := syscall.Umask(0o027)
	defer syscall.Umask(old)
	dir := t.TempDir()
	s := NewStore()
	for _, tt := range []struct {
		perm, want fs.FileMode
	}{{0, 0o640}, {0o666, 0o640}, {0o600, 0o600}} {
		path := fmt.Sprintf("%s/F%o", dir, tt.perm)
		f := mustOpen(t, s, path, Options{MaxBytes: 1, Backups: 1, Perm: tt.perm})
		for i, act := range []func(){
			func() {},
			func() { mustWrite(t, f, "rotated\n") },
			func() { check(t, os.Remove(path)); check(t, f.Clear()) },
			func() { check(t, os.Remove(path)); check(t, f.Reopen()) },
		} {
			act()
			fi, err := os.Stat(path)
			check(t, err)
			if fi.Mode() != tt.want {
				t.Errorf("perm %o, step %d: mode %v, want %v", tt.perm, i, fi.Mode(), tt.want)
			}
		}
	}
}
