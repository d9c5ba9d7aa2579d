// Package xmlrpc is the XML-RPC codec: calls, responses and faults as bytes.
//
// It has its own scanner instead of encoding/xml for three reasons. The answer to a question about a
// thousand programs is 1.1 MB, and reading it token by token through encoding/xml takes ten times as
// long as everything else a command does. What is accepted has to be a short list (no document types,
// no entities but the five and the numeric ones, bounded depth and count), which is easier to keep in a
// scanner that knows nothing else. And values are slices of one copy of the input, without an allocation
// per text. encoding/xml is the second opinion in the fuzz tests.
//
// What is written has the layout of Python's marshaller byte for byte, because clients exist that compare
// or cut it with text tools.
//
// Values are int (64 bit), bool, string, float64, []any, Struct, []byte (base64), time.Time
// (dateTime.iso8601, no zone) and nil.
//
// Source: spec/supervisor 5.3, spec/reliability S6.
package xmlrpc

import (
	"errors"
	"fmt"
)

// Member is one named value of a Struct.
type Member struct {
	Name  string
	Value any
}

// Struct is an XML-RPC struct. The order of the members is kept.
type Struct []Member

// Get is the value of the named member, nil when there is none. When a name occurs more than once the
// last one counts, as in a Python dictionary.
func (s Struct) Get(name string) any {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i].Name == name {
			return s[i].Value
		}
	}
	return nil
}

// Has reports whether there is a member of that name.
func (s Struct) Has(name string) bool {
	for i := range s {
		if s[i].Name == name {
			return true
		}
	}
	return false
}

// Str is the named member as a string, empty when it is missing or of another type.
func (s Struct) Str(name string) string {
	v, _ := s.Get(name).(string)
	return v
}

// Int is the named member as an int, 0 when it is missing or of another type.
func (s Struct) Int(name string) int {
	v, _ := s.Get(name).(int)
	return v
}

// Bool is the named member as a bool, false when it is missing or of another type.
func (s Struct) Bool(name string) bool {
	v, _ := s.Get(name).(bool)
	return v
}

// Fault is the answer to a call that was refused or failed. Source: spec/supervisor 5.4.
type Fault struct {
	Code int
	Text string
}

// Error is code and text.
func (f *Fault) Error() string { return fmt.Sprintf("fault %d: %s", f.Code, f.Text) }

// Limits bounds what a parser accepts. A zero field means the default.
type Limits struct {
	Depth    int // nested elements; default 32
	Elements int // elements in all; default 100,000 for calls and 32 million for responses
}

// The default limits. Source: spec/reliability S6.
const (
	DefaultDepth            = 32
	DefaultCallElements     = 100_000
	DefaultResponseElements = 32_000_000
)

func (l Limits) or(elements int) Limits {
	if l.Depth <= 0 {
		l.Depth = DefaultDepth
	}
	if l.Elements <= 0 {
		l.Elements = elements
	}
	return l
}

// SyntaxError says why a document is not accepted, and at which byte.
type SyntaxError struct {
	Offset int
	Text   string
}

// Error is the reason with the place.
func (e *SyntaxError) Error() string { return fmt.Sprintf("%s at byte %d", e.Text, e.Offset) }

// ErrNoMethodName is the error of ParseCall for a well-formed call that names no method.
var ErrNoMethodName = errors.New("no method name")
