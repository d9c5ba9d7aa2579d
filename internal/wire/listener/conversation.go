package listener

import (
	"bytes"
	"strconv"
	"strings"
)

// State is where a listener is in the conversation. Source: spec/supervisor 4.5.
type State uint8

// The states.
const (
	Acknowledged State = iota // it owes READY
	Ready                     // it waits for an event
	Busy                      // it owes a result
	Unknown                   // it has broken the rules; nothing it says counts
)

// String is the state's name in the activity log.
func (s State) String() string {
	switch s {
	case Acknowledged:
		return "ACKNOWLEDGED"
	case Ready:
		return "READY"
	case Busy:
		return "BUSY"
	}
	return "UNKNOWN"
}

// The bounds on what a listener may say.
const (
	MaxLine   = 64 << 10 // bytes of the line that announces a result
	MaxResult = 1 << 20  // bytes of a result
)

// Said is what a listener has said.
type Said uint8

// What can be said. Each but SaidReady comes with its bytes.
const (
	SaidReady  Said = iota // it waits for an event: now Ready
	SaidResult             // what became of the event: now Acknowledged
	SaidLine               // a line that announces no result: now Unknown, the event is unanswered
	SaidNoise              // something else, when it was not its turn: now Unknown
)

const (
	readyToken = "READY\n"
	// resultToken is the length of "RESULT ", which is skipped unread (K33).
	resultToken = 7
)

// Conversation is one listener's part of the protocol. The zero value is a listener that was just started. It is
// plain data, so that it can be kept and taken up by another process.
type Conversation struct {
	State State
	Rest  []byte `json:",omitempty"` // said, but not complete yet
	// Need is the length of the result that Rest belongs to, plus one; 0 = the line is not complete yet.
	Need int `json:",omitempty"`
}

// Sent notes that a Ready listener was sent an event.
func (c *Conversation) Sent() { c.State, c.Rest, c.Need = Busy, nil, 0 }

// Hear takes what a listener has written, in pieces of any size, and tells what was said; the bytes told are
// valid during the call. After SaidLine and SaidNoise nothing more is told.
//
// White space before READY is passed over: a stray line end after a result harms nobody (K33).
func (c *Conversation) Hear(data []byte, tell func(Said, []byte)) {
	if c.State == Unknown {
		return
	}
	if len(c.Rest) > 0 {
		data = append(c.Rest, data...)
		c.Rest = nil
	}
	for len(data) > 0 || c.Need == 1 {
		n := c.next(data, tell)
		if c.State == Unknown {
			c.Rest, c.Need = nil, 0
			return
		}
		if n < 0 {
			break
		}
		data = data[n:]
	}
	if len(data) > 0 {
		c.Rest = bytes.Clone(data)
	}
}

// next understands the next thing in data and returns how many bytes that was; -1 when it is not complete.
func (c *Conversation) next(data []byte, tell func(Said, []byte)) int {
	switch c.State {
	case Acknowledged:
		return c.ready(data, tell)
	case Busy:
		return c.result(data, tell)
	default: // Ready: it is not its turn
		c.State = Unknown
		tell(SaidNoise, data)
		return len(data)
	}
}

func (c *Conversation) ready(data []byte, tell func(Said, []byte)) int {
	if bytes.IndexByte([]byte(" \t\r\n"), data[0]) >= 0 {
		return 1
	}
	switch {
	case bytes.HasPrefix(data, []byte(readyToken)):
		c.State = Ready
		tell(SaidReady, nil)
		return len(readyToken)
	case len(data) < len(readyToken):
		return -1
	}
	c.State = Unknown
	tell(SaidNoise, data)
	return len(data)
}

func (c *Conversation) result(data []byte, tell func(Said, []byte)) int {
	if c.Need > 0 {
		n := c.Need - 1
		if len(data) < n {
			return -1
		}
		c.State, c.Need = Acknowledged, 0
		tell(SaidResult, data[:n])
		return n
	}
	end := bytes.IndexByte(data[:min(len(data), MaxLine+1)], '\n')
	if end < 0 && len(data) <= MaxLine {
		return -1
	}
	line := data[:max(end, 0)]
	if end < 0 {
		line = data
	}
	length, ok := resultLength(line)
	if end < 0 || !ok {
		c.State = Unknown
		tell(SaidLine, line)
		return len(data)
	}
	c.Need = length + 1
	return end + 1
}

// resultLength reads the length out of a line whose first seven bytes are not looked at.
func resultLength(line []byte) (int, bool) {
	if len(line) < resultToken {
		return 0, false
	}
	text := strings.TrimPrefix(strings.TrimSpace(string(line[resultToken:])), "+")
	if text == "" || text[0] == '+' || text[0] == '-' {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n <= MaxResult
}
