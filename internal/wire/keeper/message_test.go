package keeper

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func full() Message {
	return Message{
		Type: Item, Version: 3, PID: 4711, Key: "p/web:web_0/17", Note: []byte("a\x00b\xff"), Roles: "ioep", Raw: 1<<32 - 1,
		Ended: true, Status: 255, Number: 1<<64 - 1, Text: "why", Last: "signal 9", Path: "/usr/bin/upkeep", Safe: true, FDs: []int{0, 7, 20000},
	}
}

func TestRoundTrip(t *testing.T) {
	cases := []Message{
		{Type: Ready},
		{Type: 255},
		{Type: 0},
		full(),
		{Type: Note, Key: "k"}, // an empty note comes back as none
		{Type: Hold, Key: strings.Repeat("k", MaxKey), Note: bytes.Repeat([]byte{0}, MaxNote), Roles: strings.Repeat("x", MaxDescriptors)},
	}
	for _, want := range cases {
		b := want.Append(nil)
		if len(b) > MaxSize {
			t.Errorf("type %d: %d bytes", want.Type, len(b))
		}
		got, err := Parse(b)
		if err != nil {
			t.Errorf("type %d: %v", want.Type, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestTextsAreCut(t *testing.T) {
	m := Message{Type: Refused, Text: strings.Repeat("t", MaxText+1)}
	got, err := Parse(m.Append(nil))
	if err != nil || len(got.Text) != MaxText {
		t.Errorf("%d bytes, %v", len(got.Text), err)
	}
}

// TestUnknownIsIgnored is what lets releases of different age talk.
func TestUnknownIsIgnored(t *testing.T) {
	m := full()
	b := m.Append(nil)
	b = append(b, 200, 3, 'n', 'e', 'w')
	b = appendNumber(b, 201, 1<<63)
	got, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(full(), got); diff != "" {
		t.Error(diff)
	}
}

// TestEncodingIsFixed pins the bytes: another release must read them.
func TestEncodingIsFixed(t *testing.T) {
	m := Message{Type: Bind, Key: "k", PID: 300, Ended: true, FDs: []int{0}}
	want := []byte{2, 2, 2, 0xac, 2, 3, 1, 'k', 7, 1, 1, 14, 1, 0}
	if got := m.Append(nil); !bytes.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestMalformed(t *testing.T) {
	cases := map[string][]byte{
		"nothing":            {},
		"tag alone":          {1, 3},
		"too long":           {1, 3, 2, 'k'},
		"huge length":        append([]byte{1, 3}, bytes.Repeat([]byte{0xff}, 9)...),
		"length overflow":    append([]byte{1, 3}, bytes.Repeat([]byte{0xff}, 11)...),
		"empty number":       {1, 2, 0},
		"number and more":    {1, 2, 2, 1, 1},
		"pid beyond 31 bits": {1, 2, 5, 0xff, 0xff, 0xff, 0xff, 0x0f},
		"raw beyond 32 bits": {1, 6, 5, 0xff, 0xff, 0xff, 0xff, 0x1f},
	}
	for name, b := range cases {
		if m, err := Parse(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}

func TestCheck(t *testing.T) {
	cases := map[string]struct {
		m    Message
		fds  int
		fine bool
	}{
		"largest":      {Message{Key: strings.Repeat("k", MaxKey), Note: make([]byte, MaxNote)}, MaxDescriptors, true},
		"long key":     {Message{Key: strings.Repeat("k", MaxKey+1)}, 0, false},
		"long note":    {Message{Note: make([]byte, MaxNote+1)}, 0, false},
		"descriptors":  {Message{}, MaxDescriptors + 1, false},
		"many letters": {Message{Roles: strings.Repeat("x", MaxDescriptors+1)}, 0, false},
	}
	for name, c := range cases {
		if err := c.m.Check(c.fds); (err == nil) != c.fine {
			t.Errorf("%s: %v", name, err)
		}
		if c.fds == 0 {
			if _, err := Parse(c.m.Append(nil)); err == nil {
				t.Errorf("%s is parsed", name)
			}
		}
	}
}

// FuzzMessage: whatever is parsed is written and parsed again as the same.
func FuzzMessage(f *testing.F) {
	m := full()
	f.Add(m.Append(nil))
	f.Add([]byte{1, 2, 2, 0xac, 2})
	f.Add([]byte{69, 9, 1, 15, 250, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		m.Text, m.Last, m.Path = cut(m.Text), cut(m.Last), cut(m.Path)
		if len(m.Note) == 0 {
			m.Note = nil
		}
		again, err := Parse(m.Append(nil))
		if err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
		if diff := cmp.Diff(m, again); diff != "" {
			t.Fatal(diff)
		}
	})
}
