// Package timeindex notes beside a log when its bytes came, and which run of its program wrote them. A log file holds
// nothing but what the program wrote, moved there inside the kernel; so the times are in a small file of
// their own, with which lines of several logs can be put in order, found by time, and told apart by runs.
//
// The index of the file NAME is .NAME.times in the same directory: hidden, so that nobody who looks at NAME*, NAME.* or
// *.log meets it, and where it can be renamed and deleted with its log under the same rights. It names the inode
// it belongs to: one that was separated from its log, by a crash between two renames or by a tool that renamed the
// log alone, is found by that or is not used at all, but never used for another file.
//
// A record is written before the bytes it speaks of. Whoever is killed between the two leaves a record without bytes, which
// the next one makes obsolete; bytes without a record get the time of the record before them. Nothing that
// happens to an index is an error for anybody: without one, times are coarse. It is no larger than half its log and 64 KiB.
package timeindex

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"time"
)

// Kind says what a record is about.
type Kind uint8

// The kinds.
const (
	Bytes   Kind = iota + 1 // bytes from the offset on came at this time
	Started                 // a run begins here
	Exited                  // the run has ended, with the exit status Value
	Killed                  // the run was ended by the signal Value
	Ended                   // the run has ended, nobody knows how
)

// Record is one entry. All offsets are in the log file that the index belongs to.
type Record struct {
	Kind   Kind
	Time   time.Time // wall clock
	Offset int64     // bytes in the file before it
	// Run is when the run began that writes here: what tells two runs of a program apart; zero = not known.
	Run time.Time
	// Value is the generation of the run for Bytes and Started, in its lower 32 bits, else as the kind says.
	Value uint32
}

const (
	recordSize = 32
	magic      = "upkeept1"
	// suffix and prefix make the name of an index.
	prefix, suffix = ".", ".times"
)

// Name is the name of the index of a log file in the same directory.
func Name(log string) string { return prefix + log + suffix }

// header is the first entry of an index.
type header struct {
	ino uint64 // of the log file
	// base is how many bytes of the log were in files before this one, or in this one before it was emptied; unknown = math.MaxInt64.
	base int64
}

// unknownBase: nobody knows how much came before.
const unknownBase = math.MaxInt64

func (h header) encode() []byte {
	b := make([]byte, recordSize)
	copy(b, magic)
	binary.LittleEndian.PutUint64(b[8:], h.ino)
	binary.LittleEndian.PutUint64(b[16:], uint64(h.base))
	seal(b)
	return b
}

func decodeHeader(b []byte) (header, bool) {
	if len(b) < recordSize || string(b[:8]) != magic || !sealed(b) {
		return header{}, false
	}
	h := header{ino: binary.LittleEndian.Uint64(b[8:]), base: int64(binary.LittleEndian.Uint64(b[16:]))}
	return h, h.base >= 0
}

// encode writes the record into the first recordSize bytes of b.
func (r *Record) encode(b []byte) {
	binary.LittleEndian.PutUint64(b, uint64(nanos(r.Time)))
	binary.LittleEndian.PutUint64(b[8:], uint64(r.Offset)|uint64(r.Kind)<<56)
	binary.LittleEndian.PutUint64(b[16:], uint64(nanos(r.Run)))
	binary.LittleEndian.PutUint32(b[24:], r.Value)
	seal(b)
}

// decode is the reverse; false for what is none: torn, of another version, damaged.
func decode(b []byte) (r Record, ok bool) {
	if len(b) < recordSize || !sealed(b) {
		return r, false
	}
	at := binary.LittleEndian.Uint64(b[8:])
	r = Record{
		Kind: Kind(at >> 56), Offset: int64(at & (1<<56 - 1)), Value: binary.LittleEndian.Uint32(b[24:]),
		Time: moment(int64(binary.LittleEndian.Uint64(b))), Run: moment(int64(binary.LittleEndian.Uint64(b[16:]))),
	}
	return r, r.Kind >= Bytes && r.Kind <= Ended
}

func seal(b []byte) {
	binary.LittleEndian.PutUint32(b[28:], crc32.ChecksumIEEE(b[:28]))
}

// sealed: an empty record has no checksum either, but the sum of zeros is not zero.
func sealed(b []byte) bool {
	return binary.LittleEndian.Uint32(b[28:]) == crc32.ChecksumIEEE(b[:28])
}

// nanos and moment turn times into numbers and back; 0 is the zero time.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func moment(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns)
}
