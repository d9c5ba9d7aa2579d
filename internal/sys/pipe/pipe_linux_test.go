package pipe

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func pair(t *testing.T, capacity int) (r, w int) {
	t.Helper()
	r, w, err := New(capacity)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(r); unix.Close(w) })
	return r, w
}

func TestAvailable(t *testing.T) {
	r, w, err := New(0)
	if err != nil {
		t.Fatal(err)
	}
	defer Close(r)
	want := func(n int, end bool) {
		t.Helper()
		gotN, gotEnd, err := Available(r)
		if gotN != n || gotEnd != end || err != nil {
			t.Errorf("Available: %d, %v, %v; want %d, %v", gotN, gotEnd, err, n, end)
		}
	}
	want(0, false)
	if _, err := Read(r, make([]byte, 1)); !errors.Is(err, ErrAgain) {
		t.Errorf("Read of an empty pipe: %v", err)
	}
	if n, err := Write(w, []byte("abc")); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	want(3, false)
	Close(w)
	want(3, false)
	b := make([]byte, 10)
	if n, err := Read(r, b); n != 3 || err != nil {
		t.Errorf("Read: %d, %v", n, err)
	}
	want(0, true)
	if n, err := Read(r, b); n != 0 || err != nil {
		t.Errorf("Read at the end: %d, %v", n, err)
	}
	if _, _, err := Available(12345); !errors.Is(err, unix.EBADF) {
		t.Errorf("no descriptor: %v", err)
	}
}

func TestWrite(t *testing.T) {
	r, w, err := New(0)
	if err != nil {
		t.Fatal(err)
	}
	defer Close(w)
	n, err := Write(w, make([]byte, 1<<20))
	if n != DefaultCapacity || err != nil {
		t.Errorf("first: %d, %v", n, err)
	}
	if n, err := Write(w, []byte("x")); n != 0 || !errors.Is(err, ErrAgain) {
		t.Errorf("full: %d, %v", n, err)
	}
	Close(r)
	if n, err := Write(w, []byte("x")); n != 0 || !errors.Is(err, ErrBroken) {
		t.Errorf("without a reader: %d, %v", n, err)
	}
}

func TestSpliceAndTee(t *testing.T) {
	r, w := pair(t, 0)
	cr, cw := pair(t, 256<<10)
	f, err := os.Create(t.TempDir() + "/F")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd := int(f.Fd())
	if _, err := Splice(r, fd, 0, 10); !errors.Is(err, ErrAgain) {
		t.Errorf("Splice of an empty pipe: %v", err)
	}
	if _, err := Tee(r, cw, 10); !errors.Is(err, ErrAgain) {
		t.Errorf("Tee of an empty pipe: %v", err)
	}
	text := bytes.Repeat([]byte("0123456789"), 1000)
	if n, err := Write(w, text); n != len(text) || err != nil {
		t.Fatal(n, err)
	}
	got := make([]byte, len(text))
	for range 2 { // a copy takes nothing
		if n, err := Tee(r, cw, len(text)); n != len(text) || err != nil {
			t.Fatalf("Tee: %d, %v", n, err)
		}
		if n, err := Read(cr, got); n != len(text) || !bytes.Equal(got, text) {
			t.Fatalf("the copy: %d bytes, %v", n, err)
		}
	}
	if n, err := Splice(r, fd, 5, len(text)-1); n != len(text)-1 || err != nil {
		t.Fatalf("Splice: %d, %v", n, err)
	}
	if n, _, _ := Available(r); n != 1 {
		t.Errorf("%d bytes are left, want 1", n)
	}
	file, _ := os.ReadFile(f.Name())
	if want := append(make([]byte, 5), text[:len(text)-1]...); !bytes.Equal(file, want) {
		t.Errorf("the file has %d bytes, want %d", len(file), len(want))
	}
	// A file opened for appending is refused, and nothing is taken.
	a, err := os.OpenFile(f.Name(), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := Splice(r, int(a.Fd()), 0, 1); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Splice to an appending file: %v", err)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	if n, _, _ := Available(r); n != 1 {
		t.Errorf("%d bytes are left, want 1", n)
	}
}

func TestBudget(t *testing.T) {
	b := NewBudget(1 << 20)
	r, _ := pair(t, 0)
	c, err := Capacity(r)
	if err != nil || c != DefaultCapacity {
		t.Fatalf("Capacity: %d, %v", c, err)
	}
	first := b.Grow(r, c, c)
	if got, _ := Capacity(r); first != 4*c || got != first {
		t.Fatalf("Grow: %d, really %d", first, got)
	}
	second := b.Grow(r, c, first)
	if second != MaxCapacity {
		t.Fatalf("Grow: %d", second)
	}
	if got := b.Grow(r, c, second); got != second {
		t.Errorf("beyond the maximum: %d", got)
	}
	r2, _ := pair(t, 0)
	if got := b.Grow(r2, c, c); got != c {
		t.Errorf("without budget: %d", got)
	}
	b.Release(c, second)
	if got := b.Grow(r2, c, c); got != 4*c {
		t.Errorf("after Release: %d", got)
	}
	if b.left != 1<<20-3*int64(c) {
		t.Errorf("%d left", b.left)
	}
	if got := NewBudget(0).left; got <= 0 {
		t.Errorf("default: %d", got)
	}
	if got := b.Grow(-1, c, c); got != c || b.left != 1<<20-3*int64(c) || b.holders != 1 {
		t.Errorf("no pipe: %d, %d left, %d holders", got, b.left, b.holders)
	}
}

func TestBudgetIsShared(t *testing.T) {
	const pipes = 6
	b := NewBudget(pipes * 512 << 10)
	var fds, sizes [pipes]int
	for i := range fds {
		fds[i], _ = pair(t, 0)
		sizes[i] = b.Grow(fds[i], DefaultCapacity, DefaultCapacity)
	}
	for i := range fds {
		sizes[i] = b.Grow(fds[i], DefaultCapacity, sizes[i])
		if sizes[i] != 512<<10 {
			t.Errorf("pipe %d of %d has %d bytes, want an equal share of 512 KiB", i, pipes, sizes[i])
		}
	}
	for i := range fds {
		b.Release(DefaultCapacity, sizes[i])
	}
	if b.left != b.total || b.holders != 0 {
		t.Errorf("%d of %d left, %d holders", b.left, b.total, b.holders)
	}
}

func TestIsPipe(t *testing.T) {
	r, _ := pair(t, 0)
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if !IsPipe(r) || IsPipe(int(null.Fd())) || IsPipe(-1) {
		t.Error("pipes are not told from other files")
	}
}

// A pipe with one descriptor: what is moved in comes out, in order, and is in one of the two pipes at any time.
func TestBothAndMove(t *testing.T) {
	r, w := pair(t, 0)
	fd, err := NewBoth(256 << 10)
	if err != nil {
		t.Fatal(err)
	}
	defer Close(fd)
	if n, err := Capacity(fd); n < 256<<10 || err != nil {
		t.Errorf("Capacity: %d, %v", n, err)
	}
	if _, err := Move(r, fd, 10); !errors.Is(err, ErrAgain) {
		t.Errorf("Move of an empty pipe: %v", err)
	}
	if WaitReadable(r, time.Millisecond) {
		t.Error("an empty pipe is readable")
	}
	var text []byte
	for i := range 20 {
		part := bytes.Repeat([]byte{byte('a' + i)}, 3000)
		text = append(text, part...)
		if _, err := Write(w, part); err != nil {
			t.Fatal(err)
		}
		if !WaitReadable(r, time.Second) {
			t.Error("a pipe with bytes is not readable")
		}
		if n, err := Move(r, fd, 1<<20); n != len(part) || err != nil {
			t.Fatalf("Move: %d, %v", n, err)
		}
	}
	if n, _, err := Available(fd); n != len(text) || err != nil {
		t.Errorf("Available: %d, %v; want %d", n, err, len(text))
	}
	got := make([]byte, len(text)+1)
	at := 0
	for at < len(text) {
		n, err := Read(fd, got[at:])
		if err != nil {
			t.Fatal(err)
		}
		at += n
	}
	if !bytes.Equal(got[:at], text) {
		t.Error("other bytes came out")
	}
	if _, err := Read(fd, got); !errors.Is(err, ErrAgain) {
		t.Errorf("it has an end: %v", err)
	}
	unix.Close(w)
	if n, err := Move(r, fd, 1); n != 0 || err != nil {
		t.Errorf("the end of the first: %d, %v", n, err)
	}
}

func TestBudgetAdopts(t *testing.T) {
	b := NewBudget(1 << 20)
	b.Adopt(64<<10, 64<<10)
	b.Adopt(64<<10, 1<<20)
	if b.left != 64<<10 || b.holders != 1 {
		t.Errorf("%d left, %d holders", b.left, b.holders)
	}
	b.Release(64<<10, 1<<20)
	if b.left != 1<<20 || b.holders != 0 {
		t.Errorf("%d left, %d holders", b.left, b.holders)
	}
}
