// Package listener is the listener's side of Supervisor's event protocol: what a program in an
// [eventlistener:…] section speaks on its standard input and output.
//
//	err := listener.Serve(os.Stdin, os.Stdout, func(ev *listener.Event) error {
//		log.Println(ev.Name, ev.Fields["processname"])
//		return nil
//	})
//
// Whatever else is written to standard output breaks the protocol: notices belong on standard error.
// Source: spec/supervisor 4.2, 4.5.
package listener

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
)

// The limits on what is read; what exceeds them is a *ProtocolError.
const (
	MaxHeader  = 64 << 10  // bytes of a header line
	MaxPayload = 256 << 20 // characters, or bytes, of a payload
)

// Event is one notification.
type Event struct {
	Name    string // PROCESS_STATE_EXITED, TICK_60 …
	Version string // of the protocol: 3.0
	Server  string // the daemon's identifier
	Pool    string // the listener's group

	Serial     uint64 // number of the event in the daemon
	PoolSerial uint64 // number of the event in the pool

	Payload string            // as received
	Fields  map[string]string // the payload's first line: processname, groupname, pid, when …
	Data    string            // what follows the payload's first line
}

// Process is the program that the event is about as commands write it: NAME, or GROUP:NAME where the two
// differ; empty when the event is about none.
func (e *Event) Process() string {
	name, group := e.Fields["processname"], e.Fields["groupname"]
	if name == "" || group == "" || group == name {
		return name
	}
	return group + ":" + name
}

// ProtocolError is a header that no daemon sends. The listener cannot go on: where the next event would
// begin is unknown.
type ProtocolError struct {
	Header string // what was read, shortened
	Reason string
}

// Error names the header and the reason.
func (e *ProtocolError) Error() string { return fmt.Sprintf("event header %q: %s", e.Header, e.Reason) }

// Listener is one end of the conversation. It is used by one goroutine at a time.
type Listener struct {
	// Bytes says that the header's len counts bytes, as it does for a listener whose section has
	// event_len=bytes. Otherwise it counts characters, as everywhere else. Source: spec/supervisor 10.1 K1.
	Bytes bool

	in  *bufio.Reader
	out io.Writer
}

// New makes a listener of the two streams that the daemon has connected.
func New(in io.Reader, out io.Writer) *Listener {
	return &Listener{in: bufio.NewReaderSize(in, MaxHeader), out: out}
}

// Next says that the listener is ready and waits for an event, which OK or Fail answers before Next is
// called again. Errors: io.EOF when the daemon is gone, *ProtocolError, io.ErrUnexpectedEOF within an
// event, and those of the two streams.
func (l *Listener) Next() (*Event, error) {
	if _, err := io.WriteString(l.out, "READY\n"); err != nil {
		return nil, fmt.Errorf("announcing readiness: %w", err)
	}
	line, err := l.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, &ProtocolError{cut(line), fmt.Sprintf("longer than %d bytes", MaxHeader)}
	case errors.Is(err, io.EOF) && len(line) > 0:
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	}
	ev, n, err := parseHeader(string(line))
	if err != nil {
		return nil, err
	}
	if ev.Payload, err = l.payload(n); err != nil {
		return nil, err
	}
	first, data, _ := strings.Cut(ev.Payload, "\n")
	ev.Fields, ev.Data = ParseFields(first), data
	return ev, nil
}

// OK tells the daemon that the event has been dealt with.
func (l *Listener) OK() error { return l.Result("OK") }

// Fail gives the event back: it is sent again, to any listener of the pool and without a limit.
func (l *Listener) Fail() error { return l.Result("FAIL") }

// Result answers with a text of the listener's own, for a result_handler of the daemon's.
func (l *Listener) Result(text string) error {
	if _, err := fmt.Fprintf(l.out, "RESULT %d\n%s", len(text), text); err != nil {
		return fmt.Errorf("answering: %w", err)
	}
	return nil
}

// Serve calls handle for every event until the daemon is gone, which is no error. A handler's error gives
// the event back (Fail); a handler that has given up on an event returns nil. Errors as of Next.
func (l *Listener) Serve(handle func(*Event) error) error {
	for {
		ev, err := l.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		answer := l.OK
		if handle(ev) != nil {
			answer = l.Fail
		}
		if err := answer(); err != nil {
			return err
		}
	}
}

// Serve is New(in, out).Serve(handle).
func Serve(in io.Reader, out io.Writer, handle func(*Event) error) error {
	return New(in, out).Serve(handle)
}

// payload reads n characters or bytes.
func (l *Listener) payload(n int) (string, error) {
	var b strings.Builder
	var err error
	if l.Bytes {
		_, err = io.CopyN(&b, l.in, int64(n))
	} else {
		err = l.characters(&b, n)
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return b.String(), err
}

// characters copies n characters; a byte that belongs to none counts as one.
func (l *Listener) characters(b *strings.Builder, n int) error {
	b.Grow(min(n, MaxHeader))
	for n > 0 {
		if _, err := l.in.Peek(1); err != nil {
			return err
		}
		p, _ := l.in.Peek(min(n, l.in.Buffered())) // n characters are at least n bytes
		p = whole(p)
		if len(p) == 0 { // the next one is not all there
			if err := l.character(b); err != nil {
				return err
			}
			n--
			continue
		}
		n -= pytext.Len(p)
		b.Write(p)
		_, _ = l.in.Discard(len(p)) // it is there
	}
	return nil
}

// character copies one.
func (l *Listener) character(b *strings.Builder) error {
	r, size, err := l.in.ReadRune()
	if err != nil {
		return err
	}
	if r != utf8.RuneError || size != 1 {
		b.WriteRune(r)
		return nil
	}
	if err := l.in.UnreadRune(); err != nil {
		return err
	}
	c, err := l.in.ReadByte()
	if err != nil {
		return err
	}
	return b.WriteByte(c)
}

// whole is p without the beginning of a character at its end.
func whole(p []byte) []byte {
	for n := 1; n < utf8.UTFMax && n <= len(p); n++ {
		if at := len(p) - n; utf8.RuneStart(p[at]) {
			if !utf8.FullRune(p[at:]) {
				return p[:at]
			}
			break
		}
	}
	return p
}

// parseHeader reads a header line and returns with it the length of the payload. Tokens may be in any
// order, and unknown ones are passed over.
func parseHeader(line string) (*Event, int, error) {
	bad := func(reason string) (*Event, int, error) { return nil, 0, &ProtocolError{cut([]byte(line)), reason} }
	f := ParseFields(line)
	n, err := strconv.Atoi(f["len"])
	switch {
	case f["eventname"] == "":
		return bad("no eventname")
	case f["len"] == "":
		return bad("no len")
	case err != nil || n < 0 || n > MaxPayload:
		return bad("len is out of range")
	}
	ev := &Event{Name: f["eventname"], Version: f["ver"], Server: f["server"], Pool: f["pool"]}
	for _, s := range []struct {
		key string
		to  *uint64
	}{{"serial", &ev.Serial}, {"poolserial", &ev.PoolSerial}} {
		if *s.to, err = strconv.ParseUint(f[s.key], 10, 64); err != nil && f[s.key] != "" {
			return bad(s.key + " is no number")
		}
	}
	return ev, n, nil
}

// ParseFields reads "key:value key:value …". A value ends at the next blank that a key follows, so that
// an identifier with a blank in it is not cut; a colon may be part of a value.
func ParseFields(line string) map[string]string {
	fields := map[string]string{}
	last := ""
	for _, token := range strings.Fields(line) {
		key, value, ok := strings.Cut(token, ":")
		switch {
		case ok && key != "":
			fields[key] = value
			last = key
		case last != "":
			fields[last] += " " + token
		}
	}
	return fields
}

// cut shortens what goes into an error text.
func cut(b []byte) string { return strings.TrimSuffix(string(b[:min(len(b), 200)]), "\n") }
