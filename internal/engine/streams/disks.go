package streams

import (
	"time"

	"github.com/upkeep-project/upkeep/internal/engine/logs"
)

const (
	// diskShare is how many workers one disk may hold up, urgentShare how many more with the last words of programs.
	diskShare   = 8
	urgentShare = 4
	// hangs is how long nobody comes back from a disk before it counts as one that hangs, and how long a stream waits
	// for the one whose output comes first.
	hangs = 2 * time.Second
	// inLine is when a stream that waits for its turn looks by itself whether the disk hangs.
	inLine = 50 * time.Millisecond
)

// disk is what a log's writes may hang on.
func disk(f *logs.File) any {
	if d := f.Device(); d != 0 {
		return d
	}
	return f.Path()
}

// line is who is at one disk, and who waits to be: with many busy programs everybody gets a turn, whoever is urgent
// first.
type line struct {
	inside int       // workers, and streams whose turn it is
	back   time.Time // when a worker came back last
	// urgent and order are who waits, the longest first; some of them have stood down.
	urgent, order []*Stream
	turns         map[*Stream]*turn // of those who have not
}

// turn is a place in a line.
type turn struct {
	urgent bool
	called bool // it is counted as inside
}

// room reports whether there is a place for one more.
func (l *line) room(urgent bool) bool {
	return l.inside < diskShare || urgent && l.inside < diskShare+urgentShare
}

// next takes whoever is to be called out of the line; nil = nobody, or there is no room.
func (l *line) next() *Stream {
	for _, urgent := range []bool{true, false} {
		queue := &l.order
		if urgent {
			queue = &l.urgent
		}
		for l.room(urgent) && len(*queue) > 0 {
			s := (*queue)[0]
			(*queue)[0] = nil
			*queue = (*queue)[1:]
			if t := l.turns[s]; t != nil && !t.called && t.urgent == urgent {
				return s
			}
		}
	}
	return nil
}

// enter counts a stream's worker into a disk. False: it has to wait for its turn, and is run when that has come. A disk
// from which nobody comes back hangs.
func (p *Pump) enter(disk any, s *Stream, urgent bool) (ok, hanging bool) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.disks[disk]
	if l == nil {
		l = &line{back: now, turns: map[*Stream]*turn{}}
		p.disks[disk] = l
	}
	t := l.turns[s]
	switch {
	case t != nil && t.called:
		delete(l.turns, s)
		return true, false
	case l.room(urgent) && (urgent || len(l.turns) == 0):
		delete(l.turns, s)
		l.inside++
		return true, false
	case urgent && (t == nil || !t.urgent):
		l.turns[s] = &turn{urgent: true}
		l.urgent = append(l.urgent, s)
	case t == nil:
		l.turns[s] = &turn{}
		l.order = append(l.order, s)
	}
	return false, now.Sub(l.back) >= hangs
}

// leave is the counterpart of enter.
func (p *Pump) leave(disk any) {
	p.mu.Lock()
	l := p.disks[disk]
	l.back = time.Now()
	next := p.releaseLocked(disk, l)
	p.mu.Unlock()
	next.run0()
}

// releaseLocked gives a place at a disk to the next in line, who is to be run.
func (p *Pump) releaseLocked(disk any, l *line) *Stream {
	l.inside--
	s := l.next()
	switch {
	case s != nil:
		l.turns[s].called = true
		l.inside++
	case l.inside == 0:
		delete(p.disks, disk)
	}
	return s
}

// run0 has a stream run at once; nil is nobody.
func (s *Stream) run0() {
	if s != nil {
		s.reg.RunAfter(0)
	}
}

// called reports whether it is a waiting stream's turn.
func (p *Pump) called(disk any, s *Stream) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.disks[disk]
	return l != nil && l.turns[s] != nil && l.turns[s].called
}

// standDown takes a stream out of a line.
func (p *Pump) standDown(disk any, s *Stream) {
	p.mu.Lock()
	var next *Stream
	if l := p.disks[disk]; l != nil && l.turns[s] != nil {
		called := l.turns[s].called
		delete(l.turns, s)
		if called {
			next = p.releaseLocked(disk, l)
		}
	}
	p.mu.Unlock()
	next.run0()
}
