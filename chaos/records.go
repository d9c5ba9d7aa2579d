//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"strconv"
)

// The output of a ledger child is a function of (stream, slot, number): nobody needs a second copy of it to
// check it. A record is
//
//	@STREAM/SLOT/NUMBER:LENGTH:PAYLOAD\n
//
// where the stream is the program's name, with ".e" for standard error, and the slot counts the program's
// instances from 0. Payloads of every 32nd record take all 256 byte values.
const (
	maxPayload = 2048
	maxRecord  = maxPayload + 128
)

// recorder makes the records of one stream.
type recorder struct {
	name string
	base uint64
}

func newRecorder(stream string) recorder {
	h := fnv.New64a()
	h.Write([]byte(stream))
	return recorder{stream, h.Sum64()}
}

// append adds the record (slot, num) to dst.
func (r recorder) append(dst []byte, slot, num uint64) []byte {
	seed := mix(r.base ^ slot*0x9e3779b97f4a7c15 ^ mix(num))
	size := payloadSize(seed)
	dst = append(dst, '@')
	dst = append(dst, r.name...)
	dst = append(dst, '/')
	dst = strconv.AppendUint(dst, slot, 10)
	dst = append(dst, '/')
	dst = strconv.AppendUint(dst, num, 10)
	dst = append(dst, ':')
	dst = strconv.AppendUint(dst, uint64(size), 10)
	dst = append(dst, ':')
	raw := num%32 == 31
	for n := 0; n < size; n += 8 {
		seed += 0x9e3779b97f4a7c15
		w := mix(seed)
		if !raw {
			w = w&0x3f3f3f3f3f3f3f3f | 0x4040404040404040
		}
		dst = binary.LittleEndian.AppendUint64(dst, w)
	}
	return append(dst, '\n')
}

// payloadSize is a multiple of 8: mostly short lines, sometimes a long one.
func payloadSize(seed uint64) int {
	if seed%61 == 0 {
		return maxPayload
	}
	return 24 + int(seed>>32%22)*8
}

// mix is a bijection that spreads every bit (the finalizer of splitmix64).
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// place is the name of a record within a stream.
type place struct{ slot, num uint64 }

func (p place) before(q place) bool { return p.slot < q.slot || p.slot == q.slot && p.num < q.num }

// parse reads the head of a record at the begin of b. short = b may be the begin of a head.
func (r recorder) parse(b []byte) (p place, ok, short bool) {
	head := "@" + r.name + "/"
	if len(b) < len(head) {
		return p, false, bytes.HasPrefix([]byte(head), b)
	}
	if string(b[:len(head)]) != head {
		return p, false, false
	}
	rest := b[len(head):]
	for _, f := range []struct {
		to  *uint64
		end byte
	}{{&p.slot, '/'}, {&p.num, ':'}} {
		n := 0
		for n < len(rest) && n < 20 && rest[n] >= '0' && rest[n] <= '9' {
			*f.to = *f.to*10 + uint64(rest[n]-'0')
			n++
		}
		switch {
		case n == len(rest):
			return p, false, true
		case n == 0 || rest[n] != f.end:
			return p, false, false
		}
		rest = rest[n+1:]
	}
	return p, true, false
}
