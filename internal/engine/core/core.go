// Package core is the one owner of every program's state: a single goroutine applies events to the
// state machines, keeps their timers, and gives the orders that follow. Everyone else posts work to it
// or reads the published table and statuses, which are immutable. There is no lock below the services.
//
// The world is behind Host, so that the same core runs on the real system and in simulation.
package core

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/agenda"
	"github.com/upkeep-project/upkeep/internal/domain/lifecycle"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/events"
)

// Instance names one run of one program: what Host is asked to start, and what it reports on.
type Instance struct {
	Slot *Slot
	Gen  uint64
}

// Process is a living instance. Its methods are called on the core's goroutine and must not block.
type Process interface {
	PID() int
	// Signal sends one signal; syscall.ESRCH when there is nobody left.
	Signal(sig int, reach model.Reach) error
	// WriteStdin queues data; errors as in package streams.
	WriteStdin(data []byte) error
	// Release lets go of an instance that has ended: only after it may its pid be used again.
	Release()
}

// Host is what the core needs of the world.
type Host interface {
	Now() time.Duration // monotonic, any origin
	Wall() time.Time
	// Launch starts an instance without blocking, in the order of the calls. The answer is one call of
	// Core.Launched or Core.LaunchFailed, and after Launched one of Core.Ended.
	Launch(Instance)
	// Resume takes back an instance that an earlier process launched; with whichever, that of this program
	// with the highest generation, which Resumed.Gen tells and under which its end is reported. When the process
	// lives, its end is reported by Core.Ended as after Launch. It is called before the core runs, where it may
	// block for a moment, and for programs that are added later: of such a program something may live if the
	// journal could not be written.
	Resume(i Instance, whichever bool) Resumed
}

// Rester is a Host that keeps something for programs while they are up.
type Rester interface {
	// Rest says that nothing lives of a program and that nothing is about to start it. It must not block.
	Rest(model.ID)
}

const sigKill = 9

// Log is where the core tells what it does: the activity log.
type Log interface {
	Logf(level activity.Level, format string, args ...any)
}

// Options are the parts of a Core.
type Options struct {
	Host Host
	Log  Log
	Ring *events.Ring
	// What survives this process; nil = nothing is kept.
	Journal Journal
	Wishes  Wishes
	// Safe starts nothing but what somebody orders: this daemon has crashed too often.
	Safe bool
	// Passive starts nothing but what somebody orders, and nothing a second time: what ends, stays so. It watches.
	Passive bool
	// Gentle: a changed definition ends and starts nothing; it counts from the next start on.
	Gentle bool
	// Announce has the first groups that are added come with the event that the daemon runs, before any program
	// is started.
	Announce bool
	// Drain lets the listeners of some groups have the events that wait for them before they are stopped, and calls
	// done then; it must return at once. nil = nobody waits for that.
	Drain func(groups []string, done func())
	// Settled is called on the core's goroutine when what was done is committed; nil = nobody waits for that. It
	// must return at once.
	Settled func()
	// Watch is told of the instances that live; nil = nobody watches them.
	Watch Watch
	// Lines is Log where the file of it is known; nil = nobody asks which lines are written.
	Lines Lines
}

// Core owns the programs. Make one with New; Run it on one goroutine, or drive it with Turn.
type Core struct {
	host            Host
	log             Log
	ring            *events.Ring
	inbox           inbox
	timers          agenda.Queue[func()]
	groups          []*group // ascending priority, ties in order of addition
	table           atomic.Pointer[Table]
	state           atomic.Int32
	storm           limiter
	end             ending
	keep            keeping
	safe            bool
	passive, gentle bool   // as in Options
	told            func() // Options.Settled
	watch           Watch
	waiting

	drain    func(groups []string, done func()) // Options.Drain
	announce bool                               // that the daemon runs is to be told

	unlisting bool // unlist is posted
}

// New makes a core without programs, in state RUNNING.
func New(o Options) *Core {
	c := &Core{host: o.Host, log: o.Log, ring: o.Ring, safe: o.Safe, passive: o.Passive, gentle: o.Gentle, told: o.Settled, announce: o.Announce, drain: o.Drain, watch: o.Watch}
	c.keep = keeping{journal: o.Journal, wishes: o.Wishes, lines: o.Lines, wished: map[model.ID]bool{}}
	c.inbox.init()
	c.table.Store(&Table{})
	c.state.Store(int32(model.DaemonRunning))
	c.end.done = make(chan struct{})
	return c
}

// State is the daemon's state.
func (c *Core) State() model.DaemonState { return model.DaemonState(c.state.Load()) }

// Table is the current set of programs.
func (c *Core) Table() *Table { return c.table.Load() }

// Run works until an ordered end (BeginEnd) is complete, or ctx is done, whichever comes first.
func (c *Core) Run(ctx context.Context) {
	wake := time.NewTimer(time.Hour)
	defer wake.Stop()
	for !c.end.complete && ctx.Err() == nil {
		if next, ok := c.Turn(); ok {
			wake.Reset(next)
		} else {
			wake.Stop()
		}
		if c.end.complete {
			break
		}
		select {
		case <-c.inbox.ready:
		case <-wake.C:
		case <-ctx.Done():
		}
	}
}

// Leave tells those who still wait for a core whose Run has ended with its ctx that nobody carries out here what they have
// asked for: ErrEnding.
func (c *Core) Leave() {
	if !c.end.complete {
		close(c.end.done)
	}
}

// Turn does everything that is due and says how long there is nothing more to do; ok is false when only
// a post can bring new work.
func (c *Core) Turn() (next time.Duration, ok bool) {
	for {
		work := c.inbox.take()
		for _, f := range work {
			f()
		}
		now := c.host.Now()
		fired := c.fire(now)
		if len(work) > 0 || fired {
			c.settleAcks()
		}
		if len(work) == 0 && !fired {
			at, ok := c.timers.Next()
			return max(0, at-now), ok
		}
	}
}

// Ping calls reply when the core has come round: it neither hangs nor is it overwhelmed.
func (c *Core) Ping(reply func()) { c.post(reply) }

// post hands work to the core's goroutine. The number of waiting posts is bounded by the number of
// programs (each has at most one launch and one end under way) and of clients (each waits for its reply).
func (c *Core) post(f func()) { c.inbox.put(f) }

// Launched reports that an instance runs.
func (c *Core) Launched(i Instance, p Process) {
	c.post(func() {
		if s := i.Slot; !s.m.Spawning || i.Gen != s.m.Gen {
			_ = p.Signal(sigKill, model.ReachGroup) // nobody asked for it: there must never be a second one
			p.Release()
			return
		}
		c.launched(i, p)
	})
}

func (c *Core) launched(i Instance, p Process) { c.launchedAt(i, p, c.host.Now()) }

// launchedAt takes an instance that came to be at the given time.
func (c *Core) launchedAt(i Instance, p Process, at time.Duration) {
	s := i.Slot
	s.proc, s.pid = p, p.PID()
	s.start = c.wallAt(at)
	c.logf(s, activity.Info, "spawned: '%s' with pid %d", s.spec.ID.Name, s.pid)
	if s.retune {
		s.tune()
	}
	c.stepAt(s, at, lifecycle.Event{Kind: lifecycle.Spawned, Gen: i.Gen})
	c.settleSpawned(s)
}

// wallAt is the time of day at a time of the host's clock.
func (c *Core) wallAt(at time.Duration) time.Time { return c.host.Wall().Add(at - c.host.Now()) }

// LaunchFailed reports that an instance could not be started, with the text for people.
func (c *Core) LaunchFailed(i Instance, text string) {
	c.post(func() {
		s := i.Slot
		if !s.m.Spawning || i.Gen != s.m.Gen {
			return
		}
		s.failure = text
		c.logf(s, activity.Info, "spawnerr: %s", text)
		c.step(s, lifecycle.Event{Kind: lifecycle.SpawnFailed, Gen: i.Gen})
	})
}

// Ended reports how a launched instance ended, just now.
func (c *Core) Ended(i Instance, e model.Exit) { c.EndedAt(i, e, 0) }

// EndedAt is Ended for an end that was noticed late: at is when it happened, on the host's clock; 0 = now.
// An end is judged by its time. Source: spec/supervisor 10 F14.
func (c *Core) EndedAt(i Instance, e model.Exit, at time.Duration) {
	c.post(func() {
		s := i.Slot
		unseen := s.over
		s.over = false
		if !s.m.Live || i.Gen != s.m.Gen {
			return
		}
		if at == 0 {
			at = c.host.Now()
		}
		if s.away != 0 && s.m.State == model.Starting {
			at = s.away
		}
		s.away = 0
		s.exit, s.stop = e, c.wallAt(at)
		s.past.Ended, s.past.Lasted, s.past.Unseen = i.Gen, max(0, s.stop.Sub(s.start)), unseen
		s.ends.add(at)
		s.noteEnd()
		proc := s.proc
		c.stepAt(s, at, lifecycle.Event{Kind: lifecycle.Ended, Gen: i.Gen, Code: e.Code()})
		c.commit() // its end is known before its pid is given up
		proc.Release()
	})
}
