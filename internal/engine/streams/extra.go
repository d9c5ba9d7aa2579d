package streams

import (
	"errors"
	"time"

	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/sys/pipe"
	"github.com/upkeep-project/upkeep/internal/sys/stage"
)

// extra is what only few streams need at a time: those in trouble, those whose bytes are looked at, the fastest.
type extra struct {
	log   *backlog // nil for none
	lines Lines
	after owed // what comes first

	stall   error // why the log cannot be written
	since   time.Time
	refused time.Time // since when it waits for what comes first; zero = it does not
	line    any       // the disk at which it waits for its turn; nil = at none
	retryAt time.Time
	toldAt  time.Time // when the last trouble was reported
	lost    int64     // by this trouble
	counted bool      // in Pump.stalls

	fast  int // a second pipe between the program's and the log; -1 for none
	ahead int // bytes in it
}

const (
	// maxFast is how many streams have a second pipe at a time.
	maxFast = 4
	// maxExtras is how many streams keep their stages although nothing is in them.
	maxExtras = 256
)

// more gives the stream its extra.
func (s *Stream) more() *extra {
	if s.x == nil {
		s.x = &extra{fast: -1}
	}
	return s.x
}

// adopt takes over what a predecessor has left on the way.
func (s *Stream) adopt(fds []int) {
	for _, fd := range fds {
		x := s.more()
		if pipe.IsPipe(fd) {
			if n, _, err := pipe.Available(fd); err == nil && x.fast < 0 {
				x.fast, x.ahead = fd, n
				s.p.fast.Add(1)
				continue
			}
		} else if f, err := stage.Adopt(fd); err == nil && x.log == nil {
			x.log = newBacklog(f, &s.p.mem)
			continue
		}
		s.p.log(activity.Error, "cannot use what was left of the output of a program")
		s.drop(fd)
		pipe.Close(fd)
	}
	if s.x != nil {
		s.p.remember(s)
	}
}

// backlog gives the stream a stage.
func (s *Stream) backlog() *backlog {
	x := s.more()
	if x.log != nil {
		return x.log
	}
	f, err := stage.New()
	made := err == nil
	if made {
		err = s.keep(f.FD()) // when the keeper is gone we are about to take its place, with all we have
	} else {
		f = stage.Memory()
	}
	if err != nil && (made || !errors.Is(err, errors.ErrUnsupported)) {
		s.p.log(activity.Warn, "output that waits would be lost by a kill: %v", err)
	}
	x.log = newBacklog(f, &s.p.mem)
	s.p.remember(s)
	return x.log
}

// haste gives a stream a second pipe, if one of those who may have one does not need it.
func (s *Stream) haste() {
	x := s.more()
	if x.fast >= 0 || !s.p.mayBeFast() {
		return
	}
	fd, err := pipe.NewBoth(int(s.capacity))
	if err == nil {
		if err = s.keep(fd); err != nil {
			pipe.Close(fd)
		}
	}
	if err != nil {
		s.p.fast.Add(-1)
		return
	}
	x.fast = fd
	s.p.remember(s)
}

func (s *Stream) keep(fd int) error {
	if s.p.o.Keeper == nil || s.key == "" {
		return nil
	}
	return s.p.o.Keeper.Keep(s.key, fd)
}

func (s *Stream) drop(fd int) {
	if s.p.o.Keeper != nil && s.key != "" && fd >= 0 {
		s.p.o.Keeper.Drop(s.key, fd)
	}
}

// slow takes the second pipe, which is empty, away.
func (s *Stream) slow() {
	if x := s.x; x != nil && x.fast >= 0 {
		s.drop(x.fast)
		pipe.Close(x.fast)
		x.fast, x.ahead = -1, 0
		s.p.fast.Add(-1)
	}
}

// unstage gives up the stage and returns how many bytes were lost by that.
func (s *Stream) unstage() int64 {
	if s.x == nil || s.x.log == nil {
		return 0
	}
	s.drop(s.x.log.f.FD())
	lost := s.x.log.close()
	s.x.log = nil
	return lost
}

// relax gives up what an idle stream does not need; true when nothing is left.
func (s *Stream) relax() bool {
	x := s.x
	if x == nil {
		return true
	}
	if x.fast >= 0 && x.ahead == 0 {
		s.slow()
	}
	if x.log != nil && x.log.disposable() {
		s.unstage()
	}
	if x.fast < 0 && x.log == nil && x.after.by == nil && x.line == nil && x.stall == nil && len(x.lines.part) == 0 && x.toldAt.IsZero() {
		s.x = nil
	}
	return s.x == nil || x.fast < 0 && x.log == nil
}

// remember notes that a stream has a stage or a second pipe, and lets go of those of idle streams when there are too
// many.
func (p *Pump) remember(s *Stream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !s.listed {
		p.extras = append(p.extras, s)
		s.listed = true
	}
	if len(p.extras) > maxExtras {
		p.relaxLocked(len(p.extras) - maxExtras)
	}
}

// relaxLocked relaxes idle streams until so many have nothing left, beginning with those it is longest ago of.
func (p *Pump) relaxLocked(want int) {
	keep := p.extras[:0]
	for _, s := range p.extras {
		if want > 0 && s.mu.TryLock() {
			if !s.busy && !s.ended && s.relax() {
				s.listed = false
				want--
			}
			s.mu.Unlock()
		}
		if s.listed {
			keep = append(keep, s)
		}
	}
	clear(p.extras[len(keep):])
	p.extras = keep
}

func (p *Pump) forgetLocked(s *Stream) {
	if !s.listed {
		return
	}
	for i, e := range p.extras {
		if e == s {
			p.extras = append(p.extras[:i], p.extras[i+1:]...)
			break
		}
	}
	s.listed = false
}

// mayBeFast counts one more second pipe; false when there are enough.
func (p *Pump) mayBeFast() bool {
	if p.fast.Add(1) <= maxFast {
		return true
	}
	p.mu.Lock()
	p.relaxLocked(len(p.extras))
	p.mu.Unlock()
	if p.fast.Load() <= maxFast {
		return true
	}
	p.fast.Add(-1)
	return false
}
