package core

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/agenda"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/events"
)

var simTowns = flag.Int("sim.towns", 400, "runs of the simulation of programs that depend on each other")

// A town is a world of programs that need each other: some have to prove their starts, some are ready only at times, some
// may not be started, some are let go of. A core is killed at any effect and comes again with what its journal has. The
// judge knows every process and every answer, and never asks the core whether the core is right.
type town struct {
	dice   *rand.Rand
	now    time.Duration
	coming agenda.Queue[func()]

	core *Core
	ring *events.Ring
	life int
	up   bool
	kill int // one in so many effects; 0 = never

	disk    map[string][]byte
	waiting []putting
	wishes  townWishes
	quick   bool           // lives are short, so that starts by themselves have to wait for their turn
	groups  []*model.Group // as they are defined, in force or not
	there   []must         // whether they are in force: mustUp, mustDown
	houses  []*house
	byID    map[model.ID]*house
	held    map[heldKey]*guest
	pids    int
	asked   []*asking
	calm    bool
	ending  bool
	endAt   time.Duration // when that was first ordered
	wrong   string
	story   []string
	kills   int
	starts  int
	waits   int
	strange int
	taken   int
	gone    int
}

// house is what is known of a program.
type house struct {
	spec      *model.Program
	live      *guest
	let       *guest // what was let go of last
	lastDeath time.Duration
	done      bool           // has ended as expected at least once
	next      *model.Program // the change that is not answered yet
	down      bool           // a stop or a release was answered, and nobody has asked for a start since
	started   uint64
	disabled  must // mustUp: it is for certain, mustDown: it is not
	watched   uint64
}

// asking is an order that is not answered yet.
type asking struct {
	what  string
	of    []*house
	since uint64 // town.started when it was given
	order *order
	off   map[*house]bool // it was STOPPING: whatever the answer is, it stays down
	reply <-chan error
	then  func()
}

func newTown(seed uint64) *town {
	t := &town{dice: rand.New(rand.NewPCG(seed, 3)), now: time.Hour, disk: map[string][]byte{}, byID: map[model.ID]*house{}, held: map[heldKey]*guest{}}
	t.kill = []int{0, 40, 100, 300}[t.dice.IntN(4)]
	t.wishes.disk, t.quick = map[string][]byte{}, t.one(8)
	for g := range 2 {
		spec := &model.Group{Name: fmt.Sprintf("g%d", g), Priority: 999 - t.dice.IntN(2)}
		for range 2 + t.dice.IntN(3) {
			p := t.program(spec.Name)
			spec.Programs = append(spec.Programs, p)
			h := &house{spec: p, disabled: mustDown}
			if p.Disabled {
				h.disabled = mustUp
			}
			t.houses, t.byID[p.ID] = append(t.houses, h), h
		}
		t.groups, t.there = append(t.groups, spec), append(t.there, mustUp)
	}
	return t
}

func (t *town) program(group string) *model.Program {
	d := t.dice
	p := &model.Program{
		ID: model.ID{Group: group, Name: fmt.Sprintf("p%d", len(t.houses))}, Priority: 999, Disabled: d.IntN(8) == 0,
		Start: model.StartPolicy{
			Auto: d.IntN(3) > 0, Secs: []time.Duration{0, time.Second}[d.IntN(2)], Retries: []int{1, 3, model.Endless}[d.IntN(3)],
			Delay: []time.Duration{0, 0, 2 * time.Second}[d.IntN(3)], Timeout: []time.Duration{0, 5 * time.Second}[d.IntN(2)],
		},
		Stop: model.StopPolicy{Signal: 15, Wait: 2 * time.Second},
		Exit: model.ExitPolicy{Restart: model.Restart(d.IntN(3)), Codes: []int{0}},
	}
	for _, h := range t.houses {
		if d.IntN(3) == 0 {
			p.Depends = append(p.Depends, model.Dependency{On: h.spec.ID.Namespec(), Condition: model.Condition(d.IntN(3))})
		}
	}
	if d.IntN(3) == 0 {
		p.Checks = append(p.Checks, model.Check{Name: "s", Stage: model.StageStartup})
	}
	if d.IntN(3) == 0 {
		p.Checks = append(p.Checks, model.Check{Name: "r", Stage: model.StageReady})
	}
	return p
}

func (t *town) fail(format string, args ...any) {
	if t.wrong == "" {
		t.wrong = fmt.Sprintf("at %v: ", t.now-time.Hour) + fmt.Sprintf(format, args...)
	}
	panic(impossible{})
}

func (t *town) tell(format string, args ...any) {
	t.story = append(t.story, fmt.Sprintf("%12v ", t.now-time.Hour)+fmt.Sprintf(format, args...))
}

func (t *town) one(n int) bool { return n > 0 && t.dice.IntN(n) == 0 }

func (t *town) point(what string) {
	if !t.calm && t.up && t.one(t.kill) {
		t.tell("KILL at %s", what)
		panic(killed{})
	}
}

func (t *town) later(d time.Duration, f func()) {
	t.coming.Set(&timer{What: f}, t.now+d)
}

func (t *town) lifelong(d time.Duration, f func()) {
	life := t.life
	t.later(d, func() {
		if t.up && t.life == life {
			f()
		}
	})
}

func (t *town) span(most time.Duration) time.Duration {
	return time.Duration(t.dice.Int64N(int64(most)))
}

// The Host, the Journal, the Log and the Watch.

func (t *town) Now() time.Duration { return t.now }
func (t *town) Wall() time.Time    { return time.Unix(1_700_000_000, 0).Add(t.now) }
func (t *town) Logf(_ activity.Level, format string, args ...any) {
	t.tell("line "+format, args...)
}

func (t *town) Put(key string, value []byte) {
	t.waiting = append(t.waiting, putting{key: key, kept: kept{value: value}})
}

func (t *town) Flush() error {
	if len(t.waiting) == 0 {
		return nil
	}
	t.point("a flush")
	n := len(t.waiting)
	if !t.calm && t.one(t.kill) {
		n = t.dice.IntN(n)
	}
	for _, w := range t.waiting[:n] {
		if w.value == nil {
			delete(t.disk, w.key)
		} else {
			t.disk[w.key] = w.value
		}
	}
	if n < len(t.waiting) {
		t.tell("KILL in a flush")
		panic(killed{})
	}
	t.waiting = t.waiting[:0]
	t.point("after a flush")
	return nil
}

func (t *town) Launch(i Instance) {
	t.point("before a launch")
	h := t.byID[i.Slot.spec.ID]
	t.judgeLaunch(h)
	t.tell("launch %s:%d", h.spec.ID.Name, i.Gen)
	t.lifelong(t.span(5*time.Millisecond), func() {
		if t.one(10) {
			t.core.LaunchFailed(i, "no luck")
			return
		}
		if h.live != nil {
			t.fail("a second %s", h.spec.ID)
		}
		t.pids++
		g := &guest{t: t, h: h, key: heldKey{h.spec.ID, i.Gen}, pid: 1000 + t.pids, born: t.now, inst: i, life: t.life, dir: i.Slot.spec.Command.Dir}
		h.live, t.held[g.key] = g, g
		t.starts++
		t.tell("birth %s:%d", h.spec.ID.Name, i.Gen)
		g.lives()
		t.point("after an exec")
		if g.found = t.one(6); g.found {
			t.core.LaunchedFound(i, g, t.now-time.Minute)
			return
		}
		t.core.Launched(i, g)
	})
	t.point("after a launch")
}

// blur is how long an end may not be known to the core.
const blur = 10 * time.Millisecond

// meets reports whether a condition may be believed to be met.
func (h *house) meets(c model.Condition, now time.Duration) bool {
	g := h.live
	alive := g != nil || now-h.lastDeath < blur
	switch {
	case c == model.DependCompleted:
		return h.done
	case c == model.DependStarted || g == nil:
		return alive
	case !g.found && now-g.born < h.spec.Start.Secs:
		return false
	}
	return g.ready || !h.spec.Staged(model.StageReady)
}

func (t *town) judgeLaunch(h *house) {
	switch {
	case h.live != nil:
		t.fail("%s is launched beside pid %d", h.spec.ID, h.live.pid)
	case h.down:
		t.fail("%s is launched, and somebody wants it to be down", h.spec.ID)
	case h.disabled == mustUp:
		t.fail("%s is launched, and is disabled", h.spec.ID)
	case t.there[t.place(h.spec)] == mustDown:
		t.fail("%s is launched, and was removed", h.spec.ID)
	case t.core.end.begun:
		t.fail("%s is launched while everything ends", h.spec.ID)
	}
	if lack := t.lack(h.spec); lack != "" && (h.next == nil || t.lack(h.next) != "") {
		t.fail("%s is launched, and this is not so: %s", h.spec.ID, lack)
	}
}

// lack is a condition of a start that is not met.
func (t *town) lack(p *model.Program) string {
	for _, d := range p.Depends {
		for _, on := range t.houses {
			if d.About(on.spec.ID) && !on.meets(d.Condition, t.now) {
				return d.String()
			}
		}
	}
	return ""
}

func (t *town) Resume(i Instance, whichever bool) Resumed {
	t.point("a resume")
	id := i.Slot.spec.ID
	g := t.held[heldKey{id, i.Gen}]
	if whichever {
		g = nil
		for key, other := range t.held {
			if key.id == id && other.life != t.life && (g == nil || other.key.gen > g.key.gen) {
				g = other
			}
		}
	}
	if g == nil {
		return Resumed{}
	}
	i.Gen = g.key.gen
	g.inst, g.life = i, t.life
	out := Resumed{Process: g, Gen: g.key.gen, Since: g.born}
	if g.dead {
		out.Exit, out.Ended = &g.exit, g.ended
	}
	return out
}

// Up has the checks of an instance look: they pass, mostly.
func (t *town) Up(i Instance, p *model.Program, pid int, _ time.Duration) {
	h := t.byID[p.ID]
	if h.live == nil && t.now-h.lastDeath > blur || h.live != nil && h.live.pid != pid && h.live.pid <= pid {
		t.fail("%s is watched as pid %d", p.ID, pid)
	}
	if h.watched != 0 && h.watched != i.Gen {
		t.fail("%s: generation %d is watched beside %d", p.ID, i.Gen, h.watched)
	}
	h.watched = i.Gen
	t.prove(i)
	t.lifelong(t.span(4*time.Second), func() { t.say(i, true) })
	if t.one(3) && !t.calm {
		t.lifelong(t.span(20*time.Second), func() { t.core.Bounce(i, "l", "too much") })
		t.lifelong(t.span(20*time.Second), func() { t.say(i, t.calm || t.one(2)) })
	}
}

func (t *town) prove(i Instance) {
	t.lifelong(t.span(4*time.Second), func() {
		switch {
		case t.one(6) && !t.calm:
			t.core.StartFailed(i, "s", "bad luck")
		case t.one(4) && !t.calm:
			t.prove(i)
		default:
			t.core.Proved(i)
		}
	})
}

func (t *town) say(i Instance, ready bool) {
	h := t.byID[i.Slot.spec.ID]
	if g := h.live; g != nil && g.inst == i {
		g.was = g.was || ready
		g.ready = g.ready || ready // it is believed until the core has heard the contrary
		t.core.post(func() {
			if g := h.live; g != nil && g.inst == i {
				g.ready = ready
			}
		})
	}
	t.core.SetReady(i, ready)
}

func (t *town) Bounced(i Instance, _ string) {
	if h := t.byID[i.Slot.spec.ID]; h.watched != i.Gen {
		t.fail("%s: generation %d is ended by a check, and %d is watched", h.spec.ID, i.Gen, h.watched)
	}
}

func (t *town) Down(i Instance) {
	if h := t.byID[i.Slot.Status().ID]; h.watched == i.Gen {
		h.watched = 0
	}
}

func (t *town) group(p *model.Program) *model.Group { return t.groups[t.place(p)] }

// place is where the group of a program is in groups.
func (t *town) place(p *model.Program) int {
	return slices.IndexFunc(t.groups, func(g *model.Group) bool { return g.Name == p.ID.Group })
}

// boot makes a core from what is left.
func (t *town) boot() {
	t.life++
	t.up, t.ring = true, events.New(1000)
	for _, h := range t.houses {
		h.watched = 0
		if h.live != nil {
			h.live.ready = h.live.was
		}
	}
	t.tell("BOOT")
	t.core = New(Options{Host: t, Log: t, Ring: t.ring, Journal: t, Watch: t, Wishes: &t.wishes})
	t.wishes.t, t.wishes.waiting = t, nil
	t.guard(func() {
		t.core.SetWishes(t.wishes.disk)
		sv, errs := Read(t.disk)
		if len(errs) > 0 {
			t.fail("the journal cannot be read: %v", errs)
		}
		t.core.Restore(sv)
		if sv.Empty() {
			var add []NewGroup
			for i, g := range t.groups {
				add = append(add, newGroup(g))
				t.there[i] = mustUp
			}
			t.core.post(func() { _ = t.core.addGroups(add) })
			return
		}
		in := make([]must, len(t.groups))
		for _, g := range sv.Groups() {
			if len(g.Programs) == 0 { // it goes
				continue
			}
			i := t.place(g.Programs[0])
			t.groups[i], in[i] = g, mustUp
			for _, p := range g.Programs {
				t.recall(t.byID[p.ID], p)
			}
		}
		for i, was := range t.there {
			if was != mustNothing && (was == mustUp) != (in[i] == mustUp) {
				t.fail("group %s: what was answered is forgotten", t.groups[i].Name)
			}
			if t.there[i] = mustDown; in[i] == mustUp {
				t.there[i] = mustUp
			}
		}
		for _, h := range t.houses {
			if h.live != nil && t.core.Table().Slot(h.spec.ID) == nil {
				t.fail("%s lives, and nobody knows of it", h.spec.ID)
			}
		}
	})
}

// recall takes the core's word for a change of which nobody was told, and for no other.
func (t *town) recall(h *house, p *model.Program) {
	disabled := mustDown
	if p.Disabled {
		disabled = mustUp
	}
	if h.disabled != mustNothing && h.disabled != disabled {
		t.fail("the change of %s is forgotten", p.ID)
	}
	h.spec, h.next, h.disabled = p, nil, disabled
}

func (t *town) guard(f func()) {
	defer func() {
		if x := recover(); x != nil {
			if _, ok := x.(killed); !ok {
				panic(x)
			}
			t.kills++
			t.up, t.core, t.waiting, t.asked = false, nil, nil, nil
			t.later(t.span(50*time.Millisecond), t.boot)
		}
	}()
	f()
}
