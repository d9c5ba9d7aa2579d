package core

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

var (
	simRuns   = flag.Int("sim.runs", 1500, "runs of the simulation with faults")
	simEvents = flag.Int("sim.events", 500, "events in each run")
	simFirst  = flag.Uint64("sim.first", 1, "first seed of the simulation with faults")
	simStory  = flag.Bool("sim.story", false, "tell the story of the first run that goes wrong")
)

// corpus are seeds that have found something once: starts that had to wait came all at once after a kill; a
// refused stop; the end of everything beside other orders.
func corpus() []uint64 {
	return []uint64{101088, 104516, 206954, 209865, 109908, 110266, 204110, 220620}
}

// newRealm makes a world from a seed.
func newRealm(seed uint64, b *bug) *realm {
	dice := rand.New(rand.NewPCG(seed, 7))
	r := &realm{
		dice: dice, chances: rollChances(dice), bug: b, now: time.Hour,
		pids: map[int]*body{}, held: map[heldKey]*body{}, progs: map[model.ID]*prog{}, byName: map[string]*prog{},
		groups: map[string]*groupTruth{},
	}
	r.journal.wipe()
	r.wishes.disk = map[string][]byte{}
	r.log.debug = r.one(4)
	for g := range 2 + dice.IntN(3) {
		spec := &model.Group{Name: fmt.Sprintf("g%d", g), Priority: 900 + dice.IntN(3)}
		for range 1 + dice.IntN(2) {
			spec.Programs = append(spec.Programs, r.newProgram(spec.Name))
		}
		r.config = append(r.config, spec)
		r.groups[spec.Name] = &groupTruth{}
	}
	return r
}

func (r *realm) newProgram(group string) *model.Program {
	d := r.dice
	p := &model.Program{
		ID:       model.ID{Group: group, Name: fmt.Sprintf("p%d", len(r.progs))},
		Priority: 900 + d.IntN(3),
		Start: model.StartPolicy{
			Auto: d.IntN(3) > 0, Retries: d.IntN(4),
			Secs: []time.Duration{0, time.Second, 2500 * time.Millisecond}[d.IntN(3)],
		},
		Stop: model.StopPolicy{Signal: 15, Wait: []time.Duration{0, time.Second, 5 * time.Second}[d.IntN(3)]},
		Exit: model.ExitPolicy{Restart: model.Restart(d.IntN(3)), Codes: []int{0, 2}},
	}
	if r.chances.storm {
		p.Start.Auto, p.Start.Secs, p.Exit.Restart = true, 0, model.RestartAlways
	}
	truth := &prog{id: p.ID, spec: p, must: mustDefault, startSeen: -1, stopSeen: -1}
	r.progs[p.ID], r.byName[p.ID.Name] = truth, truth
	r.order = append(r.order, truth)
	return p
}

// step is one happening, and all that the core does about it.
func (r *realm) step() {
	r.events++
	next, timed := time.Duration(0), false
	if r.up {
		next, timed = r.turn()
	}
	at, ok := r.coming.Next()
	switch {
	case r.up && timed && (!ok || r.now+next < at):
		at = r.now + next
	case ok:
	case r.calm: // everything is at rest for ever
		at = r.now + time.Second
	default:
		r.fail("R14", "nothing will ever happen again")
	}
	r.now = max(r.now, at)
	if x := r.coming.Take(r.now); x != nil {
		r.guard(x.What)
	}
}

// turn lets the core do what is due, and judges the result.
func (r *realm) turn() (next time.Duration, timed bool) {
	if r.now > r.began {
		r.again = 0
	}
	if r.bug != nil && r.bug.before != nil {
		r.bug.before(r)
	}
	for first := true; first || !r.core.inbox.empty(); first = false {
		r.guard(func() {
			next, timed = r.core.Turn()
			r.observe()
			r.settleRequests()
		})
		if !r.up {
			return 0, false
		}
	}
	if r.core.end.complete {
		r.over()
		return 0, false
	}
	r.punctual()
	return next, timed
}

func (b *inbox) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.work) == 0
}

// over is the end of an ordered end: the daemon writes out everything, forgets the journal, and is started
// again some time later.
func (r *realm) over() {
	r.tell("THE END")
	if !r.ending.asked {
		r.fail("R14", "everything has ended, and nobody asked for it")
	}
	for _, p := range r.order {
		if b := p.live; b != nil {
			if !b.refuses && !r.fog {
				r.fail("R12", "everything has ended, but %s lives with pid %d", p.id.Name, b.pid)
			}
			b.dead, p.live, p.foggy = true, nil, true // somebody else takes care of it
			r.free(b)
		}
		if p.launching {
			r.fail("R12", "everything has ended, but %s is being launched", p.id.Name)
		}
	}
	for _, b := range r.held { // nobody waits for what could not be signalled, or was not known
		b.p.foggy = true
		r.free(b)
	}
	r.settleRequests()
	r.forgetRequests()
	r.log.drain(len(r.log.queue))
	r.judgeLog(false)
	r.wishes.write(len(r.wishes.waiting))
	if len(r.wishes.disk) > 0 && !r.fog {
		r.fail("R22", "wishes are left after an ordered end: %v", r.wishes.disk)
	}
	r.up, r.core = false, nil
	r.journal.wipe()
	r.log.number, r.log.written, r.log.queue = 0, 0, nil
	r.ending, r.fog, r.storm = ended{}, false, 0
	for _, p := range r.order {
		p.must, p.sh = mustDefault, shadow{}
	}
	r.later(r.between(0, 3*time.Second), r.boot)
}

// live is a whole run: events under faults, then rest, then judgement.
func (r *realm) live(events int) (wrong string) {
	defer func() {
		switch x := recover(); x.(type) {
		case nil, impossible:
			wrong = r.wrong
		default:
			r.tell("PANIC %v", x)
			if r.bug != nil {
				wrong = fmt.Sprint("panic: ", x)
				return
			}
			panic(x)
		}
	}()
	r.later(0, r.boot)
	for range 1 + r.dice.IntN(4) {
		r.later(r.between(0, time.Second), r.client)
	}
	for r.events < events {
		r.step()
	}
	r.rest()
	return r.wrong
}

// rest ends the faults and lets everything come to its end.
func (r *realm) rest() {
	r.calm = true
	r.tell("REST")
	until := r.now + time.Minute
	for n := 0; r.now < until && n < 20000; n++ {
		r.step()
	}
	for n := 0; n < 2000 && (!r.up || r.unfinished()); n++ {
		r.step()
	}
	if !r.up {
		r.fail("R1", "no core has come back")
	}
	r.turn()
	if len(r.orders) > 0 && r.now >= until {
		r.fail("R14", "never answered: %v", r.orders)
	}
	if r.ending.acked && !r.fog {
		r.fail("R14", "the order to end everything has no effect")
	}
	for _, b := range r.pids {
		if b.dead && r.now-b.ended > time.Second && !r.fog {
			r.fail("R13", "%s:%d has ended %v ago and is not reaped", b.key.id.Name, b.key.gen, r.now-b.ended)
		}
	}
	r.census()
	r.log.drain(len(r.log.queue))
	r.judgeLog(false)
}

// unfinished reports whether something has happened of which the core does not know yet.
func (r *realm) unfinished() bool {
	for _, b := range r.pids {
		if b.dead {
			return true
		}
	}
	return false
}

// slow reports whether the race detector is at work, under which fewer runs have to do: the simulation is of
// one goroutine.
func slow() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "-race" && s.Value == "true" })
}

func TestFaultSimulation(t *testing.T) {
	t.Parallel()
	if slow() {
		*simRuns /= 20
	}
	began := time.Now()
	var sum tally
	events, bad := 0, 0
	seeds := corpus()
	for i := range uint64(*simRuns) {
		seeds = append(seeds, *simFirst+i)
	}
	rules := map[string]int{}
	for _, seed := range seeds {
		r := newRealm(seed, nil)
		wrong := r.live(*simEvents)
		events += r.events
		sum.add(r.count)
		if wrong == "" {
			continue
		}
		bad++
		rule, _, _ := strings.Cut(wrong, " at ")
		if rules[rule]++; rules[rule] > 2 && !*simStory {
			continue
		}
		t.Errorf("seed %d, event %d: %s", seed, r.events, wrong)
		if *simStory {
			again := newRealm(seed, nil)
			again.story = &strings.Builder{}
			again.live(*simEvents)
			t.Fatalf("%+v\n%s", again.chances, again.story)
		}
	}
	t.Logf("%d runs, %d events, %d of them wrong %v, %+v, %.1f s", len(seeds), events, bad, rules, sum, time.Since(began).Seconds())
}

func (t *tally) add(o tally) {
	t.kills += o.kills
	t.doubles += o.doubles
	t.cuts += o.cuts
	t.births += o.births
	t.exits += o.exits
	t.orders += o.orders
	t.signals += o.signals
	t.reused += o.reused
}
