package core

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// started notes that somebody wants a program to run, and what it depends on with it.
func (t *town) started(h *house) {
	h.down = false
	h.started++
	depends := h.spec.Depends
	if h.next != nil {
		depends = slices.Concat(depends, h.next.Depends)
	}
	for _, d := range depends {
		for _, on := range t.houses {
			if d.About(on.spec.ID) {
				t.started(on)
			}
		}
	}
}

// client is a person, or a script of one.
func (t *town) client() {
	t.later(t.span(6*time.Second), t.client)
	if !t.up || t.calm || t.ending {
		return
	}
	h := t.houses[t.dice.IntN(len(t.houses))]
	of := []*house{h}
	if t.one(5) {
		of = slices.Clone(t.houses)
	}
	of = slices.DeleteFunc(of, func(h *house) bool { return t.core.Table().Slot(h.spec.ID) == nil })
	if len(of) == 0 {
		t.regroup(t.place(h.spec))
		return
	}
	h = of[0]
	var slots []*Slot
	for _, h := range of {
		slots = append(slots, t.core.Table().Slot(h.spec.ID))
	}
	mode := Each
	if len(of) > 1 {
		mode = Needed
	}
	a := &asking{of: of, off: map[*house]bool{}}
	switch t.dice.IntN(10) {
	case 0, 1, 2:
		a.what = "start"
		for _, h := range of {
			t.started(h)
		}
		a.order = t.core.start(slots, mode, t.one(2))
	case 3, 4, 5:
		a.what = "stop"
		for i, h := range of {
			a.off[h] = slots[i].Status().State == model.Stopping
		}
		a.order = t.core.stop(slots, mode, true)
	case 6:
		a.what, a.of = "release", []*house{h}
		a.order = t.core.letGo([]*Slot{t.core.Table().Slot(h.spec.ID)}, Each)
	case 7:
		t.adopt(h)
		return
	case 8:
		if h.live != nil {
			t.core.Renew(h.spec.ID, h.live.key.gen)
		}
		return
	default:
		if t.one(6) {
			t.regroup(t.place(h.spec))
		} else {
			t.change(h)
		}
		return
	}
	for _, h := range a.of {
		a.since += h.started
	}
	t.tell("%s %d, first %s", a.what, len(a.of), a.of[0].spec.ID.Name)
	t.asked = append(t.asked, a)
}

// adopt takes back what was let go of.
func (t *town) adopt(h *house) {
	if h.let == nil {
		return
	}
	g, slot := h.let, t.core.Table().Slot(h.spec.ID)
	h.down = false
	h.started++
	t.tell("adopt %s", h.spec.ID.Name)
	t.asked = append(t.asked, &asking{what: "adopt", reply: t.core.ask(func() error {
		return t.core.adoptForeign(slot, g)
	}), then: func() { h.let = nil }})
}

// changed is another definition of a program: it may be started or not, its process has to be another one, or it needs others.
func (t *town) changed(h *house) *model.Program {
	spec := *h.spec
	d := t.dice
	if d.IntN(2) == 0 {
		spec.Disabled = !spec.Disabled
	}
	if d.IntN(3) == 0 {
		spec.Command.Dir += "/d"
	}
	if n := len(spec.Depends); n > 0 && d.IntN(3) == 0 {
		spec.Depends = slices.Delete(slices.Clone(spec.Depends), 0, 1+d.IntN(n))
	} else if at := slices.Index(t.houses, h); at > 0 && d.IntN(3) == 0 { // on one before it: no circles
		spec.Depends = append(slices.Clone(spec.Depends), model.Dependency{On: t.houses[d.IntN(at)].spec.ID.Namespec(), Condition: model.Condition(d.IntN(3))})
	}
	spec.Stop.Wait += time.Millisecond
	return &spec
}

// applying reports whether a change is not answered yet.
func (t *town) applying() bool {
	return slices.ContainsFunc(t.asked, func(a *asking) bool { return a.what == "apply" })
}

// regroup takes a group out of the configuration, or brings it back.
func (t *town) regroup(i int) {
	if t.applying() {
		return
	}
	ch, next := Change{Groups: []NewGroup{newGroup(t.groups[i])}}, mustUp
	if t.there[i] == mustUp {
		ch, next = Change{Remove: []string{t.groups[i].Name}}, mustDown
	}
	t.there[i] = mustNothing
	for _, h := range t.houses {
		if t.place(h.spec) == i {
			h.down = false // autostart decides
			h.started++
		}
	}
	app := t.core.application()
	t.tell("%s: %d groups come, %d go", t.groups[i].Name, len(ch.Groups), len(ch.Remove))
	t.asked = append(t.asked, &asking{
		what: "apply", reply: t.core.ask(func() error { return t.core.apply(app, ch) }),
		then: func() {
			if t.there[i] = next; next == mustDown {
				t.gone++
			}
		},
	})
}

// change changes a program in the configuration.
func (t *town) change(h *house) {
	if t.applying() || t.there[t.place(h.spec)] != mustUp {
		return
	}
	spec := t.changed(h)
	for i, g := range t.groups {
		if g.Name != spec.ID.Group {
			continue
		}
		next := *g
		next.Programs = nil
		for _, p := range g.Programs {
			if p.ID == spec.ID {
				p = spec
			}
			next.Programs = append(next.Programs, p)
		}
		h.disabled, h.next = mustNothing, spec
		app := t.core.application()
		t.tell("%s disabled: %v, in %s, needs %v", spec.ID.Name, spec.Disabled, spec.Command.Dir, spec.Depends)
		t.asked = append(t.asked, &asking{what: "apply", reply: t.core.ask(func() error {
			return t.core.apply(app, Change{Groups: []NewGroup{newGroup(&next)}})
		}), then: func() {
			t.groups[i], h.spec, h.next = &next, spec, nil
			h.disabled = mustDown
			if spec.Disabled {
				h.disabled = mustUp
			}
		}})
	}
}

// answers looks at what has been answered.
func (t *town) answers() {
	kept := t.asked[:0]
	for _, a := range t.asked {
		if !t.answered(a) {
			kept = append(kept, a)
		}
	}
	t.asked = kept
}

func (t *town) answered(a *asking) bool {
	if a.reply != nil {
		select {
		case err := <-a.reply:
			if err == nil {
				a.then()
			}
			return true
		default:
			return false
		}
	}
	select {
	case <-a.order.done:
	default:
		return false
	}
	var since uint64
	for _, h := range a.of {
		since += h.started
	}
	if a.what == "start" || since != a.since {
		return true
	}
	for _, h := range a.of {
		i := slices.IndexFunc(a.order.out, func(o Outcome) bool { return o.Slot.spec.ID == h.spec.ID })
		if a.off[h] {
			h.down = true
		} else if i >= 0 && a.order.out[i].Err == nil { // one that has ended by itself before it was asked is not stopped
			h.down = h.spec.Start.Auto || a.order.out[i].Slot.Status().State != model.Exited
		}
	}
	return true
}

// turn lets the core do what is due.
func (t *town) turn() (next time.Duration, timed bool) {
	if t.up {
		t.guard(func() {
			next, timed = t.core.Turn()
			for n := 0; !t.core.inbox.empty(); n++ {
				if next, timed = t.core.Turn(); n > 1000 {
					t.fail("the core does not come to rest")
				}
			}
			t.answers()
		})
	}
	return next, timed
}

// step is one happening.
func (t *town) step() {
	next, timed := t.turn()
	switch at, ok := t.coming.Next(); {
	case t.up && timed && (!ok || t.now+next < at):
		t.now += next
	case ok:
		t.now = max(t.now, at)
		t.guard(t.coming.Take(t.now).What)
	}
}

func (t *town) run(d time.Duration) {
	for until := t.now + d; t.now < until; {
		t.step()
	}
}

// atRest: who waits does so for a reason, and nobody is forgotten.
func (t *town) atRest() {
	for _, s := range t.core.Table().Sorted {
		st := s.Status()
		h := t.byID[st.ID]
		if dir := st.Program.Command.Dir; h.live != nil && !h.live.found && st.PID == h.live.pid && dir != h.live.dir {
			t.fail("%s runs in %q, and the definition in force says %q", st.ID, h.live.dir, dir)
		}
		if st.State.Down() != (h.live == nil) && !st.State.Up() && st.State != model.Stopping {
			t.fail("%s is %s, and lives: %v", st.ID, st.State, h.live != nil)
		}
		if st.Waiting == "" {
			if st.State == model.Starting && t.now-st.Start.Sub(t.Wall().Add(-t.now)) > 30*time.Second {
				t.fail("%s is STARTING for ever", st.ID)
			}
			continue
		}
		t.waits++
		unmet := false
		for _, d := range h.spec.Depends {
			for _, on := range t.houses {
				settled := on.live != nil && t.now-on.live.born > 10*time.Second
				unmet = unmet || d.About(on.spec.ID) && (!on.meets(d.Condition, t.now) || !settled || d.Condition == model.DependCompleted)
			}
		}
		if !unmet {
			t.fail("%s waits for %s, and all that it waits for is there", st.ID, st.Waiting)
		}
	}
}

// live is a whole run.
func (t *town) live(d time.Duration) {
	defer func() {
		if x := recover(); x != nil {
			if _, ok := x.(impossible); !ok {
				panic(x)
			}
		}
	}()
	t.later(0, t.boot)
	t.later(time.Second, t.client)
	t.run(d)
	t.calm = true
	for range 20 {
		t.run(5 * time.Second)
		if t.turn(); t.up {
			t.atRest()
		}
	}
	for _, h := range t.houses {
		if h.live != nil && t.there[t.place(h.spec)] == mustDown {
			t.fail("%s was removed long ago, and lives", h.spec.ID)
		}
	}
	t.calm = false
	for !t.up {
		t.step()
	}
	t.ending, t.endAt = true, t.now
	for n := 0; !t.up || !t.core.end.complete; n++ {
		if t.up && t.core.State() == model.DaemonRunning {
			t.guard(func() { t.core.BeginEnd(model.DaemonShutdown) })
		}
		t.step()
		if n > 20000 {
			t.fail("the end does not come")
		}
	}
	for _, h := range t.houses {
		if h.live != nil {
			t.fail("%s lives after the end", h.spec.ID)
		}
	}
}

func TestDependentsUnderFaults(t *testing.T) {
	t.Parallel()
	n := *simTowns
	if slow() || testing.Short() {
		n /= 10
	}
	kills, starts, waits, strange, taken, gone, bad := 0, 0, 0, 0, 0, 0, 0
	for i := range uint64(n) {
		w := newTown(*simFirst + i)
		w.live(3 * time.Minute)
		kills, starts, waits, strange = kills+w.kills, starts+w.starts, waits+w.waits, strange+w.strange
		taken, gone = taken+w.taken, gone+w.gone
		if w.wrong != "" {
			if bad++; bad <= 3 {
				t.Errorf("seed %d: %s\n%s", *simFirst+i, w.wrong, strings.Join(w.story[max(0, len(w.story)-60):], "\n"))
			}
		}
	}
	t.Logf("%d runs: %d kills, %d starts, %d looks at who waits, %d processes let go of, %d taken back, %d groups removed, %d runs went wrong", n, kills, starts, waits, strange, taken, gone, bad)
	if kills < n || starts < 10*n || waits < n || strange < n/4 || taken < n/20 || gone < n/4 {
		t.Error("too little has happened")
	}
}
