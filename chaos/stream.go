//go:build linux

package main

import (
	"bytes"
	"fmt"
)

// Kinds of violations. The tables show them in this order.
const (
	vLost      = "log bytes lost"
	vDoubled   = "log bytes doubled"
	vReordered = "log bytes reordered"
	vForeign   = "log bytes foreign"
	vGap       = "gap records"
	vTwo       = "two instances at once"
	vDied      = "instances lost"
	vRestarted = "instances restarted"
	vMissing   = "programs not running"
	vStopped   = "alive after an acknowledged stop"
	vStarted   = "acknowledged start forgotten"
	vAnswer    = "wrong answers"
	vExitLost  = "exits not reported"
	vExitTwice = "exits reported twice"
	vExitMade  = "exits invented or wrong"
	vExitDim   = "exit status unknown"
	vZombie    = "zombies"
	vBack      = "daemon not back"
	vUpgrade   = "upgrades failed"
)

func violationKinds() []string {
	return []string{
		vLost, vDoubled, vReordered, vForeign, vGap, vTwo, vDied, vRestarted, vMissing, vStopped, vStarted,
		vAnswer, vExitLost, vExitTwice, vExitMade, vExitDim, vZombie, vBack, vUpgrade,
	}
}

// violation is one broken promise. Count is the number of bytes for the kinds of logs, else 1.
type violation struct {
	Kind  string
	Count int64
	Text  string
}

// gapMark is how a gap record of the product begins.
const gapMark = "[upkeep: "

// stream checks the bytes of one log as they come. It follows the records in order: whatever does not
// continue the expected record is named and skipped up to the next whole record. How far each instance must
// have come is known from its ledger and compared at the end.
type stream struct {
	rec    recorder
	report func(violation)

	buf     []byte
	want    []byte // scratch: the expected record
	at      place  // the next record
	offset  int64  // bytes of the slot before it, as written by the instance
	ends    map[uint64]int64
	skipped map[place]int64 // records that were passed over, by their size
	bytes   int64           // checked and good
}

func newStream(name string, report func(violation)) *stream {
	return &stream{rec: newRecorder(name), report: report, ends: map[uint64]int64{}, skipped: map[place]int64{}}
}

// feed takes the next bytes of the log.
func (s *stream) feed(b []byte) {
	s.buf = append(s.buf, b...)
	s.run(false)
}

// run checks as much as can be decided; final = no more bytes will come.
func (s *stream) run(final bool) {
	used := 0
	for used < len(s.buf) {
		n := s.next(s.buf[used:], final)
		if n == 0 {
			break
		}
		used += n
	}
	s.buf = append(s.buf[:0], s.buf[used:]...)
}

// next checks the begin of b and returns how much of it is settled; 0 = more is needed to tell.
func (s *stream) next(b []byte, final bool) int {
	s.want = s.rec.append(s.want[:0], s.at.slot, s.at.num)
	if len(b) >= len(s.want) && bytes.Equal(b[:len(s.want)], s.want) {
		s.good(int64(len(s.want)))
		return len(s.want)
	}
	same := common(b, s.want)
	if same == len(b) {
		if final {
			s.part(same)
			return same
		}
		return 0
	}
	if !final && len(b) < 3*maxRecord {
		return 0
	}
	// Not what was expected. Either another whole record begins here, or after some bytes that are none.
	for from := 0; from < len(b); {
		i := bytes.IndexByte(b[from:], '@')
		if i < 0 {
			break
		}
		from += i
		if p, ok := s.whole(b[from:], final); ok {
			s.jump(b[:from], same, p)
			if from > 0 {
				return from
			}
			n := len(s.rec.append(nil, p.slot, p.num))
			s.record(p, int64(n))
			return n
		}
		from++
	}
	if final {
		s.foreign(b, same)
		return len(b)
	}
	// Keep enough for a record that begins in what is here.
	settled := len(b) - maxRecord
	s.foreign(b[:settled], same)
	return settled
}

// whole reports whether a complete record stands at the begin of b; at the very end a part of one will do.
func (s *stream) whole(b []byte, final bool) (place, bool) {
	p, ok, _ := s.rec.parse(b)
	if !ok {
		return p, false
	}
	full := s.rec.append(nil, p.slot, p.num)
	n := common(b, full)
	return p, n == len(full) || final && n == len(b)
}

// jump settles the bytes before a record at p that is not the expected one: the begin of the expected one,
// when its writer was killed inside it, or something foreign.
func (s *stream) jump(before []byte, same int, p place) {
	switch {
	case len(before) == 0:
	case same == len(before) && p.slot > s.at.slot:
		s.part(same)
	case same == len(before):
		// The writer went on: the rest of its record is missing.
		s.bytes += int64(same)
		s.lost(int64(len(s.want)-same), fmt.Sprintf("the end of record %s", s.text(s.at)))
		s.offset += int64(len(s.want))
		s.at.num++
	case s.torn(before, p):
	default:
		s.foreign(before, same)
	}
}

// torn takes the begin of the first record of an instance between the expected one and that of p, of which no more
// came, as no more came of the expected one. What is missing of both is judged by finish.
func (s *stream) torn(b []byte, p place) bool {
	for slot := s.at.slot + 1; slot < p.slot; slot++ {
		if common(b, s.rec.append(nil, slot, 0)) == len(b) {
			s.advance(place{slot, 0})
			s.part(len(b))
			return true
		}
	}
	return false
}

// record takes a record other than the expected one.
func (s *stream) record(p place, size int64) {
	switch {
	case p == s.at:
		s.good(size)
	case p.before(s.at):
		if missing, ok := s.skipped[p]; ok {
			delete(s.skipped, p)
			s.say(vReordered, missing, fmt.Sprintf("record %s after %s", s.text(p), s.text(s.at)))
			s.bytes += size
			return
		}
		s.say(vDoubled, size, fmt.Sprintf("record %s again, before %s", s.text(p), s.text(s.at)))
	default:
		s.advance(p)
		s.good(size)
	}
}

// advance moves the expectation forward to p; what is passed over inside p's slot is lost, unless it comes
// later. What is missing at the end of earlier slots is judged by finish.
func (s *stream) advance(p place) {
	if p.slot > s.at.slot {
		s.ends[s.at.slot] = s.offset
		s.at, s.offset = place{p.slot, 0}, 0
	}
	first, gone := s.at, int64(0)
	for s.at.num < p.num {
		n := int64(len(s.rec.append(nil, s.at.slot, s.at.num)))
		if len(s.skipped) < 1<<16 {
			s.skipped[s.at] = n
		}
		gone += n
		s.offset += n
		s.at.num++
	}
	if gone > 0 {
		s.lost(gone, fmt.Sprintf("records %s to %s", s.text(first), s.text(place{p.slot, p.num - 1})))
	}
}

func (s *stream) good(size int64) {
	s.bytes += size
	s.offset += size
	s.at.num++
}

// part takes the begin of a record whose writer went no further.
func (s *stream) part(n int) {
	s.bytes += int64(n)
	s.ends[s.at.slot] = s.offset + int64(n)
	s.at, s.offset = place{s.at.slot + 1, 0}, 0
}

func (s *stream) lost(n int64, what string) { s.say(vLost, n, what) }

func (s *stream) foreign(b []byte, same int) {
	kind := vForeign
	if bytes.Contains(b, []byte(gapMark)) {
		kind = vGap
	}
	s.say(kind, int64(len(b)), fmt.Sprintf("at record %s (%d bytes of it are there): %.100q", s.text(s.at), same, b))
}

func (s *stream) say(kind string, n int64, text string) {
	s.report(violation{kind, n, s.rec.name + ": " + text})
}

func (s *stream) text(p place) string { return fmt.Sprintf("%d/%d", p.slot, p.num) }

// extent is how much an instance wrote: done was taken by the pipe for certain, begun is what it was about
// to write.
type extent struct{ done, begun int64 }

// came is how much came of an instance so far.
func (s *stream) came(slot int) int64 {
	if uint64(slot) == s.at.slot {
		return s.offset + int64(len(s.buf))
	}
	return s.ends[uint64(slot)]
}

// finish compares what came of each instance with its ledger; slots are in order.
func (s *stream) finish(slots []extent) {
	s.run(true)
	s.ends[s.at.slot] = max(s.ends[s.at.slot], s.offset)
	for i, e := range slots {
		got := s.ends[uint64(i)]
		if got < e.done {
			s.lost(e.done-got, fmt.Sprintf("the end of instance %d, %d of %d bytes came", i, got, e.done))
		}
		if got > e.begun {
			s.say(vForeign, got-e.begun, fmt.Sprintf("instance %d wrote %d bytes only, %d came", i, e.begun, got))
		}
	}
	for slot, got := range s.ends {
		if slot >= uint64(len(slots)) && got > 0 {
			s.say(vForeign, got, fmt.Sprintf("there was no instance %d", slot))
		}
	}
}

// common is the length of the common begin.
func common(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
