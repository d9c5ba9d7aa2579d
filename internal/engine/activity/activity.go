// Package activity is the activity log: what the daemon did and saw, one line each, in the original's
// format and words. Lines go to a file with rotation, a copy to standard output in the foreground, and to
// syslog. Source: spec/supervisor 3.1.
//
// Writing a line never waits for a disk or a terminal: each destination has a bounded queue and a goroutine
// of its own. What does not fit is counted, and the count is written as a line at that place (F44).
//
// Text is written as it is given, embedded line ends included, as the original does.
package activity

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/engine/logs"
	"github.com/upkeep-project/upkeep/internal/sys/logfile"
)

// Options of the activity log.
type Options struct {
	Level Level // lines below it are not written

	Path     string // of the file; empty = none
	MaxBytes int64  // rotation, as in logs.Options
	Backups  int
	Files    *logs.Store // needed with Path

	Stdout io.Writer    // gets a copy of each line; nil = none
	Syslog func(string) // gets each line without its line end; nil = none

	// QueueBytes bounds what waits for each destination; default 1 MiB.
	QueueBytes int
	// Now is the clock; default time.Now. Lines show its local time.
	Now func() time.Time
	// Alarm is told once when a destination begins to fail; default: nobody. It must not write to the log.
	Alarm func(destination string, err error)
}

const defaultQueue = 1 << 20

// flushPatience is how long Flush waits for a destination that takes nothing.
const flushPatience = time.Second

// Logger is an open activity log. Its methods are safe for concurrent use.
type Logger struct {
	level Level
	now   func() time.Time
	file  *logs.File
	main  *sink // of the file
	sinks []*sink
}

// New opens the file and starts the destinations. The error is that of opening the file.
func New(o Options) (*Logger, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.QueueBytes <= 0 {
		o.QueueBytes = defaultQueue
	}
	if o.Alarm == nil {
		o.Alarm = func(string, error) {}
	}
	l := &Logger{level: o.Level, now: o.Now}
	add := func(name string, retry bool, write func([]byte) (int, error)) *sink {
		s := newSink(o.QueueBytes, retry, write, l.format, func(err error) { o.Alarm(name, err) })
		l.sinks = append(l.sinks, s)
		return s
	}
	if o.Path != "" {
		f, err := o.Files.Open(o.Path, logs.Options{MaxBytes: o.MaxBytes, Backups: o.Backups})
		if err != nil {
			return nil, err
		}
		l.file = f
		l.main = add(o.Path, true, f.Write)
	}
	if o.Stdout != nil {
		add("standard output", false, o.Stdout.Write)
	}
	if o.Syslog != nil {
		add("syslog", false, func(p []byte) (int, error) {
			for line := range strings.Lines(string(p)) {
				o.Syslog(strings.TrimSuffix(line, "\n"))
			}
			return len(p), nil
		})
	}
	return l, nil
}

// Enabled reports whether lines of this level are written.
func (l *Logger) Enabled(v Level) bool { return v >= l.level }

// Logf writes a line: time, level and the formatted message. It does not wait.
func (l *Logger) Logf(v Level, format string, args ...any) {
	if line := l.Line(v, format, args...); line != nil {
		l.Write(line)
	}
}

// Line makes a line with the time of now, to be written later; nil when lines of this level are not written.
func (l *Logger) Line(v Level, format string, args ...any) []byte {
	if v < l.level {
		return nil
	}
	return l.format(v, format, args...)
}

// Write writes a line that Line has made, without waiting, and returns its number in the file.
func (l *Logger) Write(line []byte) (number uint64) {
	for _, s := range l.sinks {
		if n := s.put(line); s == l.main {
			number = n
		}
	}
	return number
}

// Written is the number of the last line that is in the file together with all before it, or was given up.
// Without a file every line counts as written.
func (l *Logger) Written() uint64 {
	if l.main == nil {
		return math.MaxUint64
	}
	return l.main.written.Load()
}

// Restore writes those of the lines, which an earlier process may have written or not, that are not near the
// end of the file or of its newest backup. Each has its time in it, so that it is known by its text.
func (l *Logger) Restore(lines []string) {
	if len(lines) == 0 || l.file == nil {
		return
	}
	tail := string(tailOf(l.file.Path()+".1")) + string(tailOf(l.file.Path()))
	for _, line := range lines {
		if !strings.Contains(tail, line) {
			l.Write([]byte(line))
		}
	}
}

// searched is how much of a log's end is looked at for lines that may be there.
const searched = 1 << 20

func tailOf(path string) []byte {
	f, err := logfile.OpenReader(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > searched {
		_, _ = f.Seek(-searched, io.SeekEnd)
	}
	b, _ := io.ReadAll(io.LimitReader(f, 2*searched))
	return b
}

// format makes a line. Source: spec/supervisor 3.1.
func (l *Logger) format(v Level, format string, args ...any) []byte {
	b := make([]byte, 0, 128)
	b = l.now().AppendFormat(b, "2006-01-02 15:04:05,000")
	b = append(b, ' ')
	b = append(b, v.Tag()...)
	b = append(b, ' ')
	b = fmt.Appendf(b, format, args...)
	return append(b, '\n')
}

// Criticalf writes a line of level critical; the following ones likewise.
func (l *Logger) Criticalf(format string, args ...any) { l.Logf(Critical, format, args...) }

// Errorf writes an error.
func (l *Logger) Errorf(format string, args ...any) { l.Logf(Error, format, args...) }

// Warnf writes a warning.
func (l *Logger) Warnf(format string, args ...any) { l.Logf(Warn, format, args...) }

// Infof writes an information.
func (l *Logger) Infof(format string, args ...any) { l.Logf(Info, format, args...) }

// Debugf writes a line for finding faults.
func (l *Logger) Debugf(format string, args ...any) { l.Logf(Debug, format, args...) }

// Tracef writes a line of level trace.
func (l *Logger) Tracef(format string, args ...any) { l.Logf(Trace, format, args...) }

// Blatherf writes a line of the lowest level.
func (l *Logger) Blatherf(format string, args ...any) { l.Logf(Blather, format, args...) }

// Path is the file's absolute path; empty when there is none.
func (l *Logger) Path() string {
	if l.file == nil {
		return ""
	}
	return l.file.Path()
}

// Flush waits until what has been written so far is in the file and at the other destinations, at most a
// second when one takes nothing.
func (l *Logger) Flush() {
	end := time.Now().Add(flushPatience)
	for _, s := range l.sinks {
		_ = s.flush(time.Until(end)) // what is stuck has been reported
	}
}

// Reopen closes the file and opens its path anew. Source: spec/supervisor 3.7.
func (l *Logger) Reopen() error {
	if l.file == nil {
		return nil
	}
	_ = l.main.flush(flushPatience)
	return l.file.Reopen()
}

// Clear empties the file in place; a line before that says so, and remains at the other destinations. The
// error may be fs.ErrNotExist when there is no file. Source: spec/supervisor 3.7 (F12).
func (l *Logger) Clear() error {
	if l.file == nil {
		return nil
	}
	l.Logf(Info, "reopening log file")
	_ = l.main.flush(flushPatience)
	return l.file.Clear()
}

// Problem returns what has gone wrong with the file's rotation since it was asked last; nil for nothing.
func (l *Logger) Problem() error {
	if l.file == nil {
		return nil
	}
	return l.file.Problem()
}

// Close writes out what is queued, with the patience of Flush, and ends the goroutines. Lines written
// afterwards are dropped.
func (l *Logger) Close() error {
	end := time.Now().Add(flushPatience)
	var errs []error
	for _, s := range l.sinks {
		errs = append(errs, s.close(time.Until(end)))
	}
	if l.file != nil && !errors.Is(errs[0], errStuck) {
		errs = append(errs, l.file.Close())
	}
	return errors.Join(errs...)
}
