package service

import (
	"context"
	"regexp"
	"time"
)

// LogQuery selects lines of several logs. The zero value of each field but Logs selects everything.
type LogQuery struct {
	// Logs are the logs to be read together. A channel without a log is left out, a log named twice (or shared by two
	// programs) is read once, under the name that comes first.
	Logs []LogRef
	// Since and Until bound the time at which a line came, Until excluded.
	Since, Until time.Time
	// Tail is how many lines to show at most of those that are there, the last ones over all logs; 0 = all,
	// negative = none, as for one who follows and wants news only. Marks are not counted.
	Tail int
	// Run selects one run of each program: 0 = all runs, -1 = the one before the present one (or before the latest, when
	// nothing runs), -2 = the one before that. A program that has not had so many, or of whose
	// runs nothing was noted, has no lines.
	Run int
	// Match selects lines whose text, without the line end, it matches; nil = all.
	Match *regexp.Regexp
	// Follow goes on with what comes, across rotations, clears and restarts. It makes no sense together with a Run.
	Follow bool
}

// LogLine is one line of a log, or a mark between lines, which says in words that something is missing or that a new run
// begins.
type LogLine struct {
	Log LogRef
	// Time is when the line's first byte came, to about 10 ms; that of the file's last change for logs
	// whose times were not noted.
	Time time.Time
	// Run is the generation of the instance that wrote it, as in model.Status; 0 = not known. It may begin again at 1.
	Run uint64
	// Text is the line as it was written, without its end, in any encoding, terminal sequences included; at most MaxLogLine bytes. It is valid
	// until the next call of Next.
	Text []byte
	// Mark is "restarted (exit 3)", "skipped 4096 bytes" and the like; Text is nil then. Empty for lines.
	Mark string
}

// MaxLogLine is how much of a line is shown, in bytes; a mark after it says how much was left out.
const MaxLogLine = 1 << 20

// LogReader gives out the lines of a query, in the order of their times.
type LogReader interface {
	// Next is the next line. It blocks only when the query follows. Errors: io.EOF at the end, ctx's, a *Error when a
	// log cannot be read.
	Next(ctx context.Context) (LogLine, error)
	Close() error
}
