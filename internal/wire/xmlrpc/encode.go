package xmlrpc

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The bounds of an <int>; values outside saturate. Source: spec/supervisor F18.
const (
	MaxInt = math.MaxInt32
	MinInt = math.MinInt32
)

// Marshaler is a value that appends its own <value> element, newline included, so that long answers
// need neither reflection nor an allocation per value. It is built from the Append functions.
type Marshaler interface {
	AppendXMLRPC(b []byte) []byte
}

const header = "<?xml version='1.0'?>\n"

// AppendCall appends a request document.
func AppendCall(b []byte, method string, params ...any) []byte {
	b = append(b, header+"<methodCall>\n<methodName>"...)
	b = AppendText(b, method)
	b = append(b, "</methodName>\n<params>\n"...)
	for _, p := range params {
		b = append(b, "<param>\n"...)
		b = AppendValue(b, p)
		b = append(b, "</param>\n"...)
	}
	return append(b, "</params>\n</methodCall>\n"...)
}

// AppendResponse appends a response document with one value.
func AppendResponse(b []byte, v any) []byte {
	b = append(b, header+"<methodResponse>\n<params>\n<param>\n"...)
	b = AppendValue(b, v)
	return append(b, "</param>\n</params>\n</methodResponse>\n"...)
}

// AppendFault appends a response document that is a fault.
func AppendFault(b []byte, code int, text string) []byte {
	b = append(b, header+"<methodResponse>\n<fault>\n"...)
	b = AppendFaultValue(b, code, text)
	return append(b, "</fault>\n</methodResponse>\n"...)
}

// AppendFaultValue appends the struct of a fault, as it also stands in the result of a multicall.
func AppendFaultValue(b []byte, code int, text string) []byte {
	b = BeginStruct(b)
	b = AppendIntMember(b, "faultCode", int64(code))
	b = AppendStringMember(b, "faultString", text)
	return EndStruct(b)
}

// AppendValue appends one <value> element. Besides the types of the package it takes the other integer
// types, []string, []int, []Struct, *Fault and Marshaler; anything else is written as its text form.
func AppendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil: // without a line end: so it is in Python
		return append(b, "<value><nil/></value>"...)
	case string:
		return AppendString(b, v)
	case bool:
		return AppendBool(b, v)
	case int:
		return AppendInt(b, int64(v))
	case int64:
		return AppendInt(b, v)
	case int32:
		return AppendInt(b, int64(v))
	case float64:
		b = append(b, "<value><double>"...)
		b = appendFloat(b, v)
		return append(b, "</double></value>\n"...)
	case []byte:
		return appendBase64(b, v)
	case time.Time:
		b = append(b, "<value><dateTime.iso8601>"...)
		b = v.AppendFormat(b, "20060102T15:04:05")
		return append(b, "</dateTime.iso8601></value>\n"...)
	case Struct:
		b = BeginStruct(b)
		for i := range v {
			b = BeginMember(b, v[i].Name)
			b = AppendValue(b, v[i].Value)
			b = EndMember(b)
		}
		return EndStruct(b)
	case []any:
		return appendArray(b, v, AppendValue)
	case []string:
		return appendArray(b, v, AppendString[string])
	case []int:
		return appendArray(b, v, func(b []byte, n int) []byte { return AppendInt(b, int64(n)) })
	case []Struct:
		return appendArray(b, v, func(b []byte, s Struct) []byte { return AppendValue(b, s) })
	case *Fault:
		return AppendFaultValue(b, v.Code, v.Text)
	case Marshaler:
		return v.AppendXMLRPC(b)
	}
	return AppendString(b, fmt.Sprint(v))
}

func appendArray[T any](b []byte, items []T, item func([]byte, T) []byte) []byte {
	b = BeginArray(b)
	for _, v := range items {
		b = item(b, v)
	}
	return EndArray(b)
}

// BeginArray opens an array value; append the items, then EndArray.
func BeginArray(b []byte) []byte { return append(b, "<value><array><data>\n"...) }

// EndArray closes what BeginArray opened.
func EndArray(b []byte) []byte { return append(b, "</data></array></value>\n"...) }

// BeginStruct opens a struct value; append the members, then EndStruct.
func BeginStruct(b []byte) []byte { return append(b, "<value><struct>\n"...) }

// EndStruct closes what BeginStruct opened.
func EndStruct(b []byte) []byte { return append(b, "</struct></value>\n"...) }

// BeginMember opens a member; append one value, then EndMember.
func BeginMember(b []byte, name string) []byte {
	b = append(b, "<member>\n<name>"...)
	b = AppendText(b, name)
	return append(b, "</name>\n"...)
}

// EndMember closes what BeginMember opened.
func EndMember(b []byte) []byte { return append(b, "</member>\n"...) }

// AppendStringMember appends a whole member holding a string.
func AppendStringMember[T ~string | ~[]byte](b []byte, name string, v T) []byte {
	return EndMember(AppendString(BeginMember(b, name), v))
}

// AppendIntMember appends a whole member holding an integer, saturated.
func AppendIntMember(b []byte, name string, v int64) []byte {
	return EndMember(AppendInt(BeginMember(b, name), v))
}

// AppendBoolMember appends a whole member holding a boolean.
func AppendBoolMember(b []byte, name string, v bool) []byte {
	return EndMember(AppendBool(BeginMember(b, name), v))
}

// AppendString appends a string value. A []byte is taken as text too, not as base64.
func AppendString[T ~string | ~[]byte](b []byte, v T) []byte {
	b = append(b, "<value><string>"...)
	b = AppendText(b, v)
	return append(b, "</string></value>\n"...)
}

// AppendInt appends an integer value, saturated at ±2³¹.
func AppendInt(b []byte, v int64) []byte {
	b = append(b, "<value><int>"...)
	b = strconv.AppendInt(b, min(max(v, MinInt), MaxInt), 10)
	return append(b, "</int></value>\n"...)
}

// AppendBool appends a boolean value.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, "<value><boolean>1</boolean></value>\n"...)
	}
	return append(b, "<value><boolean>0</boolean></value>\n"...)
}

// AppendText appends character data: & < > are escaped and nothing else. A byte that is not part of
// valid UTF-8, and a character that XML cannot carry, is written as U+FFFD, so that one odd byte in a
// log never spoils an answer. Source: spec/supervisor 5.3, F7.
func AppendText[T ~string | ~[]byte](b []byte, text T) []byte {
	start := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			var rep string
			switch {
			case c == '&':
				rep = "&amp;"
			case c == '<':
				rep = "&lt;"
			case c == '>':
				rep = "&gt;"
			case c < ' ' && c != '\t' && c != '\n' && c != '\r':
				rep = "\uFFFD"
			default:
				i++
				continue
			}
			b = append(append(b, text[start:i]...), rep...)
			i++
			start = i
			continue
		}
		size := runeLen(text[i:])
		if size > 0 {
			i += size
			continue
		}
		b = append(append(b, text[start:i]...), "\uFFFD"...)
		i -= size
		start = i
	}
	return append(b, text[start:]...)
}

// runeLen is the length of the character at the beginning of text, or minus the number of bytes to
// replace when it is invalid (1) or not allowed in XML (3).
func runeLen[T ~string | ~[]byte](text T) int {
	var buf [utf8.UTFMax]byte
	n := copy(buf[:], text)
	r, size := utf8.DecodeRune(buf[:n])
	switch {
	case r == utf8.RuneError && size <= 1:
		return -1
	case r == 0xFFFE || r == 0xFFFF:
		return -size
	}
	return size
}

// appendFloat writes a number as Python's repr does: shortest form, exponents from 1e16 and below 1e-4.
func appendFloat(b []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(b, "nan"...)
	case math.IsInf(v, 1):
		return append(b, "inf"...)
	case math.IsInf(v, -1):
		return append(b, "-inf"...)
	}
	if a := math.Abs(v); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.AppendFloat(b, v, 'e', -1, 64)
	}
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return append(b, s...)
}

// base64Line is how many bytes Python's encoder puts in one line.
const base64Line = 57

func appendBase64(b, data []byte) []byte {
	b = append(b, "<value><base64>\n"...)
	for len(data) > 0 {
		n := min(len(data), base64Line)
		b = base64.StdEncoding.AppendEncode(b, data[:n])
		b = append(b, '\n')
		data = data[n:]
	}
	return append(b, "</base64></value>\n"...)
}
