package journal

import (
	"bytes"
	"sync/atomic"
	"testing"
)

// TestPutMade: what is made again is in the file, in a snapshot and in the next file, and can be replaced and deleted.
func TestPutMade(t *testing.T) {
	o := Options{Dir: t.TempDir(), Name: "j", Runtime: true, CompactAt: 1}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	var made atomic.Int32
	large := bytes.Repeat([]byte("x"), 1000)
	again := func() []byte {
		made.Add(1)
		return bytes.Clone(large)
	}
	s.PutMade("made", again)
	s.PutMade("gone", again)
	s.PutMade("changed", again)
	s.PutMade("nothing", func() []byte { return nil })
	s.Put("gone", nil)
	s.Put("changed", []byte("small"))
	if s.entries["made"].value != nil {
		t.Error("the value is kept")
	}
	check := func(when string) {
		t.Helper()
		got := s.Snapshot()
		if len(got) != 2 || !bytes.Equal(got["made"], large) || string(got["changed"]) != "small" {
			t.Errorf("%s: %d entries, made has %d bytes, changed is %q", when, len(got), len(got["made"]), got["changed"])
		}
	}
	check("before it is written")
	before := made.Load()
	for i := range 100 { // until the file is replaced more than once
		s.Put("busy", bytes.Repeat([]byte{byte(i)}, 500))
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	s.Put("busy", nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if made.Load() == before {
		t.Error("the file was never written anew")
	}
	if s, err = Open(o); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	check("after it was opened again")
	s.PutMade("made", again)
	if len(s.ops) != 0 || s.entries["made"].value != nil {
		t.Error("the same value is written again, or kept")
	}
	s.PutMade("changed", again)
	want := size("made", large) + size("changed", large) + size("", nil)
	if s.live != want {
		t.Errorf("%d bytes live, want %d", s.live, want)
	}
}

// TestGive: a value that is given is kept as it is, and lasts like any other.
func TestGive(t *testing.T) {
	o := Options{Dir: t.TempDir(), Name: "j", Runtime: true}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	value := bytes.Repeat([]byte("x"), 300<<10)
	s.Give("k", value)
	s.Give("gone", value)
	s.Give("gone", nil)
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := s.Snapshot()["k"]; &got[0] != &value[0] {
		t.Error("it was copied")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(o); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := s.Snapshot(); len(got) != 1 || !bytes.Equal(got["k"], value) {
		t.Errorf("%d entries, %d bytes", len(got), len(got["k"]))
	}
}
