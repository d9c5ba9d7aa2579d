package lifecycle

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

func samplePolicy() *Policy {
	return PolicyOf(&model.Program{
		Start: model.StartPolicy{Auto: true, Secs: time.Second, Retries: 3},
		Stop:  model.StopPolicy{Signal: 15, Wait: 10 * time.Second, Reach: model.ReachProcess, KillReach: model.ReachGroup},
		Exit:  model.ExitPolicy{Restart: model.RestartUnexpected, Codes: []int{0}},
	}).clone()
}

func (p Policy) clone() *Policy { return &p }

// TestALife is the story of a program that starts, is killed from outside, comes back, and is stopped but
// does not want to, told in full.
func TestALife(t *testing.T) {
	const ms = time.Millisecond
	enter := func(gen uint64, from, to model.State) Action {
		return Action{Do: Enter, From: from, To: to, Gen: gen}
	}
	story := []struct {
		now  time.Duration
		ev   Event
		want []Action
	}{
		{5 * ms, Event{Kind: Start}, []Action{enter(1, model.Stopped, model.Starting), {Do: Spawn, Gen: 1}}},
		{7 * ms, Event{Kind: Spawned, Gen: 1}, []Action{{Do: Arm, At: 1007 * ms, Epoch: 1}}},
		{1007 * ms, Event{Kind: Timer, Epoch: 1}, []Action{enter(1, model.Starting, model.Running), {Do: SayRunning}}},
		{9000 * ms, Event{Kind: Ended, Gen: 1, Code: -1}, []Action{
			enter(1, model.Running, model.Exited),
			{Do: SayEnded, Gen: 1},
			enter(2, model.Exited, model.Starting),
			{Do: Spawn, Gen: 2},
		}},
		{9001 * ms, Event{Kind: Spawned, Gen: 2}, []Action{{Do: Arm, At: 10001 * ms, Epoch: 2}}},
		{9500 * ms, Event{Kind: Stop}, []Action{
			{Do: Disarm},
			enter(2, model.Starting, model.Stopping),
			{Do: Arm, At: 19500 * ms, Epoch: 4},
			{Do: Send, Gen: 2, Signal: 15},
		}},
		{19500 * ms, Event{Kind: Timer, Epoch: 4}, []Action{
			{Do: SayKill, Gen: 2},
			{Do: Arm, At: 29500 * ms, Epoch: 5},
			{Do: Send, Gen: 2, Signal: 9, Reach: model.ReachGroup},
		}},
		{19501 * ms, Event{Kind: Ended, Gen: 2, Code: -1}, []Action{
			{Do: Disarm}, enter(2, model.Stopping, model.Stopped), {Do: SayStopped, Gen: 2},
		}},
		{29500 * ms, Event{Kind: Timer, Epoch: 5}, nil},
	}
	var m Machine
	p := samplePolicy()
	for i, s := range story {
		if d := cmp.Diff(s.want, m.Step(p, s.now, s.ev, nil)); d != "" {
			t.Errorf("%d, %s:\n%s", i, describe(s.ev), d)
		}
	}
	if want := (Machine{Gen: 2, Epoch: 6, Started: 9001 * ms}); m != want {
		t.Errorf("at the end %+v, want %+v", m, want)
	}
}

// TestStepAppends: what is in out already stays, and the room behind it is used.
func TestStepAppends(t *testing.T) {
	var m Machine
	first := Action{Do: SayKill, Gen: 99}
	room := make([]Action, 1, 8)
	room[0] = first
	out := m.Step(samplePolicy(), 0, Event{Kind: Start}, room)
	if len(out) != 3 || out[0] != first || &out[0] != &room[0] {
		t.Errorf("%+v", out)
	}
}

// TestStepDoesNotAllocate: a whole life with every kind of event, with room given.
func TestStepDoesNotAllocate(t *testing.T) {
	p := samplePolicy()
	p.Start.Retries = 0
	room := make([]Action, 0, 8)
	var m Machine
	longest := 0
	life := func() {
		now := time.Duration(0)
		do := func(after time.Duration, ev Event) {
			now += after
			longest = max(longest, len(m.Step(p, now, ev, room)))
		}
		do(0, Event{Kind: Start})
		do(0, Event{Kind: Spawned, Gen: m.Gen})
		do(2*time.Second, Event{Kind: Ended, Gen: m.Gen, Code: 1})
		do(0, Event{Kind: Spawned, Gen: m.Gen})
		do(0, Event{Kind: Timer, Epoch: m.Epoch})
		do(time.Second, Event{Kind: Timer, Epoch: m.Epoch})
		do(0, Event{Kind: Stop})
		do(0, Event{Kind: Start})
		do(time.Minute, Event{Kind: Timer, Epoch: m.Epoch})
		do(0, Event{Kind: Ended, Gen: m.Gen, Code: -1})
		do(0, Event{Kind: SpawnFailed, Gen: m.Gen})
		do(0, Event{Kind: Start})
		do(0, Event{Kind: Spawned, Gen: m.Gen})
		do(0, Event{Kind: Stop})
		do(0, Event{Kind: SignalFailed, Gen: m.Gen})
		do(0, Event{Kind: Ended, Gen: m.Gen})
	}
	if n := testing.AllocsPerRun(100, life); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if longest < 4 || longest > 6 {
		t.Errorf("the longest answer has %d actions: the test is not the life it should be", longest)
	}
}

// TestPolicyOf takes exactly the three policies, whether there are checks of the start, and whether it may be started.
func TestPolicyOf(t *testing.T) {
	p := &model.Program{
		Start: model.StartPolicy{Retries: 7}, Stop: model.StopPolicy{Signal: 3}, Exit: model.ExitPolicy{Codes: []int{4}},
	}
	want := Policy{Start: p.Start, Stop: p.Stop, Exit: p.Exit}
	if d := cmp.Diff(want, PolicyOf(p)); d != "" {
		t.Error(d)
	}
	p.Disabled, p.Checks = true, []model.Check{{Stage: model.StageReady}, {Stage: model.StageStartup}}
	want.Masked, want.Checked = true, true
	if d := cmp.Diff(want, PolicyOf(p)); d != "" {
		t.Error(d)
	}
}

// TestWildPolicies: policies that no configuration should contain neither break the machine nor keep a
// program from being stopped.
func TestWildPolicies(t *testing.T) {
	for _, p := range []*Policy{
		{},
		{Start: model.StartPolicy{Secs: -time.Second, Retries: -5}},
		{Stop: model.StopPolicy{Wait: -time.Hour}},
		{Start: model.StartPolicy{Secs: 1 << 61, Retries: 1 << 40}, Stop: model.StopPolicy{Wait: 1 << 61}},
	} {
		k := &walk{step: realStep, p: p}
		var seenStates []model.State
		for _, ev := range []Event{{Kind: Start}, {Kind: Spawned, Gen: 101}, {Kind: Stop}} {
			w := world{gen: baseCount, epoch: baseCount}
			if n := len(k.worlds); n > 0 {
				w = k.worlds[n-1]
			} else {
				w.m.Gen, w.m.Epoch = baseCount, baseCount
			}
			var s seen
			observe(realStep, &s, p, 0, w, ev, nil)
			k.worlds = append(k.worlds, s.after)
			seenStates = append(seenStates, s.after.state)
			if why := bringDown(p, s.after, Stop); why != "" {
				t.Errorf("%s: after %s: %s", p.describe(), describe(ev), why)
			}
		}
		if !slices.Contains(seenStates, model.Stopping) {
			t.Errorf("%s: the states were %v", p.describe(), seenStates)
		}
	}
}

// FuzzStep feeds any events in any order at any time: nothing panics, and no rule breaks.
func FuzzStep(f *testing.F) {
	f.Add([]byte{0, 0, 4, 0, 7, 2, 1, 0, 7, 20, 6, 0})
	f.Add([]byte{0, 0, 5, 0, 7, 3, 5, 0, 7, 9, 3, 0})
	f.Add([]byte{0, 0, 1, 0, 0, 0, 4, 0, 8, 0, 6, 0, 4, 1})
	rules := allRules(newTable(f))
	f.Fuzz(func(t *testing.T, script []byte) {
		p := samplePolicy()
		p.Start.Retries = 1
		if len(script) > 0 {
			p.Checked = script[0]&64 != 0
			p.Start.Delay = time.Duration(script[0]&32) * 50 * time.Millisecond
			p.Start.Timeout = time.Duration(script[0]&16) * 100 * time.Millisecond
		}
		var w world
		var s seen
		now := time.Duration(0)
		room := make([]Action, 0, maxActs)
		for len(script) >= 2 {
			kind, arg := int(script[0]), script[1]
			script = script[2:]
			now += time.Duration(arg) * 100 * time.Millisecond
			ev := Event{Kind: Kind(kind % NumKinds), Gen: w.gen - uint64(kind/NumKinds%2), Code: int(arg%3) - 1, Epoch: w.epoch - uint64(kind/NumKinds%2)}
			ev.Since = now - time.Duration(arg)*time.Second
			p.Masked = kind/NumKinds%8 == 7
			observe(realStep, &s, p, now, w, ev, room)
			for i := range rules {
				if !rules[i].holds(&s) {
					t.Fatalf("%s: %s → %s\nbefore %+v\nafter %+v", rules[i].name, describe(ev), describeAll(s.acts), s.before, s.after)
				}
			}
			w = s.after
		}
	})
}

func BenchmarkStep(b *testing.B) {
	p := samplePolicy()
	room := make([]Action, 0, 8)
	var m Machine
	b.ReportAllocs()
	for b.Loop() {
		m.Step(p, 0, Event{Kind: Start}, room)
		m.Step(p, 0, Event{Kind: Spawned, Gen: m.Gen}, room)
		m.Step(p, time.Second, Event{Kind: Timer, Epoch: m.Epoch}, room)
		m.Step(p, time.Second, Event{Kind: Ended, Gen: m.Gen}, room)
	}
}
