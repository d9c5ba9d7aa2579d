package core

import (
	"flag"
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/agenda"
	"github.com/upkeep-project/upkeep/internal/domain/lifecycle"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/events"
)

var (
	simPrograms = flag.Int("sim.programs", 100, "programs in the simulation")
	simDays     = flag.Float64("sim.days", 0.7, "simulated days")
	simSeed     = flag.Uint64("sim.seed", 1, "seed of the simulation")
)

// world is an operating system made of a clock, a queue of things that will happen, and dice. It also is
// the census: it knows what lives, whatever the core believes.
type world struct {
	t      *testing.T
	core   *Core
	now    time.Duration
	dice   *rand.Rand
	coming agenda.Queue[func()]
	trace  hash.Hash64
	live   map[*Slot]*fakeProcess
	meanUp time.Duration

	launches, exits, lines int
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, now: time.Hour, dice: rand.New(rand.NewPCG(seed, 1)), trace: fnv.New64a(),
		live: map[*Slot]*fakeProcess{}, meanUp: 10 * time.Minute,
	}
	w.core = New(Options{Host: w, Log: w, Ring: events.New(100)})
	return w
}

// Logf makes the activity log part of the trace.
func (w *world) Logf(level activity.Level, format string, args ...any) {
	w.lines++
	fmt.Fprintf(w.trace, "%d %d ", w.now, level)
	fmt.Fprintf(w.trace, format, args...)
}

func (w *world) Now() time.Duration            { return w.now }
func (w *world) Resume(Instance, bool) Resumed { return Resumed{} }

func (w *world) Wall() time.Time { return time.Unix(1_700_000_000, 0).Add(w.now) }

func (w *world) later(d time.Duration, f func()) {
	w.coming.Set(&timer{What: f}, w.now+d)
}

func (w *world) Launch(i Instance) {
	w.launches++
	w.later(time.Duration(100+w.dice.IntN(2000))*time.Microsecond, func() {
		if w.dice.IntN(1000) == 0 {
			w.core.LaunchFailed(i, "no descriptors")
			return
		}
		if w.live[i.Slot] != nil {
			w.t.Fatalf("a second instance of %s", i.Slot.spec.ID)
		}
		p := &fakeProcess{world: w, inst: i, pid: 2 + w.launches, stubborn: w.dice.IntN(50) == 0}
		w.live[i.Slot] = p
		w.core.Launched(i, p)
		up := time.Duration(w.dice.ExpFloat64() * float64(w.meanUp))
		if w.dice.IntN(200) == 0 {
			up = time.Duration(w.dice.IntN(1500)) * time.Millisecond // dies young
		}
		status := 0
		if w.dice.IntN(2) == 0 {
			status = 1
		}
		w.later(up, func() { p.die(model.Exit{Known: true, Status: status}) })
	})
}

// run lets time pass until the given moment.
func (w *world) run(until time.Duration) {
	for {
		next, ok := w.core.Turn()
		at := until
		if ok {
			at = min(at, w.now+next)
		}
		if first, ok := w.coming.Next(); ok {
			at = min(at, first)
		}
		w.now = at
		if at >= until {
			return
		}
		for x := w.coming.Take(w.now); x != nil; x = w.coming.Take(w.now) {
			x.What()
		}
	}
}

// census holds what lives against what the core says.
func (w *world) census() {
	for _, s := range w.core.Table().Sorted {
		st, p := s.Status(), w.live[s]
		switch {
		case st.State == model.Running && (p == nil || p.pid != st.PID):
			w.t.Fatalf("%s is RUNNING with pid %d, but there lives %v", st.ID, st.PID, p)
		case st.State.Down() && st.State != model.Unknown && p != nil:
			w.t.Fatalf("%s is %s, but pid %d lives", st.ID, st.State, p.pid)
		}
	}
}

type fakeProcess struct {
	world    *world
	inst     Instance
	pid      int
	stubborn bool // ignores everything but KILL
	dead     bool
}

func (p *fakeProcess) die(e model.Exit) {
	if p.dead {
		return
	}
	p.dead = true
	w := p.world
	w.exits++
	delete(w.live, p.inst.Slot)
	w.core.Ended(p.inst, e)
}

func (p *fakeProcess) PID() int { return p.pid }

func (p *fakeProcess) Signal(sig int, _ model.Reach) error {
	if p.dead {
		return syscall.ESRCH
	}
	if sig != sigKill && p.stubborn {
		return nil
	}
	p.world.later(time.Duration(p.world.dice.IntN(50))*time.Millisecond, func() {
		p.die(model.Exit{Known: true, Signal: sig})
	})
	return nil
}

func (p *fakeProcess) WriteStdin([]byte) error { return nil }
func (p *fakeProcess) Release()                {}

// simProgram is a program that is kept alive whatever happens.
func simProgram(name string) *model.Program {
	return &model.Program{
		ID:    model.ID{Group: name, Name: name},
		Start: model.StartPolicy{Auto: true, Secs: time.Second, Retries: 3},
		Stop:  model.StopPolicy{Signal: 15, Wait: 10 * time.Second},
		Exit:  model.ExitPolicy{Restart: model.RestartAlways, Codes: []int{0}},
	}
}

// simulate runs a world of programs with people who now and then stop and start them, and ends it in an
// orderly way. It returns the trace's hash.
func simulate(t *testing.T, seed uint64, programs int, span time.Duration) *world {
	t.Helper()
	w := newWorld(t, seed)
	var add []NewGroup
	for i := range programs {
		p := simProgram(fmt.Sprintf("p%05d", i))
		add = append(add, NewGroup{
			Spec: &model.Group{Name: p.ID.Name, Priority: 100 + i%7, Programs: []*model.Program{p}},
			Logs: []LogPaths{{}},
		})
	}
	w.do(func() error { return w.core.addGroups(add) })
	end := w.now + span
	for hour := w.now + time.Hour; hour < end; hour += time.Hour {
		w.run(hour)
		w.census()
		table := w.core.Table().Sorted
		for range max(1, programs/100) {
			s := table[w.dice.IntN(len(table))]
			w.later(0, func() { w.order(s) })
		}
	}
	w.run(end)
	w.census()
	w.core.BeginEnd(model.DaemonShutdown)
	for grace := 0; !w.core.end.complete; grace++ {
		w.run(w.now + time.Second)
		if grace > 600 {
			t.Fatalf("the end takes more than ten minutes; %d live", len(w.live))
		}
	}
	if len(w.live) != 0 {
		t.Fatalf("%d processes live after the end", len(w.live))
	}
	return w
}

// order is a person: what is up is stopped, what is down is started.
func (w *world) order(s *Slot) {
	ev := lifecycle.Event{Kind: lifecycle.Start}
	if s.m.State.Up() {
		ev.Kind = lifecycle.Stop
		w.later(time.Minute, func() { w.core.step(s, lifecycle.Event{Kind: lifecycle.Start}) })
	}
	w.core.step(s, ev)
}

// do runs f at once, as if it were posted.
func (w *world) do(f func() error) {
	if err := f(); err != nil {
		w.t.Fatal(err)
	}
}

func TestSimulation(t *testing.T) {
	began := time.Now()
	w := simulate(t, *simSeed, *simPrograms, time.Duration(*simDays*24*float64(time.Hour)))
	t.Logf("seed %d: %d programs, %.1f days, %d launches, %d exits, %d log lines, trace %x, %.1f s",
		*simSeed, *simPrograms, *simDays, w.launches, w.exits, w.lines, w.trace.Sum64(), time.Since(began).Seconds())
	if want := int(float64(*simPrograms) * *simDays * 144 * 0.9); w.exits < want {
		t.Errorf("%d exits, want about %d: programs were not kept alive", w.exits, want)
	}
}

func TestSimulationRepeats(t *testing.T) {
	for seed := range uint64(5) {
		a := simulate(t, seed, 30, 6*time.Hour)
		b := simulate(t, seed, 30, 6*time.Hour)
		if a.trace.Sum64() != b.trace.Sum64() || a.exits != b.exits {
			t.Errorf("seed %d: two runs differ", seed)
		}
		if c := simulate(t, seed+100, 30, 6*time.Hour); c.trace.Sum64() == a.trace.Sum64() {
			t.Errorf("seeds %d and %d give the same trace", seed, seed+100)
		}
	}
}
