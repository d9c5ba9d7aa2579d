//go:build unix

package reactor

import (
	"golang.org/x/sys/unix"
)

// poller is what a system has to wait for many descriptors at once. Its methods may be called while others wait in
// wait.
type poller interface {
	add(fd int32, ev Events) error // begin to watch, armed; a file that is always ready is refused
	arm(fd int32, ev Events)       // the next event is wanted
	remove(fd int32, ev Events)
	// wait blocks until a descriptor that is armed is ready, and disarms it; woken is the answer to a wake. Each event
	// and each wake is given to one of those who wait. An error is final.
	wait() (fd int32, err error)
	wake()
	close()
}

// woken is what wait returns instead of a descriptor.
const woken = -1

// crew serves one poller by several workers, each taking one event at a time. It does what the backend of Linux does, by
// descriptor numbers.
type crew struct {
	workers
	p    poller
	regs map[int32]*Registration
	gen  uint64 // of the newest registration
}

func newCrew(p poller, o Options, t *timers) *crew {
	c := &crew{p: p, regs: map[int32]*Registration{}}
	c.employ(o, t, c.worker)
	return c
}

func (c *crew) worker() {
	for kicks := false; ; kicks = !kicks {
		// Who asked to run at once does not wait behind all descriptors that are ready, nor these behind those.
		g, since := c.next(kicks)
		if g == nil {
			fd, err := c.p.wait()
			if err != nil {
				return // only possible when the poller is gone
			}
			var quit bool
			if g, quit = c.enter(fd, since); quit {
				return
			}
		}
		if g != nil {
			g.run()
		}
		if c.leave() {
			return
		}
	}
}

// next takes the next kick if there is one and it is its turn; else nil, and what the newest registration was before
// the wait.
func (c *crew) next(turn bool) (g *Registration, since uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if turn && !c.closing && len(c.kicks) > 0 {
		c.beginLocked()
		return c.kickLocked(), c.gen
	}
	return nil, c.gen
}

// enter looks up the registration of an event and notes that this worker is busy.
func (c *crew) enter(fd int32, since uint64) (g *Registration, quit bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		c.p.wake() // the next one
		return nil, true
	}
	c.beginLocked()
	if fd == woken {
		g = c.kickLocked()
		if len(c.kicks) > 0 {
			c.p.wake()
		}
		return g, false
	}
	g = c.regs[fd]
	if g != nil && g.id > since && !readyNow(uintptr(fd), g.ev) {
		// It was registered while this worker waited: the event was that of a former owner of the number.
		c.p.arm(fd, g.ev)
		return nil, false
	}
	return g, false
}

func (c *crew) add(g *Registration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.regs[g.fd] != nil {
		return unix.EEXIST
	}
	c.gen++
	g.id = c.gen
	if err := c.p.add(g.fd, g.ev); err != nil {
		return err
	}
	c.regs[g.fd] = g
	return nil
}

func (c *crew) arm(g *Registration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		c.p.arm(g.fd, g.ev)
	}
	return nil
}

// pause: a descriptor that is disarmed costs nothing.
func (c *crew) pause(*Registration) {}

// kick has g run soon. While there are kicks a wake is under way, or a worker that was woken is about to look.
func (c *crew) kick(g *Registration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return
	}
	c.kicks = append(c.kicks, g) // at most one for each registration: its state is kicked until it runs
	if len(c.kicks) == 1 {
		c.p.wake()
	}
}

func (c *crew) remove(g *Registration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		c.p.remove(g.fd, g.ev)
		delete(c.regs, g.fd)
	}
}

// close wakes one worker, which wakes the next when it leaves.
func (c *crew) close() {
	c.mu.Lock()
	c.closing = true
	c.p.wake()
	c.mu.Unlock()
	c.wg.Wait()
	c.p.close()
}
