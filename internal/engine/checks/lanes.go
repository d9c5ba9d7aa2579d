package checks

import (
	"context"
	"errors"
	"time"
)

// laneKind is how long a look has taken so far: those of one lane wait for each other and for nobody else.
type laneKind uint8

// The lanes. A look begins in the first, unless the last one of its check has left that; one that hangs ends in the last.
const (
	laneFast laneKind = iota
	laneSlow
	laneLost     // it should have returned, and has not
	numLanes int = iota
)

// width is how many looks may be in a lane at a time. The last takes those that have hung in the others too, and nothing is
// begun while it has four times as many.
func (l laneKind) width() int { return [numLanes]int{32, 256, 128}[l] }

const (
	// slowAfter is when a look leaves the fast lane.
	slowAfter = 250 * time.Millisecond
	// lostAfter is how long after its time a look counts as one that hangs.
	lostAfter = time.Second
	// defaultTimeout is the time of a look for which none is said.
	defaultTimeout = 5 * time.Second
)

// lane is what is under way, and what waits.
type lane struct {
	busy  int
	queue []*check
}

// flight is one look under way.
type flight struct {
	check  *check
	lane   laneKind
	began  time.Duration
	cancel context.CancelFunc
	timer  timer
}

// errCrowded: looks of other programs hang, as many as may.
var errCrowded = errors.New("too many looks of other checks hang")

// fly has a look taken beside, now or when there is room.
func (c *Checks) fly(k *check, now time.Duration) {
	l := laneFast
	if k.slow {
		l = laneSlow
	}
	if c.lanes[l].busy >= l.width() {
		k.queued = true
		c.lanes[l].queue = append(c.lanes[l].queue, k)
		return
	}
	c.launch(k, l, now)
}

// crowded reports whether so many looks hang that a check must do without its own: first those whose last one took its time,
// in the end all.
func (c *Checks) crowded(k *check) bool {
	lost := c.lanes[laneLost].busy
	return lost >= laneLost.width() && (k.slow || lost >= 4*laneLost.width())
}

// idle reports whether nothing is planned for a check, nor under way.
func (k *check) idle() bool { return !k.timer.Waits() && k.flight == nil && !k.queued }

// launch takes a look in a lane that has room, if not too many hang.
func (c *Checks) launch(k *check, l laneKind, now time.Duration) {
	if c.crowded(k) {
		c.judge(k, Finding{Trouble: errCrowded}, now)
		c.again(k, now)
		return
	}
	timeout := k.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	f := &flight{check: k, lane: l, began: now, cancel: cancel}
	f.timer = timer{What: func(now time.Duration) { c.drag(f, now, timeout) }}
	c.lanes[l].busy++
	k.flight = f
	c.queue.Set(&f.timer, now+slowAfter)
	p, pid, spec, tail := k.of.spec, k.of.pid, k.Check, k.tail
	c.flying.Go(func() {
		defer cancel()
		if tail != nil {
			c.land(f, tail.look(ctx))
			return
		}
		c.land(f, c.o.World.Look(ctx, p, pid, &spec))
	})
}

// drag moves a look that takes its time to the lane where it belongs.
func (c *Checks) drag(f *flight, now, timeout time.Duration) {
	over := f.began + timeout + lostAfter
	switch {
	case now >= over:
		c.move(f, laneLost, now)
		if k := f.check; !k.gone {
			c.judge(k, Finding{Trouble: errors.New("the look hangs")}, now)
		}
		return
	case f.lane == laneFast && c.lanes[laneSlow].busy < laneSlow.width():
		c.move(f, laneSlow, now)
		c.queue.Set(&f.timer, over)
	case f.lane == laneFast:
		c.queue.Set(&f.timer, min(over, now+slowAfter))
	default:
		c.queue.Set(&f.timer, over)
	}
}

// move changes the lane of a look.
func (c *Checks) move(f *flight, to laneKind, now time.Duration) {
	from := f.lane
	f.lane, f.check.slow = to, true
	c.lanes[to].busy++
	c.leave(from, now)
}

// leave makes room in a lane for who waits.
func (c *Checks) leave(l laneKind, now time.Duration) {
	c.lanes[l].busy--
	for q := &c.lanes[l].queue; len(*q) > 0 && c.lanes[l].busy < l.width(); {
		k := (*q)[0]
		(*q)[0] = nil
		*q = (*q)[1:]
		k.queued = false
		if !k.gone && !c.closed {
			c.launch(k, l, now)
		}
	}
}

// land takes what a look has found.
func (c *Checks) land(f *flight, found Finding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, k := c.o.Now(), f.check
	c.queue.Unset(&f.timer)
	k.flight = nil
	k.slow = now-f.began >= slowAfter
	k.took = now - f.began
	k.times.Add(k.took)
	c.leave(f.lane, now)
	switch {
	case k.gone || c.closed:
		c.shut(k.tail)
		k.tail = nil
	default:
		if found, judged := c.read(k, found, now); judged {
			c.judge(k, found, now)
		}
		c.again(k, now)
	}
	c.nudge()
}
