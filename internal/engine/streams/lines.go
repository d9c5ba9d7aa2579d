package streams

import "bytes"

// maxLine is the length in bytes at which an unfinished line is given out as it is.
const maxLine = 64 << 10

// Lines puts a stream together into whole lines. An unfinished one of 64 KiB counts as one. The zero value is at the begin of a line.
type Lines struct{ part []byte }

// Feed gives each line of p, without its end, to emit, which must not keep it; the last, unfinished one waits for more.
func (l *Lines) Feed(p []byte, emit func([]byte)) {
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			l.part = append(l.part, p...)
			if len(l.part) >= maxLine {
				l.flush(emit)
			}
			return
		}
		line := p[:i]
		if len(l.part) > 0 {
			l.part = append(l.part, line...)
			line = l.part
		}
		emit(line)
		l.part = nil
		p = p[i+1:]
	}
}

// flush gives out the unfinished line, if there is one.
func (l *Lines) flush(emit func([]byte)) {
	if len(l.part) > 0 {
		emit(l.part)
		l.part = nil
	}
}
