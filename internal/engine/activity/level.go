package activity

import "github.com/upkeep-project/upkeep/internal/base/units"

// Level is the weight of a line. Source: spec/supervisor 3.1.
type Level = units.Level

// The levels, from the most to the least important.
const (
	Critical = units.LevelCritical
	Error    = units.LevelError
	Warn     = units.LevelWarn
	Info     = units.LevelInfo
	Debug    = units.LevelDebug
	Trace    = units.LevelTrace
	Blather  = units.LevelBlather
)
