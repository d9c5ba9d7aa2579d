package activity

import "strings"

// Level is the weight of a line. Its number is the original's. Source: spec/supervisor 3.1.
type Level int

// The levels, from the most to the least important.
const (
	Critical Level = 50
	Error    Level = 40
	Warn     Level = 30
	Info     Level = 20
	Debug    Level = 10
	Trace    Level = 5
	Blather  Level = 3
)

// Code is the four letters of the level in a line.
func (l Level) Code() string {
	switch {
	case l >= Critical:
		return "CRIT"
	case l >= Error:
		return "ERRO"
	case l >= Warn:
		return "WARN"
	case l >= Info:
		return "INFO"
	case l >= Debug:
		return "DEBG"
	case l >= Trace:
		return "TRAC"
	}
	return "BLAT"
}

// String is the word of the level in the configuration.
func (l Level) String() string {
	switch {
	case l >= Critical:
		return "critical"
	case l >= Error:
		return "error"
	case l >= Warn:
		return "warn"
	case l >= Info:
		return "info"
	case l >= Debug:
		return "debug"
	case l >= Trace:
		return "trace"
	}
	return "blather"
}

// ParseLevel reads a configuration word, in any case; false for an unknown one.
func ParseLevel(word string) (Level, bool) {
	for _, l := range []Level{Critical, Error, Warn, Info, Debug, Trace, Blather} {
		if strings.EqualFold(word, l.String()) {
			return l, true
		}
	}
	return 0, false
}
