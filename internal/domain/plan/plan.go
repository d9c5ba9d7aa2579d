// Package plan compares what is active with what is desired and says what is to be done about it. It
// does nothing itself: a reread shows a plan, an update carries out its steps.
//
// Source: spec/supervisor 1.10 and 6.4.
package plan

import "github.com/upkeep-project/upkeep/internal/domain/model"

// Change is what becomes of one group.
type Change struct {
	Name   string
	Old    *model.Group // the active definition; nil for an added group
	New    *model.Group // the desired definition; nil for a removed group
	Fields []model.FieldChange
}

// Effect is the greatest effect of the group's field changes.
func (c Change) Effect() model.Effect { return model.EffectOf(c.Fields) }

// Plan is the way from the active groups to the desired ones. The zero value is the empty plan.
type Plan struct {
	Added   []Change // in the order of the configuration
	Changed []Change // in the order of the configuration
	Removed []Change // in the order of the active groups
	// Moved groups are worth the same as before but written elsewhere or spelled otherwise: the definition
	// is to be replaced and nothing else to be done or said. In the order of the configuration.
	Moved []Change
}

// StepKind is the kind of a step.
type StepKind uint8

// The kinds of steps.
const (
	Remove  StepKind = iota // stop the programs of Old and forget the group
	Replace                 // put New in the place of Old; Change.Effect says what for
	Refresh                 // exchange the definition and touch nothing
	Add                     // take New into the active groups, at their end
)

// String is the kind in one word.
func (k StepKind) String() string { return [...]string{"remove", "replace", "refresh", "add"}[k] }

// Step is one thing to do for one group.
type Step struct {
	Kind StepKind
	Change
}

// Make compares the active groups, in their order, with the desired configuration; nil desires nothing.
// A group is told from another by its name. Of several groups of one name in a list the first one counts.
// Neither argument is changed, and the plan refers to their groups.
func Make(active []*model.Group, next *model.Config) Plan {
	var p Plan
	old := make(map[string]*model.Group, len(active))
	for _, g := range active {
		if old[g.Name] == nil {
			old[g.Name] = g
		}
	}
	wanted := make(map[string]bool)
	if next != nil {
		for _, g := range next.Groups {
			if wanted[g.Name] {
				continue
			}
			wanted[g.Name] = true
			p.consider(old[g.Name], g)
		}
	}
	for _, g := range active {
		if !wanted[g.Name] && old[g.Name] == g {
			p.Removed = append(p.Removed, Change{Name: g.Name, Old: g, Fields: membership(g, true)})
		}
	}
	return p
}

// consider files one desired group under what has to be done for it.
func (p *Plan) consider(old, next *model.Group) {
	if old == nil {
		p.Added = append(p.Added, Change{Name: next.Name, New: next, Fields: membership(next, false)})
		return
	}
	fields := model.DiffGroup(old, next)
	c := Change{Name: next.Name, Old: old, New: next, Fields: fields}
	switch {
	case model.Differs(fields):
		p.Changed = append(p.Changed, c)
	case len(fields) > 0:
		p.Moved = append(p.Moved, c)
	}
}

// membership is the field changes of a group that comes or goes as a whole: one for each program.
func membership(g *model.Group, gone bool) []model.FieldChange {
	whole := &model.Group{Programs: g.Programs}
	if gone {
		return model.DiffGroup(whole, &model.Group{})
	}
	return model.DiffGroup(&model.Group{}, whole)
}

// Empty reports whether there is nothing to tell: no group is added, changed or removed. Steps may still
// contain a Refresh.
func (p Plan) Empty() bool { return len(p.Added)+len(p.Changed)+len(p.Removed) == 0 }

// Names are the names of the groups that are added, changed and removed, in the order in which a reread
// answers them. Source: spec/supervisor 1.10.
func (p Plan) Names() (added, changed, removed []string) {
	return names(p.Added), names(p.Changed), names(p.Removed)
}

func names(list []Change) []string {
	out := make([]string, len(list))
	for i, c := range list {
		out[i] = c.Name
	}
	return out
}

// Steps is the plan in the order in which it is to be carried out: what goes first makes room (ports,
// files, names) for what changes and for what comes.
// Source: spec/supervisor 6.4 (update).
func (p Plan) Steps() []Step {
	out := make([]Step, 0, len(p.Removed)+len(p.Changed)+len(p.Moved)+len(p.Added))
	for _, part := range []struct {
		kind StepKind
		list []Change
	}{{Remove, p.Removed}, {Replace, p.Changed}, {Refresh, p.Moved}, {Add, p.Added}} {
		for _, c := range part.list {
			out = append(out, Step{part.kind, c})
		}
	}
	return out
}
