package pipe

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/windows"
)

func pair(t *testing.T, input bool) (ours int, theirs *os.File) {
	t.Helper()
	o, h, err := Pair(input)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(h), "theirs")
	t.Cleanup(func() { f.Close(); Close(int(o)) })
	return int(o), f
}

func TestOutput(t *testing.T) {
	fd, w := pair(t, false)
	if !IsPipe(fd) {
		t.Error("it is no pipe")
	}
	if n, end, err := Available(fd); n != 0 || end || err != nil {
		t.Errorf("empty: %d, %v, %v", n, end, err)
	}
	if _, err := w.WriteString("abcdef"); err != nil {
		t.Fatal(err)
	}
	if n, end, err := Available(fd); n != 6 || end || err != nil {
		t.Errorf("filled: %d, %v, %v", n, end, err)
	}
	b := make([]byte, 4)
	if n, err := Read(fd, b); string(b[:n]) != "abcd" || err != nil {
		t.Errorf("%q, %v", b[:n], err)
	}
	w.Close()
	if n, end, err := Available(fd); n != 2 || end || err != nil {
		t.Errorf("the rest after the end: %d, %v, %v", n, end, err)
	}
	if n, err := Read(fd, b); string(b[:n]) != "ef" || err != nil {
		t.Errorf("%q, %v", b[:n], err)
	}
	if n, end, err := Available(fd); n != 0 || !end || err != nil {
		t.Errorf("end: %d, %v, %v", n, end, err)
	}
	if n, err := Read(fd, b); n != 0 || err != nil {
		t.Errorf("read at the end: %d, %v", n, err)
	}
}

// TestWriter: it takes what may be on its way, says so when nothing more may, and goes on when that was read.
func TestWriter(t *testing.T) {
	fd, r := pair(t, true)
	w, err := NewWriter(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	text := make([]byte, 5*size)
	for i := range text {
		text[i] = byte(i * 7)
	}
	sent := 0
	for sent < len(text) {
		n, err := w.Write(text[sent:])
		sent += n
		if errors.Is(err, ErrAgain) {
			break
		}
		if err != nil || n == 0 {
			t.Fatalf("after %d: %d, %v", sent, n, err)
		}
	}
	if sent == len(text) {
		t.Fatal("everything was taken though nobody read")
	}
	got := make(chan []byte)
	go func() {
		var all []byte
		b := make([]byte, 10_000)
		for len(all) < len(text) {
			n, err := r.Read(b)
			all = append(all, b[:n]...)
			if err != nil {
				break
			}
		}
		got <- all
	}()
	for sent < len(text) {
		if what, err := windows.WaitForSingleObject(handle(w.Ready()), 10_000); what != windows.WAIT_OBJECT_0 {
			t.Fatalf("no room: %v, %v", what, err)
		}
		n, err := w.Write(text[sent:])
		if err != nil {
			t.Fatal(err)
		}
		sent += n
	}
	if all := <-got; string(all) != string(text) {
		t.Errorf("%d bytes came, not the %d that were sent", len(all), len(text))
	}
	r.Close()
	for range 2 { // the first may have been taken before the end was seen
		_, err = w.Write([]byte("x"))
	}
	if !errors.Is(err, ErrBroken) {
		t.Errorf("nobody reads: %v", err)
	}
}

// TestStop: a write that nobody takes is ended.
func TestStop(t *testing.T) {
	fd, _ := pair(t, true)
	w, err := NewWriter(fd)
	if err != nil {
		t.Fatal(err)
	}
	w.Stop() // before there was one
	for range 3 {
		if _, err := w.Write(make([]byte, size)); err != nil && !errors.Is(err, ErrAgain) {
			t.Fatal(err)
		}
	}
	w.Stop()
	w.Stop()
	if w.Ready() != -1 {
		t.Error("something is left")
	}
}
