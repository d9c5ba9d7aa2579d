package plan

import "github.com/upkeep-project/upkeep/internal/domain/model"

// ProgramStep is what a change does to one program. The kinds mean for a program: Remove, stop it and
// forget it; Replace, end its process and start it under the new definition; Refresh, exchange the
// definition and leave what runs alone; Add, take it in, and start it if it starts by itself.
type ProgramStep struct {
	Kind StepKind
	// ID has no name when the step is about values of the group alone: a Refresh then.
	ID  model.ID
	Old *model.Program // nil for Add
	New *model.Program // nil for Remove
	// Fields are the differences, those of the group that make a restart necessary among them.
	Fields []model.FieldChange
}

// ForProgram says what is to be done for a program that stays, in a given state: a process that a change
// does not fit is replaced, and so is one that could not be had (FATAL), as the reason may be gone. Who was
// stopped or has ended stays down, and the new definition counts from the next start. Nothing is ended that next does
// not let be started again.
func ForProgram(fields []model.FieldChange, next *model.Program, s model.State) StepKind {
	if model.EffectOf(fields) == model.EffectRestart && !next.Disabled && (s.Up() || s == model.Fatal) {
		return Replace
	}
	return Refresh
}

// GroupFields are the changes of the values of a group itself, and those of them for which every process of
// it has to be started again.
func GroupFields(fields []model.FieldChange) (own, restart []model.FieldChange) {
	for _, f := range fields {
		if f.Program != (model.ID{}) {
			continue
		}
		own = append(own, f)
		if f.Effect == model.EffectRestart {
			restart = append(restart, f)
		}
	}
	return own, restart
}

// Programs is the change program by program: what goes, then what stays and comes in the order of the new
// definition. Programs for which nothing is different are left out, as are differences without an effect.
// state tells in which state a program of the active group is.
func (c Change) Programs(state func(model.ID) model.State) []ProgramStep {
	var out []ProgramStep
	next := map[model.ID]bool{}
	if c.New != nil {
		for _, p := range c.New.Programs {
			next[p.ID] = true
		}
	}
	old := map[model.ID]*model.Program{}
	if c.Old != nil {
		for _, p := range c.Old.Programs {
			old[p.ID] = p
			if !next[p.ID] {
				out = append(out, ProgramStep{Kind: Remove, ID: p.ID, Old: p})
			}
		}
	}
	if c.New == nil {
		return out
	}
	own, restart := GroupFields(c.Fields)
	if c.Old == nil {
		own, restart = nil, nil
	}
	if len(restart) == 0 && (model.EffectOf(own) != model.EffectNone || model.Differs(own)) {
		out = append(out, ProgramStep{Kind: Refresh, ID: model.ID{Group: c.Name}, Fields: telling(own)})
	}
	for _, p := range c.New.Programs {
		was := old[p.ID]
		if was == nil {
			out = append(out, ProgramStep{Kind: Add, ID: p.ID, New: p})
			continue
		}
		fields := append(telling(model.Diff(was, p)), restart...)
		if len(fields) > 0 {
			out = append(out, ProgramStep{ForProgram(fields, p, state(p.ID)), p.ID, was, p, fields})
		}
	}
	return out
}

// telling leaves out what makes no difference.
func telling(fields []model.FieldChange) []model.FieldChange {
	var out []model.FieldChange
	for _, f := range fields {
		if model.Differs([]model.FieldChange{f}) {
			out = append(out, f)
		}
	}
	return out
}
