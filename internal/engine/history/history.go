// Package history reads the lines of several logs at once, in the order of their times: across rotated files, runs and
// clears, back to a time or to the last so many lines, and on with what comes.
//
// It only reads: the pump is never held up by a reader, however slow; what was rotated away before it was read is announced
// as missing. The memory it takes is bounded by a block and a line for each log. Times come from the index that the log's
// writer keeps beside it (see package timeindex); without one they are those of the file's last change.
package history

import (
	"container/heap"
	"context"
	"io"
	"regexp"
	"slices"
	"time"

	"github.com/upkeep-project/upkeep/internal/engine/timeindex"
)

// Source is a log to be read.
type Source struct {
	Path string // absolute
	// Name groups the logs of one program: of its runs, which all of them have noted, one mark is shown. Empty = it
	// is on its own.
	Name string
}

// Query selects lines; see service.LogQuery.
type Query struct {
	Logs         []Source
	Since, Until time.Time
	Tail         int
	Run          int
	Match        *regexp.Regexp
	Follow       bool
}

// Line is a line or a mark; see service.LogLine.
type Line struct {
	Source int // index in Query.Logs
	Time   time.Time
	Run    uint64
	Text   []byte
	Mark   string
}

const (
	// lookEvery is how often followed logs are looked at while nothing comes, and lookMore how much later for each of
	// them, so that very many cost no more than a few.
	lookEvery = 100 * time.Millisecond
	lookMore  = 200 * time.Microsecond
	// settled is how old a line has to be when all logs are looked at, for none of the others to have an older one
	// on its way.
	settled = 2 * timeindex.Resolution
)

// Reader gives out the lines of a query. It is for one goroutine.
type Reader struct {
	q     Query
	tapes []*tape
	heads heads   // those that have a line
	idle  []*tape // those that had none when they were looked at last
	given *tape   // its head was given out last

	rounds int       // how often all were looked at
	looked time.Time // when that was
	known  map[string]*program
}

// program is what was given out of one.
type program struct {
	run  time.Time // the beginning of which was marked last
	seen bool      // any line was
}

// Open finds where the query begins. The error is that of the context: a log that cannot be read has a mark instead
// of its lines.
func Open(ctx context.Context, q Query) (*Reader, error) {
	r := &Reader{q: q, known: map[string]*program{}}
	if err := r.begin(ctx); err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

// begin makes the tapes and moves each to its place.
func (r *Reader) begin(ctx context.Context) error {
	listed := make([][]part, len(r.q.Logs))
	for i, s := range r.q.Logs {
		listed[i] = list(s.Path)
	}
	wants := r.wants(listed)
	begin := make([]place, len(r.q.Logs))
	for i, s := range r.q.Logs {
		begin[i] = r.start(s.Path, listed[i], wants[i])
	}
	if r.q.Tail != 0 {
		if err := r.tail(ctx, listed, begin, wants); err != nil {
			return err
		}
	}
	for i, s := range r.q.Logs {
		t := &tape{src: i, path: s.Path, want: wants[i]}
		r.tapes = append(r.tapes, t)
		r.idle = append(r.idle, t)
		if !r.q.Follow {
			end := endOf(listed[i])
			t.stop, t.size = end.part, end.off
		}
		if begin[i].part.path != "" {
			t.seek(begin[i])
		}
	}
	return nil
}

// start is the first place of a log where something that is wanted may be.
func (r *Reader) start(path string, parts []part, want *wanted) place {
	switch {
	case len(parts) == 0:
		return place{}
	case r.q.Tail < 0 || r.q.Run != 0 && want.from.IsZero():
		return endOf(parts)
	case r.q.Run != 0:
		return locate(path, parts, func(x *timeindex.Reader) int { return x.AtRun(want.from) }, func(time.Time) bool { return false })
	case !r.q.Since.IsZero():
		return locate(path, parts, func(x *timeindex.Reader) int { return x.AtTime(r.q.Since) },
			func(t time.Time) bool { return !t.Before(r.q.Since) })
	}
	return place{part: parts[0]}
}

// wants says for each log what is wanted of it: the logs of one program have their runs in common.
func (r *Reader) wants(listed [][]part) []*wanted {
	out := make([]*wanted, len(listed))
	byName := map[string]*wanted{}
	runs := map[string][]time.Time{}
	for i, s := range r.q.Logs {
		name := s.name()
		if byName[name] == nil {
			byName[name] = &wanted{q: &r.q}
		}
		out[i] = byName[name]
		if r.q.Run != 0 {
			runs[name] = append(runs[name], latest(listed[i], -r.q.Run+1)...)
		}
	}
	for name, times := range runs {
		slices.SortFunc(times, func(a, b time.Time) int { return b.Compare(a) })
		times = slices.CompactFunc(times, time.Time.Equal)
		if k := -r.q.Run; k > 0 && k < len(times) {
			byName[name].from, byName[name].till = times[k], times[k-1]
		}
	}
	return out
}

// name is what a log's program is known by.
func (s *Source) name() string {
	if s.Name == "" {
		return "/" + s.Path
	}
	return s.Name
}

// latest are the beginnings of the last n runs that wrote to a log.
func latest(parts []part, n int) (runs []time.Time) {
	for i := len(parts) - 1; i >= 0 && len(runs) < n; i-- {
		f, err := parts[i].open()
		if err != nil {
			continue
		}
		for k := f.idx.Len() - 1; k >= 0 && len(runs) < n; {
			rec, ok := f.idx.At(k)
			if !ok || rec.Run.IsZero() {
				break
			}
			if len(runs) == 0 || !runs[len(runs)-1].Equal(rec.Run) {
				runs = append(runs, rec.Run)
			}
			k = min(k, f.idx.AtRun(rec.Run)) - 1
		}
		f.close()
	}
	return runs
}

// tail moves the places to the last lines over all logs.
func (r *Reader) tail(ctx context.Context, listed [][]part, begin []place, wants []*wanted) error {
	backs := make([]*back, len(listed))
	more := make([]bool, len(listed))
	for i := range listed {
		backs[i] = newBack(r.q.Logs[i].Path, listed[i], begin[i], wants[i])
		defer backs[i].close()
		if r.q.Tail > 0 {
			more[i] = backs[i].next(ctx)
		}
		begin[i] = endOf(listed[i])
	}
	for range max(r.q.Tail, 0) {
		best := -1
		for i, b := range backs {
			if more[i] && (best < 0 || !before(b.said.time, b.said.run, backs[best].said.time, backs[best].said.run)) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		begin[best] = backs[best].at
		more[best] = backs[best].next(ctx)
	}
	return ctx.Err()
}

// before is the order of lines: by time, and at the same time by run.
func before(a, runA, b, runB time.Time) bool {
	if a.Equal(b) {
		return runA.Before(runB)
	}
	return a.Before(b)
}

// heads are the tapes that have a line, as a heap.
type heads []*tape

func (h heads) Len() int { return len(h) }

func (h heads) Less(i, j int) bool {
	a, b := &h[i].heads[0], &h[j].heads[0]
	switch {
	case !a.Time.Equal(b.Time) || !a.began.Equal(b.began):
		return before(a.Time, a.began, b.Time, b.began)
	case a.marks != b.marks:
		return a.marks
	}
	return a.Source < b.Source
}

func (h heads) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push and Pop are for package heap.
func (h *heads) Push(x any) { *h = append(*h, x.(*tape)) }

// Pop takes the last one.
func (h *heads) Pop() any {
	n := len(*h) - 1
	t := (*h)[n]
	*h = (*h)[:n]
	return t
}

// Next is the next line. It blocks only when the query follows. Errors: that of the context, and io.EOF at the end. The text
// of a line is valid until the next call.
func (r *Reader) Next(ctx context.Context) (Line, error) {
	for {
		if t := r.given; t != nil {
			r.given = nil
			t.pop()
			if err := r.load(ctx, t); err != nil {
				return Line{}, err
			}
		}
		if r.rounds == 0 || !r.q.Follow {
			if err := r.look(ctx); err != nil {
				return Line{}, err
			}
		}
		if r.ready() {
			t := heap.Pop(&r.heads).(*tape)
			r.given = t
			if h := &t.heads[0]; r.shows(h) {
				return h.Line, nil
			}
			continue
		}
		if !r.q.Follow && len(r.heads) == 0 || r.ended() {
			return Line{}, io.EOF
		}
		if err := r.wait(ctx); err != nil {
			return Line{}, err
		}
		if err := r.look(ctx); err != nil {
			return Line{}, err
		}
	}
}

// load puts a tape where it belongs.
func (r *Reader) load(ctx context.Context, t *tape) error {
	ok, err := t.load(ctx)
	switch {
	case ok:
		heap.Push(&r.heads, t)
	case !t.over:
		r.idle = append(r.idle, t)
	}
	return err
}

// look looks at the logs that had nothing.
func (r *Reader) look(ctx context.Context) error {
	now := time.Now()
	for len(r.idle) > 0 {
		n := len(r.idle)
		idle := r.idle
		r.idle = nil
		for i, t := range idle {
			if err := r.load(ctx, t); err != nil {
				r.idle = append(r.idle, idle[i+1:]...)
				return err
			}
		}
		if r.q.Follow || len(r.idle) == n {
			break
		}
	}
	r.looked = now
	r.rounds++
	return nil
}

// ready reports whether the first line can be given out: no other log can have an older one. A time in the future
// is no time to wait for.
func (r *Reader) ready() bool {
	if len(r.heads) == 0 {
		return false
	}
	at := r.heads[0].heads[0].Time
	return !r.q.Follow || at.Before(r.looked.Add(-settled)) || at.After(time.Now().Add(settled))
}

// ended reports whether nothing can come any more of a query that follows up to a time.
func (r *Reader) ended() bool {
	return len(r.heads) == 0 && (len(r.idle) == 0 || !r.q.Until.IsZero() && r.looked.Add(-settled).After(r.q.Until))
}

// wait waits for the next round.
func (r *Reader) wait(ctx context.Context) error {
	every := lookEvery
	if len(r.heads) > 0 {
		every = settled // for those that may come before
	}
	tick := time.NewTimer(time.Until(r.looked.Add(every + time.Duration(len(r.tapes))*lookMore)))
	defer tick.Stop()
	select {
	case <-tick.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// shows reports whether a head is given out: the beginning of a run once for all logs of the program, and only
// behind something else.
func (r *Reader) shows(h *head) bool {
	name := r.q.Logs[h.Source].name()
	p := r.known[name]
	if p == nil {
		p = &program{}
		r.known[name] = p
	}
	if !h.marks {
		p.seen = true
		return true
	}
	if !h.began.After(p.run) {
		return false
	}
	p.run = h.began
	return p.seen || r.q.Follow && r.rounds > 1
}

// Close lets go of the files.
func (r *Reader) Close() error {
	for _, t := range r.tapes {
		t.end()
	}
	return nil
}
