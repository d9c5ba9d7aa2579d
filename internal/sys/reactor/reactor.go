// Package reactor runs functions when descriptors become ready, with a small fixed number of worker
// goroutines whatever the number of descriptors.
//
// A registration is one-shot: after its function has been started it stays disarmed until Arm or
// ArmAfter is called, so the function never runs twice at once for one registration, and a descriptor
// that is not looked at costs nothing. Nothing is polled: without events there are no wake-ups.
//
// On Linux the workers block in epoll_wait and take one event at a time, so a function that blocks (a
// stalled disk) holds up no other descriptor: when every worker has been inside a function for some
// milliseconds another one is added, up to Options.MaxWorkers, and goes away when no longer needed.
// On Windows the workers block in a completion port instead. Other systems use one goroutine per registration.
package reactor

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// Events is a set of conditions to wait for. The end of a pipe and errors count as both.
type Events uint8

// The conditions.
const (
	Readable Events = 1 << iota
	Writable
)

// Options bound the work done at once.
type Options struct {
	Workers    int // always there; default 2
	MaxWorkers int // when all are blocked inside functions; default 32, at least Workers
}

// armAgain is after how long the system is asked again to watch a descriptor, when it had no room for it.
const armAgain = 10 * time.Millisecond

// ErrClosed is returned by Register after Close.
var ErrClosed = errors.New("reactor: closed")

// Reactor is a set of registrations and the workers that serve them. Its methods are safe for
// concurrent use.
type Reactor struct {
	be     backend
	timers *timers

	mu     sync.Mutex
	closed bool
}

// backend is what differs between systems. A backend calls Registration.run when the descriptor of an
// armed registration is ready.
type backend interface {
	add(g *Registration) error // start watching, armed
	// arm reports failure only after pause, where the system had no room to begin again.
	arm(g *Registration) error
	pause(g *Registration) // nothing happens until arm or kick; what comes meanwhile shall cost nothing
	kick(g *Registration)  // call run soon, ready or not
	remove(g *Registration)
	close() // returns when no worker is left
}

// New makes a reactor and starts its workers.
func New(o Options) (*Reactor, error) {
	if o.Workers <= 0 {
		o.Workers = 2
	}
	if o.MaxWorkers == 0 {
		o.MaxWorkers = 32
	}
	o.MaxWorkers = max(o.MaxWorkers, o.Workers)
	t := newTimers()
	be, err := newBackend(o, t)
	if err != nil {
		t.close()
		return nil, fmt.Errorf("reactor: %w", err)
	}
	return &Reactor{be: be, timers: t}, nil
}

// Register watches fd and arms the registration: fn may run before Register returns. The caller keeps
// the descriptor and closes it only after Registration.Close. A descriptor that cannot be waited for
// (a regular file) is refused.
func (r *Reactor) Register(fd int, ev Events, fn func()) (*Registration, error) {
	g := &Registration{r: r, fd: int32(fd), ev: ev, fn: fn, state: armed}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, ErrClosed
	}
	if err := r.be.add(g); err != nil {
		return nil, fmt.Errorf("reactor: watch descriptor %d: %w", fd, err)
	}
	return g, nil
}

// Close ends the workers and returns when none is left; functions that are running are waited for, so
// it must not be called from one of them. Registrations are dead afterwards, descriptors stay open.
func (r *Reactor) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	r.mu.Unlock()
	r.timers.close()
	r.be.close()
	return nil
}

type regState uint8

const (
	armed    regState = iota // the backend will call run
	running                  // fn is running
	disarmed                 // nothing happens until Arm
	waiting                  // armed or kicked by the timer
	kicked                   // the backend will call run, ready or not
)

// Registration is one watched descriptor. Its methods may be called from its own function and from
// anywhere else; they never block on a running function.
type Registration struct {
	r  *Reactor
	fn func()
	id uint64 // the backend's
	// There are ten thousands of these: the small ones are together.
	fd     int32
	ev     Events
	state  regState
	again  bool // ArmAfter or RunAfter was called while running
	force  bool // of that call, or of the timer: run whether ready or not
	closed bool
	mu     sync.Mutex
	after  time.Duration // of the call while running
	timer  *timer        // made when it is needed
}

// Arm lets the function run again as soon as the descriptor is ready: at once if it is so already. Called
// from the function itself it takes effect when the function returns.
func (g *Registration) Arm() { g.ArmAfter(0) }

// ArmAfter is Arm after d has passed. A later call replaces an earlier one that has not yet taken
// effect; a registration that is armed already stays so.
func (g *Registration) ArmAfter(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed || g.state == armed || g.state == kicked:
	case g.state == running:
		g.again, g.after, g.force = true, d, false
	default:
		g.armLocked(d, false)
	}
}

// RunAfter lets the function run after d has passed whether the descriptor is ready or not, in the place
// of any other arming. A function whose registration uses it may now and then run without cause.
func (g *Registration) RunAfter(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed || g.state == kicked:
	case g.state == running:
		g.again, g.after, g.force = true, d, true
	default:
		g.armLocked(d, true)
	}
}

func (g *Registration) armLocked(d time.Duration, force bool) {
	if d > 0 {
		if g.state != waiting {
			g.r.be.pause(g)
		}
		g.waitLocked(d, force)
		return
	}
	if g.state == waiting {
		g.r.timers.unset(g.timer)
	}
	g.goLocked(force)
}

func (g *Registration) waitLocked(d time.Duration, force bool) {
	g.state, g.force = waiting, force
	if g.timer == nil {
		g.timer = &timer{What: g}
	}
	g.r.timers.set(g.timer, d)
}

func (g *Registration) goLocked(force bool) {
	if force {
		g.state = kicked
		g.r.be.kick(g)
		return
	}
	g.state = armed
	if g.r.be.arm(g) != nil {
		g.waitLocked(armAgain, false)
	}
}

// Close ends the watching. The function is not started again after Close has returned; one that is
// running on another goroutine is not waited for.
func (g *Registration) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return
	}
	g.closed = true
	if g.state == waiting {
		g.r.timers.unset(g.timer)
	}
	g.r.be.remove(g)
}

// run is called by a worker when the descriptor is ready, or after a kick.
func (g *Registration) run() {
	g.mu.Lock()
	if g.closed || g.state != armed && g.state != kicked {
		g.mu.Unlock()
		return
	}
	g.state = running
	g.mu.Unlock()

	g.fn()

	g.mu.Lock()
	g.state = disarmed
	if g.again && !g.closed {
		g.again = false
		g.armLocked(g.after, g.force)
	}
	g.mu.Unlock()
}

// expire is called by the timer goroutine.
func (g *Registration) expire() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed && g.state == waiting {
		g.goLocked(g.force)
	}
}
