//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// digits is the width of a line's number.
const digits = 12

// appendLine adds line number n of the given width, newline included: twelve digits, a blank, filling. The
// last line of a writer is filled with another letter. The width is at least 16.
func appendLine(b []byte, n int64, width int, last bool) []byte {
	begin := len(b)
	b = fmt.Appendf(b, "%0*d ", digits, n)
	fill := byte('.')
	if last {
		fill = '!'
	}
	for len(b)-begin < width-1 {
		b = append(b, fill)
	}
	return append(b, '\n')
}

// setNumber renumbers a line in place: a writer must not be slower than what it measures.
func setNumber(line []byte, n int64) {
	for i := digits - 1; i >= 0; i-- {
		line[i] = byte('0' + n%10)
		n /= 10
	}
}

// audit is what a set of log files, oldest first, holds of one writer's lines.
type audit struct {
	bytes, lines int64
	first        int64 // number of the first line kept
	missing      int64 // numbers left out between the first and the last line
	bad          int64 // lines that are not as they were written
	disordered   int64
	cut          int64 // lines that begin in one file and end in another
	complete     bool  // the last line is there
}

// wrong names what is wrong; "" when nothing is. Lines before the first one may be gone: rotation
// removes the oldest. Without rotation the first number must be 0.
func (a audit) wrong(rotated bool) string {
	switch {
	case !rotated && a.first != 0:
		return fmt.Sprintf("the first %d lines are lost", a.first)
	case a.missing > 0:
		return fmt.Sprintf("%d lines are lost", a.missing)
	case a.bad > 0:
		return fmt.Sprintf("%d lines are damaged", a.bad)
	case a.disordered > 0:
		return fmt.Sprintf("%d lines out of order", a.disordered)
	case !a.complete:
		return "the end is missing"
	}
	return ""
}

// auditFiles reads them in order.
func auditFiles(width int, files []string) (audit, error) {
	a := audit{first: -1}
	next := int64(-1)
	var carry []byte // a line cut by the end of a file goes on in the next
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return a, err
		}
		r := bufio.NewReaderSize(f, 1<<20)
		for {
			part, err := r.ReadSlice('\n')
			a.bytes += int64(len(part))
			line := part
			if len(carry) > 0 {
				line = append(carry, part...)
				carry = nil
			}
			if errors.Is(err, io.EOF) {
				if len(line) > 0 {
					carry = append([]byte(nil), line...)
					a.cut++
				}
				break
			}
			if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
				f.Close()
				return a, err
			}
			a.lines++
			next = a.take(line, width, next)
		}
		f.Close()
	}
	if len(carry) > 0 {
		a.bad++
	}
	return a, nil
}

// take checks one line; next is the number that it should have, -1 for the first. It returns the number
// that the line after it should have.
func (a *audit) take(line []byte, width int, next int64) int64 {
	n, ok := lineNumber(line)
	if !ok || len(line) != width || !evenFill(line[digits+1:width-1]) {
		a.bad++
		if next >= 0 {
			next++ // it stands for the line that belongs there
		}
		return next
	}
	switch {
	case next < 0:
		a.first = n
	case n > next:
		a.missing += n - next
	case n < next:
		a.disordered++
	}
	a.complete = line[digits+1] == '!'
	return n + 1
}

func lineNumber(line []byte) (int64, bool) {
	if len(line) < digits+3 || line[digits] != ' ' {
		return 0, false
	}
	var n int64
	for _, c := range line[:digits] {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// evenFill reports whether b is one letter over and over, one of the two that are used.
func evenFill(b []byte) bool {
	if len(b) == 0 || (b[0] != '.' && b[0] != '!') {
		return false
	}
	return bytes.Count(b, b[:1]) == len(b)
}

// rotated lists path and its backups, the oldest first.
func rotated(path string) []string {
	var files []string
	for i := 0; ; i++ {
		name := path
		if i > 0 {
			name = fmt.Sprintf("%s.%d", path, i)
		}
		if _, err := os.Stat(name); err != nil {
			return files
		}
		files = append([]string{name}, files...)
	}
}
