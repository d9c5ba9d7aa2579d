package chalmers

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// showLog prints a log: what a program writes, what happens to it, or what happens to all. Source: spec/chalmers CH-43.
func showLog(c *call) error {
	if len(c.args) > 1 {
		return &usageError{"give the name of one program"}
	}
	r, err := c.logRange()
	if err != nil {
		return err
	}
	p, l := Program{}, logReader{path: c.Instance.Activity()}
	if len(c.args) == 1 {
		if p, err = c.one(); err != nil {
			return err
		}
		switch {
		case c.has("daemon"):
			l.keep = concerning(p.Name)
		case c.has("stderr") && p.Stderr != "":
			l.path = p.Stderr
		default:
			l.path = p.Stdout
		}
	}
	switch own := l.path == c.Instance.Activity(); {
	case l.path == "":
		c.warn("%s has no log of this kind", p.Name)
		return nil
	case c.has("showfile"):
		fmt.Fprintln(c.Stdout, l.path)
		return nil
	case c.has("rm", "remove") && own:
		return errors.New("this log is that of all programs; it does not grow without limit")
	case c.has("rm", "remove"):
		return c.Instance.ClearLogs(c.ctx, p)
	}
	return c.print(l, r, p.Name)
}

// logRange is which part of a log is meant: the first lines, or else the last ones, 0 = all; and what follows.
type logRange struct {
	head, tail int
	follow     bool
}

func (c *call) logRange() (logRange, error) {
	r := logRange{tail: 10, follow: c.has("follow")}
	for option, to := range map[string]*int{"tail": &r.tail, "head": &r.head} {
		text, ok := c.last(option)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return r, &usageError{fmt.Sprintf("--%s: %q is not a number of lines", option, text)}
		}
		*to = n
	}
	return r, nil
}

// print writes a part of a log. A log is followed as long as its program runs; that of all programs until the interruption.
func (c *call) print(l logReader, r logRange, name string) error {
	put := func(line []byte) error {
		text := strings.TrimSuffix(string(line), "\n")
		_, err := fmt.Fprintln(c.Stdout, c.shown(text))
		return err
	}
	if r.head > 0 {
		return c.unwritten(l, l.first(r.head, put))
	}
	end, err := l.tail(r.tail, put)
	if err = c.unwritten(l, err); err != nil || !r.follow {
		return err
	}
	checked, alive := time.Time{}, true
	return l.follow(c.ctx, end, func() bool {
		if now := c.Now(); name != "" && now.Sub(checked) > time.Second {
			list, err := c.Instance.List(c.ctx)
			checked, alive = now, err != nil || slices.ContainsFunc(list, func(p Program) bool { return p.Name == name && p.Active })
		}
		return alive
	}, put)
}

// unwritten says that a log is not there yet, which is no failure.
func (c *call) unwritten(l logReader, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		c.warn("nothing was written to %s yet", l.path)
		return nil
	}
	return err
}

// maxLine is where a line of a log is broken in two, in bytes.
const maxLine = 1 << 20

// logReader is a log as it is read here: the file itself, since a program that came from elsewhere writes its own.
type logReader struct {
	path string
	keep *regexp.Regexp // lines without it are left out; nil = all
}

func (l logReader) wants(line []byte) bool { return l.keep == nil || l.keep.Match(line) }

// concerning finds the lines of the activity log that are about a program.
func concerning(name string) *regexp.Regexp {
	return regexp.MustCompile(`^\S+ \S+ [A-Z]+ (?:[a-z][a-z ]*(?:: | for ))?'?` + regexp.QuoteMeta(name) + `(?:$|[' ,:;(])`)
}

// first writes the first lines, tail the last ones; n < 1 = all. They return where the reading has ended.
func (l logReader) first(n int, put func([]byte) error) error {
	f, err := os.Open(l.path)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 64<<10)
	for n > 0 {
		line, err := readLine(r)
		if len(line) > 0 && l.wants(line) {
			if err := put(line); err != nil {
				return err
			}
			n--
		}
		if err != nil {
			return ended(err)
		}
	}
	return nil
}

func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// readLine reads a line with its end, or a part of a very long one.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for len(line) < maxLine {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
	return line, nil
}

// tail writes the last lines, all with n < 1, also those of older files when the newest has too few; it returns the place in
// the newest file up to which it has read.
func (l logReader) tail(n int, put func([]byte) error) (int64, error) {
	var groups [][][]byte
	var end int64
	found := 0
	for i := 0; n < 1 || found < n; i++ {
		path := l.path
		if i > 0 {
			path += "." + strconv.Itoa(i)
		}
		lines, size, err := l.last(path, n-found, n < 1)
		switch {
		case errors.Is(err, os.ErrNotExist) && i > 0:
			n = found // there are no more
			if n == 0 {
				return end, nil
			}
			continue
		case err != nil:
			return 0, err
		case i == 0:
			end = size
		}
		found += len(lines)
		groups = append(groups, lines)
		if n < 1 { // the whole of this file, as ever
			break
		}
	}
	for i := len(groups) - 1; i >= 0; i-- {
		for _, line := range groups[i] {
			if err := put(line); err != nil {
				return 0, err
			}
		}
	}
	return end, nil
}

// chunk is how much is read at once from the end.
const chunk = 64 << 10

// last are the last n lines of a file, or all.
func (l logReader) last(path string, n int, all bool) ([][]byte, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	size := st.Size()
	var text []byte
	for from := size; ; {
		lines := l.lines(text, from > 0)
		if from == 0 || !all && len(lines) >= n {
			return lines[max(0, len(lines)-n)*b2i(!all):], size, nil
		}
		step := min(from, max(chunk, int64(len(text)))) // twice as much each time
		part := make([]byte, step)
		from -= step
		if _, err := f.ReadAt(part, from); err != nil && !errors.Is(err, io.EOF) {
			return nil, 0, err
		}
		text = append(part, text...)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// lines are those lines of a text that are wanted; the first one may be a part only.
func (l logReader) lines(text []byte, part bool) [][]byte {
	var out [][]byte
	for line := range bytes.Lines(text) {
		if part {
			part = false
			continue
		}
		if l.wants(line) {
			out = append(out, line)
		}
	}
	return out
}

// follow writes what is added to a log from a place on, across rotation and truncation, until alive says false or the
// context ends; what was written before that is written out.
func (l logReader) follow(ctx context.Context, from int64, alive func() bool, put func([]byte) error) error {
	f := follower{log: l, at: from, put: put}
	defer f.close()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		going := alive() && ctx.Err() == nil
		if err := f.read(); err != nil {
			return err
		}
		if !going {
			return f.rest()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// follower reads a file that grows.
type follower struct {
	log  logReader
	f    *os.File
	at   int64
	part []byte // of a line that has not ended
	put  func([]byte) error
}

func (f *follower) close() {
	if f.f != nil {
		f.f.Close()
		f.f = nil
	}
}

// read writes what is new.
func (f *follower) read() error {
	for {
		if f.f == nil {
			var err error
			if f.f, err = os.Open(f.log.path); errors.Is(err, os.ErrNotExist) {
				return nil
			} else if err != nil {
				return err
			}
		}
		now, nowErr := os.Stat(f.log.path)
		st, err := f.f.Stat()
		if err != nil {
			return err
		}
		if st.Size() < f.at { // it was emptied
			f.at = 0
		}
		if err := f.copy(); err != nil {
			return err
		}
		if nowErr != nil || os.SameFile(now, st) {
			return nil
		}
		f.close() // it was renamed: the rest is in the new one
		f.at = 0
	}
}

func (f *follower) copy() error {
	buf := make([]byte, chunk)
	for {
		n, err := f.f.ReadAt(buf, f.at)
		f.at += int64(n)
		f.part = append(f.part, buf[:n]...)
		for {
			i := bytes.IndexByte(f.part, '\n')
			if i < 0 && len(f.part) < maxLine {
				break
			}
			if i < 0 {
				i = len(f.part) - 1
			}
			line := f.part[:i+1]
			if f.log.wants(line) {
				if err := f.put(line); err != nil {
					return err
				}
			}
			f.part = f.part[i+1:]
		}
		if err != nil || n == 0 {
			return ended(err)
		}
	}
}

// rest writes a last line that has no end.
func (f *follower) rest() error {
	if len(f.part) == 0 || !f.log.wants(f.part) {
		return nil
	}
	return f.put(f.part)
}
