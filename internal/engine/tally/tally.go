// Package tally counts what happens to programs: starts by reason, ends by kind, events by type, bytes of output. The
// counts begin with the daemon's process; they are for those who keep time series, and nothing decides by them.
//
// Source: interfaces 4.6.
package tally

import (
	"maps"
	"sync"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Tally is the counts of one daemon. Its methods are safe for concurrent use.
type Tally struct {
	status func(model.ID) (model.Status, bool)

	mu       sync.Mutex
	programs map[model.ID]*program
	events   map[model.EventType]uint64
}

// program is what is counted of one.
type program struct {
	counts *model.Counts       // without those of flows; nil = nothing was counted, as of most programs
	ended  uint64              // the generation whose end was counted last
	why    model.RestartReason // of the start under way, if it is one by itself
	begun  bool                // a start is under way whose reason is not counted yet
	flows  [2]model.Flow
}

// New makes a tally that knows nothing yet. status tells of a program what is known when an event of it is announced.
func New(status func(model.ID) (model.Status, bool)) *Tally {
	return &Tally{status: status, programs: map[model.ID]*program{}, events: map[model.EventType]uint64{}}
}

// of is the place of a program; the lock is held.
func (t *Tally) of(id model.ID) *program {
	p := t.programs[id]
	if p == nil {
		p = &program{}
		t.programs[id] = p
	}
	return p
}

// counted is where something is about to be counted; the lock is held.
func (p *program) counted() *model.Counts {
	if p.counts == nil {
		p.counts = &model.Counts{}
	}
	return p.counts
}

// Happened is told of every event, in their order, while the status of its program is that after it.
func (t *Tally) Happened(e model.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events[e.Type]++
	if e.Type == model.EventGroupRemoved {
		maps.DeleteFunc(t.programs, func(id model.ID, _ *program) bool { return id.Group == e.ID.Group })
		return
	}
	switch e.Type {
	case model.EventProcessStarting, model.EventProcessRunning, model.EventProcessBackoff, model.EventProcessStopping,
		model.EventProcessExited, model.EventProcessStopped, model.EventProcessFatal, model.EventProcessUnknown:
	default:
		return
	}
	st, ok := t.status(e.ID)
	if !ok {
		return
	}
	t.of(e.ID).entered(&e, &st)
}

// entered counts what a change of state tells.
func (p *program) entered(e *model.Event, st *model.Status) {
	p.settle(st)
	if e.Type == model.EventProcessStarting {
		p.begun, p.why, p.ended = true, reason(e, st), st.Past.Ended // what has ended before is counted, or was not seen
		return
	}
	if e.Type == model.EventProcessBackoff && e.Tries > 0 { // else it only waits for its delay
		p.counted().StartFailures++
	}
	had := e.Type == model.EventProcessExited || e.From == model.Stopping ||
		e.Type == model.EventProcessBackoff && st.Past.Ended == st.Generation // else it had no process
	if had && st.Past.Ended != p.ended {
		p.ended = st.Past.Ended
		p.counted().Exits[kind(e, st)]++
	}
}

// settle counts the start under way, now that it is known who has asked for it.
func (p *program) settle(st *model.Status) {
	if !p.begun {
		return
	}
	p.begun = false
	switch {
	case st.Past.Restarts > 0:
		p.counted().Restarts[p.why]++
	case st.Generation > 1:
		p.counted().Restarts[model.RestartUser]++
	}
}

// reason is why a program is started again, if nobody has asked for it.
func reason(e *model.Event, st *model.Status) model.RestartReason {
	switch x := st.Exit; {
	case st.Past.Check != "":
		return model.RestartCheck
	case st.Past.Ended == 0 || !x.Known:
		return model.RestartSpawn
	case e.From == model.Backoff && st.Past.Ended+1 < st.Generation: // the attempt before had no process
		return model.RestartSpawn
	case x.OOMKills > 0:
		return model.RestartOOM
	case x.Signal != 0:
		return model.RestartSignal
	}
	return model.RestartExit
}

// kind is how a process has ended.
func kind(e *model.Event, st *model.Status) model.ExitKind {
	switch x := st.Exit; {
	case e.From == model.Stopping:
		return model.ExitStopped
	case !x.Known:
		return model.ExitUnknown
	case x.OOMKills > 0:
		return model.ExitOOM
	case x.Signal != 0:
		return model.ExitSignal
	case e.Type == model.EventProcessExited && e.Expected:
		return model.ExitExpected
	}
	return model.ExitUnexpected
}

// Flows are the counters of the two channels of a program, for whoever moves their bytes.
func (t *Tally) Flows(id model.ID) *[2]model.Flow {
	t.mu.Lock()
	defer t.mu.Unlock()
	return &t.of(id).flows
}

// Events are how many there were of each type. Those made of output are not among them.
func (t *Tally) Events() map[model.EventType]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.events)
}

// Counts are those of programs, in their order; zero of those of which nothing is known.
func (t *Tally) Counts(ids []model.ID) []model.Counts {
	out := make([]model.Counts, len(ids))
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, id := range ids {
		p := t.programs[id]
		if p == nil {
			continue
		}
		if p.counts != nil {
			out[i] = *p.counts
		}
		for k := range p.flows {
			out[i].Written[k], out[i].Dropped[k] = p.flows[k].Written.Load(), p.flows[k].Dropped.Load()
		}
	}
	return out
}
