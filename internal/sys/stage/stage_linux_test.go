package stage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/sys/pipe"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// filled makes a stage and a function that fills it through a pipe.
func filled(t *testing.T, s *Stage) func(text string) {
	t.Helper()
	r, w, err := pipe.New(0)
	check(t, err)
	t.Cleanup(func() { unix.Close(r); unix.Close(w) })
	return func(text string) {
		t.Helper()
		_, err := pipe.Write(w, []byte(text))
		check(t, err)
		if n, err := s.Fill(r, len(text)); n != len(text) || err != nil {
			t.Fatalf("Fill: %d, %v; want %d", n, err, len(text))
		}
	}
}

func read(t *testing.T, s *Stage, at int64) string {
	t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(s, at, 1<<30))
	check(t, err)
	return string(b)
}

func each(t *testing.T, test func(t *testing.T, s *Stage)) {
	t.Run("file", func(t *testing.T) {
		s, err := New()
		check(t, err)
		defer s.Close()
		test(t, s)
	})
	t.Run("memory", func(t *testing.T) {
		s := Memory()
		defer s.Close()
		test(t, s)
	})
}

func TestBytes(t *testing.T) {
	each(t, func(t *testing.T, s *Stage) {
		fill := filled(t, s)
		fill("one ")
		fill("two ")
		fill("three")
		if got := read(t, s, 0); got != "one two three" || s.Size() != 13 {
			t.Errorf("%q, %d", got, s.Size())
		}
		b := make([]byte, 10)
		if n, err := s.ReadAt(b, 8); n != 5 || !errors.Is(err, io.EOF) {
			t.Errorf("past the end: %d, %v", n, err)
		}
		check(t, s.Cut(7))
		fill("!")
		s.Free(4)
		if got := read(t, s, 4); got != "two!" || s.Size() != 8 {
			t.Errorf("%q, %d", got, s.Size())
		}
		check(t, s.Cut(0))
		fill("again")
		if got := read(t, s, 0); got != "again" {
			t.Errorf("%q", got)
		}
	})
}

func TestState(t *testing.T) {
	each(t, func(t *testing.T, s *Stage) {
		if got := s.State(); len(got) != 0 {
			t.Errorf("new: %q", got)
		}
		for i := range 5 {
			want := bytes.Repeat([]byte{byte('a' + i)}, MaxState-i*200)
			s.Commit(want)
			if got := s.State(); !bytes.Equal(got, want) {
				t.Errorf("%d: %d bytes %.5q", i, len(got), got)
			}
		}
		s.Commit(nil)
		if got := s.State(); len(got) != 0 {
			t.Errorf("empty: %q", got)
		}
	})
}

// What has no end of a pipe behind it is read.
func TestFillFromAFile(t *testing.T) {
	each(t, func(t *testing.T, s *Stage) {
		path := t.TempDir() + "/f"
		check(t, os.WriteFile(path, []byte("text"), 0o600))
		f, err := os.Open(path)
		check(t, err)
		defer f.Close()
		if n, err := s.Fill(int(f.Fd()), 10); n != 4 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		if got := read(t, s, 0); got != "text" {
			t.Errorf("%q", got)
		}
	})
}

func TestAdopt(t *testing.T) {
	s, err := New()
	check(t, err)
	filled(t, s)("bytes")
	s.Commit([]byte("first"))
	s.Commit([]byte("second"))
	dup, err := unix.FcntlInt(uintptr(s.FD()), unix.F_DUPFD_CLOEXEC, 3)
	check(t, err)
	s.Close() // as when its process dies
	s, err = Adopt(dup)
	check(t, err)
	defer s.Close()
	if got := read(t, s, 0); got != "bytes" || string(s.State()) != "second" {
		t.Errorf("%q, state %q", got, s.State())
	}
	filled(t, s)(" more")
	if got := read(t, s, 0); got != "bytes more" {
		t.Errorf("%q", got)
	}
}

func TestAdoptRefuses(t *testing.T) {
	path := t.TempDir() + "/f"
	for i, content := range []string{"", "short", string(make([]byte, 5000)), magic + "\xff\xff\xff\xff\xff\xff\xff\xff" + string(make([]byte, 5000))} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			check(t, os.WriteFile(path, []byte(content), 0o600))
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			check(t, err)
			defer f.Close()
			if _, err := Adopt(int(f.Fd())); !errors.Is(err, errForeign) {
				t.Errorf("%v", err)
			}
		})
	}
	r, w, err := os.Pipe()
	check(t, err)
	defer r.Close()
	defer w.Close()
	if _, err := Adopt(int(r.Fd())); !errors.Is(err, errForeign) {
		t.Errorf("a pipe: %v", err)
	}
	if _, err := Adopt(-1); !errors.Is(err, unix.EBADF) {
		t.Errorf("nothing: %v", err)
	}
}
