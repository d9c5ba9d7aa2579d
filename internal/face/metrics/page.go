package metrics

import (
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/upkeep-project/upkeep/internal/service"
)

// flushAt is how much of the text is collected before it is sent.
const flushAt = 64 << 10

// page is a text in Prometheus' format, version 0.0.4, as it grows.
type page struct {
	to  io.Writer
	b   []byte
	err error
	now *Family // whose samples come

	programs []string // labels
}

// begin begins the samples of a family. Nothing is written when there are none.
func (p *page) begin(f *Family) { p.now = f }

// labels are those of each program, made once: they stand in every family.
func (p *page) labels(m *service.Measures) []string {
	if p.programs == nil {
		p.programs = make([]string, len(m.Programs))
		for i := range m.Programs {
			id := m.Programs[i].Status.ID
			p.programs[i] = label("group", id.Group) + "," + label("process", id.Name)
		}
	}
	return p.programs
}

// flush sends what was collected.
func (p *page) flush() {
	if p.err == nil && len(p.b) > 0 {
		_, p.err = p.to.Write(p.b)
	}
	p.b = p.b[:0]
}

// sample writes one value. suffix is of the name: "_bucket", or nothing. labels are in the form of label, one after the other.
func (p *page) sample(suffix string, value float64, labels ...string) {
	if f := p.now; !f.told {
		f.told = true
		p.b = append(append(append(append(p.b, "# HELP "...), f.Name...), ' '), escape(f.Help, false)...)
		p.b = append(append(append(append(p.b, "\n# TYPE "...), f.Name...), ' '), f.Kind...)
		p.b = append(p.b, '\n')
	}
	p.b = append(append(p.b, p.now.Name...), suffix...)
	open := byte('{')
	for _, l := range labels {
		if l != "" {
			p.b = append(append(p.b, open), l...)
			open = ','
		}
	}
	if open == ',' {
		p.b = append(p.b, '}')
	}
	p.b = append(appendValue(append(p.b, ' '), value), '\n')
	if len(p.b) >= flushAt {
		p.flush()
	}
}

// appendValue is a number as Go writes and every reader of the format reads it.
func appendValue(b []byte, v float64) []byte {
	switch {
	case math.IsInf(v, 1):
		return append(b, "+Inf"...)
	case math.IsInf(v, -1):
		return append(b, "-Inf"...)
	case math.IsNaN(v):
		return append(b, "NaN"...)
	case v == math.Trunc(v) && math.Abs(v) < 1<<53:
		return strconv.AppendInt(b, int64(v), 10)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}

// label is a label and its value, as they stand between the braces. What is no UTF-8 becomes the sign for that: readers
// refuse a page with it as a whole.
func label(name, value string) string { return name + `="` + escape(value, true) + `"` }

// escape hides what ends a line, and in a value what ends it.
func escape(s string, quote bool) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	if !strings.ContainsAny(s, "\\\n\"") {
		return s
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c == '\\':
			b.WriteString(`\\`)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '"' && quote:
			b.WriteString(`\"`)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
