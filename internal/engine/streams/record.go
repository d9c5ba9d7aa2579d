package streams

import (
	"encoding/binary"

	"github.com/upkeep-project/upkeep/internal/engine/logs"
)

// record is what a successor must know of a backlog besides its bytes: how far they have got. It is replaced as a
// whole. Positions are those of the stage.
type record struct {
	done, shown int64  // in the log, and given to the consumers up to here
	text        filter // of the log, there
	shownANSI   ansi   // what came last there
	dropping    bool   // the last gap goes on with what comes
	gaps        []gap  // in order, none before done
	intent      intent
}

// gap stands for bytes that were dropped at a position.
type gap struct {
	at   int64
	skip int64 // how many of them are still in the stage behind at
	lost int64 // all of them
	// errno is why; newline: the record begins a line of its own; sent: how much of it is in the log.
	errno   uint32
	newline bool
	sent    uint32
}

// intent is a write that may be under way: the next n bytes of text for the log, at a place.
type intent struct {
	at logs.Place
	n  uint32
}

const (
	// maxGaps is how many gaps a backlog can have.
	maxGaps    = 16
	recordHead = 8 + 8 + 4 + 8 + 8 + 8 + 4
	recordGap  = 8 + 8 + 8 + 4 + 4 + 4
)

func flag(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// encode appends the record to b.
func (r *record) encode(b []byte) []byte {
	le := binary.LittleEndian
	b = le.AppendUint64(b, uint64(r.done))
	b = le.AppendUint64(b, uint64(r.shown))
	text, sent := r.text.bytes()
	b = append(b, text, uint8(r.shownANSI), flag(r.dropping)|sent<<1, uint8(len(r.gaps)))
	b = le.AppendUint64(b, r.intent.at.Dev)
	b = le.AppendUint64(b, r.intent.at.Ino)
	b = le.AppendUint64(b, uint64(r.intent.at.Pos))
	b = le.AppendUint32(b, r.intent.n)
	for _, g := range r.gaps {
		b = le.AppendUint64(b, uint64(g.at))
		b = le.AppendUint64(b, uint64(g.skip))
		b = le.AppendUint64(b, uint64(g.lost))
		b = le.AppendUint32(b, g.errno)
		b = le.AppendUint32(b, uint32(flag(g.newline)))
		b = le.AppendUint32(b, g.sent)
	}
	return b
}

// decode reads a record that another process has left, for a stage of that size. What cannot be is set right, so
// that nothing is left out of the log.
func (r *record) decode(b []byte, size int64) {
	*r = record{}
	if len(b) < recordHead {
		return
	}
	le := binary.LittleEndian
	r.done, r.shown = max(int64(le.Uint64(b)), 0), int64(le.Uint64(b[8:]))
	r.text, r.shownANSI, r.dropping = filterOf(b[16], b[18]>>1), ansi(b[17])%3, b[18]&1 == 1
	n := min(int(b[19]), maxGaps)
	r.intent.at = logs.Place{Dev: le.Uint64(b[20:]), Ino: le.Uint64(b[28:]), Pos: int64(le.Uint64(b[36:]))}
	r.intent.n = le.Uint32(b[44:])
	b = b[recordHead:]
	for ; n > 0 && len(b) >= recordGap; n-- {
		g := gap{
			at: int64(le.Uint64(b)), skip: int64(le.Uint64(b[8:])), lost: int64(le.Uint64(b[16:])),
			errno: le.Uint32(b[24:]), newline: le.Uint32(b[28:]) == 1, sent: le.Uint32(b[32:]),
		}
		b = b[recordGap:]
		last := r.done
		if k := len(r.gaps); k > 0 {
			last = r.gaps[k-1].at
		}
		if g.at < last || g.at > size || g.lost < 0 {
			continue
		}
		g.skip = min(max(g.skip, 0), size-g.at) // it was cut off already
		r.gaps = append(r.gaps, g)
	}
	if r.done > size { // emptied, and not yet said so
		r.done = 0
	}
	r.shown = min(max(r.shown, 0), size)
	if len(r.gaps) == 0 {
		r.dropping = false
	}
}
