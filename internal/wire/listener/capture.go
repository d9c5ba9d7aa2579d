package listener

import "bytes"

// The marks between which output is captured. Source: spec/supervisor 3.4.
const (
	CaptureBegin = "<!--XSUPERVISOR:BEGIN-->"
	CaptureEnd   = "<!--XSUPERVISOR:END-->"
)

// CaptureMark is the mark that is looked for: the end while capturing, else the beginning. Its first byte occurs
// in it once, so that of a mark which does not come to its end only that byte can begin another.
func CaptureMark(capturing bool) string {
	if capturing {
		return CaptureEnd
	}
	return CaptureBegin
}

// Capture divides the output of a program into what lies between the marks and the rest. It is plain data, so that
// it can be kept and taken up by another process. Source: spec/supervisor 3.4, F8, F9.
type Capture struct {
	On    bool   `json:",omitempty"` // between the marks
	Match int    `json:",omitempty"` // bytes of the next mark that have come
	Buf   []byte `json:",omitempty"` // captured so far: the last Max bytes
	Max   int    `json:"-"`          // ≥ 1
}

// Feed takes a piece of output. plain is given what lies outside, done the captured bytes at each end mark; both
// must not keep them.
func (c *Capture) Feed(p []byte, plain, done func([]byte)) {
	for len(p) > 0 {
		mark := CaptureMark(c.On)
		if c.Match == 0 {
			at := bytes.IndexByte(p, mark[0])
			if at < 0 {
				at = len(p)
			}
			c.put(p[:at], plain)
			if p = p[at:]; len(p) == 0 {
				return
			}
		}
		n := 0
		for n < len(p) && c.Match < len(mark) && p[n] == mark[c.Match] {
			n++
			c.Match++
		}
		p = p[n:]
		switch {
		case c.Match == len(mark):
			c.Match = 0
			if c.On = !c.On; !c.On {
				done(c.Buf)
				c.Buf = nil
			}
		case len(p) > 0: // it was no mark
			c.Flush(plain)
		}
	}
}

// Flush gives up waiting for the rest of a mark: what has come of it is output like any other.
func (c *Capture) Flush(plain func([]byte)) {
	held := CaptureMark(c.On)[:c.Match]
	c.Match = 0
	c.put([]byte(held), plain)
}

// Idle reports whether nothing is to be remembered.
func (c *Capture) Idle() bool { return !c.On && c.Match == 0 }

func (c *Capture) put(p []byte, plain func([]byte)) {
	switch {
	case len(p) == 0:
	case !c.On:
		plain(p)
	case len(p) >= c.Max:
		c.Buf = append(c.Buf[:0], p[len(p)-c.Max:]...)
	default:
		over := max(len(c.Buf)+len(p)-c.Max, 0)
		c.Buf = append(c.Buf[:copy(c.Buf, c.Buf[over:])], p...)
	}
}
