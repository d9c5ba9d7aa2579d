// Package keeper holds the messages between the keeper, which holds descriptors, and the manager, which
// does everything else.
//
// A message is one datagram of a socket that keeps the bounds of messages; descriptors travel beside it.
// It is a type byte and any number of fields, each a tag byte, a length (uvarint) and that many bytes.
// Whoever reads ignores types and fields that it does not know, so that the two sides may be of different
// releases: fields and types are added, never changed. docs/keeper.md describes the conversation.
package keeper

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Version is what this release speaks. It says which messages may be expected, not which are understood.
const Version = 1

// Limits of a message.
const (
	MaxSize        = 64 << 10 // bytes
	MaxNote        = 32 << 10 // bytes of a note
	MaxKey         = 4 << 10  // bytes of a key
	MaxText        = 4 << 10  // bytes of a text; longer ones are cut
	MaxDescriptors = 253      // what the kernel carries beside one message
)

// Type is what a message means.
type Type uint8

// The messages of the manager (and of a process that claims everything).
const (
	Hold    Type = 1  // keep duplicates of the descriptors under Key: Key, Note, Roles, PID
	Bind    Type = 2  // the process of Key is known now: Key, PID, perhaps a descriptor
	Note    Type = 3  // a new note for Key: Key, Note
	Drop    Type = 4  // let go of Key
	Ready   Type = 5  // this image works
	End     Type = 6  // the ordered end: Status
	Upgrade Type = 7  // another image follows: its descriptor, Text is its path
	Pong    Type = 8  // answers Ping: Number
	Claim   Type = 9  // to the socket of the keeper: hand everything over
	Taken   Type = 10 // everything has arrived at the claimer
	Obeyed  Type = 11 // a Signal has been told: Number
	Release Type = 12 // let go of the process of Key, keep the rest
)

// The messages of the keeper. Hello and Ping go both ways.
const (
	Hello   Type = 64 // Version, PID; of the keeper also Safe, Text (why the last image was given up), Last, Path
	Item    Type = 65 // what is held: Key, Note, Roles, PID, Ended, Raw, and the descriptors
	Done    Type = 66 // everything has been handed back: Number of items
	Exit    Type = 67 // the process of Key has ended: Key, Raw
	Orphans Type = 68 // processes of no key were reaped: Number of them; PID and Raw of the last
	Signal  Type = 69 // a signal for the daemon: Number
	Leave   Type = 70 // end cleanly, another one follows
	Ping    Type = 71 // answer with Pong: Number
	Refused Type = 72 // what Key names was not done: Key, Text
)

// Message is one message; a field that a type does not use is zero.
type Message struct {
	Type    Type
	Version uint64
	PID     int
	Key     string
	Note    []byte
	Roles   string // one letter a descriptor
	Raw     uint32 // wait status
	Ended   bool   // Raw is known
	Status  int    // exit status, 0…255
	Number  uint64
	Text    string
	Last    string // how the manager before this one ended
	Path    string // where the running image was started from
	Safe    bool   // start nothing
	// FDs are descriptor numbers, only where a process hands messages to itself across execve.
	FDs []int
}

// The fields.
const (
	fieldVersion = 1
	fieldPID     = 2
	fieldKey     = 3
	fieldNote    = 4
	fieldRoles   = 5
	fieldRaw     = 6
	fieldEnded   = 7
	fieldStatus  = 8
	fieldNumber  = 9
	fieldText    = 10
	fieldLast    = 11
	fieldPath    = 12
	fieldSafe    = 13
	fieldFD      = 14 // repeated
)

// ErrMalformed says that bytes are no message.
var ErrMalformed = errors.New("malformed message")

// Check says what forbids a message to be sent: a part that is too long, or more descriptors than fit.
func (m *Message) Check(descriptors int) error {
	switch {
	case len(m.Key) > MaxKey:
		return fmt.Errorf("a key of %d bytes is longer than %d", len(m.Key), MaxKey)
	case len(m.Note) > MaxNote:
		return fmt.Errorf("a note of %d bytes is longer than %d", len(m.Note), MaxNote)
	case len(m.Roles) > MaxDescriptors || descriptors > MaxDescriptors:
		return fmt.Errorf("%d descriptors are more than %d", max(descriptors, len(m.Roles)), MaxDescriptors)
	}
	return nil
}

// Append adds the message to b. Texts are cut to MaxText bytes.
func (m *Message) Append(b []byte) []byte {
	b = append(b, byte(m.Type))
	b = appendNumber(b, fieldVersion, m.Version)
	b = appendNumber(b, fieldPID, uint64(max(m.PID, 0)))
	b = appendBytes(b, fieldKey, m.Key)
	b = appendBytes(b, fieldNote, string(m.Note))
	b = appendBytes(b, fieldRoles, m.Roles)
	b = appendNumber(b, fieldRaw, uint64(m.Raw))
	b = appendFlag(b, fieldEnded, m.Ended)
	b = appendNumber(b, fieldStatus, uint64(max(m.Status, 0)))
	b = appendNumber(b, fieldNumber, m.Number)
	b = appendBytes(b, fieldText, cut(m.Text))
	b = appendBytes(b, fieldLast, cut(m.Last))
	b = appendBytes(b, fieldPath, cut(m.Path))
	b = appendFlag(b, fieldSafe, m.Safe)
	for _, fd := range m.FDs {
		b = append(b, fieldFD)
		n := binary.AppendUvarint(nil, uint64(max(fd, 0)))
		b = append(b, byte(len(n)))
		b = append(b, n...)
	}
	return b
}

func cut(s string) string { return s[:min(len(s), MaxText)] }

func appendNumber(b []byte, tag byte, v uint64) []byte {
	if v == 0 {
		return b
	}
	var n [binary.MaxVarintLen64]byte
	size := binary.PutUvarint(n[:], v)
	return append(append(b, tag, byte(size)), n[:size]...)
}

func appendFlag(b []byte, tag byte, v bool) []byte {
	if !v {
		return b
	}
	return append(b, tag, 1, 1)
}

func appendBytes(b []byte, tag byte, v string) []byte {
	if v == "" {
		return b
	}
	b = binary.AppendUvarint(append(b, tag), uint64(len(v)))
	return append(b, v...)
}

// Parse reads a message; nothing of the result points into b. The error is ErrMalformed, or says which
// part is too large.
func Parse(b []byte) (Message, error) {
	if len(b) == 0 {
		return Message{}, ErrMalformed
	}
	m := Message{Type: Type(b[0])}
	for b = b[1:]; len(b) > 0; {
		tag := b[0]
		size, n := binary.Uvarint(b[1:])
		if n <= 0 || size > uint64(len(b)-1-n) {
			return Message{}, ErrMalformed
		}
		value := b[1+n : 1+n+int(size)]
		b = b[1+n+int(size):]
		if err := m.set(tag, value); err != nil {
			return Message{}, err
		}
	}
	return m, m.Check(len(m.FDs))
}

// set takes one field over.
func (m *Message) set(tag byte, value []byte) error {
	var v uint64
	switch tag {
	case fieldVersion, fieldPID, fieldRaw, fieldEnded, fieldStatus, fieldNumber, fieldSafe, fieldFD:
		var n int
		if v, n = binary.Uvarint(value); n <= 0 || n != len(value) {
			return ErrMalformed
		}
	}
	const int31 = 1<<31 - 1
	switch tag {
	case fieldVersion:
		m.Version = v
	case fieldPID, fieldStatus, fieldFD:
		if v > int31 {
			return ErrMalformed
		}
		switch tag {
		case fieldPID:
			m.PID = int(v)
		case fieldStatus:
			m.Status = int(v)
		default:
			m.FDs = append(m.FDs, int(v))
		}
	case fieldRaw:
		if v > 1<<32-1 {
			return ErrMalformed
		}
		m.Raw = uint32(v)
	case fieldNumber:
		m.Number = v
	case fieldEnded:
		m.Ended = v != 0
	case fieldSafe:
		m.Safe = v != 0
	case fieldKey:
		m.Key = string(value)
	case fieldNote:
		m.Note = append([]byte(nil), value...)
	case fieldRoles:
		m.Roles = string(value)
	case fieldText:
		m.Text = string(value)
	case fieldLast:
		m.Last = string(value)
	case fieldPath:
		m.Path = string(value)
	}
	return nil
}
