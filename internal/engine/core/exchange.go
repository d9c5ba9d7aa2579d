package core

import (
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// exchangeRecord is what is kept of an exchange under way.
type exchangeRecord struct {
	// Old is in force until the process is gone; the group's record has what comes then. A program that
	// leaves is not in the group's record, and Old is all that is known of it.
	Old     *definition `json:",omitempty"`
	Leaving bool        `json:",omitempty"`
	Begin   bool        `json:",omitempty"`
}

func (s *Slot) exchangeRecord() exchangeRecord {
	r := exchangeRecord{Leaving: s.leaving, Begin: s.begin}
	if s.leaving || s.next.Load() != nil {
		r.Old = &definition{s.spec, s.logs}
	}
	return r
}

// restoreExchange takes up an exchange under way in a slot made from the group's record.
func (s *Slot) restoreExchange(r exchangeRecord) {
	s.begin = r.Begin
	if r.Old != nil && !r.Leaving {
		s.next.Store(&definition{s.spec, s.logs})
		s.spec, s.logs = r.Old.Spec, r.Old.Logs
	}
}

// goes reports whether the program was to be forgotten.
func (r *slotRecord) goes() bool { return r.Leaving && r.Old != nil && r.Old.Spec != nil }

// without takes the programs out that were to be forgotten, where no more than that of a change was written.
func (g *groupRecord) without(slots map[model.ID]slotRecord) {
	spec, logs := *g.Spec, g.Logs
	spec.Programs, g.Logs = nil, nil
	for i, p := range g.Spec.Programs {
		if r := slots[p.ID]; !r.goes() {
			spec.Programs, g.Logs = append(spec.Programs, p), append(g.Logs, logs[i])
		}
	}
	g.Leaving = g.Leaving || len(logs) > 0 && len(g.Logs) == 0
	g.Spec = &spec
}

// leaving are the programs that were to be forgotten, by group.
func (sv *Saved) leaving() map[string][]model.ID {
	out := map[string][]model.ID{}
	for id, r := range sv.slots {
		if r.goes() {
			out[id.Group] = append(out[id.Group], id)
		}
	}
	for _, ids := range out {
		slices.SortFunc(ids, func(a, b model.ID) int { return strings.Compare(a.Name, b.Name) })
	}
	return out
}

func (c *Core) restoreLeaving(g *group, ids []model.ID, sv *Saved) {
	for _, id := range ids {
		if slices.ContainsFunc(g.entry.Slots, func(s *Slot) bool { return s.spec.ID == id }) {
			continue
		}
		r := sv.slots[id]
		s := c.newSlot(g, r.Old.Spec, r.Old.Logs)
		s.restore(r)
		s.goes()
		g.entry.Slots = append(g.entry.Slots, s)
	}
	if g.leaving && len(g.entry.Slots) == 0 {
		c.unlistSoon()
	}
}

// resumeChanges goes on with what was ordered.
func (c *Core) resumeChanges() {
	a := c.application()
	for _, s := range c.slots() {
		switch {
		case s.leaving:
			c.leave(a.gone, s)
		case s.begin && s.next.Load() != nil:
			c.replace(a.up, s)
		case s.begin:
			a.fresh = append(a.fresh, s)
		}
	}
	a.gone.sealed = true
	a.gone.check()
}
