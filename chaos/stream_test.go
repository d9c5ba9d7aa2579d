//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// writtenRecords is a stream of n records for each of the slots, cut into records.
func writtenRecords(name string, counts ...int) (records [][]byte, slots []extent) {
	r := newRecorder(name)
	for slot, n := range counts {
		var size int64
		for num := range n {
			rec := r.append(nil, uint64(slot), uint64(num))
			records = append(records, rec)
			size += int64(len(rec))
		}
		slots = append(slots, extent{size, size})
	}
	return records, slots
}

func join(records [][]byte) []byte {
	var out []byte
	for _, r := range records {
		out = append(out, r...)
	}
	return out
}

// check feeds data in pieces of random size and returns the bytes named by kind.
func check(t *testing.T, name string, data []byte, slots []extent, seed uint64) (map[string]int64, *stream) {
	t.Helper()
	found := map[string]int64{}
	s := newStream(name, func(v violation) { found[v.Kind] += v.Count; t.Logf("%s: %d: %s", v.Kind, v.Count, v.Text) })
	rng := rand.New(rand.NewPCG(seed, 1))
	for len(data) > 0 {
		n := min(len(data), 1+rng.IntN(9000))
		s.feed(data[:n])
		data = data[n:]
	}
	s.finish(slots)
	return found, s
}

func TestStreamClean(t *testing.T) {
	for seed := range uint64(5) {
		records, slots := writtenRecords("t001", 300, 0, 1, 0, 700, 64)
		data := join(records)
		found, s := check(t, "t001", data, slots, seed)
		if len(found) != 0 || s.bytes != int64(len(data)) {
			t.Errorf("seed %d: %v; %d of %d bytes", seed, found, s.bytes, len(data))
		}
	}
}

// TestStreamKilledInstance: the last write of a killed instance may have got anywhere.
func TestStreamKilledInstance(t *testing.T) {
	records, slots := writtenRecords("t", 50, 20)
	size := slots[0].begun
	last := int64(len(records[49]) + len(records[48]))
	slots[0].done = size - last
	for cut := int64(0); cut <= last; cut += 7 {
		data := append(append([]byte(nil), join(records[:50])[:size-cut]...), join(records[50:])...)
		if found, _ := check(t, "t", data, slots, 3); len(found) != 0 {
			t.Fatalf("%d bytes of the last write missing: %v", cut, found)
		}
		if found, _ := check(t, "t", data[:size-cut], slots[:1], 3); len(found) != 0 {
			t.Fatalf("nothing after it: %v", found)
		}
	}
	data := append(append([]byte(nil), join(records[:50])[:size-last-1]...), join(records[50:])...)
	if found, _ := check(t, "t", data, slots, 3); found[vLost] != 1 {
		t.Errorf("one byte of a finished write is missing: %v", found)
	}
}

// TestStreamTorn: an instance that ends in an outage may leave a torn record behind another that did.
func TestStreamTorn(t *testing.T) {
	records, slots := writtenRecords("torn", 3, 2, 2)
	for cut := len("@torn/1"); cut < len(records[3]); cut += 5 { // shorter ones may be of either
		data := append(join(records[:2]), records[3][:cut]...)
		data = append(data, join(records[5:])...)
		excused := append([]extent(nil), slots...)
		excused[0].done, excused[1].done = 0, 0
		if found, _ := check(t, "torn", data, excused, 3); len(found) != 0 {
			t.Fatalf("cut at %d: %v", cut, found)
		}
		want := int64(len(records[2]))
		excused[0].done = slots[0].done
		if found, _ := check(t, "torn", data, excused, 3); len(found) != 1 || found[vLost] != want {
			t.Fatalf("cut at %d, the first is not excused: %v, want %d lost", cut, found, want)
		}
	}
}

// TestStreamPlanted: every kind of damage is found, and counted.
func TestStreamPlanted(t *testing.T) {
	records, slots := writtenRecords("x9", 100, 100)
	size := func(i int) int64 { return int64(len(records[i])) }
	clone := func() [][]byte { return append([][]byte(nil), records...) }
	insert := func(i int, b []byte) [][]byte {
		out := append(clone()[:i:i], b)
		return append(out, records[i:]...)
	}
	swapped := clone()
	swapped[10], swapped[11] = swapped[11], swapped[10]
	dropped := append(clone()[:20:20], records[21:]...)
	first := append(clone()[:100:100], records[101:]...)
	missing := append(clone()[:90:90], records[100:]...)
	shortened := clone()
	shortened[30] = records[30][:len(records[30])-9]
	var tail int64
	for i := 90; i < 100; i++ {
		tail += size(i)
	}
	doubledByte := clone()
	doubledByte[40] = append(append([]byte(nil), records[40][:15]...), records[40][14:]...)
	changed := clone()
	changed[41] = append([]byte(nil), records[41]...)
	changed[41][20] ^= 1
	gap := []byte("[upkeep: 512 bytes lost: No space left on device]\n")
	for _, c := range []struct {
		name string
		data [][]byte
		want map[string]int64
	}{
		{"a record twice", insert(50, records[49]), map[string]int64{vDoubled: size(49)}},
		{"an old record again", insert(150, records[3]), map[string]int64{vDoubled: size(3)}},
		{"two swapped", swapped, map[string]int64{vLost: size(10), vReordered: size(10)}},
		{"one lost", dropped, map[string]int64{vLost: size(20)}},
		{"the first of an instance lost", first, map[string]int64{vLost: size(100)}},
		{"the end of an instance lost", missing, map[string]int64{vLost: tail}},
		{"the end of a record lost", shortened, map[string]int64{vLost: 9}},
		{"a gap record", insert(60, gap), map[string]int64{vGap: int64(len(gap))}},
		{"foreign bytes", insert(60, []byte("hello@x9/")), map[string]int64{vForeign: 9}},
		{"everything lost", nil, map[string]int64{vLost: slots[0].done + slots[1].done}},
		{"a third instance", append(clone(), newRecorder("x9").append(nil, 2, 0)), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, _ := check(t, "x9", join(c.data), slots, 1)
			if c.want == nil {
				if found[vForeign] == 0 {
					t.Errorf("nothing found: %v", found)
				}
				return
			}
			if fmt.Sprint(found) != fmt.Sprint(c.want) {
				t.Errorf("found %v, planted %v", found, c.want)
			}
		})
	}
	for name, data := range map[string][][]byte{"a byte twice": doubledByte, "a byte changed": changed} {
		if found, _ := check(t, "x9", join(data), slots, 1); len(found) == 0 {
			t.Errorf("%s: nothing found", name)
		}
	}
}

// TestStreamEveryCut removes, doubles or changes one byte anywhere: it must be found.
func TestStreamEveryCut(t *testing.T) {
	records, slots := writtenRecords("q", 12, 9)
	data := join(records)
	for i := 0; i < len(data); i++ {
		for kind, damaged := range map[string][]byte{
			"removed": append(append([]byte(nil), data[:i]...), data[i+1:]...),
			"doubled": append(append([]byte(nil), data[:i+1]...), data[i:]...),
		} {
			n := 0
			s := newStream("q", func(violation) { n++ })
			s.feed(damaged)
			s.finish(slots)
			if n == 0 {
				t.Fatalf("byte %d %s: nothing found", i, kind)
			}
		}
	}
}
