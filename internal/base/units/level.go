package units

import (
	"errors"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
)

// Level is the importance of a line in the activity log; greater is more important.
// Source: spec/supervisor 1.6, 3.1.
type Level int8

// The levels.
const (
	LevelBlather  Level = 3
	LevelTrace    Level = 5
	LevelDebug    Level = 10
	LevelInfo     Level = 20
	LevelWarn     Level = 30
	LevelError    Level = 40
	LevelCritical Level = 50
)

// ParseLevel reads a level's word in any case. Abbreviations and synonyms are refused.
func ParseLevel(s string) (Level, error) {
	for _, l := range [...]Level{LevelCritical, LevelError, LevelWarn, LevelInfo, LevelDebug, LevelTrace, LevelBlather} {
		if strings.EqualFold(l.String(), s) { // lower case would make an i of İ
			return l, nil
		}
	}
	return 0, errors.New("bad logging level name " + pytext.Repr(s))
}

// String is the configuration word.
func (l Level) String() string {
	switch {
	case l >= LevelCritical:
		return "critical"
	case l >= LevelError:
		return "error"
	case l >= LevelWarn:
		return "warn"
	case l >= LevelInfo:
		return "info"
	case l >= LevelDebug:
		return "debug"
	case l >= LevelTrace:
		return "trace"
	}
	return "blather"
}

// Tag is the four letters of the level in a log line: CRIT, ERRO, WARN, INFO, DEBG, TRAC, BLAT.
func (l Level) Tag() string {
	if l >= LevelDebug && l < LevelInfo {
		return "DEBG"
	}
	return strings.ToUpper(l.String()[:4])
}
