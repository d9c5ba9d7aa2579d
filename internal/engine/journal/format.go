package journal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"sort"
)

const (
	version   = 1
	headSize  = 40
	frameSize = headSize + 4 // of a frame without key and value
	maxKey    = math.MaxUint16
	maxValue  = 64 << 20 // bytes; far beyond any record, and well below the largest file
	maxFile   = 1 << 30  // bytes; a larger file is not read
)

const (
	kindFirst = iota
	kindPut
	kindDelete
	kinds
)

// mark begins every frame, its last byte is the version.
const mark = "\xf5uJ\x01"

func castagnoli(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// identity is what all frames of one file have in common.
type identity struct {
	file  uint64
	stamp uint32
}

func identify(file uint64, stamp string) identity {
	return identity{file, castagnoli([]byte(stamp))}
}

// encode appends one frame to b.
func (id identity) encode(b []byte, kind byte, number uint64, key string, value []byte) []byte {
	at := len(b)
	b = append(b, mark...)
	b = append(b, kind, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(key)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(value)))
	b = binary.LittleEndian.AppendUint64(b, number)
	b = binary.LittleEndian.AppendUint64(b, id.file)
	b = binary.LittleEndian.AppendUint32(b, id.stamp)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	b = append(b, key...)
	b = append(b, value...)
	head := b[at:]
	binary.LittleEndian.PutUint32(head[32:], castagnoli(head[headSize:headSize+len(key)]))
	binary.LittleEndian.PutUint32(head[36:], castagnoli(head[:36]))
	return binary.LittleEndian.AppendUint32(b, castagnoli(head))
}

// size is the length of a frame in bytes.
func size(key string, value []byte) int64 { return int64(frameSize + len(key) + len(value)) }

// frame is a decoded frame; key and value point into the text.
type frame struct {
	at, end int
	kind    byte
	number  uint64
	id      identity
	key     []byte
	value   []byte
}

// verdict is what is at a place of the text.
type verdict int

const (
	intact  verdict = iota
	broken          // no frame, or one that is damaged
	cut             // the beginning of a frame at the end of the text
	headGot         // broken, but the head and the key are right
)

// parse looks at b[at:].
func parse(b []byte, at int) (frame, verdict) {
	rest := b[at:]
	if len(rest) < headSize {
		if n := min(len(mark), len(rest)); string(rest[:n]) == mark[:n] {
			return frame{}, cut
		}
		return frame{}, broken
	}
	if string(rest[:len(mark)]) != mark || castagnoli(rest[:36]) != binary.LittleEndian.Uint32(rest[36:]) {
		return frame{}, broken
	}
	f := frame{
		at: at, kind: rest[4],
		number: binary.LittleEndian.Uint64(rest[12:]),
		id:     identity{binary.LittleEndian.Uint64(rest[20:]), binary.LittleEndian.Uint32(rest[28:])},
	}
	k, v := int(binary.LittleEndian.Uint16(rest[6:])), int64(binary.LittleEndian.Uint32(rest[8:]))
	total := frameSize + int64(k) + v
	result := headGot
	if int64(len(rest)) < total {
		result = cut
	}
	if len(rest) >= headSize+k {
		if key := rest[headSize : headSize+k]; castagnoli(key) == binary.LittleEndian.Uint32(rest[32:]) {
			f.key = key
		}
	}
	if result == cut {
		return f, cut
	}
	f.end = at + int(total)
	if castagnoli(rest[:total-4]) != binary.LittleEndian.Uint32(rest[total-4:]) {
		if f.key == nil {
			return f, broken
		}
		return f, headGot
	}
	f.key, f.value = rest[headSize:headSize+k], rest[headSize+k:total-4]
	return f, intact
}

// Damage is a part of a file that could not be read, and what is known about what was lost.
type Damage struct {
	Offset, Length int64 // in bytes; a length of 0 is a gap between two records
	// Records is how many records are missing for certain, by their numbers. At the end of the file, and
	// where the first record is lost, that is not known.
	Records int
	// Keys are those of which a value or a deletion is lost for certain, as far as that can be told: what
	// the store holds for them is older. Where there are fewer keys than records, any key may be meant.
	Keys []string
	// Tail says that this is the end of the file and looks like a write that was never finished, which
	// is normal after a crash.
	Tail   bool
	Reason string
}

// String says where and why.
func (d Damage) String() string {
	return fmt.Sprintf("%d bytes at %d: %s, %d records missing", d.Length, d.Offset, d.Reason, d.Records)
}

// found is what a text says.
type found struct {
	entries map[string][]byte
	id      identity
	stamp   string // of the first frame; only when first
	first   bool   // the first frame was intact
	frames  int    // that were accepted
	next    uint64 // number of the next frame
	newer   bool   // the file begins as one of a newer version
	damage  []Damage
}

// decode reads a whole file. It accepts the frames of one file, in the order of their numbers, and reports
// everything between them.
func decode(b []byte) found {
	r := found{entries: map[string][]byte{}}
	if len(b) >= len(mark) && string(b[:3]) == mark[:3] && b[3] > version {
		r.newer = true
	}
	all, heads := scan(b)
	r.id = chosen(all)
	end := 0
	for _, f := range chain(all, r.id) { // the others are reported as damage between their neighbours
		if f.at != end || f.number != r.next {
			r.lost(b, end, f.at, int(min(f.number-r.next, math.MaxInt32)), heads)
		}
		r.accept(f)
		end = f.end
	}
	if end < len(b) {
		r.tail(b, end, heads)
	}
	return r
}

// scan finds all intact frames, and the heads of broken ones.
func scan(b []byte) (all, heads []frame) {
	for at := 0; at < len(b); {
		f, v := parse(b, at)
		switch v {
		case intact:
			all = append(all, f)
			at = f.end
			continue
		case headGot, cut:
			heads = append(heads, f)
		}
		// Not behind the broken frame: its end may be another frame's middle.
		i := bytes.Index(b[at+1:], []byte(mark))
		if i < 0 {
			break
		}
		at += 1 + i
	}
	return all, heads
}

// chosen is the file that the frames belong to: that of the first frame where it can be read, else of the
// most frames.
func chosen(all []frame) identity {
	if len(all) > 0 && all[0].at == 0 && all[0].kind == kindFirst {
		return all[0].id
	}
	count := map[identity]int{}
	var best identity
	for _, f := range all {
		if count[f.id]++; count[f.id] > count[best] {
			best = f.id
		}
	}
	return best
}

// chain is the longest row of frames of one file in which the numbers rise. Frames that a disk wrote to a
// wrong place as well do not hide the right ones that way.
func chain(all []frame, id identity) []frame {
	var row []frame
	rising := true
	for _, f := range all {
		if f.id != id || f.kind >= kinds {
			continue
		}
		rising = rising && (len(row) == 0 || row[len(row)-1].number < f.number)
		row = append(row, f)
	}
	if rising {
		return row
	}
	before := make([]int, len(row)) // in the longest row that ends here, the one before
	var ends []int                  // by length, the row that ends with the lowest number
	for i, f := range row {
		n := sort.Search(len(ends), func(k int) bool { return row[ends[k]].number >= f.number })
		before[i] = -1
		if n > 0 {
			before[i] = ends[n-1]
		}
		if n == len(ends) {
			ends = append(ends, i)
		} else {
			ends[n] = i
		}
	}
	out := make([]frame, len(ends))
	for k, i := len(ends)-1, ends[len(ends)-1]; k >= 0; k, i = k-1, before[i] {
		out[k] = row[i]
	}
	return out
}

func (r *found) accept(f frame) {
	r.frames++
	r.next = f.number + 1
	switch f.kind {
	case kindFirst:
		if f.number == 0 {
			r.first, r.stamp = true, string(f.value)
		}
	case kindPut:
		r.entries[string(f.key)] = append(make([]byte, 0, len(f.value)), f.value...) // not nil when empty
	case kindDelete:
		delete(r.entries, string(f.key))
	}
}

// lost notes that nothing between two places could be used.
func (r *found) lost(b []byte, from, to, records int, heads []frame) {
	d := Damage{Offset: int64(from), Length: int64(to - from), Records: records, Reason: "unreadable"}
	switch {
	case from == to:
		d.Reason = "gone"
	case zero(b[from:to]):
		d.Reason = "zeros"
	}
	d.Keys = r.keys(from, to, heads)
	r.damage = append(r.damage, d)
}

// keys are those that heads between two places name.
func (r *found) keys(from, to int, heads []frame) []string {
	var keys []string
	for _, h := range heads {
		if h.at >= from && h.at < to && h.key != nil && h.id == r.id && h.number >= r.next && h.kind != kindFirst {
			keys = append(keys, string(h.key))
		}
	}
	return keys
}

// tail judges what is behind the last frame.
func (r *found) tail(b []byte, from int, heads []frame) {
	d := Damage{Offset: int64(from), Length: int64(len(b) - from), Reason: "unreadable", Keys: r.keys(from, len(b), heads)}
	f, v := parse(b, from)
	switch {
	case zero(b[from:]):
		d.Tail, d.Reason = true, "zeros"
	case v == cut && (f.id == identity{} || f.id == r.id || r.frames == 0):
		d.Tail, d.Reason = true, "a record that was cut short"
	}
	r.damage = append(r.damage, d)
}

// blank reports whether nothing is lost when the damaged parts are overwritten: they are unfinished
// writes.
func (r *found) blank() bool {
	for _, d := range r.damage {
		if !d.Tail {
			return false
		}
	}
	return true
}

func zero(b []byte) bool {
	for len(b) > 0 {
		n := min(len(b), 4096)
		if bytes.Count(b[:n], []byte{0}) != n {
			return false
		}
		b = b[n:]
	}
	return true
}
