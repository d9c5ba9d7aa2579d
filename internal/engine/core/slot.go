package core

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/domain/lifecycle"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
)

// Slot is the place of one program in the table. Its exported methods may be called from anywhere; all
// else belongs to the core's goroutine.
type Slot struct {
	spec   *model.Program
	logs   LogPaths
	status atomic.Pointer[model.Status]

	group   *group
	policy  lifecycle.Policy
	m       lifecycle.Machine
	proc    Process
	pid     int // of the current or last instance
	start   time.Time
	stop    time.Time
	exit    model.Exit
	failure string // why the current launch failed
	lastErr string // spawnerr
	ends    ends
	past    model.Past
	timer   timer
	epoch   uint64        // of timer
	away    time.Duration // when the process that was started ended, while what it has left is looked for; 0 = it is not
	delayed *timer        // a launch that waits for the storm budget
	waits   []*wait       // clients that wait for an outcome
	changing
	depending
	watched
	sending *sending      // a signal of the stop sequence that may not have been sent
	said    uint64        // the key of its last line
	turn    time.Duration // of the launch under way in the storm budget; 0 = it needs none
	hasExit bool
	auto    bool // the event at hand is no order: what it starts, starts by itself
	dirty   bool // the journal does not know the latest
	gone    bool // no longer in the table
	ready   bool // what the checks of the ready stage say of the present instance
}

// LogPaths are the files of a program's channels in force; empty = none.
type LogPaths struct{ Stdout, Stderr string }

// Program is the definition in force.
func (s *Slot) Program() *model.Program { return s.status.Load().Program }

// Logs are the log files in force.
func (s *Slot) Logs() LogPaths {
	st := s.status.Load()
	return LogPaths{st.StdoutLog, st.StderrLog}
}

// Status is what is known now.
func (s *Slot) Status() model.Status { return *s.status.Load() }

func (c *Core) newSlot(g *group, p *model.Program, logs LogPaths) *Slot {
	s := &Slot{spec: p, logs: logs, group: g, policy: c.policyOf(p)}
	s.said = c.keep.saying // lines of an earlier program of this name stand
	s.timer.What = func() {
		if s.away == 0 || s.m.State != model.Starting || s.m.Unproved { // else that it has stayed up is not known
			c.step(s, lifecycle.Event{Kind: lifecycle.Timer, Epoch: s.epoch})
		}
	}
	s.publish()
	return s
}

// calm gives up attempts that an earlier process was waiting for, where nothing comes by itself.
func (c *Core) calm() {
	if !c.passive {
		return
	}
	for _, s := range c.slots() {
		if s.m.State == model.Backoff {
			c.step(s, lifecycle.Event{Kind: lifecycle.Stop})
		}
	}
}

// watchPatience is how much later than the checks of a start, which know what they have found, the machine gives it up.
const watchPatience = time.Second

// policyOf is what the machine of a program goes by.
func (c *Core) policyOf(p *model.Program) lifecycle.Policy {
	policy := lifecycle.PolicyOf(p)
	if c.watch != nil && policy.Start.Timeout > 0 {
		policy.Start.Timeout += watchPatience
	}
	if c.passive {
		policy.Start.Retries, policy.Exit.Restart = 0, model.RestartNever
	}
	return policy
}

func (s *Slot) publish() {
	st := &model.Status{
		Program: s.spec, ID: s.spec.ID, State: s.m.State, Generation: s.m.Gen, Start: s.start, Stop: s.stop,
		Exit: s.exit, HasExit: s.hasExit, SpawnErr: s.lastErr, Tries: s.m.Tries, Killing: s.m.Killing,
		Ready: s.isReady(), Waiting: s.unmet,
		StdoutLog: s.logs.Stdout, StderrLog: s.logs.Stderr, Past: s.past,
	}
	if s.m.State == model.Fatal { // the machine begins to count anew
		st.Tries = s.past.Tries
	}
	if s.m.Live {
		st.PID = s.pid
	}
	s.status.Store(st)
}

// step applies one event and does what follows.
func (c *Core) step(s *Slot, ev lifecycle.Event) { c.stepAt(s, c.host.Now(), ev) }

// stepAt is step for an event that happened at the given time, and is only known now.
func (c *Core) stepAt(s *Slot, at time.Duration, ev lifecycle.Event) {
	var room [8]lifecycle.Action
	s.auto = (ev.Kind == lifecycle.Ended || ev.Kind == lifecycle.Timer) && (!s.m.Killing || s.m.Bouncing || s.m.Failed)
	actions := s.m.Step(&s.policy, at, ev, room[:0])
	c.touch(s) // before the first effect, which commits it
	for _, a := range actions {
		c.do(s, a)
	}
	s.publish()
	c.touch(s)
	c.look(s)
	c.retire(s)
	c.rest(s)
	c.progress(s)
	c.reconsider()
}

// rest tells the host of a program that has come to rest, after that is recorded, unless it is started again
// meanwhile.
func (c *Core) rest(s *Slot) {
	host, ok := c.host.(Rester)
	if !ok || !s.m.State.Down() || s.inhabited() {
		return
	}
	c.post(func() {
		if s.m.State.Down() && !s.inhabited() {
			host.Rest(s.spec.ID)
		}
	})
}

func (c *Core) do(s *Slot, a lifecycle.Action) {
	name := s.spec.ID.Name
	switch a.Do {
	case lifecycle.Enter:
		c.enter(s, a)
	case lifecycle.Spawn:
		c.launch(s, Instance{Slot: s, Gen: a.Gen})
	case lifecycle.Send:
		c.send(s, a)
	case lifecycle.Arm:
		s.epoch = a.Epoch
		c.timers.Set(&s.timer, a.At)
	case lifecycle.Disarm:
		c.timers.Unset(&s.timer)
	case lifecycle.SayRunning:
		c.logf(s, activity.Info, "success: %s entered RUNNING state, process has stayed up for > than %s seconds (startsecs)",
			name, strconv.FormatFloat(s.spec.Start.Secs.Seconds(), 'f', -1, 64))
	case lifecycle.SayEnded:
		switch {
		case a.Expected:
			c.logf(s, activity.Info, "exited: %s (%s; expected)", name, ExitText(s.exit))
		default:
			c.logf(s, activity.Warn, "exited: %s (%s; not expected)", name, ExitText(s.exit))
		}
	case lifecycle.SayStopped:
		level := activity.Warn
		if a.Expected {
			level = activity.Info
		}
		c.logf(s, level, "stopped: %s (%s)", name, ExitText(s.exit))
	case lifecycle.SayGaveUp:
		c.logf(s, activity.Info, "gave up: %s entered FATAL state, too many start retries too quickly", name)
	case lifecycle.SayKill:
		s.past.Forced = true
		c.logf(s, activity.Warn, "killing '%s' (%d) with SIGKILL", name, s.pid)
	case lifecycle.SayUnproved:
		s.past.Check, s.past.CheckText = "", "its startup checks had not passed after "+words.Duration(s.spec.Start.Timeout)
		c.logf(s, activity.Warn, "unproved: %s, %s", name, s.past.CheckText)
	}
}

// enter records a change of state, announces it, and answers those who waited for it.
func (c *Core) enter(s *Slot, a lifecycle.Action) {
	c.exchangeAt(s, a.To)
	switch a.To {
	case model.Starting:
		s.start, s.hasExit, s.failure, s.lastErr = c.host.Wall(), false, "", ""
	case model.Backoff:
		if a.Tries > 0 { // else it only waits for its delay
			s.past.Tries, s.lastErr = a.Tries, s.failure
		}
		if a.Tries > 0 && s.failure == "" {
			s.lastErr = "Exited too quickly (process log may have details)"
			if s.m.Gen == s.past.Ended && !s.exit.Known && s.exit.Reason != "" { // nobody has seen it end, or it has left nobody behind
				s.lastErr = s.exit.Reason
			}
		}
	case model.Exited:
		s.hasExit, s.completed = true, s.completed || a.Expected
		if !a.Expected {
			s.lastErr = fmt.Sprintf("Bad exit code %d", s.exit.Code())
		}
	case model.Stopped:
		s.hasExit = a.From == model.Stopping && s.proc != nil && s.failure == ""
	}
	ev := model.Event{
		Time: c.host.Wall(), Type: model.StateEvent(a.To), ID: s.spec.ID, From: a.From,
		Tries: a.Tries, Expected: a.Expected, Adopted: a.To == model.Running && s.past.Adopted,
	}
	if a.From != model.Backoff && a.To != model.Starting { // there is no process then
		ev.PID = s.pid
	}
	s.publish()
	c.ring.Append(ev)
	c.settle(s, a.To)
}

// launch starts an instance, later when too many others ended as often as this one.
func (c *Core) launch(s *Slot, i Instance) {
	s.proc, s.pid, s.turn, s.away, s.sending = nil, 0, 0, 0, nil
	s.past, s.ready, s.completed = s.past.Begin(s.auto), false, s.completed && s.auto
	if c.safe && s.auto {
		c.LaunchFailed(i, safeText)
		return
	}
	now := c.host.Now()
	if s.auto && s.ends.often(now) {
		s.turn = now + c.storm.take(now)
		c.keepStorm()
	}
	c.touch(s)
	c.launchAt(s, i, s.turn)
}

// launchAt starts an instance now, or at a later time.
func (c *Core) launchAt(s *Slot, i Instance, at time.Duration) {
	if at > c.host.Now() {
		s.delayed = &timer{What: func() {
			s.delayed = nil
			c.launchFree(s, i)
		}}
		c.timers.Set(s.delayed, at)
		return
	}
	c.launchFree(s, i)
}

// cancelDelayed gives up a launch that still waits for its turn or for other programs, so that a stop need not wait too.
func (c *Core) cancelDelayed(s *Slot) {
	switch {
	case s.delayed != nil:
		c.timers.Unset(s.delayed)
		s.delayed = nil
	case s.held:
		c.unhold(s)
	default:
		return
	}
	c.giveUp(s)
}

// giveUp answers for the host that the launch under way has come to nothing.
func (c *Core) giveUp(s *Slot) {
	s.failure = "stopped before it was started"
	c.step(s, lifecycle.Event{Kind: lifecycle.SpawnFailed, Gen: s.m.Gen})
}

// sending is a signal that is decided. It is in the journal until it is sent, so that a program that is to
// end is asked for it although we are killed at this moment.
type sending struct {
	Signal int
	Reach  model.Reach
}

// send sends a signal of the stop sequence. Source: spec/supervisor 2.7.
func (c *Core) send(s *Slot, a lifecycle.Action) {
	name, sig := s.spec.ID.Name, units.SignalName(a.Signal)
	target := ""
	if a.Reach != model.ReachProcess {
		target = "process group "
	}
	c.logf(s, activity.Debug, "killing %s (pid %d) %swith signal %s", name, s.pid, target, sig)
	s.sending = &sending{a.Signal, a.Reach}
	c.touch(s)
	c.commit()
	err := s.proc.Signal(a.Signal, a.Reach)
	s.sending = nil
	c.touch(s)
	switch {
	case err == nil:
	case errors.Is(err, syscall.ESRCH):
		c.logf(s, activity.Debug, "unable to signal %s (pid %d), it probably just exited on its own: %s", name, s.pid, errnoText(err))
	default:
		text := fmt.Sprintf("unknown problem killing %s (%d):%s", name, s.pid, errnoText(err))
		c.logf(s, activity.Critical, "%s", text)
		s.lastErr = text
		c.step(s, lifecycle.Event{Kind: lifecycle.SignalFailed, Gen: a.Gen})
	}
}

// ExitText says how an instance ended.
func ExitText(e model.Exit) string {
	return words.End{Known: e.Known, Code: e.Status, Signal: e.Signal, Core: e.Core, Reason: e.Reason}.Logged()
}

// errnoText renders a system error as the original's users know it: [Errno 3] No such process.
func errnoText(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err.Error()
	}
	text := errno.Error()
	return fmt.Sprintf("[Errno %d] %s%s", int(errno), strings.ToUpper(text[:1]), text[1:])
}
