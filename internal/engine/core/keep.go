package core

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
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

// Maker is a Journal that need not have every value in memory: again makes it, now and whenever it is needed again,
// always the same, on any goroutine.
type Maker interface {
	PutMade(key string, again func() []byte)
}

// PutMade is Put of what again makes, as a Maker has it if the journal is one.
func PutMade(j Journal, key string, again func() []byte) {
	if m, ok := j.(Maker); ok {
		m.PutMade(key, again)
		return
	}
	j.Put(key, again())
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

// The journal's keys: one record each for the daemon, the set of groups, the budget of restarts, every active
// group, every program, and every line that may not be in the activity log yet.
const (
	daemonKey   = "daemon"
	groupsKey   = "groups"
	stormKey    = "storm"
	groupPrefix = "group/"
	slotPrefix  = "program/"
	linePrefix  = "line/"
)

// daemonRecord says how far the daemon is.
type daemonRecord struct {
	Ending model.DaemonState // DaemonRunning: it is not
}

// groupsRecord says which groups are complete: a journal that was cut in the middle of an addition has some
// of what was added, and it counts as not done.
type groupsRecord struct {
	Through uint64 // the Order of the last
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
	Machine  lifecycle.Machine `json:",omitzero"`
	PID      int               `json:",omitzero"`
	Start    time.Time         `json:",omitzero"`
	Stop     time.Time         `json:",omitzero"`
	Exit     model.Exit        `json:",omitzero"`
	HasExit  bool              `json:",omitzero"`
	Failure  string            `json:",omitzero"`
	SpawnErr string            `json:",omitzero"`
	Ends     [2]time.Duration  `json:",omitzero"`
	Turn     time.Duration     `json:",omitempty"`
	Sending  *sending          `json:",omitempty"`
	Past     model.Past        `json:",omitzero"`
	Said     uint64            `json:",omitempty"` // the key of the last line that tells of what is recorded here
	exchangeRecord
	// Ready and Completed are of the present instance and of the last ones; Parting and Releasing are orders under way.
	Ready     bool `json:",omitempty"`
	Completed bool `json:",omitempty"`
	Parting   bool `json:",omitempty"`
	Releasing bool `json:",omitempty"`
}

// keeping is what the core does about surviving.
type keeping struct {
	journal Journal
	wishes  Wishes
	lines   Lines
	dirty   []*Slot
	groups  []*group // whose records have changed
	pending []line
	said    []said // lines that are on their way into the activity log
	saying  uint64 // the key of the last of them
	acks    []func()
	order   uint64            // of the last group
	through uint64            // of the last group of which the journal knows that it is complete
	wished  map[model.ID]bool // up or down, where that is not what autostart says
	put     uint64            // counts what was put into the wishes …
	synced  uint64            // … and of that, what is known to be durable
}

// line waits for the journal before it is written.
type line struct {
	slot *Slot // nil = of no program
	text []byte
}

// said is a line that is on its way into the activity log.
type said struct {
	key    uint64
	number uint64 // in the log
}

// unknownNumber is that of lines which an earlier process has left, and which were written before any of ours.
const unknownNumber = math.MaxUint64

// maxSaid bounds the lines of which the journal has copies: those that wait longer, while the log cannot be
// written, are in the log's own queue alone.
const maxSaid = 2000

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
		c.forgetLines()
		for _, l := range k.pending {
			k.saying++
			id := ""
			if l.slot != nil && !l.slot.gone {
				id = l.slot.spec.ID.Namespec()
				l.slot.said = k.saying
				c.touch(l.slot)
			}
			k.journal.Put(lineKey(k.saying), slices.Concat([]byte(id), []byte{0}, l.text))
		}
		for _, s := range k.dirty {
			s.dirty = false
			if s.gone {
				continue
			}
			c.put(slotPrefix+s.spec.ID.Namespec(), c.record(s))
		}
		k.dirty = k.dirty[:0]
		c.putGroups()
		_ = k.journal.Flush() // the journal reports its own trouble, and works on without the disk
	}
	first := k.saying + 1 - uint64(len(k.pending))
	for i, l := range k.pending {
		n := k.lines.Write(l.text)
		if k.journal != nil {
			c.keepLine(said{first + uint64(i), n})
		}
		k.pending[i] = line{}
	}
	k.pending = k.pending[:0]
}

// putGroups puts the records of groups. They come after those of their programs, which tell what is in force until a change
// is done: whoever finds only the first of what was written together does not take for done what is not.
func (c *Core) putGroups() {
	k := &c.keep
	for _, g := range k.groups {
		if !g.dirty {
			continue
		}
		g.dirty = false
		r := groupRecord{Order: g.order, Spec: g.entry.Spec, Leaving: g.leaving}
		for _, s := range g.entry.Slots {
			if !s.leaving && !g.leaving {
				_, logs := s.Target()
				r.Logs = append(r.Logs, logs)
			}
		}
		c.putFixed(groupPrefix+g.entry.Spec.Name, r) // definitions are immutable
	}
	clear(k.groups)
	k.groups = k.groups[:0]
	if k.order != k.through {
		k.through = k.order
		c.put(groupsKey, groupsRecord{Through: k.order})
	}
}

// lineKey is the key of a line; its value is the program that it is about, a zero byte, and the text. It is put
// before the record of the program, which tells by Said that it counts.
func lineKey(n uint64) string { return fmt.Sprintf("%s%016x", linePrefix, n) }

// keepLine notes that a line has been given to the log. What an earlier process left was given before.
func (c *Core) keepLine(l said) {
	k := &c.keep
	for i := range k.said {
		if k.said[i].number != unknownNumber {
			break
		}
		k.said[i].number = l.number
	}
	k.said = append(k.said, l)
}

func (c *Core) forgetLine(key uint64) {
	if c.keep.journal != nil {
		c.keep.journal.Put(lineKey(key), nil)
	}
}

// forgetLines takes the lines out of the journal that are in the log.
func (c *Core) forgetLines() {
	k := &c.keep
	if len(k.said) == 0 {
		return
	}
	written, n := k.lines.Written(), 0
	for n < len(k.said) && (k.said[n].number <= written || len(k.said)-n > maxSaid) {
		c.forgetLine(k.said[n].key)
		n++
	}
	k.said = slices.Delete(k.said, 0, n)
}

// LogClosed takes the lines out of the journal that a log has which is closed now: the next process may have another log. It
// is for after Run.
func (c *Core) LogClosed() {
	c.forgetLines()
	if c.keep.journal != nil {
		_ = c.keep.journal.Flush()
	}
}

// settleAcks commits and then gives the answers that were waiting for it.
func (c *Core) settleAcks() {
	c.commit()
	if c.told != nil {
		c.told()
	}
	for len(c.keep.acks) > 0 {
		acks := c.keep.acks
		c.keep.acks = nil
		for _, ack := range acks {
			ack()
		}
	}
}

func (c *Core) put(key string, record any) {
	if value := c.encode(key, record); value != nil {
		c.keep.journal.Put(key, value)
	}
}

// putFixed is put of a record that never changes, and nothing that it leads to does.
func (c *Core) putFixed(key string, record any) {
	PutMade(c.keep.journal, key, func() []byte { return c.encode(key, record) })
}

// encode is a record as the journal has it; nil when it is none.
func (c *Core) encode(key string, record any) []byte {
	value, err := json.Marshal(record)
	if err != nil { // impossible: records are plain data
		c.log.Logf(activity.Critical, "the journal cannot hold %s: %v", key, err)
	}
	return value
}

// record is a program's state.
func (c *Core) record(s *Slot) slotRecord {
	r := slotRecord{
		Machine: s.m, PID: s.pid, Start: s.start, Stop: s.stop, Exit: s.exit, HasExit: s.hasExit,
		Failure: s.failure, SpawnErr: s.lastErr, Ends: [2]time.Duration{s.ends.before, s.ends.last},
		Turn: s.turn, Sending: s.sending, Past: s.past, Said: s.said, exchangeRecord: s.exchangeRecord(),
		Ready: s.ready, Completed: s.completed, Parting: s.parting, Releasing: s.releasing,
	}
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
	for _, s := range g.entry.Slots {
		c.touch(s)
	}
	if !g.dirty {
		g.dirty = true
		c.keep.groups = append(c.keep.groups, g)
	}
}

// keepStorm records how far the budget of automatic restarts is used up.
func (c *Core) keepStorm() {
	if c.keep.journal != nil {
		c.put(stormKey, c.storm.full)
	}
}

func (c *Core) forgetGroup(g *group) {
	g.dirty = false
	if c.keep.journal != nil {
		c.keep.journal.Put(groupPrefix+g.entry.Spec.Name, nil)
	}
	for _, s := range g.entry.Slots {
		c.forgetSlot(s)
	}
}

// forgetSlot deletes what was kept of a program that is no longer in the table.
func (c *Core) forgetSlot(s *Slot) {
	c.unpart(s)
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
		return c.keep.unsynced() // somebody else's order may be on its way
	case up == s.spec.Start.Auto:
		c.unwish(id)
	default:
		c.keep.wished[id] = up
		c.keep.put++
		c.keep.wishes.Put(id.Namespec(), wishValue(up))
	}
	return true
}

// unsynced reports whether something that was put into the wishes may not be durable.
func (k *keeping) unsynced() bool { return k.put != k.synced }

func (c *Core) unwish(id model.ID) {
	if _, known := c.keep.wished[id]; known {
		delete(c.keep.wished, id)
		c.keep.put++
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
	p, _ := s.Target()
	if c.passive || p.Disabled {
		return false
	}
	if up, known := c.keep.wished[p.ID]; known {
		return up
	}
	return p.Start.Auto
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
	c.sync(func(err error) {
		if err != nil {
			o.fail = notDurable(err)
		}
		o.pending--
		o.check()
	})
}

// sync calls done when all wishes are durable, or with the reason why they are not.
func (c *Core) sync(done func(error)) {
	upTo := c.keep.put
	c.keep.wishes.Sync(func(err error) {
		c.post(func() {
			if err == nil {
				c.keep.synced = max(c.keep.synced, upTo)
			}
			done(err)
		})
	})
}

func notDurable(err error) error { return fmt.Errorf("%w: %w", ErrNotDurable, err) }
