package streams

// What one instance of a program has written comes before what the next one writes, although the end of the first is
// not held up by a log that cannot be written just then.

// owed is what an older stream has to write before a younger one may write to the same log.
type owed struct {
	by     *Stream // nil = nothing
	target int64   // of its taken; -1 when that is to be found out after the move under way
}

// succeed makes a stream the latest of its log, behind what the one before it has not written.
func (p *Pump) succeed(s *Stream) {
	f := s.out.file
	if f == nil {
		return
	}
	p.mu.Lock()
	before := p.latest[f]
	p.latest[f] = s
	p.mu.Unlock()
	if before == nil {
		return
	}
	if o := before.owes(); o.by != nil {
		s.more().after = o
	}
}

// owes is what a stream has not written yet.
func (s *Stream) owes() owed {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		if s.behind() {
			return s.x.after
		}
		return owed{}
	}
	if s.busy {
		return owed{s, -1}
	}
	n, _, err := s.available()
	if err == nil && n == 0 && s.settledLocked() {
		return owed{}
	}
	return owed{s, s.taken + int64(n)}
}

// settledLocked: nothing that has left the pipe waits for the log, and no older stream has to write first.
func (s *Stream) settledLocked() bool {
	return !s.held && (s.x == nil || s.x.ahead == 0 && !s.waits() && !s.behind())
}

// paid reports whether it is in the log by now, or lost.
func (o *owed) paid() bool {
	s := o.by
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return !s.behind()
	}
	if s.busy {
		return false
	}
	if o.target < 0 {
		n, _, err := s.available()
		if err != nil {
			return true
		}
		o.target = s.taken + int64(n)
	}
	return s.taken >= o.target && s.settledLocked()
}

// leaveLocked takes an ended stream out of the order. Whom it was behind the next one is behind.
func (p *Pump) leaveLocked(s *Stream) {
	f := s.out.file
	if f == nil {
		return
	}
	var before *Stream
	if s.behind() {
		before = s.x.after.by
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.latest[f] != s:
	case before != nil:
		p.latest[f] = before
	default:
		delete(p.latest, f)
	}
}

// behind reports whether an older stream has to write first.
func (s *Stream) behind() bool {
	if s.x == nil || s.x.after.by == nil {
		return false
	}
	if s.x.after.paid() {
		s.x.after = owed{}
	}
	return s.x.after.by != nil
}
