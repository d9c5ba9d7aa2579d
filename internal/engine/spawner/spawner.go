// Package spawner starts programs from a small process of its own, so that a start costs the same however
// many descriptors the manager holds. The programs are children of the manager all the same.
//
// The small process may be killed at any instant: another one takes its place at once, and a start whose
// process had not come into being is tried again. Every start happens once or fails with an error. Where no
// such process can be had the manager starts programs itself, and says so once.
//
// Source: spec/reliability R4, R8, S12–S15.
package spawner

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

// Options configure New.
type Options struct {
	// Self is the binary that calls Main and spawn.ShimMain; default this one.
	Self string
	// Log is told, in one line, what a person should know: that the small process had to be replaced, or
	// that none can be had. It is called from one goroutine at a time. nil = nobody.
	Log func(line string)
	// Marks notes which programs were let go; nil = nothing does.
	Marks *spawn.Marks
}

// Client is a spawn.Spawner.
type Client struct {
	o      Options
	direct *spawn.Direct
	world  world

	mu      sync.Mutex
	change  *sync.Cond
	maker   Maker // nil = none now
	absent  bool  // and none will be there soon
	closed  bool
	closing chan struct{}
	working sync.WaitGroup // starts, and the keeping of the maker
}

// world is what is outside of a Client.
type world struct {
	start func(self string, marks *spawn.Marks) (Maker, error)
	after func(time.Duration) <-chan time.Time
	now   func() time.Time
}

// Maker is what a Client needs of a spawn.Maker.
type Maker interface {
	Start(*spawn.Request) (*spawn.Result, error)
	PID() int
	Wait() model.Exit
	Kill()
	Dismiss()
}

// The delays before another process takes the place of one that did not live long.
const (
	shortLife  = time.Second           // is not long
	freeLosses = 3                     // so many short lives in a row are replaced without a delay
	firstDelay = 10 * time.Millisecond // then this, and twice as much each time,
	lastDelay  = 5 * time.Second       // up to this
	attempts   = 2*freeLosses + 2      // of one start, before the manager does it itself
)

// New starts the small process. Call it when the manager has its final umask, directory and user: programs
// inherit what is inherited now. What is open above descriptor 2 is marked close-on-exec, see
// spawn.NewDirect.
func New(o Options) (spawn.Spawner, error) {
	return newClient(o, realWorld())
}

func realWorld() world {
	start := func(self string, marks *spawn.Marks) (Maker, error) { return spawn.StartMaker(self, marks) }
	return world{start: start, after: time.After, now: time.Now}
}

func newClient(o Options, w world) (*Client, error) {
	d, err := spawn.NewDirect(spawn.Options{Shim: o.Self, Marks: o.Marks})
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = func(string) {}
	}
	c := &Client{o: o, direct: d, world: w, closing: make(chan struct{})}
	c.change = sync.NewCond(&c.mu)
	c.working.Go(c.keep)
	return c, nil
}

// Main is called first thing in main, also in the main of tests that start programs: when this process was
// started to start programs it works until the manager is gone, and exits; otherwise Main returns false.
func Main() (handled bool) { return spawn.MakerMain() }

// keep has a maker there, always.
func (c *Client) keep() {
	losses, said := 0, false
	for {
		began := c.world.now()
		m, err := c.world.start(c.o.Self, c.o.Marks)
		if err == nil {
			if !c.offer(m) {
				m.Dismiss()
				m.Wait()
				return
			}
			if said {
				c.o.Log("the spawner is back")
				said = false
			}
			e := m.Wait()
			if c.withdraw() {
				return
			}
			err = fmt.Errorf("it ended by itself (%s)", words.End{Known: e.Known, Code: e.Status, Signal: e.Signal, Core: e.Core, Reason: e.Reason}.Logged())
		}
		if errors.Is(err, errors.ErrUnsupported) {
			c.miss()
			return
		}
		if losses++; c.world.now().Sub(began) >= shortLife {
			losses = 0
		}
		if losses <= freeLosses {
			c.o.Log("the spawner is started again: " + err.Error())
			continue
		}
		if !said {
			c.o.Log("programs are started without a spawner: " + err.Error())
			said = true
		}
		c.miss()
		select {
		case <-c.world.after(min(firstDelay<<min(losses-freeLosses-1, 16), lastDelay)):
		case <-c.closing:
			return
		}
	}
}

// offer makes m the one to be asked, and fails when the Client is closed.
func (c *Client) offer(m Maker) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.maker, c.absent = m, false
	c.change.Broadcast()
	return true
}

// withdraw takes it back, and reports whether the Client is closed.
func (c *Client) withdraw() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.maker = nil
	return c.closed
}

// miss says that there will be none for a while.
func (c *Client) miss() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.absent = true
	c.change.Broadcast()
}

// other waits for a maker that is not old; nil = there is none.
func (c *Client) other(old Maker) (Maker, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed:
			return nil, spawn.ErrClosed
		case c.maker != nil && c.maker != old:
			return c.maker, nil
		case c.maker == nil && c.absent:
			return nil, nil
		}
		c.change.Wait()
	}
}

// PID is the number of the small process, 0 when there is none at the moment. It is a child of ours that is no
// program.
func (c *Client) PID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.maker == nil {
		return 0
	}
	return c.maker.PID()
}

// Spawn starts a program.
func (c *Client) Spawn(r *spawn.Request) (*spawn.Result, error) {
	if r.Pipes != nil {
		defer r.Pipes.CloseTheirs()
	}
	c.mu.Lock()
	closed := c.closed
	if !closed {
		c.working.Add(1)
	}
	c.mu.Unlock()
	if closed {
		return nil, spawn.ErrClosed
	}
	defer c.working.Done()
	if err := r.Check(); err != nil {
		return nil, err
	}
	own := *r
	if own.Pipes == nil {
		p, err := spawn.MakePipes(r)
		if err != nil {
			return nil, err
		}
		defer p.CloseTheirs()
		own.Pipes = p
	}
	res, err := c.spawn(&own)
	if err != nil && r.Pipes == nil {
		own.Pipes.Close()
	}
	return res, err
}

func (c *Client) spawn(r *spawn.Request) (*spawn.Result, error) {
	var gone Maker
	for range attempts {
		m, err := c.other(gone)
		if err != nil {
			return nil, err
		}
		if m == nil {
			break
		}
		res, err := m.Start(r)
		switch {
		case errors.Is(err, spawn.ErrGone):
			gone = m
		case !errors.Is(err, spawn.ErrNobody):
			return res, err
		}
	}
	return c.direct.Spawn(r)
}

// Close ends the small process when it has done what it was asked to; programs are not touched.
func (c *Client) Close() error {
	c.mu.Lock()
	again := c.closed
	c.closed = true
	m := c.maker
	if !again {
		close(c.closing)
	}
	c.change.Broadcast()
	c.mu.Unlock()
	if again {
		return nil
	}
	if m != nil {
		m.Dismiss()
	}
	c.working.Wait()
	return c.direct.Close()
}
