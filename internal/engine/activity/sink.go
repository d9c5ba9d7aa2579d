package activity

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// errStuck: a destination did not take what was queued in time.
var errStuck = errors.New("activity: a destination takes nothing")

// retryEvery is how long a failing destination is left alone.
const retryEvery = time.Second

// endPatience is how long closing waits for a goroutine that has nothing left to do.
const endPatience = time.Second

// sink is one destination: a bounded queue and the goroutine that writes it out.
type sink struct {
	limit  int
	write  func([]byte) (int, error)
	retry  bool // try again what could not be written, until the queue is full too
	format func(Level, string, ...any) []byte
	alarm  func(error)

	written atomic.Uint64 // number of the last line that is out of here, with all before it

	mu      sync.Mutex
	queue   []byte
	number  uint64          // of the last line that was put
	lines   int             // dropped since the queue was last taken
	writing bool            // the goroutine holds bytes
	failed  error           // why they could not be written yet
	flushed []chan struct{} // to be closed when all is written
	more    chan struct{}   // the goroutine has something to do
	quit    chan struct{}
	done    chan struct{}
	closing bool
	closed  bool // nothing more is accepted
}

func newSink(limit int, retry bool, write func([]byte) (int, error), format func(Level, string, ...any) []byte, alarm func(error)) *sink {
	s := &sink{
		limit: limit, retry: retry, write: write, format: format, alarm: alarm,
		more: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	go s.loop()
	return s
}

// put queues a line, or counts it when there is no room, and returns its number.
func (s *sink) put(line []byte) uint64 {
	s.mu.Lock()
	s.number++
	number := s.number
	switch {
	case s.closed:
		s.mu.Unlock()
		return number
	case s.lines > 0 || len(s.queue)+len(line) > s.limit && len(s.queue) > 0:
		s.lines++ // and all after it until the queue has been taken, so that the gap is one
	default:
		s.queue = append(s.queue, line...)
	}
	s.mu.Unlock()
	s.wake()
	return number
}

func (s *sink) wake() {
	select {
	case s.more <- struct{}{}:
	default:
	}
}

func (s *sink) loop() {
	defer close(s.done)
	var spare []byte
	for {
		s.mu.Lock()
		batch, lines, number := s.queue, s.lines, s.number
		s.queue, s.lines = spare[:0], 0
		s.writing = len(batch) > 0 || lines > 0
		if !s.writing {
			for _, c := range s.flushed {
				close(c)
			}
			s.flushed = nil
			if s.closed {
				s.mu.Unlock()
				return
			}
		}
		idle := !s.writing
		s.mu.Unlock()
		if idle {
			spare = batch
			<-s.more
			continue
		}
		if lines > 0 {
			batch = append(batch, s.format(Warn, "%d lines of this log were lost: the queue was full", lines)...)
		}
		s.deliver(batch)
		s.written.Store(number)
		if spare = batch; cap(spare) > 64<<10 {
			spare = nil // an outburst is over
		}
	}
}

// deliver writes a batch. One that cannot be written is tried again until it can, and the log tells for
// how long that was; what comes meanwhile is queued, and counted when the queue is full. A failure is
// reported when it begins.
func (s *sink) deliver(batch []byte) {
	var since time.Time
	for {
		n, err := s.write(batch)
		batch = batch[n:]
		s.mu.Lock()
		began := err != nil && s.failed == nil
		was := s.failed
		s.failed = err
		s.mu.Unlock()
		if began {
			s.alarm(err)
			since = time.Now()
		}
		switch {
		case err == nil && was != nil && s.retry:
			batch = s.format(Warn, "this log could not be written for %.0f seconds: %v", time.Since(since).Seconds(), was)
		case err == nil || !s.retry || !s.pause():
			return
		}
	}
}

// pause waits before the next attempt; false when the log is being closed.
func (s *sink) pause() bool {
	t := time.NewTimer(retryEvery)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.quit:
		return false
	}
}

// flush waits until all that is queued has been written; errStuck at once when it cannot be.
func (s *sink) flush(patience time.Duration) error {
	s.mu.Lock()
	if s.failed != nil && s.retry {
		s.mu.Unlock()
		return errStuck
	}
	if !s.writing && len(s.queue) == 0 && s.lines == 0 {
		s.mu.Unlock()
		return nil
	}
	c := make(chan struct{})
	s.flushed = append(s.flushed, c)
	s.mu.Unlock()
	s.wake()
	t := time.NewTimer(max(patience, 0))
	defer t.Stop()
	select {
	case <-c:
		return nil
	case <-t.C:
		return errStuck
	}
}

// close ends the goroutine after what is queued; errStuck when that cannot be written. A goroutine that
// hangs in a write stays until the write returns.
func (s *sink) close(patience time.Duration) error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return nil
	}
	s.closing = true
	s.mu.Unlock()
	err := s.flush(patience)
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	close(s.quit)
	s.wake()
	t := time.NewTimer(endPatience)
	defer t.Stop()
	select {
	case <-s.done:
		return err
	case <-t.C:
		return errStuck
	}
}
