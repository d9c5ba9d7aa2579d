// Package notified is the receiving side of sd_notify(3): programs say that they are ready, that they live, how they are.
// One datagram socket serves all of them; the kernel tells with each message which process has sent it, and nothing else
// about the sender is believed.
//
// Descriptors that come along are closed when the message was heard, which is what BARRIER=1 waits for: who sends that stays
// there until it is known whose message it is.
//
// Source: spec/reliability S17, sd_notify(3).
package notified

import (
	"bytes"
	"math"
	"strconv"
	"time"
)

// Variable and WatchdogVariable are where programs find the path of the socket, and in microseconds how often they are to say
// that they live.
const (
	Variable         = "NOTIFY_SOCKET"
	WatchdogVariable = "WATCHDOG_USEC"
)

// Message is what one datagram says. Zero is what it does not say.
type Message struct {
	PID int // of the sender, as the kernel knows it
	UID int

	Ready     bool
	Stopping  bool
	Beat      bool // WATCHDOG=1
	Trip      bool // WATCHDOG=trigger: something is wrong
	HasStatus bool
	Status    string // as it was sent: any bytes
	MainPID   int
	Extend    time.Duration // EXTEND_TIMEOUT_USEC
}

// maxMessage is the largest datagram that is read whole, as with systemd; a longer one is ignored.
const maxMessage = 4096

// Parse reads the lines of a datagram, NAME=value each. What is not known or makes no sense is ignored; of what is said
// twice the last counts.
func Parse(text []byte) Message {
	var m Message
	for len(text) > 0 {
		line, rest, _ := bytes.Cut(text, []byte{'\n'})
		text = rest
		name, value, ok := bytes.Cut(line, []byte{'='})
		if !ok {
			continue
		}
		switch string(name) {
		case "READY":
			m.Ready = string(value) == "1"
		case "STOPPING":
			m.Stopping = string(value) == "1"
		case "WATCHDOG":
			m.Beat, m.Trip = string(value) == "1", string(value) == "trigger"
		case "STATUS":
			m.HasStatus, m.Status = true, string(value)
		case "MAINPID":
			if n, err := strconv.ParseUint(string(value), 10, 31); err == nil {
				m.MainPID = int(n)
			}
		case "EXTEND_TIMEOUT_USEC":
			if n, err := strconv.ParseUint(string(value), 10, 64); err == nil {
				m.Extend = time.Duration(min(n, math.MaxInt64/uint64(time.Microsecond))) * time.Microsecond
			}
		}
	}
	return m
}

// Watchdog is the value of WatchdogVariable for programs of which a sign of life is expected at least that often.
func Watchdog(age time.Duration) string {
	return strconv.FormatInt(max(1, int64(age/time.Microsecond)), 10)
}
