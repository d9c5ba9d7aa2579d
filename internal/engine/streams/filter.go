package streams

import "github.com/upkeep-project/upkeep/internal/wire/listener"

// rules say what of a stream does not go into its log.
type rules uint8

// The rules. Terminal sequences go first.
const (
	noANSI     rules = 1 << iota // terminal sequences
	noCaptured                   // what is between the marks of captured output, and they themselves
)

// filter makes the log's text of a stream. It is what has come so far, as far as that counts; the zero value is the
// beginning. Source: spec/supervisor 3.4.
type filter struct {
	ansi ansi
	on   bool // between the marks
	// match is how many bytes of the next mark have come and are held back; sent of them are in the log already,
	// because they turn out to be none, and a write ended in the middle.
	match, sent uint8
}

// apply appends what goes into the log of p to dst.
func (f *filter) apply(r rules, dst, p []byte) []byte {
	if r == noANSI {
		return f.ansi.strip(dst, p)
	}
	for _, c := range p {
		dst = f.step(r, dst, c)
	}
	return dst
}

// step takes one byte.
func (f *filter) step(r rules, dst []byte, c byte) []byte {
	if r&noANSI == 0 {
		return f.pass(r, dst, c)
	}
	var room [2]byte
	for _, c := range f.ansi.strip(room[:0], []byte{c}) {
		dst = f.pass(r, dst, c)
	}
	return dst
}

// pass takes one byte of text.
func (f *filter) pass(r rules, dst []byte, c byte) []byte {
	if r&noCaptured == 0 {
		return append(dst, c)
	}
	mark := listener.CaptureMark(f.on)
	if c != mark[f.match] && f.match > 0 { // it was none; c may begin another
		dst = f.release(dst)
	}
	switch {
	case c == mark[f.match]:
		if f.match++; int(f.match) == len(mark) {
			f.on, f.match, f.sent = !f.on, 0, 0
		}
	case !f.on:
		dst = append(dst, c)
	}
	return dst
}

// held is the beginning of a mark that goes into the log when it is none.
func (f *filter) held() string {
	if f.on {
		return ""
	}
	return listener.CaptureBegin[f.sent:f.match]
}

func (f *filter) release(dst []byte) []byte {
	dst = append(dst, f.held()...)
	f.match, f.sent = 0, 0
	return dst
}

// upto is how many bytes of p it takes for the first n that go into the log, fewer than there are. The filter is
// where it has to go on then.
func (f *filter) upto(r rules, p []byte, n int) int {
	if r == noANSI {
		return f.ansi.upto(p, n)
	}
	var room [len(listener.CaptureBegin) + 2]byte
	for i, c := range p {
		if n == 0 {
			return i
		}
		before := *f
		made := len(f.step(r, room[:0], c))
		if made > n { // in the middle of what this byte has set free
			*f = before
			f.part(n)
			return i
		}
		n -= made
	}
	f.part(n)
	return len(p)
}

// part notes that n bytes of what is held back are in the log.
func (f *filter) part(n int) {
	if held := len(f.held()); n < held {
		f.sent += uint8(n)
		return
	} else if held > 0 {
		f.match, f.sent = 0, 0
		n -= held
	}
	if n > 0 { // the ESC of a sequence that is none
		f.ansi = ansiText
	}
}

// holds: something goes into the log if nothing more comes.
func (f *filter) holds() bool { return f.ansi == ansiEscape && !f.on || len(f.held()) > 0 }

// end appends what is held back when nothing more comes.
func (f *filter) end(r rules, dst []byte) []byte {
	if f.ansi == ansiEscape {
		dst = f.pass(r, dst, esc)
	}
	dst = f.release(dst)
	*f = filter{}
	return dst
}

// progressStates is how many values match can have.
const progressStates = uint8(len(listener.CaptureBegin)) + 1

// bytes are the filter in two bytes, of which the second is below 32.
func (f *filter) bytes() (a, b uint8) {
	a = f.match
	if f.on {
		a += progressStates
	}
	return uint8(f.ansi) + 3*a, f.sent
}

// filterOf is the reverse of bytes. What cannot be is set right.
func filterOf(a, b uint8) filter {
	f := filter{ansi: ansi(a % 3), on: a/3 >= progressStates, match: a / 3 % progressStates, sent: b}
	if int(f.match) >= len(listener.CaptureMark(f.on)) || f.sent > f.match || a/3 >= 2*progressStates {
		f = filter{ansi: f.ansi}
	}
	return f
}
