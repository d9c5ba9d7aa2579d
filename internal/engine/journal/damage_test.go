package journal

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sectors is how many random corruptions TestCorruption tries; a release run has a million.
var sectors = flag.Int("sectors", 5000, "number of random corruptions")

// sample is a file as a store writes it: changes, deletions, values from empty to larger than a sector.
func sample(t testing.TB, records int) (text []byte, frames []frame) {
	t.Helper()
	m := newMem()
	o := options(m)
	o.CompactAt = 1 << 30
	o.Stamp = "era"
	s := open(t, o)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range records {
		key := fmt.Sprint("p/group:", r.IntN(records/3))
		value := make([]byte, r.IntN(60))
		if r.IntN(12) == 0 {
			value = make([]byte, 500+r.IntN(900))
		}
		for k := range value {
			value[k] = byte(r.Uint32())
		}
		if r.IntN(5) == 0 {
			value = nil
		}
		s.Put(key, value)
		if i%7 == 0 {
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	text = m.names[memDir+"/wishes"].data
	frames, _ = scan(text)
	if len(frames) < records/2 || frames[len(frames)-1].end != len(text) {
		t.Fatalf("the sample has %d frames of %d bytes", len(frames), len(text))
	}
	return text, frames
}

// replay is what frames say.
func replay(frames []frame) map[string][]byte {
	m := map[string][]byte{}
	for _, f := range frames {
		switch f.kind {
		case kindPut:
			m[string(f.key)] = append([]byte{}, f.value...)
		case kindDelete:
			delete(m, string(f.key))
		}
	}
	return m
}

// diff is cmp.Diff, which is slow, for contents that are nearly always equal.
func diff(want, got map[string][]byte) string {
	if maps.EqualFunc(want, got, bytes.Equal) {
		return ""
	}
	return cmp.Diff(want, got)
}

// TestTruncation cuts a file at every byte: what is before the cut is there, nothing is refused, and
// nothing is set aside, since half a record at the end is what a crash leaves.
func TestTruncation(t *testing.T) {
	text, frames := sample(t, 75)
	before := make([]map[string][]byte, len(frames)+1)
	for k := range before {
		before[k] = replay(frames[:k])
	}
	check := func(n int, o Options) *Store {
		o.Stamp = "era"
		s := open(t, o)
		r := s.Recovered()
		k := 0
		for k < len(frames) && frames[k].end <= n {
			k++
		}
		if d := diff(before[k], r.Entries); d != "" {
			t.Fatalf("cut at %d (-before the cut +found):\n%s", n, d)
		}
		whole := n == 0 || k > 0 && frames[k-1].end == n
		if whole != (len(r.Damage) == 0) || !whole && !r.Damage[0].Tail {
			t.Fatalf("cut at %d: damage %v", n, r.Damage)
		}
		if r.Volatile != nil || !r.Same || len(r.Aside) > 0 {
			t.Fatalf("cut at %d: %+v", n, r)
		}
		return s
	}
	dir := t.TempDir()
	for n := range len(text) + 1 {
		for _, runtime := range []bool{false, true} {
			m := holding("wishes", text[:n])
			o := options(m)
			o.Runtime = runtime
			s := check(n, o)
			if n%11 == 0 || *long {
				continued(t, s, m.killed, o)
			}
			_ = s.Close()
			if list := m.damaged(); len(list) > 0 {
				t.Fatalf("cut at %d: set aside %v", n, list)
			}
		}
		if n%13 == 0 || *long { // and on a real disk
			if err := os.WriteFile(filepath.Join(dir, "wishes"), text[:n], 0o600); err != nil {
				t.Fatal(err)
			}
			_ = check(n, Options{Dir: dir, Name: "wishes", Runtime: true}).Close()
		}
	}
}

// continued writes one more record and looks whether the next process has all.
func continued(t *testing.T, s *Store, disk func() *memFS, o Options) {
	t.Helper()
	want := s.Snapshot()
	want["another"] = []byte("record")
	s.Put("another", []byte("record"))
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	o.FS, o.Stamp = disk(), "era"
	again := open(t, o)
	if d := diff(want, again.Recovered().Entries); d != "" {
		t.Fatalf("continued (-want +got):\n%s", d)
	}
	if d := again.Recovered().Damage; len(d) > 0 {
		t.Fatalf("continued on a file with damage: %v", d)
	}
	_ = again.Close()
}

// corrupt overwrites part of one sector in some way.
func corrupt(r *rand.Rand, text []byte) (out []byte, from, to int) {
	out = bytes.Clone(text)
	size := []int{512, 512, 512, 64, 8, 1}[r.IntN(6)]
	from = r.IntN(len(text)/size+1) * size
	to = min(from+size, len(text))
	part := out[from:to]
	switch r.IntN(5) {
	case 0:
		for i := range part {
			part[i] = byte(r.Uint32())
		}
	case 1:
		clear(part)
	case 2:
		for i := range part {
			part[i] = 0xff
		}
	case 3: // one bit
		if len(part) > 0 {
			part[r.IntN(len(part))] ^= 1 << r.IntN(8)
		}
	case 4: // what belongs elsewhere
		copy(part, text[r.IntN(len(text)):])
	}
	return out, from, to
}

// TestCorruption overwrites one sector at random: every record that it does not touch is there, what it
// touches is reported, and the file is kept. Source: spec/reliability R21.
func TestCorruption(t *testing.T) {
	text, frames := sample(t, 300)
	const seed = 20261121
	r := rand.New(rand.NewPCG(seed, 1))
	tried := 0
	for i := range *sectors {
		bad, from, to := corrupt(r, text)
		if bytes.Equal(bad, text) {
			continue
		}
		tried++
		var rest []frame
		for _, f := range frames {
			near := bad[max(0, f.at-512):min(len(bad), f.end+512)] // it may have been copied by the damage
			if bytes.Equal(bad[f.at:f.end], text[f.at:f.end]) || f.at < to && bytes.Contains(near, text[f.at:f.end]) {
				rest = append(rest, f)
			}
		}
		want := replay(rest)
		got := decode(bad)
		if d := diff(want, got.entries); d != "" {
			t.Fatalf("seed %d, %d: bytes %d to %d (-outside the damage +found):\n%s", seed, i, from, to, d)
		}
		judgeDamage(t, got, frames, rest)
		if i%50 != 0 {
			continue
		}
		m := holding("wishes", bad)
		o := options(m)
		o.Stamp = "era"
		s := open(t, o)
		rec := s.Recovered()
		if d := diff(want, rec.Entries); d != "" || !rec.Same || rec.Stamp != "era" || rec.Volatile != nil {
			t.Fatalf("%d: %+v\n%s", i, rec, d)
		}
		kept := m.damaged()
		if got.blank() != (len(kept) == 0) || len(kept) > 0 && !bytes.Equal(m.names[memDir+"/"+kept[0]].data, bad) {
			t.Fatalf("%d: set aside %v, damage %v", i, kept, rec.Damage)
		}
		continued(t, s, m.killed, o)
		_ = s.Close()
	}
	t.Logf("%d corruptions, no record lost outside of them", tried)
}

// judgeDamage compares what is reported as missing with what is missing.
func judgeDamage(t *testing.T, got found, all, rest []frame) {
	t.Helper()
	if len(got.damage) == 0 {
		t.Fatal("no damage reported")
	}
	missing, tail := 0, false
	for _, d := range got.damage {
		missing += d.Records
		tail = tail || d.Offset+d.Length == int64(all[len(all)-1].end)
	}
	lost := len(all) - len(rest)
	if tail { // how many are missing at the end is not known
		if missing > lost {
			t.Fatalf("%d missing, reported %d: %v", lost, missing, got.damage)
		}
		return
	}
	if missing != lost {
		t.Fatalf("%d missing, reported %d: %v", lost, missing, got.damage)
	}
}

// TestUnreadableSectors: a sector that gives an error costs the records in it, and the file is kept.
func TestUnreadableSectors(t *testing.T) {
	text, frames := sample(t, 200)
	for n := range (len(text) + 511) / 512 {
		m := holding("wishes", text)
		m.names[memDir+"/wishes"].bad = []int{n}
		var rest []frame
		for _, f := range frames {
			if f.end <= n*512 || f.at >= (n+1)*512 {
				rest = append(rest, f)
			}
		}
		o := options(m)
		o.Stamp = "era"
		s := open(t, o)
		r := s.Recovered()
		if d := diff(replay(rest), r.Entries); d != "" || !r.Same || len(r.Damage) == 0 || len(r.Aside) != 1 {
			t.Fatalf("sector %d: %+v\n%s", n, r, d)
		}
		_ = s.Close()
	}
}

// TestDamageNamesKeys: when the head of a record is whole, the report says whose value is lost.
func TestDamageNamesKeys(t *testing.T) {
	id := identify(7, "")
	b := id.encode(nil, kindFirst, 0, "", nil)
	b = id.encode(b, kindPut, 1, "k", []byte("old"))
	b = id.encode(b, kindPut, 2, "k", []byte("new"))
	at := len(b)
	b = id.encode(b, kindPut, 3, "other", []byte("x"))
	b[at-5] ^= 1 // in the value
	got := decode(b)
	if string(got.entries["k"]) != "old" || string(got.entries["other"]) != "x" {
		t.Errorf("entries %q", got.entries)
	}
	want := []Damage{{Offset: int64(at - 48), Length: 48, Records: 1, Keys: []string{"k"}, Reason: "unreadable"}}
	if d := cmp.Diff(want, got.damage); d != "" {
		t.Errorf("damage (-want +got):\n%s", d)
	}
	if text := got.damage[0].String(); !strings.Contains(text, "48 bytes at 92: unreadable, 1 records missing") {
		t.Error(text)
	}
}

// TestFramesInsideValues: a value that is a journal itself speaks for nobody, damaged or not.
func TestFramesInsideValues(t *testing.T) {
	inner := identify(1, "")
	var fake []byte
	for n := range 50 {
		fake = inner.encode(fake, kindPut, uint64(n), fmt.Sprint("fake", n), []byte("x"))
	}
	outer := identify(2, "")
	b := outer.encode(nil, kindFirst, 0, "", nil)
	at := len(b)
	b = outer.encode(b, kindPut, 1, "real", fake)
	b = outer.encode(b, kindPut, 2, "last", []byte("y"))
	if got := decode(b); len(got.entries) != 2 || len(got.damage) != 0 {
		t.Errorf("%q, %v", got.entries, got.damage)
	}
	b[at] ^= 1
	got := decode(b)
	if d := diff(map[string][]byte{"last": []byte("y")}, got.entries); d != "" {
		t.Errorf("damaged (-want +got):\n%s", d)
	}
	if len(got.damage) != 1 || got.damage[0].Records != 1 {
		t.Errorf("damage %v", got.damage)
	}
}

// TestChain: frames that appear at a wrong place as well do not hide the right ones.
func TestChain(t *testing.T) {
	for _, c := range []struct{ numbers, want []uint64 }{
		{nil, nil},
		{[]uint64{0, 1, 2}, []uint64{0, 1, 2}},
		{[]uint64{0, 5, 2, 3, 4, 5, 6}, []uint64{0, 2, 3, 4, 5, 6}},
		{[]uint64{0, 1, 2, 3, 1, 5, 6}, []uint64{0, 1, 2, 3, 5, 6}},
		{[]uint64{9, 0, 1}, []uint64{0, 1}},
		{[]uint64{4, 4, 4}, []uint64{4}},
	} {
		var all []frame
		for _, n := range c.numbers {
			all = append(all, frame{number: n, kind: kindPut})
		}
		all = append(all, frame{number: 100, kind: kinds}, frame{number: 101, id: identity{file: 1}})
		var got []uint64
		for _, f := range chain(all, identity{}) {
			got = append(got, f.number)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%d: %d, want %d", c.numbers, got, c.want)
		}
	}
}

// blocks is a file of frames of 512 bytes each.
func blocks(n int) []byte {
	id := identify(9, "")
	b := id.encode(nil, kindFirst, 0, "", make([]byte, 512-frameSize))
	for i := 1; i < n; i++ {
		b = id.encode(b, kindPut, uint64(i), fmt.Sprintf("k%02d", i), make([]byte, 512-frameSize-3))
	}
	return b
}

// TestMisplacedSector: a sector that was written over another one costs that one alone.
func TestMisplacedSector(t *testing.T) {
	for from := range 30 {
		for to := 1; to < 30; to++ {
			b := blocks(30)
			copy(b[to*512:], b[from*512:(from+1)*512])
			got := decode(b)
			for i := 1; i < 30; i++ {
				if _, there := got.entries[fmt.Sprintf("k%02d", i)]; there != (i != to || from == to) {
					t.Fatalf("%d written over %d: record %d there: %v", from, to, i, there)
				}
			}
			if (len(got.damage) == 0) != (from == to) {
				t.Fatalf("%d written over %d: %v", from, to, got.damage)
			}
		}
	}
}

// TestUnreadableEnd: a last sector that cannot be read is no unfinished write.
func TestUnreadableEnd(t *testing.T) {
	m := holding("wishes", blocks(5))
	m.names[memDir+"/wishes"].bad = []int{4}
	o := options(m)
	o.Stamp = string(make([]byte, 512-frameSize))
	s := open(t, o)
	if r := s.Recovered(); len(r.Entries) != 3 || len(r.Damage) == 0 || len(r.Aside) != 1 {
		t.Errorf("%d entries, %v, %v", len(r.Entries), r.Damage, r.Aside)
	}
	_ = s.Close()
}

// FuzzRecover opens anything. It must not be refused, must keep what it cannot read, and must go on.
func FuzzRecover(f *testing.F) {
	text, _ := sample(f, 20)
	f.Add([]byte{}, true)
	f.Add(text, true)
	f.Add(text[:len(text)-3], false)
	f.Add(append(bytes.Clone(text[:100]), text[200:]...), true)
	f.Add(append(bytes.Clone(text), text...), false)
	f.Add([]byte("\xf5uJ\x02 of another time"), true)
	f.Add([]byte("[program:x]\ncommand=y\n"), false)
	f.Add(make([]byte, 1000), true)
	f.Fuzz(func(t *testing.T, text []byte, runtime bool) {
		m := holding("wishes", text)
		o := options(m)
		o.Stamp, o.Runtime = "era", runtime
		s := open(t, o)
		r := s.Recovered()
		if r.Volatile != nil {
			t.Fatal(r.Volatile)
		}
		if r.Same {
			if d := diff(r.Entries, s.Snapshot()); d != "" {
				t.Fatal(d)
			}
		}
		before := s.Snapshot()
		s.Put("\x00z", []byte("1"))
		if err := s.sync(); err != nil {
			t.Fatal(err)
		}
		before["\x00z"] = []byte("1")
		lost := false
		for _, d := range r.Damage {
			lost = lost || !d.Tail
		}
		if kept := m.damaged(); lost != (len(kept) > 0) {
			t.Fatalf("kept %v of a file with %v", kept, r.Damage)
		}
		m.crashes(func(m *memFS, how string, _ bool) {
			o.FS = m
			again := open(t, o)
			if d := diff(before, again.Recovered().Entries); d != "" {
				t.Fatalf("%s:\n%s", how, d)
			}
			_ = again.Close()
		})
		_ = s.Close()
	})
}
