package supervisorctl

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// output is the standard output, buffered, and the standard error. It is safe for concurrent use,
// because the streams of fg write side by side.
type output struct {
	mu       sync.Mutex
	w        *bufio.Writer
	errors   io.Writer
	terminal bool
}

func newOutput(std Streams, terminal bool) *output {
	return &output{w: bufio.NewWriterSize(std.Stdout, 64<<10), errors: std.Stderr, terminal: terminal}
}

// say writes a line that may contain foreign text.
func (o *output) say(format string, args ...any) { o.text(fmt.Sprintf(format, args...) + "\n") }

// text writes foreign text without ending the line.
func (o *output) text(s string) {
	if o.terminal {
		s = neutral(s)
	}
	o.raw(s)
}

// raw writes bytes as they are.
func (o *output) raw(s string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, _ = o.w.WriteString(s) // an output that is gone shows in the next flush, and nobody is left to tell
}

// fail writes a line to the standard error, after what was said before.
func (o *output) fail(format string, args ...any) {
	s := fmt.Sprintf(format, args...) + "\n"
	if o.terminal {
		s = neutral(s)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	_ = o.w.Flush()
	_, _ = io.WriteString(o.errors, s)
}

// flush shows everything written so far. The error tells that nobody reads any more.
func (o *output) flush() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Flush()
}

// neutral escapes what a terminal could obey: control characters other than tab and newline, bytes that
// are not UTF-8, and the characters that reorder text. Source: spec/reliability S23.
func neutral(s string) string {
	var b strings.Builder
	done := 0 // up to where s is in b
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		escape := ""
		switch {
		case r == utf8.RuneError && n == 1:
			escape = fmt.Sprintf(`\x%02x`, s[i])
		case !dangerous(r):
		case r < 0x100:
			escape = fmt.Sprintf(`\x%02x`, r)
		default:
			escape = fmt.Sprintf(`\u%04x`, r)
		}
		if escape != "" {
			b.WriteString(s[done:i])
			b.WriteString(escape)
			done = i + n
		}
		i += n
	}
	if done == 0 {
		return s
	}
	b.WriteString(s[done:])
	return b.String()
}

func dangerous(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return false
	case unicode.IsControl(r):
		return true
	}
	return unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}
