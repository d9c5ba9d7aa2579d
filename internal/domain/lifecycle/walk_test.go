package lifecycle

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// The walk visits every reachable state of a machine and its surroundings. Only distances matter, so the
// clock stands at zero and time passes by moving everything else into the past, one tick at a time;
// distances beyond all that a policy knows are the same distance. Numbers that only count are set back.
const (
	tick      = 500 * time.Millisecond
	noTime    = -5 * time.Second         // longer ago than any policy of the grid looks back
	noLife    = -1500 * time.Millisecond // a start is confirmed for sure
	lateTimer = -1 * time.Second         // timers come at most so late
	baseCount = 100
)

// policies is the grid: every combination of what the machine looks at, small enough to be walked whole.
func policies() []*Policy { return append(plainPolicies(), checkPolicies()...) }

// checkPolicies are checks of the start, the delay, and attempts without end, each with each.
func checkPolicies() []*Policy {
	var out []*Policy
	for _, secs := range []time.Duration{0, time.Second} {
		for _, timeout := range []time.Duration{-1, 0, 1500 * time.Millisecond} {
			for _, delay := range []time.Duration{0, 1500 * time.Millisecond} {
				for _, retries := range []int{1, model.Endless} {
					out = append(out, &Policy{
						Start:   model.StartPolicy{Secs: secs, Retries: retries, Delay: delay, Timeout: max(0, timeout)},
						Stop:    model.StopPolicy{Signal: 3, Wait: 500 * time.Millisecond, Reach: model.ReachProcess, KillReach: model.ReachGroup},
						Exit:    model.ExitPolicy{Restart: model.RestartUnexpected, Codes: []int{0, 2}},
						Checked: timeout >= 0,
					})
				}
			}
		}
	}
	return out
}

// plainPolicies are what the original has. In a short test the grid is a coarser one, in which all rules and rows still have
// their places.
func plainPolicies() []*Policy {
	var out []*Policy
	attempts, waits := []int{0, 1, 2, 3}, []time.Duration{0, 500 * time.Millisecond, 1500 * time.Millisecond}
	if testing.Short() {
		attempts, waits = []int{0, 3}, waits[:2]
	}
	for _, secs := range []time.Duration{0, time.Second} {
		for _, retries := range attempts {
			for _, restart := range []model.Restart{model.RestartNever, model.RestartUnexpected, model.RestartAlways} {
				for _, wait := range waits {
					out = append(out, &Policy{
						Start: model.StartPolicy{Secs: secs, Retries: retries},
						Stop:  model.StopPolicy{Signal: 3, Wait: wait, Reach: model.ReachProcess, KillReach: model.ReachGroup},
						Exit:  model.ExitPolicy{Restart: restart, Codes: []int{0, 2}},
					})
				}
			}
		}
	}
	// No code is expected; and a first signal that is the last one.
	return append(out, &Policy{
		Start: model.StartPolicy{Secs: time.Second, Retries: 1},
		Stop:  model.StopPolicy{Signal: sigKill, Wait: time.Second, Reach: model.ReachTree, KillReach: model.ReachTree},
		Exit:  model.ExitPolicy{Restart: model.RestartUnexpected},
	})
}

func (p *Policy) describe() string {
	return fmt.Sprintf("startsecs=%s retries=%d autorestart=%s codes=%v stopwait=%s delay=%s checked=%v timeout=%s masked=%v",
		p.Start.Secs, p.Start.Retries, p.Exit.Restart, p.Exit.Codes, p.Stop.Wait, p.Start.Delay, p.Checked, p.Start.Timeout, p.Masked)
}

// variants are the policies that may be in force at any step: those with a delay are also masked now and then.
func variants(p *Policy) []*Policy {
	if p.Start.Delay == 0 {
		return []*Policy{p}
	}
	masked := *p
	masked.Masked = true
	return []*Policy{p, &masked}
}

// shift lets a tick pass. It reports false when that would be more than the surroundings allow.
func (w *world) shift() bool {
	if w.armed && w.due <= lateTimer {
		return false
	}
	back := func(t *time.Duration, floor time.Duration) { *t = max(*t-tick, floor) }
	back(&w.m.Started, noLife)
	if w.m.Armed {
		back(&w.m.Due, noTime)
	}
	if w.live {
		back(&w.born, noLife)
	}
	if w.armed {
		back(&w.due, noTime)
	}
	if w.state == model.Backoff {
		back(&w.failedAt, noTime)
	}
	if w.signaled && !w.killed {
		back(&w.signalAt, noTime)
	}
	if w.killed {
		back(&w.killAt, noTime)
	}
	return true
}

// settle sets the counters back, so that worlds that differ in nothing else are one.
func (w *world) settle(p *Policy) {
	if p.Start.Retries == model.Endless && w.state == model.Starting && w.failed > 2 { // the next wait is told by the sum
		w.failed--
		w.m.Tries--
	}
	w.m.Gen -= w.gen - baseCount
	w.gen = baseCount
	w.m.Epoch -= w.epoch - baseCount
	w.epoch = baseCount
}

// happenings are all events that the surroundings may bring, and those that they should not.
func (w *world) happenings(room []Event) []Event {
	out := append(room[:0], Event{Kind: Start}, Event{Kind: Stop}, Event{Kind: Drain}, Event{Kind: Quit})
	for _, gen := range []uint64{w.gen - 1, w.gen, w.gen + 1} {
		for _, kind := range []Kind{Spawned, SpawnFailed, SignalFailed, Proved, StartFailed, Bounce, Moved, Released} {
			out = append(out, Event{Kind: kind, Gen: gen})
		}
		out = append(out, Event{Kind: Found, Gen: gen, Since: noLife})
		for _, code := range []int{0, 1, 2, -1} {
			out = append(out, Event{Kind: Ended, Gen: gen, Code: code})
		}
	}
	// Some of these were void long ago, some were never given, and one may be in force.
	for _, epoch := range []uint64{w.epoch - 1, w.epoch, w.epoch + 1} {
		out = append(out, Event{Kind: Timer, Epoch: epoch})
	}
	return out
}

// walk is a breadth-first visit of everything that can happen to one program under one policy.
type walk struct {
	step   stepper
	p      *Policy
	known  map[world]struct{}
	worlds []world
	parent []int32
	reason []string // how the world came out of its parent; kept when tracing
	trace  bool
}

// maxWorlds is far above what the grid needs: a machine that goes beyond it does not come to rest.
const maxWorlds = 60000

// run visits all worlds and shows every step to visit, until it returns false. It reports whether the
// space was seen whole.
func (k *walk) run(visit func(s *seen, from int) bool) (whole bool) {
	start := world{gen: baseCount, epoch: baseCount}
	start.m.Gen, start.m.Epoch = baseCount, baseCount
	k.known = make(map[world]struct{}, 4096)
	k.add(start, -1, "")
	var s seen
	events := make([]Event, 0, 64)
	policies := variants(k.p)
	room := make([]Action, 0, maxActs)
	for at := 0; at < len(k.worlds); at++ {
		if len(k.worlds) > maxWorlds {
			return false
		}
		w := k.worlds[at]
		if later := w; later.shift() {
			k.add(later, at, "time passes")
		}
		events = w.happenings(events)
		for i := range len(events) * len(policies) {
			ev := events[i/len(policies)]
			observe(k.step, &s, policies[i%len(policies)], 0, w, ev, room)
			if !visit(&s, at) {
				return false
			}
			next := s.after
			next.settle(k.p)
			why := ""
			if k.trace {
				why = describe(ev) + " → " + describeAll(s.acts)
			}
			k.add(next, at, why)
		}
	}
	return true
}

func (k *walk) add(w world, from int, why string) {
	if _, old := k.known[w]; old {
		return
	}
	k.known[w] = struct{}{}
	k.worlds = append(k.worlds, w)
	k.parent = append(k.parent, int32(from))
	if k.trace {
		k.reason = append(k.reason, why)
	}
}

// path is the story of a world, one line for each thing that happened.
func (k *walk) path(at int) string {
	var lines []string
	for ; at > 0; at = int(k.parent[at]) {
		why := ""
		if k.trace {
			why = k.reason[at]
		}
		lines = append([]string{fmt.Sprintf("  %s (%s)", why, k.worlds[at].state)}, lines...)
	}
	return strings.Join(lines, "\n")
}

func describe(ev Event) string {
	word := [...]string{
		"Start", "Stop", "Drain", "Quit", "Spawned", "SpawnFailed", "Ended", "Timer", "SignalFailed",
		"Found", "Proved", "StartFailed", "Bounce", "Moved", "Released",
	}[ev.Kind]
	switch ev.Kind {
	case Ended:
		return fmt.Sprintf("%s %d code %d", word, ev.Gen, ev.Code)
	case Timer:
		return fmt.Sprintf("%s %d", word, ev.Epoch)
	case Start, Stop, Drain, Quit:
		return word
	default:
		return fmt.Sprintf("%s %d", word, ev.Gen)
	}
}

func describeAll(acts []Action) string {
	words := make([]string, len(acts))
	for i, a := range acts {
		word := [...]string{"Enter", "Spawn", "Send", "Arm", "Disarm", "SayRunning", "SayEnded", "SayStopped", "SayGaveUp", "SayKill", "SayUnproved"}[a.Do]
		switch a.Do {
		case Enter:
			word += fmt.Sprintf(" %s→%s tries %d", a.From, a.To, a.Tries)
		case Spawn:
			word += fmt.Sprintf(" %d", a.Gen)
		case Send:
			word += fmt.Sprintf(" %d reach %d to %d", a.Signal, a.Reach, a.Gen)
		case Arm:
			word += fmt.Sprintf(" %d at %s", a.Epoch, a.At)
		case SayEnded, SayStopped:
			word += fmt.Sprintf(" expected %v quick %v", a.Expected, a.TooQuick)
		}
		words[i] = word
	}
	return "[" + strings.Join(words, "; ") + "]"
}

// TestEveryReachableState walks the whole grid and holds every rule and the table in every step.
func TestEveryReachableState(t *testing.T) {
	table := newTable(t)
	rules := allRules(table)
	edges := make(map[edge]bool)
	worlds, steps := 0, 0
	for _, p := range policies() {
		k := &walk{step: realStep, p: p, trace: testing.Verbose()}
		broken := 0
		whole := k.run(func(s *seen, from int) bool {
			steps++
			for _, a := range s.acts {
				if a.Do == Enter {
					edges[edge{a.From, a.To}] = true
				}
			}
			for i := range rules {
				if !rules[i].holds(s) {
					broken++
					t.Errorf("%s: %s\nafter\n%s\n%s → %s\nbefore %+v\nafter %+v", p.describe(), rules[i].name,
						k.path(from), describe(s.ev), describeAll(s.acts), s.before, s.after)
				}
			}
			return broken == 0
		})
		if broken == 0 && !whole {
			t.Errorf("%s: more than %d worlds", p.describe(), maxWorlds)
		}
		worlds += len(k.worlds)
		if t.Failed() {
			return
		}
	}
	table.unvisited(t)
	for e := range graph() {
		if !edges[e] {
			t.Errorf("%s → %s is documented and never happened", e.from, e.to)
		}
	}
	t.Logf("%d worlds, %d steps", worlds, steps)
}

// TestAStopAlwaysEnds: out of every reachable state, an order to stop leads to rest in a bounded number of
// steps, if the surroundings answer at all. The process is a stubborn one: it dies of nothing but the KILL.
func TestAStopAlwaysEnds(t *testing.T) {
	for _, p := range policies() {
		k := &walk{step: realStep, p: p}
		k.run(func(*seen, int) bool { return true })
		for _, order := range []Kind{Stop, Quit} {
			for _, w := range k.worlds {
				if why := bringDown(p, w, order); why != "" {
					t.Fatalf("%s: %s from %+v: %s", p.describe(), [...]string{Stop: "Stop", Quit: "Quit"}[order], w, why)
				}
			}
		}
	}
}

// bringDown orders the end and plays the surroundings; it returns why it did not come, or nothing.
func bringDown(p *Policy, w world, order Kind) string {
	const patience = 8
	var s seen
	room := make([]Action, 0, maxActs)
	now := time.Duration(0)
	do := func(ev Event) {
		observe(realStep, &s, p, now, w, ev, room)
		w = s.after
	}
	do(Event{Kind: order})
	for range patience {
		switch {
		case resting(w.state):
			if w.m.Live || w.m.Spawning || w.m.Armed {
				return "something is left"
			}
			return ""
		case w.state == model.Unknown:
			// The process cannot be signalled; it ends when it likes, and the order is given again.
			do(Event{Kind: Ended, Gen: w.gen, Code: -1})
			do(Event{Kind: order})
		case w.spawning:
			do(Event{Kind: Spawned, Gen: w.gen})
		case w.killed:
			do(Event{Kind: Ended, Gen: w.gen, Code: -1})
		case w.armed:
			now = max(now, w.due)
			do(Event{Kind: Timer, Epoch: w.epoch})
		default:
			return fmt.Sprintf("nothing will happen any more in %s", w.state)
		}
	}
	return fmt.Sprintf("still %s after %d steps", w.state, patience)
}

// TestAFailingProgramGivesUp: a program whose every start fails is FATAL after Retries+1 attempts, with the
// waits 1, 2, 3 … s between them.
func TestAFailingProgramGivesUp(t *testing.T) {
	for retries := range 6 {
		p := &Policy{Start: model.StartPolicy{Secs: time.Second, Retries: retries}}
		var m Machine
		var spawns []time.Duration
		now := time.Duration(0)
		acts := m.Step(p, now, Event{Kind: Start}, nil)
		for len(acts) > 0 {
			var next Event
			for _, a := range acts {
				switch a.Do {
				case Spawn:
					spawns = append(spawns, now)
					next = Event{Kind: SpawnFailed, Gen: a.Gen}
				case Arm:
					now = a.At
					next = Event{Kind: Timer, Epoch: a.Epoch}
				}
			}
			if next == (Event{}) {
				break
			}
			acts = m.Step(p, now, next, nil)
		}
		if m.State != model.Fatal || len(spawns) != retries+1 {
			t.Errorf("startretries=%d: %s after %d attempts, want FATAL after %d", retries, m.State, len(spawns), retries+1)
		}
		for i := 1; i < len(spawns); i++ {
			if gap := spawns[i] - spawns[i-1]; gap != time.Duration(i)*time.Second {
				t.Errorf("startretries=%d: wait %d is %s, want %d s", retries, i, gap, i)
			}
		}
	}
}
