package listeners

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/wire/listener"
)

const (
	// longBusy is after how long without an answer the activity log tells of it.
	longBusy = time.Minute
	// hushGrace is how long a listener whose output has come to its end may take to end itself.
	hushGrace = time.Second
	// unheard is how long the output of a listener that nobody listens to is left alone.
	unheard = 50 * time.Millisecond
	// maxPause is the longest wait before a listener that does nothing but break the rules is restarted once more.
	maxPause = time.Minute
)

// Listen begins the conversation with an instance of a listener, or goes on with that of an earlier process. Call it
// before its output is read.
func (p *Pools) Listen(id model.ID, gen uint64, in Input) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pl := p.expect(id.Group) // its group may be on its way
	if pl == nil {
		return
	}
	m := p.members[id]
	if m == nil {
		m = &member{id: id}
		p.members[id] = m
	}
	m.in, m.since, m.told, m.bounce, m.hush = in, p.o.Now(), false, time.Time{}, time.Time{}
	if m.gen != gen {
		p.reject(pl, m)
		m.gen, m.talk = gen, listener.Conversation{}
		p.keepMember(m)
		p.flush()
		return
	}
	switch {
	case m.unsure:
		p.reject(pl, m)
		m.talk = listener.Conversation{State: listener.Unknown}
		p.keepMember(m)
		p.restart(m, "whether it has got its last event is not known after a crash of the daemon")
	case m.talk.State == listener.Unknown:
		p.restart(m, unknownReason)
	}
	p.kick()
}

// unknownReason is why a listener is restarted that has broken the rules.
const unknownReason = "it has entered the UNKNOWN state"

// Heard takes what an instance of a listener has written to its standard output. When it returns, a successor knows
// of it.
func (p *Pools) Heard(id model.ID, gen uint64, data []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m, pl := p.members[id], p.pool(id.Group)
	if m == nil || pl == nil || m.gen != gen {
		return
	}
	before := m.talk.State
	m.talk.Hear(data, func(what listener.Said, text []byte) {
		p.said(pl, m, before, what, text)
		before = m.talk.State
	})
	p.note(m)
	p.dispatch()
	p.flush()
	p.plan()
}

// Rest is how long the output of an instance is left alone: what a listener in UNKNOWN says is not heard, and it must
// not keep a processor busy until it is restarted.
func (p *Pools) Rest(id model.ID, gen uint64) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.members[id]; m != nil && m.gen == gen && m.talk.State == listener.Unknown {
		return unheard
	}
	return 0
}

// said deals with one thing that a listener has said. Source: spec/supervisor 4.5.
func (p *Pools) said(pl *pool, m *member, before listener.State, what listener.Said, text []byte) {
	m.since, m.told = p.o.Now(), false
	turn := func() { p.o.Log.Logf(activity.Debug, "%s: %s -> %s", m.id.Name, before, m.talk.State) }
	switch what {
	case listener.SaidReady:
		turn()
	case listener.SaidResult:
		if string(text) == "OK" {
			p.o.Log.Logf(activity.Debug, "%s: event was processed", m.id.Name)
			turn()
			p.processed(pl, m)
			return
		}
		p.o.Log.Logf(activity.Warn, "%s: event was rejected", m.id.Name)
		turn()
		p.reject(pl, m)
	case listener.SaidLine:
		p.o.Log.Logf(activity.Warn, "%s: bad result line: '%s'", m.id.Name, lineText(text))
		turn()
		p.violated(pl, m)
	case listener.SaidNoise:
		turn()
		p.violated(pl, m)
	}
}

// lineText shows a line that was said instead of a result.
func lineText(line []byte) string {
	const most = 1000
	line = line[:min(len(line), most)]
	if utf8.Valid(line) {
		return string(line)
	}
	return "Undecodable: " + pytext.ReprBytes(line)
}

// processed is the end of an event.
func (p *Pools) processed(pl *pool, m *member) {
	if m.held != nil {
		p.forgetItem(pl, m.held)
	}
	m.held, m.unsure, m.strikes = nil, false, 0
	pl.moved()
}

// violated is what follows when a listener has broken the rules.
func (p *Pools) violated(pl *pool, m *member) {
	p.o.Log.Logf(activity.Warn, "%s: has entered the UNKNOWN state and will no longer receive events, "+
		"this usually indicates the process violated the eventlistener protocol", m.id.Name)
	p.reject(pl, m)
	p.restart(m, unknownReason)
}

// distrust has no more to do with an instance of a listener.
func (p *Pools) distrust(pl *pool, m *member) {
	p.o.Log.Logf(activity.Debug, "%s: %s -> %s", m.id.Name, m.talk.State, listener.Unknown)
	m.talk = listener.Conversation{State: listener.Unknown}
	p.violated(pl, m)
	p.keepMember(m)
}

// restart has a listener restarted: at once, and later the more often nothing else has helped. No state of a
// listener is a dead end. Source: spec/reliability R32.
func (p *Pools) restart(m *member, why string) {
	if !m.bounce.IsZero() {
		return
	}
	pause := time.Duration(0)
	if m.strikes > 0 {
		pause = min(time.Second<<min(m.strikes-1, 10), maxPause)
	}
	m.strikes++
	m.bounce = p.o.Now().Add(pause)
	after := "now"
	if pause > 0 {
		after = fmt.Sprintf("in %d seconds", pause/time.Second)
	}
	p.o.Log.Logf(activity.Warn, "%s: is restarted %s: %s", m.id.Name, after, why)
	p.kick()
}

// Hushed tells that the standard output of an instance has come to its end. A listener that lives on cannot say
// anything any more.
func (p *Pools) Hushed(id model.ID, gen uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.members[id]; m != nil && m.gen == gen && m.in != nil && m.hush.IsZero() {
		m.hush = p.o.Now().Add(hushGrace)
		p.kick()
	}
}

// watch restarts those whose time has come, and looks for listeners that take too long.
func (p *Pools) watch(now time.Time) {
	for _, m := range p.members {
		pl := p.pool(m.id.Group)
		if pl == nil || m.gen == 0 {
			continue
		}
		if !m.bounce.IsZero() && !now.Before(m.bounce) {
			m.bounce = time.Time{}
			p.o.Bounce(m.id, m.gen)
			continue
		}
		if !m.hush.IsZero() && !now.Before(m.hush) {
			m.hush = time.Time{}
			p.restart(m, "it has closed its standard output")
			continue
		}
		owes, limit := p.owes(pl, m)
		waited := now.Sub(m.since)
		if owes == "" || waited < limit {
			continue
		}
		if t := pl.spec.Timeout; t > 0 && waited >= t {
			p.o.Log.Logf(activity.Warn, "%s: %s within %d seconds", m.id.Name, owes, t/time.Second)
			p.distrust(pl, m)
			continue
		}
		m.told = true
		p.o.Log.Logf(activity.Warn, "%s: %s for %d seconds", m.id.Name, owes, waited/time.Second)
	}
	p.dispatch() // what a rejection has put back
}

// owes says what a listener has not done, while others wait for it, and after how long that counts; empty = nothing.
func (p *Pools) owes(pl *pool, m *member) (what string, limit time.Duration) {
	if m.in == nil || !m.bounce.IsZero() {
		return "", 0
	}
	limit = longBusy
	switch t := pl.spec.Timeout; {
	case t > 0 && (m.told || t < limit):
		limit = t
	case m.told:
		return "", 0
	}
	switch {
	case m.talk.State == listener.Busy && m.held != nil:
		return fmt.Sprintf("has not answered event %d", m.held.serial), limit
	case m.talk.State == listener.Acknowledged && len(pl.buffer) > 0:
		return "has not said READY", limit
	}
	return "", 0
}

// next is when there is something to do by itself; zero = when something happens.
func (p *Pools) next(now time.Time) (at time.Time) {
	sooner := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	for _, m := range p.members {
		pl := p.pool(m.id.Group)
		if pl == nil || m.gen == 0 {
			continue
		}
		if !m.bounce.IsZero() {
			sooner(m.bounce)
		}
		if !m.hush.IsZero() {
			sooner(m.hush)
		}
		if owes, limit := p.owes(pl, m); owes != "" {
			sooner(m.since.Add(limit))
		}
	}
	if t, ok := p.ticks.next(now, p.subscribed); ok {
		sooner(t)
	}
	return at
}
