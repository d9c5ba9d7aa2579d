// Package tree reads YAML and JSON that others wrote into one kind of tree, with the line of every value and with
// bounds on everything: size, nesting, and the number of values after aliases have been followed.
//
// Scalars keep their text. What a plain word means is decided by the version of YAML that the writer of the file
// used: 1.1 has yes and no as booleans and 077 as an octal number, 1.2 has not.
package tree

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// The bounds.
const (
	MaxBytes  = 1 << 20 // of a text
	MaxDepth  = 64      // of nesting
	MaxValues = 100_000 // of a whole tree, each use of an alias counted anew
	MaxMarks  = 5000    // of lines and commas in YAML, whose parser takes time by the square of the entries
)

// Kind is what a value is.
type Kind uint8

// The kinds.
const (
	Null Kind = iota
	Bool
	Int
	Float
	String
	List
	Map
)

// String is the word for messages.
func (k Kind) String() string {
	return [...]string{"nothing", "a boolean", "a whole number", "a number", "a text", "a list", "a mapping"}[k]
}

// Value is one node. The zero value is Null.
type Value struct {
	Kind   Kind
	Text   string // of a scalar as written, without quotes
	Bool   bool
	Int    int64
	Float  float64 // of Int as well
	Items  []Value // of a list
	Fields []Field // of a map, in order, each key once
	Line   int     // from 1
}

// Field is one entry of a map.
type Field struct {
	Key   string
	Line  int // of the key, from 1
	Value Value
}

// Get is the value of a key; Null when there is none or v is no map.
func (v Value) Get(key string) Value {
	f, _ := v.Find(key)
	return f
}

// Find is the value of a key and whether it is there.
func (v Value) Find(key string) (Value, bool) {
	for _, f := range v.Fields {
		if f.Key == key {
			return f.Value, true
		}
	}
	return Value{}, false
}

// Scalar reports whether v is a text, number or boolean.
func (v Value) Scalar() bool { return v.Kind != Null && v.Kind < List }

// Put sets a key of a map, at the end when it is new.
func (v *Value) Put(f Field) {
	for i := range v.Fields {
		if v.Fields[i].Key == f.Key {
			v.Fields[i] = f
			return
		}
	}
	v.Fields = append(v.Fields, f)
}

// Error is a text that could not be read.
type Error struct {
	Line int // from 1; 0 = unknown
	Text string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Text
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Text)
}

// tooBig checks the size of a text.
func tooBig(text []byte) error {
	if len(text) > MaxBytes {
		return &Error{Text: fmt.Sprintf("more than %d bytes", MaxBytes)}
	}
	return nil
}

// JSON reads one JSON value; of repeated keys the last one counts. Errors: *Error.
func JSON(text []byte) (Value, error) {
	if err := tooBig(text); err != nil {
		return Value{}, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	r := jsonReader{d: d, text: text}
	v, err := r.value(0)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("more text after the end")
		}
	}
	if err == nil {
		return v, nil
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the text ends too early")
	}
	return Value{}, &Error{Line: r.line(), Text: err.Error()}
}

// jsonReader is the state while a JSON text is read.
type jsonReader struct {
	d     *json.Decoder
	text  []byte
	count int
	at    int64 // up to here the lines are counted
	lines int   // before at
}

// line is the line of the token that was read last.
func (r *jsonReader) line() int {
	now := min(max(r.d.InputOffset(), r.at), int64(len(r.text)))
	r.lines += bytes.Count(r.text[r.at:now], []byte("\n"))
	r.at = now
	return r.lines + 1
}

// value reads the next value.
func (r *jsonReader) value(depth int) (Value, error) {
	if r.count++; r.count > MaxValues {
		return Value{}, fmt.Errorf("more than %d values", MaxValues)
	}
	if depth > MaxDepth {
		return Value{}, fmt.Errorf("nested deeper than %d", MaxDepth)
	}
	t, err := r.d.Token()
	if err != nil {
		return Value{}, err
	}
	v := Value{Line: r.line()}
	switch t := t.(type) {
	case bool:
		v.Kind, v.Bool, v.Text = Bool, t, strconv.FormatBool(t)
	case string:
		v.Kind, v.Text = String, t
	case json.Number:
		number(&v, t.String())
	case json.Delim:
		err = r.container(&v, t, depth)
	}
	return v, err
}

// container reads what follows a bracket.
func (r *jsonReader) container(v *Value, open json.Delim, depth int) error {
	index := map[string]int{} // Put would be slow for long maps
	v.Kind = List
	if open == '{' {
		v.Kind = Map
	}
	for r.d.More() {
		if v.Kind == List {
			item, err := r.value(depth + 1)
			if err != nil {
				return err
			}
			v.Items = append(v.Items, item)
			continue
		}
		t, err := r.d.Token()
		if err != nil {
			return err
		}
		key, _ := t.(string)
		line := r.line()
		item, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		if i, ok := index[key]; ok {
			v.Fields[i] = Field{Key: key, Line: line, Value: item}
			continue
		}
		index[key] = len(v.Fields)
		v.Fields = append(v.Fields, Field{Key: key, Line: line, Value: item})
	}
	_, err := r.d.Token()
	return err
}

// number makes v the number that a text in JSON's syntax says.
func number(v *Value, text string) {
	v.Kind, v.Text = Float, text
	v.Float, _ = strconv.ParseFloat(text, 64)
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		v.Kind, v.Int = Int, n
	}
}

// Version is a version of YAML.
type Version uint8

// The versions, of which files do not say which they are.
const (
	V12 Version = iota // pm2, compose
	V11                // what Python's library reads
)

// The plain words of both versions.
const (
	integer11 = `^[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)$`
	integer12 = `^([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$`
	sixty11   = `^[-+]?[1-9][0-9]*(:[0-5]?[0-9])+$`
	float11   = `^[-+]?([0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)?|\.[0-9][0-9_]*([eE][-+][0-9]+)?)$`
	float12   = `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`
)

// words decides what plain words mean.
type words struct {
	version               Version
	integer, float, sixty *regexp.Regexp // sixty: nil where times of day are texts
}

func (ver Version) words() words {
	if ver == V11 {
		return words{ver, regexp.MustCompile(integer11), regexp.MustCompile(float11), regexp.MustCompile(sixty11)}
	}
	return words{ver, regexp.MustCompile(integer12), regexp.MustCompile(float12), nil}
}

// Plain is what a word without quotes means.
func (ver Version) Plain(text string) Value { return ver.words().plain(text) }

func (w words) plain(text string) Value {
	v := Value{Kind: String, Text: text}
	switch text {
	case "", "~", "null", "Null", "NULL":
		return Value{Kind: Null, Text: text}
	case "true", "True", "TRUE", "false", "False", "FALSE":
		v.Kind, v.Bool = Bool, text[0]|0x20 == 't'
		return v
	case ".nan", ".NaN", ".NAN":
		v.Kind, v.Float = Float, math.NaN()
		return v
	case "yes", "Yes", "YES", "on", "On", "ON", "no", "No", "NO", "off", "Off", "OFF":
		if w.version == V11 {
			v.Kind, v.Bool = Bool, strings.EqualFold(text, "yes") || strings.EqualFold(text, "on")
		}
		return v
	}
	switch strings.TrimLeft(text[:1], "+-") + text[1:] {
	case ".inf", ".Inf", ".INF":
		v.Kind, v.Float = Float, math.Inf(1)
		if text[0] == '-' {
			v.Float = math.Inf(-1)
		}
		return v
	}
	if w.integer.MatchString(text) {
		digits, base := text, 10
		if w.version == V11 {
			digits = strings.ReplaceAll(text, "_", "")
			if strings.HasPrefix(strings.TrimLeft(digits, "+-"), "0") {
				base = 0 // 0 alone is octal there
			}
		} else if strings.HasPrefix(text, "0o") || strings.HasPrefix(text, "0x") {
			base = 0
		}
		if n, err := strconv.ParseInt(digits, base, 64); err == nil {
			v.Kind, v.Int, v.Float = Int, n, float64(n)
		}
		return v // numbers beyond 64 bits stay texts
	}
	if w.sixty != nil && w.sixty.MatchString(text) {
		if n, ok := baseSixty(text); ok {
			v.Kind, v.Int, v.Float = Int, n, float64(n)
		}
		return v
	}
	if w.float.MatchString(text) {
		if f, err := strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64); err == nil && !math.IsInf(f, 0) {
			v.Kind, v.Float = Float, f
		}
	}
	return v
}

// baseSixty reads hours:minutes:seconds as YAML 1.1 does.
func baseSixty(text string) (int64, bool) {
	n := int64(0)
	for part := range strings.SplitSeq(strings.TrimLeft(text, "+-"), ":") {
		d, err := strconv.ParseInt(part, 10, 64)
		if err != nil || n > (math.MaxInt64-d)/60 {
			return 0, false
		}
		n = n*60 + d
	}
	if text[0] == '-' {
		n = -n
	}
	return n, true
}
