// Package listener is the wire format of Supervisor's events: how an event looks to a listener, which
// events a subscription covers, what a listener answers, and the marks of captured output. It is pure.
//
// Source: spec/supervisor 3.4, 4.
package listener

import (
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Payload is the text of an event. An event type that is not known has none.
// Source: spec/supervisor 4.3.
func Payload(e *model.Event) string { return string(AppendPayload(nil, e)) }

// AppendPayload appends the text of an event to b. Most of a long one is output, which is copied once.
func AppendPayload(b []byte, e *model.Event) []byte {
	switch e.Type {
	case model.EventProcessStarting, model.EventProcessBackoff:
		return strconv.AppendInt(append(from(b, e), " tries:"...), int64(e.Tries), 10)
	case model.EventProcessRunning, model.EventProcessStopping, model.EventProcessStopped:
		return pid(from(b, e), e)
	case model.EventProcessExited:
		expected := " expected:0"
		if e.Expected {
			expected = " expected:1"
		}
		return pid(append(from(b, e), expected...), e)
	case model.EventProcessFatal, model.EventProcessUnknown:
		return from(b, e)
	case model.EventProcessLogStdout:
		return text(append(pid(process(b, e), e), " channel:stdout\n"...), e.Data)
	case model.EventProcessLogStderr:
		return text(append(pid(process(b, e), e), " channel:stderr\n"...), e.Data)
	case model.EventProcessCommunicationStdout, model.EventProcessCommunicationStderr:
		return text(append(pid(process(b, e), e), '\n'), e.Data)
	case model.EventCheckFailed, model.EventCheckPassed, model.EventCheckAction:
		return text(append(append(append(pid(process(b, e), e), " check:"...), e.Kind...), '\n'), e.Data)
	case model.EventReleased:
		return pid(process(b, e), e)
	case model.EventRemote:
		return text(append(append(append(b, "type:"...), e.Kind...), '\n'), e.Data)
	case model.EventTick5, model.EventTick60, model.EventTick3600:
		return strconv.AppendInt(append(b, "when:"...), e.Time.Unix(), 10)
	case model.EventGroupAdded, model.EventGroupRemoved:
		return append(append(append(b, "groupname:"...), e.ID.Group...), '\n')
	}
	return b
}

func process(b []byte, e *model.Event) []byte {
	b = append(append(b, "processname:"...), e.ID.Name...)
	return append(append(b, " groupname:"...), e.ID.Group...)
}

func from(b []byte, e *model.Event) []byte {
	return append(append(process(b, e), " from_state:"...), e.From.String()...)
}

func pid(b []byte, e *model.Event) []byte {
	return strconv.AppendInt(append(b, " pid:"...), int64(e.PID), 10)
}

// text appends bytes of a program: as they are when they are UTF-8, else as a literal.
// Source: spec/supervisor 3.4, 4.3.
func text(b, data []byte) []byte {
	if utf8.Valid(data) {
		return append(b, data...)
	}
	return append(append(b, "Undecodable: "...), pytext.ReprBytes(data)...)
}

// Header is what comes before a payload.
type Header struct {
	Server     string // the daemon's identifier
	Serial     uint64 // number of the event in the daemon
	Pool       string
	PoolSerial uint64 // number of the event in the pool
	Name       model.EventType
	Bytes      bool // len counts bytes; else characters (K1)
}

// Envelope is the header with the payload: what is written to a listener. Source: spec/supervisor 4.2.
func (h *Header) Envelope(payload string) []byte { return h.Append(nil, []byte(payload)) }

// Append appends the envelope of a payload to b.
func (h *Header) Append(b, payload []byte) []byte {
	length := len(payload)
	if !h.Bytes {
		length = pytext.Len(payload)
	}
	b = slices.Grow(b, 128+len(h.Server)+2*len(h.Pool)+len(payload))
	b = append(b, "ver:3.0 server:"...)
	b = append(b, h.Server...)
	b = strconv.AppendUint(append(b, " serial:"...), h.Serial, 10)
	b = append(append(b, " pool:"...), h.Pool...)
	b = strconv.AppendUint(append(b, " poolserial:"...), h.PoolSerial, 10)
	b = append(append(b, " eventname:"...), h.Name...)
	b = strconv.AppendInt(append(b, " len:"...), int64(length), 10)
	b = append(b, '\n')
	return append(b, payload...)
}

// maxSerial is the last serial before they begin again at 0. Source: spec/supervisor 4.2.
const maxSerial = 1<<63 - 1

// NextSerial is the serial after n.
func NextSerial(n uint64) uint64 {
	if n >= maxSerial {
		return 0
	}
	return n + 1
}
