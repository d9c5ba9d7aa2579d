package lifecycle

import (
	"slices"
	"testing"
	"time"
)

// planted is a machine with one mistake, and the rule that finds it by itself.
type planted struct {
	name string
	rule string
	step stepper
}

// with is a machine whose policy, time or event is tampered with before the step.
func with(tamper func(m *Machine, p *Policy, now *time.Duration, ev *Event)) stepper {
	return func(m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action {
		other := *p
		tamper(m, &other, &now, &ev)
		return m.Step(&other, now, ev, out)
	}
}

// then is a machine whose result is tampered with after the step.
func then(tamper func(before Machine, m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action) stepper {
	return func(m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action {
		before := *m
		return tamper(before, m, p, now, ev, m.Step(p, now, ev, out))
	}
}

// without is a machine that forgets an action.
func without(do Do) stepper {
	return then(func(_ Machine, _ *Machine, _ *Policy, _ time.Duration, _ Event, out []Action) []Action {
		return drop(out, do)
	})
}

// edited is a machine that changes its actions one by one.
func edited(change func(m *Machine, p *Policy, now time.Duration, ev Event, a *Action)) stepper {
	return then(func(_ Machine, m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action {
		for i := range out {
			change(m, p, now, ev, &out[i])
		}
		return out
	})
}

func drop(out []Action, do Do) []Action {
	return slices.DeleteFunc(out, func(a Action) bool { return a.Do == do })
}

func find(out []Action, do Do) int {
	return slices.IndexFunc(out, func(a Action) bool { return a.Do == do })
}

// disarmed takes the timer out of a machine and its actions, as if nobody had thought of it.
func disarmed(m *Machine, out []Action) []Action {
	m.Armed, m.Due = false, 0
	return drop(out, Arm)
}

// rearmed moves the timer that the step armed.
func rearmed(m *Machine, out []Action, at time.Duration) []Action {
	if i := find(out, Arm); i >= 0 {
		m.Due, out[i].At = at, at
	}
	return out
}

func plantedBugs() []planted {
	out := append(plantedInStarting(), plantedInStopping()...)
	out = append(out, plantedInTimers()...)
	out = append(out, plantedInFacts()...)
	return append(out, plantedInWords()...)
}

// TestPlantedBugsAreFound: for every planted bug, the rule that is to find it does so all by itself. Every
// rule finds at least one; so none of them is without teeth.
func TestPlantedBugsAreFound(t *testing.T) {
	plain, checks := plantedBugs(), plantedInChecks()
	idle := make(map[string]bool)
	for _, r := range allRules(newTable(t)) {
		if idle[r.name] {
			t.Fatalf("two rules are called %q", r.name)
		}
		idle[r.name] = true
	}
	byTable := 0
	for n, bug := range append(plain, checks...) {
		grid := plainPolicies()
		if n >= len(plain) {
			grid = checkPolicies()
		}
		table := newTable(t)
		rules := allRules(table)
		i := slices.IndexFunc(rules, func(r rule) bool { return r.name == bug.rule })
		if i < 0 {
			t.Errorf("%s: there is no rule %q", bug.name, bug.rule)
			continue
		}
		if !finds(bug.step, grid, rules[i]) {
			t.Errorf("%s: not found by %q", bug.name, bug.rule)
			continue
		}
		delete(idle, bug.rule)
		if !testing.Short() && finds(bug.step, grid, rules[len(rules)-1]) { // to know it, no more
			byTable++
		}
		t.Logf("%-60s found by: %s", bug.name, bug.rule)
	}
	for name := range idle {
		t.Errorf("the rule %q finds none of the planted bugs", name)
	}
	t.Logf("%d bugs planted, %d of them found by the table alone too", len(plain)+len(checks), byTable)
}

// finds reports whether a rule is broken somewhere in the grid. It jumps about in it, as the policies that
// show a bug are often neighbours.
func finds(step stepper, grid []*Policy, r rule) bool {
	const jump = 31 // has no divisor in common with the size of the grid
	for i := range grid {
		p := grid[(i+1)*jump%len(grid)]
		found := false
		k := &walk{step: step, p: p}
		k.run(func(s *seen, _ int) bool {
			found = !r.holds(s)
			return !found
		})
		if found {
			return true
		}
	}
	return false
}
