package supervisorctl

import (
	"bufio"
	"context"
	"io"
	"strings"
	"time"
)

// lines reads a stream line by line, and can give up waiting without losing what comes later. A read that
// nobody waits for any more goes on in its goroutine, and its line is the next one returned; so at most
// one goroutine lives, until the stream ends.
type lines struct {
	source  io.Reader
	r       *bufio.Reader
	pending chan lineRead // non-nil while a read is under way
}

type lineRead struct {
	line string
	err  error
}

func newLines(r io.Reader) *lines {
	if r == nil {
		r = strings.NewReader("")
	}
	return &lines{source: r, r: bufio.NewReader(r)}
}

// read is the next line without its newline; io.EOF after the last one, or the error of ctx.
func (l *lines) read(ctx context.Context) (string, error) {
	if l.pending == nil {
		c := make(chan lineRead, 1)
		l.pending = c
		go func() {
			line, err := l.r.ReadString('\n')
			c <- lineRead{line, err}
		}()
	}
	select {
	case got := <-l.pending:
		l.pending = nil
		if got.err != nil && got.line == "" {
			return "", got.err
		}
		return strings.TrimSuffix(strings.TrimSuffix(got.line, "\n"), "\r"), nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// stop ends a read that is under way, where the stream can be told to.
func (l *lines) stop() {
	if l.pending == nil {
		return
	}
	if f, ok := l.source.(interface{ SetReadDeadline(t time.Time) error }); ok && f.SetReadDeadline(time.Unix(1, 0)) == nil {
		l.wait()
	}
}

// wait returns when no read is under way. The stream has been closed before.
func (l *lines) wait() {
	if l.pending != nil {
		<-l.pending
		l.pending = nil
	}
}
