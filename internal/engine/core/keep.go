package core

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/lifecycle"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
)

// Journal keeps what must survive the death of this process: Put collects, Flush makes it survive. A nil
// value deletes.
type Journal interface {
	Put(key string, value []byte)
	Flush() error
}

// Wishes keeps what must survive a power cut: done is called when all that was Put before does, or with the
// reason why it does not.
type Wishes interface {
	Put(key string, value []byte)
	Sync(done func(error))
}

// Lines is an activity log that says which of its lines are in the file, so that none is lost or doubled
// when this process dies between a decision and its line; *activity.Logger is one.
type Lines interface {
	Line(level activity.Level, format string, args ...any) []byte // nil: not of interest
	Write(line []byte) (number uint64)
	Written() (number uint64) // of the last line of which nothing is missing
}

// The journal's keys: one record each for the daemon, every active group and every program.
const (
	daemonKey   = "daemon"
	groupPrefix = "group/"
	slotPrefix  = "program/"
)

// daemonRecord says how far the daemon is.
type daemonRecord struct {
	Ending model.DaemonState // DaemonRunning: it is not
}

// groupRecord is an active group as it is in force.
type groupRecord struct {
	Order uint64 // ascending in the order of addition
	Spec  *model.Group
	Logs  []LogPaths
	// Leaving: it goes when its last program does; it has none in Spec.
	Leaving bool `json:",omitempty"`
}

// slotRecord is what is known of a program.
type slotRecord struct {
	Machine  lifecycle.Machine
	PID      int
	Start    time.Time
	Stop     time.Time
	Exit     model.Exit
	HasExit  bool
	Failure  string
	SpawnErr string
	Ends     [2]time.Duration
	Say      []string `json:",omitempty"` // lines that may not be in the activity log yet
	exchangeRecord
}

// keeping is what the core does about surviving.
type keeping struct {
	journal Journal
	wishes  Wishes
	lines   Lines
	dirty   []*Slot
	pending []line
	acks    []func()
	order   uint64            // of the last group
	wished  map[model.ID]bool // up or down, where that is not what autostart says
}

// line waits for the journal before it is written.
type line struct {
	slot *Slot // nil = of no program
	text []byte
}

// said is a line that is on its way into the activity log.
type said struct {
	number uint64
	text   string
}

// logf writes a line of the activity log, after what it tells is in the journal. s is the program that it is
// about, nil for none.
func (c *Core) logf(s *Slot, level activity.Level, format string, args ...any) {
	if c.keep.lines == nil {
		c.log.Logf(level, format, args...)
		return
	}
	if text := c.keep.lines.Line(level, format, args...); text != nil {
		c.keep.pending = append(c.keep.pending, line{s, text})
	}
}

// touch notes that a program's record has changed.
func (c *Core) touch(s *Slot) {
	if !s.dirty && c.keep.journal != nil && !s.gone {
		s.dirty = true
		c.keep.dirty = append(c.keep.dirty, s)
	}
}

// commit makes what has been decided survive this process. It comes before every effect that others can
// see: a launch, a signal, a release, an answer, a line. Source: spec/reliability R1, R4.
func (c *Core) commit() {
	k := &c.keep
	if k.journal != nil {
		for _, l := range k.pending {
			if l.slot != nil {
				l.slot.saying = append(l.slot.saying, string(l.text))
				c.touch(l.slot)
			}
		}
		for _, s := range k.dirty {
			s.dirty = false
			if s.gone {
				continue
			}
			c.put(slotPrefix+s.spec.ID.Namespec(), c.record(s))
		}
		k.dirty = k.dirty[:0]
		_ = k.journal.Flush() // the journal reports its own trouble, and works on without the disk
	}
	for i, l := range k.pending {
		n := k.lines.Write(l.text)
		if l.slot != nil && k.journal != nil {
			l.slot.said = append(l.slot.said, said{n, string(l.text)})
			l.slot.saying = nil
		}
		k.pending[i] = line{}
	}
	k.pending = k.pending[:0]
}

// settle commits and then gives the answers that were waiting for it.
func (c *Core) settleAcks() {
	c.commit()
	for len(c.keep.acks) > 0 {
		acks := c.keep.acks
		c.keep.acks = nil
		for _, ack := range acks {
			ack()
		}
	}
}

func (c *Core) put(key string, record any) {
	value, err := json.Marshal(record)
	if err != nil { // impossible: records are plain data
		c.log.Logf(activity.Critical, "the journal cannot hold %s: %v", key, err)
		return
	}
	c.keep.journal.Put(key, value)
}

// record is a program's state, with the lines that may still be missing in the log.
func (c *Core) record(s *Slot) slotRecord {
	r := slotRecord{
		Machine: s.m, PID: s.pid, Start: s.start, Stop: s.stop, Exit: s.exit, HasExit: s.hasExit,
		Failure: s.failure, SpawnErr: s.lastErr, Ends: [2]time.Duration{s.ends.before, s.ends.last},
		exchangeRecord: s.exchangeRecord(),
	}
	if len(s.said) > 0 {
		written := c.keep.lines.Written()
		kept := s.said[:0]
		for _, l := range s.said {
			if l.number > written {
				kept = append(kept, l)
				r.Say = append(r.Say, l.text)
			}
		}
		if s.said = kept; len(kept) == 0 {
			s.said = nil
		}
	}
	r.Say = append(r.Say, s.saying...)
	return r
}

// keepGroup records an active group; forgetGroup one that is no longer.
func (c *Core) keepGroup(g *group) {
	if c.keep.journal == nil {
		return
	}
	if g.order == 0 {
		c.keep.order++
		g.order = c.keep.order
	}
	r := groupRecord{Order: g.order, Spec: g.entry.Spec, Leaving: g.leaving}
	for _, s := range g.entry.Slots {
		c.touch(s)
		if !s.leaving && !g.leaving {
			_, logs := s.Target()
			r.Logs = append(r.Logs, logs)
		}
	}
	c.put(groupPrefix+g.entry.Spec.Name, r)
}

func (c *Core) forgetGroup(g *group) {
	if c.keep.journal != nil {
		c.keep.journal.Put(groupPrefix+g.entry.Spec.Name, nil)
	}
	for _, s := range g.entry.Slots {
		c.forgetSlot(s)
	}
}

// forgetSlot deletes what was kept of a program that is no longer in the table.
func (c *Core) forgetSlot(s *Slot) {
	s.gone = true
	if c.keep.journal != nil {
		c.keep.journal.Put(slotPrefix+s.spec.ID.Namespec(), nil)
	}
	c.unwish(s.spec.ID)
}

// wish records durably whether a program is to run, as far as that is not what happens by itself. It reports
// whether there is something to wait for. Source: one-model C3.
func (c *Core) wish(s *Slot, up bool) bool {
	if c.keep.wishes == nil {
		return false
	}
	id := s.spec.ID
	was, known := c.keep.wished[id]
	switch {
	case up == s.spec.Start.Auto && !known, known && was == up && up != s.spec.Start.Auto:
		return false
	case up == s.spec.Start.Auto:
		c.unwish(id)
	default:
		c.keep.wished[id] = up
		c.keep.wishes.Put(id.Namespec(), wishValue(up))
	}
	return true
}

func (c *Core) unwish(id model.ID) {
	if _, known := c.keep.wished[id]; known {
		delete(c.keep.wished, id)
		c.keep.wishes.Put(id.Namespec(), nil)
	}
}

func wishValue(up bool) []byte {
	if up {
		return []byte("up")
	}
	return []byte("down")
}

// wanted reports whether a program that has just become active is to be started.
func (c *Core) wanted(s *Slot) bool {
	if up, known := c.keep.wished[s.spec.ID]; known {
		return up
	}
	return s.spec.Start.Auto
}

// endWishes forgets all wishes: after an ordered end autostart decides again. Source: one-model C3.
func (c *Core) endWishes() {
	for id := range c.keep.wished {
		c.unwish(id)
	}
}

// durable makes an order wait until its wishes survive a power cut.
func (c *Core) durable(o *order) {
	o.pending++
	c.keep.wishes.Sync(func(err error) {
		c.post(func() {
			if err != nil {
				o.fail = fmt.Errorf("%w: %w", ErrNotDurable, err)
			}
			o.pending--
			o.check()
		})
	})
}
