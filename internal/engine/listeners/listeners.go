// Package listeners runs the pools of event listeners: it buffers the events that a pool has subscribed to, sends
// them to listeners that are ready, and understands what they answer. The listeners are programs like any
// other; the core supervises them.
//
// An event is accepted inside the step that causes it (see Happened), so that it is in the journal together with the
// state that it tells of. It is sent later, by one goroutine or by the worker that has read an answer: nobody
// else waits for a listener, but for a moment in a flood of output (see Offer). See docs/adr/0011-event-pools.md.
//
// Source: spec/supervisor 4; spec/reliability R32.
package listeners

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/events"
	"github.com/upkeep-project/upkeep/internal/wire/listener"
)

// Input is the standard input of a listener; *streams.Input is one. Its methods do not block.
type Input interface {
	// Write queues data as a whole, or fails: the listener has closed it.
	Write(data []byte) error
	// Queued is how many bytes are not in the listener's pipe yet.
	Queued() int
}

// Log is the activity log.
type Log interface {
	Logf(level activity.Level, format string, args ...any)
}

// Journal is where things survive this process; *journal.Store is one.
type Journal interface {
	core.Journal
	// Give is a Put of a value that nobody changes any more: it is not copied.
	Give(key string, value []byte)
}

// Options are the parts of Pools.
type Options struct {
	Identifier string // the instance's name in events
	Table      func() *core.Table
	Ring       *events.Ring // where ticks go
	Log        Log
	Journal    Journal // nil = nothing survives
	// Bounce ends an instance of a program and starts the program anew, without waiting.
	Bounce func(id model.ID, gen uint64)
	Serial uint64           // of the next event
	Now    func() time.Time // nil = time.Now
}

// Pools are all pools. Its methods are safe for concurrent use and do not wait for any program.
type Pools struct {
	o     Options
	wake  chan struct{}
	count atomic.Int32 // pools

	mu      sync.Mutex
	serial  uint64 // of the next event
	pools   []*pool
	table   *core.Table // the one that the pools are up to date with
	members map[model.ID]*member
	ticks   ticks
	drain   drain
	noted   []*member // whom the next flush records
	unsaved bool      // the journal has not made the last puts survive
	out     []byte    // the last envelope, for its room
	looks   time.Time // when Run looks again by itself; zero = when it is woken
	waits   bool      // somebody lets a listener catch up
}

// pool is the group of an eventlistener section.
type pool struct {
	name   string
	spec   *model.Pool
	wants  listener.Set
	serial uint64 // of the next event in this pool
	buffer []*item
	bytes  int // of the records in it
	// answers counts processed events; low is closed when there are few left, nil when nobody waits for that.
	answers int
	low     chan struct{}
}

// item is an event in a pool.
type item struct {
	serial, poolSerial uint64
	name               model.EventType
	// record is what the journal has of it: its serial, its name, a line end, its payload. Pools share it, and nobody
	// changes it.
	record []byte
}

// recordHead is how many bytes of a record come before the name.
const recordHead = 8

// payload is the text of the event.
func (it *item) payload() []byte { return it.record[recordHead+len(it.name)+1:] }

// member is one listener, across its instances.
type member struct {
	id    model.ID
	gen   uint64 // of the instance; 0 = there was none
	in    Input  // nil = it is not connected
	talk  listener.Conversation
	held  *item     // while Busy
	since time.Time // of the state of the conversation
	told  bool      // that it takes long
	// unsure: an event was recorded as sent, and may not be in its pipe as a whole.
	unsure  bool
	strikes int       // times it was restarted without having processed an event in between
	bounce  time.Time // when it is to be restarted; zero = it is not
	hush    time.Time // when it is to have ended, after its output has; zero = its output goes on
}

// New makes pools that know no group yet.
func New(o Options) *Pools {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Pools{o: o, wake: make(chan struct{}, 1), serial: o.Serial, members: map[model.ID]*member{}}
}

// Serial is that of the next event.
func (p *Pools) Serial() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.serial
}

// Happened is told of every event in its order, by the ring. It keeps what pools have subscribed to and returns; the
// journal has it with the next flush of whoever caused it, who calls Kick then.
func (p *Pools) Happened(e model.Event) {
	if p.count.Load() == 0 && e.Type != model.EventGroupAdded {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e.Type {
	case model.EventGroupAdded:
		p.expect(e.ID.Group)
	case model.EventGroupRemoved:
		p.removed(e.ID.Group)
	case model.EventRemote, model.EventTick5, model.EventTick60, model.EventTick3600, model.EventCheckFailed, model.EventCheckPassed:
		defer p.kick() // nothing else follows
	}
	p.accept(&e)
	if m := p.members[e.ID]; m != nil && ends(e.Type) {
		p.ended(m)
	}
	if e.Type == model.EventRemote { // its sender relies on it when it is told that it was taken
		p.flush()
	}
}

// ends: a program that enters this state has no process.
func ends(t model.EventType) bool {
	switch t {
	case model.EventProcessExited, model.EventProcessStopped, model.EventProcessBackoff, model.EventProcessFatal:
		return true
	}
	return false
}

// Wants reports whether some pool has subscribed to an event.
func (p *Pools) Wants(t model.EventType) bool {
	if p.count.Load() == 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refresh()
	return p.subscribed(t)
}

// DefaultHandler is the only judge of results there is: OK, or anything else. Source: spec/supervisor 1.7.
const DefaultHandler = "supervisor.dispatchers:default_handler"

// Refusal says why the listeners of a group are not to run; empty = they are.
func (p *Pools) Refusal(group string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refresh()
	pl := p.pool(group)
	if pl == nil || pl.spec.ResultHandler == DefaultHandler || pl.spec.ResultHandler == "" {
		return ""
	}
	return pl.spec.ResultHandler + " cannot be resolved within [eventlistener:" + group + "]"
}

// Offer takes an event made of output. When it returns, a kill of this process does not lose it. A flood of them waits
// a little for listeners that keep answering, see catchUp.
func (p *Pools) Offer(e model.Event) {
	if p.count.Load() == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.accept(&e)
	p.dispatch()
	p.flush()
	p.plan()
	if pl := p.behind(e.Type); pl != nil {
		p.catchUp(pl)
	}
}

const (
	// patience is how long output waits for the answer to one event. Who hangs holds it up once, for so long.
	patience = 2 * time.Millisecond
	// ahead is how many bytes of events a pool may have in its buffer before output waits until it is half: enough that
	// the listener always finds the next one there, and that those who wait are not woken by each answer.
	ahead = 4 << 20
	// answersAwaited is how many answers it waits for at the most: what fills a pool may go on coming from others.
	answersAwaited = 32
)

// behind is a pool that has much of an event to send, and a listener that is likely to answer in a moment; nil = none.
// One waits at a time: the others read the answers.
func (p *Pools) behind(t model.EventType) *pool {
	if p.waits {
		return nil
	}
	now := p.o.Now()
	for _, pl := range p.pools {
		if !pl.wants[t] || pl.bytes <= ahead {
			continue
		}
		for _, m := range p.members {
			if m.id.Group == pl.name && m.held != nil && m.in != nil && now.Sub(m.since) < patience {
				return pl
			}
		}
	}
	return nil
}

// catchUp waits without the lock for as long as answers keep coming. Without that a program that writes faster than its
// listener reads would have all its output in memory and in the journal, for nothing.
func (p *Pools) catchUp(pl *pool) {
	low := make(chan struct{})
	pl.low = low
	p.waits = true
	t := time.NewTimer(patience)
	defer t.Stop()
	last := pl.answers + answersAwaited
	for answers := pl.answers; pl.answers < last; answers = pl.answers {
		p.mu.Unlock()
		select {
		case <-low:
		case <-t.C:
		}
		p.mu.Lock()
		if pl.low == nil || pl.answers == answers {
			break
		}
		t.Reset(patience)
	}
	pl.low, p.waits = nil, false
}

// moved counts an answer, and lets go of whoever waits for a pool when there is little left in it.
func (pl *pool) moved() {
	pl.answers++
	if pl.low != nil && pl.bytes <= ahead/2 {
		close(pl.low)
		pl.low = nil
	}
}

// Run dispatches and keeps the time until ctx ends.
func (p *Pools) Run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := p.o.Now()
		p.mu.Lock()
		due := p.ticks.take(now, p.subscribed)
		p.dispatch()
		p.watch(now)
		at := p.next(now)
		p.looks = at
		drained := p.drained()
		p.mu.Unlock()
		if drained != nil {
			drained()
		}
		for _, e := range due {
			p.o.Ring.Append(e)
		}
		if len(due) > 0 {
			continue
		}
		if !at.IsZero() {
			timer.Reset(max(at.Sub(now), time.Millisecond))
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-timer.C:
		}
	}
}

// Kick has what is waiting sent. It returns at once.
func (p *Pools) Kick() {
	if p.count.Load() > 0 {
		p.kick()
	}
}

// drain is somebody who waits until the pools of some groups have delivered all they have.
type drain struct {
	groups []string
	done   func() // nil = nobody does
}

// Drain calls done as soon as the pools of these groups have delivered all events, or nobody is there to take them.
func (p *Pools) Drain(groups []string, done func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drain = drain{groups, done}
	p.kick()
}

// drained takes out who waits when there is nothing to wait for.
func (p *Pools) drained() (done func()) {
	if p.drain.done == nil {
		return nil
	}
	for _, name := range p.drain.groups {
		pl, able := p.pool(name), false
		if pl == nil {
			continue
		}
		waiting := len(pl.buffer) > 0
		for _, m := range p.members {
			if m.id.Group == name {
				waiting = waiting || m.held != nil
				able = able || m.in != nil && m.talk.State != listener.Unknown
			}
		}
		if waiting && able {
			return nil
		}
	}
	done, p.drain.done = p.drain.done, nil
	return done
}

// plan wakes the goroutine of Run when it has something to do, or would look too late at the time limits: they
// change with every event, and are seldom reached.
func (p *Pools) plan() {
	if p.drain.done != nil {
		p.kick()
		return
	}
	if at := p.next(p.o.Now()); !at.IsZero() && (p.looks.IsZero() || at.Before(p.looks)) {
		p.kick()
	}
}

// kick wakes the goroutine of Run.
func (p *Pools) kick() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// refresh follows the table: definitions that have changed, and groups that are gone.
func (p *Pools) refresh() {
	t := p.o.Table()
	if t == p.table {
		return
	}
	p.table = t
	for _, g := range t.Groups {
		if pl := p.pool(g.Spec.Name); pl != nil && g.Spec.Pool != nil {
			pl.follow(g.Spec.Pool)
		}
	}
}

// follow puts a definition into force.
func (pl *pool) follow(spec *model.Pool) {
	if pl.spec != spec {
		pl.spec, pl.wants = spec, listener.Subscribe(spec.Events)
	}
}

func (p *Pools) pool(name string) *pool {
	for _, pl := range p.pools {
		if pl.name == name {
			return pl
		}
	}
	return nil
}

// expect is the pool of a group, made when the group has just come or was found by its processes alone; nil = it is
// no group of listeners. Source: spec/supervisor 4.4.
func (p *Pools) expect(group string) *pool {
	if pl := p.pool(group); pl != nil {
		return pl
	}
	p.refresh()
	g := p.table.Group(group)
	if g == nil || g.Spec.Pool == nil {
		return nil
	}
	pl := p.newPool(g.Spec)
	p.keepPool(pl)
	return pl
}

func (p *Pools) newPool(g *model.Group) *pool {
	pl := &pool{name: g.Name}
	pl.follow(g.Pool)
	p.pools = append(p.pools, pl)
	p.count.Store(int32(len(p.pools)))
	return pl
}

// removed forgets a pool and its listeners.
func (p *Pools) removed(group string) {
	for i, pl := range p.pools {
		if pl.name != group {
			continue
		}
		p.pools = append(p.pools[:i:i], p.pools[i+1:]...)
		p.count.Store(int32(len(p.pools)))
		for _, it := range pl.buffer {
			p.forgetItem(pl, it)
		}
		pl.buffer, pl.bytes = nil, 0
		pl.moved()
		for id, m := range p.members {
			if id.Group == group {
				p.forgetMember(pl, m)
				delete(p.members, id)
			}
		}
		p.forgetPool(pl)
		return
	}
}

// subscribed reports whether some pool wants an event; the lock is held.
func (p *Pools) subscribed(t model.EventType) bool {
	for _, pl := range p.pools {
		if pl.wants[t] {
			return true
		}
	}
	return false
}
