package streams

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// text shows a queue: data as they are, gaps as <n>.
func (q *queue) text() string {
	var b strings.Builder
	for _, s := range q.segs {
		if s.lost > 0 {
			fmt.Fprintf(&b, "<%d>", s.lost)
		} else {
			b.Write(s.data)
		}
	}
	return b.String()
}

func TestQueue(t *testing.T) {
	tests := []struct {
		name   string
		limit  int
		total  int64
		add    []string
		want   string
		forget int // bytes written out after the first half of add
	}{
		{"fits", 10, 100, []string{"abc\n", "de\n"}, "abc\nde\n", 0},
		{"too much: whole lines are kept", 10, 100, []string{"abc\n", "de\nfgh\n"}, "abc\nde\n<4>", 0},
		{"a line that does not fit at all", 4, 100, []string{"abcdefgh\n"}, "<9>", 0},
		{"dropping goes on", 10, 100, []string{"abcdefghij", "kl\n", "mn\n"}, "abcdefghij"[:0] + "abcdefghij<6>", 0},
		{"the shared limit", 100, 5, []string{"ab\n", "cd\nef\n"}, "ab\n<6>", 0},
		{"resumes at a line", 8, 100, []string{"abc\ndef\n", "gh\nij", "kl\nmn\n", "op\n"}, "<8>mn\nop\n", 8},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := memory{limit: tt.total}
			var q queue
			for i, s := range tt.add {
				if tt.forget > 0 && i == len(tt.add)/2 {
					q.advance(tt.forget, &m)
				}
				q.add([]byte(s), tt.limit, &m)
			}
			if diff := cmp.Diff(tt.want, q.text()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if m.used.Load() != int64(q.size) || q.size > tt.limit {
				t.Errorf("size %d, memory %d", q.size, m.used.Load())
			}
			q.clear(&m)
			if m.used.Load() != 0 || !q.empty() {
				t.Errorf("memory %d after clear", m.used.Load())
			}
		})
	}
}

// Whatever happens, bytes kept and bytes counted are the bytes that came, and memory is accounted for.
func FuzzQueue(f *testing.F) {
	f.Add("ab\ncdef\n\nghijk", uint8(7), uint8(9), uint64(0x1234567))
	f.Fuzz(func(t *testing.T, text string, limit, total uint8, steps uint64) {
		m := memory{limit: int64(total)}
		var q queue
		came, gone := 0, 0
		for len(text) > 0 {
			n := min(int(steps&15)+1, len(text))
			q.add([]byte(text[:n]), int(limit), &m)
			came += n
			text = text[n:]
			steps = steps>>3 | steps<<61
			if steps&1 == 1 && !q.empty() {
				if s := &q.segs[0]; s.lost > 0 {
					gone += int(s.lost)
					q.pop()
				} else {
					k := min(len(s.data), int(steps>>1&7))
					gone += k
					q.advance(k, &m)
				}
			}
			left := 0
			for _, s := range q.segs {
				left += len(s.data) + int(s.lost)
				if (len(s.data) > 0) == (s.lost > 0) {
					t.Fatalf("a segment of %d bytes and a gap of %d", len(s.data), s.lost)
				}
			}
			if gone+left != came {
				t.Fatalf("%d gone, %d left, %d came", gone, left, came)
			}
			if q.size > int(limit) || m.used.Load() != int64(q.size) || m.used.Load() > m.limit {
				t.Fatalf("size %d of %d, memory %d of %d", q.size, limit, m.used.Load(), m.limit)
			}
		}
	})
}

func TestLines(t *testing.T) {
	var l lines
	var got []string
	emit := func(b []byte) { got = append(got, string(b)) }
	for _, p := range []string{"a", "b\nc\n", "\n", "d"} {
		l.feed([]byte(p), emit)
	}
	l.flush(emit)
	l.flush(emit)
	if diff := cmp.Diff([]string{"ab", "c", "", "d"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got = nil
	l.feed([]byte(strings.Repeat("x", maxLine-1)), emit)
	l.feed([]byte("yz"), emit)
	if len(got) != 1 || len(got[0]) != maxLine+1 {
		t.Errorf("a line without end: %d pieces", len(got))
	}
}
