// Package listener is the wire format of Supervisor's events: how an event looks to a listener, which
// events a subscription covers, what a listener answers, and the marks of captured output. It is pure.
//
// Source: spec/supervisor 3.4, 4.
package listener

import (
	"strconv"
	"unicode/utf8"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Payload is the text of an event. An event type that is not known has none.
// Source: spec/supervisor 4.3.
func Payload(e *model.Event) string {
	process := "processname:" + e.ID.Name + " groupname:" + e.ID.Group
	from, pid := " from_state:"+e.From.String(), " pid:"+strconv.Itoa(e.PID)
	switch e.Type {
	case model.EventProcessStarting, model.EventProcessBackoff:
		return process + from + " tries:" + strconv.Itoa(e.Tries)
	case model.EventProcessRunning, model.EventProcessStopping, model.EventProcessStopped:
		return process + from + pid
	case model.EventProcessExited:
		expected := " expected:0"
		if e.Expected {
			expected = " expected:1"
		}
		return process + from + expected + pid
	case model.EventProcessFatal, model.EventProcessUnknown:
		return process + from
	case model.EventProcessLogStdout:
		return process + pid + " channel:stdout\n" + Text(e.Data)
	case model.EventProcessLogStderr:
		return process + pid + " channel:stderr\n" + Text(e.Data)
	case model.EventProcessCommunicationStdout, model.EventProcessCommunicationStderr:
		return process + pid + "\n" + Text(e.Data)
	case model.EventRemote:
		return "type:" + e.Kind + "\n" + Text(e.Data)
	case model.EventTick5, model.EventTick60, model.EventTick3600:
		return "when:" + strconv.FormatInt(e.Time.Unix(), 10)
	case model.EventGroupAdded, model.EventGroupRemoved:
		return "groupname:" + e.ID.Group + "\n"
	}
	return ""
}

// Text shows bytes of a program: as they are when they are UTF-8, else as a literal.
// Source: spec/supervisor 3.4, 4.3.
func Text(data []byte) string {
	if utf8.Valid(data) {
		return string(data)
	}
	return "Undecodable: " + pytext.ReprBytes(data)
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
func (h *Header) Envelope(payload string) []byte {
	length := len(payload)
	if !h.Bytes {
		length = utf8.RuneCountInString(payload)
	}
	b := make([]byte, 0, 128+len(h.Server)+2*len(h.Pool)+len(payload))
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
