package core

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/base/agenda"
	"github.com/upkeep-project/upkeep/internal/domain/lifecycle"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/events"
)

// What the simulation with faults has found, told one by one.

// heir is a stage whose processes outlive the core, and whose journal is looked at when something is done.
type heir struct {
	*stage
	journal  *notebook
	wishes   *wishbook
	launched []string
	resume   func(i Instance, whichever bool) Resumed
	freed    []int
	at       func(what string) // before an effect
	queue    []string          // lines
	written  uint64
}

// wishbook is a store of wishes that syncs when it is told to.
type wishbook struct {
	puts []string
	done []func(error)
}

func (w *wishbook) Put(key string, value []byte) { w.puts = append(w.puts, key+"="+string(value)) }
func (w *wishbook) Sync(done func(error))        { w.done = append(w.done, done) }

func (w *wishbook) flush(err error) {
	done := w.done
	w.done = nil
	for _, d := range done {
		d(err)
	}
}

func newHeir(t *testing.T) *heir {
	h := &heir{stage: newStage(t), journal: &notebook{map[string][]byte{}, map[string][]byte{}}, at: func(string) {}}
	h.resume = func(Instance, bool) Resumed { return Resumed{} }
	h.renew()
	return h
}

// renew makes the next core, which knows nothing yet.
func (h *heir) renew() {
	h.w.coming = agenda.Queue[func()]{} // the spawner and the watcher of the earlier core are gone
	o := Options{Host: h, Log: h, Ring: events.New(1000), Journal: h.journal, Lines: h}
	if h.wishes != nil {
		o.Wishes = h.wishes
	}
	h.core = New(o)
	h.w.core = h.core
}

// restore makes the next core go on with a journal.
func (h *heir) restore(kept map[string][]byte) *Saved {
	h.t.Helper()
	h.journal.kept, h.journal.put = maps.Clone(kept), map[string][]byte{}
	sv, errs := Read(kept)
	if errs != nil {
		h.t.Fatal(errs)
	}
	h.renew()
	h.core.Restore(sv)
	return sv
}

func (h *heir) Launch(i Instance) {
	h.at("launch")
	h.launched = append(h.launched, fmt.Sprint(i.Slot.spec.ID.Name, " ", i.Gen))
	h.stage.Launch(i)
}

func (h *heir) Resume(i Instance, whichever bool) Resumed { return h.resume(i, whichever) }

func (h *heir) Line(_ activity.Level, format string, args ...any) []byte {
	return fmt.Appendf(nil, format, args...)
}

func (h *heir) Write(line []byte) uint64 {
	h.queue = append(h.queue, string(line))
	return uint64(len(h.queue))
}

func (h *heir) Written() uint64 { return h.written }

// held is a process as the keeper has it.
type held struct {
	h   *heir
	pid int
	got []int
}

func (p *held) PID() int                { return p.pid }
func (p *held) WriteStdin([]byte) error { return nil }
func (p *held) Release()                { p.h.freed = append(p.h.freed, p.pid) }
func (p *held) Signal(sig int, _ model.Reach) error {
	p.h.at("signal")
	p.got = append(p.got, sig)
	return nil
}

// snapshot remembers the journal at the first effect of a kind.
func (h *heir) snapshot(what string) *map[string][]byte {
	var kept map[string][]byte
	h.at = func(effect string) {
		if effect == what && kept == nil {
			kept = maps.Clone(h.journal.kept)
		}
	}
	return &kept
}

func (h *heir) states() string {
	var out []string
	for _, s := range h.core.Table().Sorted {
		out = append(out, fmt.Sprint(s.Status().ID.Name, " ", s.Status().State))
	}
	return strings.Join(out, ", ")
}

// TestFirstStartsAreFinished: a kill at the first of several starts does not make the others forgotten.
func TestFirstStartsAreFinished(t *testing.T) {
	h := newHeir(t)
	kept := h.snapshot("launch")
	h.add("a b c", nil)
	h.alive, h.launched = map[string]*actor{}, nil
	h.restore(*kept)
	h.pass(2 * time.Second)
	if d := cmp.Diff("a RUNNING, b RUNNING, c RUNNING", h.states()); d != "" {
		t.Error(d)
	}
	slices.Sort(h.launched)
	if d := cmp.Diff([]string{"a 1", "b 1", "c 1"}, h.launched); d != "" {
		t.Error(d)
	}
}

// TestHalfAnAdditionIsNone: groups of which the journal has only some are none, and leave nothing behind.
func TestHalfAnAdditionIsNone(t *testing.T) {
	h := newHeir(t)
	kept := h.snapshot("launch")
	h.add("a b", nil)
	cut := maps.Clone(*kept)
	delete(cut, groupsKey)
	if sv, _ := Read(cut); !sv.Empty() || len(sv.Groups()) != 0 {
		t.Errorf("half of the first groups: %d, empty %v", len(sv.Groups()), sv.Empty())
	}
	cut[groupsKey] = []byte(`{"Through":1}`)
	h.alive = map[string]*actor{}
	h.restore(cut)
	if h.slot("a") == nil || h.slot("b") != nil {
		t.Errorf("active: %s", h.states())
	}
	for key := range h.journal.kept {
		if strings.Contains(key, "b") && !strings.HasPrefix(key, linePrefix) && key != stormKey {
			t.Errorf("%s is left", key)
		}
	}
	// The next group gets the number of the one that was cut off.
	h.add("d", nil)
	if sv, _ := Read(h.journal.kept); len(sv.Groups()) != 2 || sv.Has("b") {
		t.Errorf("%d groups", len(sv.Groups()))
	}
}

// TestNoGroupsAreNotNothing: who has removed everything does not find the configuration in force again.
func TestNoGroupsAreNotNothing(t *testing.T) {
	h := newHeir(t)
	h.add("a", func(p *model.Program, _ *model.Group) { p.Start.Auto = false })
	h.pass(time.Second)
	if err := h.core.removeGroup("a"); err != nil {
		t.Fatal(err)
	}
	h.core.commit()
	if sv, _ := Read(h.journal.kept); sv.Empty() || len(sv.Groups()) != 0 {
		t.Errorf("%d groups, empty %v", len(sv.Groups()), sv.Empty())
	}
}

// TestLinesAreKeptUntilWritten: in their order, for removed programs too, and not those of what did not happen.
func TestLinesAreKeptUntilWritten(t *testing.T) {
	h := newHeir(t)
	h.script["a"] = script{lives: 1500 * time.Millisecond}
	h.add("a", func(p *model.Program, _ *model.Group) { p.Exit.Restart = model.RestartNever })
	h.pass(2 * time.Second)
	want := []string{
		"spawned: 'a' with pid 101",
		"success: a entered RUNNING state, process has stayed up for > than 1 seconds (startsecs)",
		"exited: a (exit status 0; expected)",
	}
	lines := func() []string {
		sv, _ := Read(h.journal.kept)
		return sv.Lines()
	}
	if d := cmp.Diff(want, lines()); d != "" {
		t.Errorf("nothing is written: %s", d)
	}
	h.written = 2
	if err := h.core.removeGroup("a"); err != nil {
		t.Fatal(err)
	}
	h.core.commit()
	if d := cmp.Diff(want[2:], lines()); d != "" {
		t.Errorf("two are written, and the program is removed: %s", d)
	}
	// Another core takes it over, and is killed before it is written again.
	h.written = 0
	kept := maps.Clone(h.journal.kept)
	h.restore(kept)
	h.add("b", nil)
	h.pass(time.Second)
	if got := lines(); len(got) == 0 || got[0] != want[2] {
		t.Errorf("after a second kill: %q", got)
	}
	// A line that is in the journal without what it tells.
	kept = maps.Clone(h.journal.kept)
	kept[lineKey(1000)] = []byte("b:b\x00it did not come to this")
	sv := h.restore(kept)
	if got := sv.Lines(); slices.Contains(got, "it did not come to this") {
		t.Errorf("%q", got)
	}
	if _, there := h.journal.kept[lineKey(1000)]; there {
		t.Error("the void line is left")
	}
	// All is written when the log is closed, and nothing is left to tell.
	h.add("c", nil)
	h.pass(time.Second)
	h.written = unknownNumber - 1
	if h.core.LogClosed(); len(lines()) != 0 {
		t.Errorf("the log is closed, and the journal has %q", lines())
	}
}

// TestDecidedSignalIsSent: a kill between the decision and the signal costs neither the signal nor patience.
func TestDecidedSignalIsSent(t *testing.T) {
	h := newHeir(t)
	h.add("a", func(p *model.Program, _ *model.Group) { p.Stop.Wait = time.Hour })
	h.pass(2 * time.Second)
	p := &held{h: h, pid: 101}
	h.slot("a").proc = p
	kept := h.snapshot("signal")
	h.core.stop([]*Slot{h.slot("a")}, Each, false)
	h.pass(0)
	if !slices.Equal(p.got, []int{15}) {
		t.Fatalf("got %v", p.got)
	}
	p.got = nil
	h.resume = func(Instance, bool) Resumed { return Resumed{Process: p} }
	h.restore(*kept)
	if !slices.Equal(p.got, []int{15}) {
		t.Errorf("after a kill before the signal: %v", p.got)
	}
	p.got = nil
	h.core.commit()
	h.restore(h.journal.kept)
	if p.got != nil {
		t.Errorf("after a kill behind the signal: %v", p.got)
	}
}

// TestStoppedLaunchIsNotRepeated: what is to stop is not started for it.
func TestStoppedLaunchIsNotRepeated(t *testing.T) {
	h := newHeir(t)
	h.add("a", nil)
	h.core.stop([]*Slot{h.slot("a")}, Each, false)
	h.core.Turn()
	kept := maps.Clone(h.journal.kept)
	h.alive, h.launched = map[string]*actor{}, nil
	h.restore(kept)
	h.pass(time.Second)
	if len(h.launched) != 0 {
		t.Errorf("launched %v", h.launched)
	}
	h.state("a", model.Stopped)
}

// TestNeverBesideAnInstance: an instance that the journal does not know is taken, not doubled.
func TestNeverBesideAnInstance(t *testing.T) {
	for name, old := range map[string]lifecycle.Machine{
		"stopped":  {State: model.Stopped, Gen: 2},
		"exited":   {State: model.Exited, Gen: 2},
		"waiting":  {State: model.Backoff, Gen: 2, Armed: true, Due: time.Hour + 3*time.Second, Epoch: 4},
		"running":  {State: model.Running, Gen: 2, Live: true},
		"spawning": {State: model.Starting, Gen: 2, Spawning: true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHeir(t)
			h.add("a", func(p *model.Program, _ *model.Group) { p.Start.Auto = false })
			s := h.slot("a")
			s.m = old
			h.core.touch(s)
			h.core.commit()
			p := &held{h: h, pid: 7}
			h.resume = func(_ Instance, whichever bool) Resumed {
				if whichever {
					return Resumed{Process: p, Gen: 5}
				}
				return Resumed{}
			}
			h.restore(h.journal.kept)
			h.pass(5 * time.Second)
			st := h.slot("a").Status()
			if st.State != model.Running || st.PID != 7 || st.Generation != 5 || len(h.launched) > 0 {
				t.Errorf("%s with pid %d, generation %d, launched %v", st.State, st.PID, st.Generation, h.launched)
			}
			h.core.Ended(Instance{Slot: h.slot("a"), Gen: 5}, model.Exit{Known: true, Status: 3})
			h.core.Turn()
			if !slices.Equal(h.freed, []int{7}) {
				t.Errorf("let go of %v", h.freed)
			}
		})
	}
}

// TestKnownEndIsLetGoOf: an end that is in the journal is not told again; its pid is given up.
func TestKnownEndIsLetGoOf(t *testing.T) {
	h := newHeir(t)
	h.script["a"] = script{lives: 1500 * time.Millisecond}
	h.add("a", func(p *model.Program, _ *model.Group) { p.Exit.Restart = model.RestartNever })
	h.pass(2 * time.Second)
	p := &held{h: h, pid: 101}
	h.resume = func(_ Instance, whichever bool) Resumed {
		if !whichever || len(h.freed) > 0 {
			return Resumed{}
		}
		return Resumed{Process: p, Gen: 1, Exit: &model.Exit{Known: true}}
	}
	before := len(h.queue)
	h.restore(h.journal.kept)
	h.pass(time.Second)
	h.state("a", model.Exited)
	if !slices.Equal(h.freed, []int{101}) || len(h.queue) != before {
		t.Errorf("let go of %v, told %q", h.freed, h.queue[before:])
	}
}

// TestAnEndIsJudgedByItsTime: not by the time at which the next core hears of it.
func TestAnEndIsJudgedByItsTime(t *testing.T) {
	h := newHeir(t)
	h.add("a", func(p *model.Program, _ *model.Group) { p.Start.Secs = 2 * time.Second })
	kept := maps.Clone(h.journal.kept)
	born := h.w.now
	h.w.now += 10 * time.Second // nobody was there
	p := &held{h: h, pid: 9}
	h.resume = func(i Instance, _ bool) Resumed {
		return Resumed{Process: p, Gen: i.Gen, Exit: &model.Exit{Known: true}, Since: born, Ended: born + time.Second}
	}
	h.alive, h.launched = map[string]*actor{}, nil
	h.restore(kept)
	h.core.Turn()
	evs, _ := h.core.ring.Since(0, 0)
	var got []string
	for _, e := range evs {
		got = append(got, string(e.Type))
	}
	// The wait of one second is over too.
	if d := cmp.Diff([]string{"PROCESS_STATE_BACKOFF", "PROCESS_STATE_STARTING"}, got); d != "" {
		t.Error(d)
	}
	if !slices.Equal(h.launched, []string{"a 2"}) {
		t.Errorf("launched %v", h.launched)
	}
}

// TestStormSurvivesAKill: the next core does not begin with a full budget, and a start that had to wait
// waits on.
func TestStormSurvivesAKill(t *testing.T) {
	h := newHeir(t)
	h.add("a", nil)
	h.pass(2 * time.Second)
	s := h.slot("a")
	s.ends = ends{last: h.w.now, before: h.w.now}
	h.core.storm.full = h.w.now + (stormBurst+9)*stormGap
	h.launched = nil
	h.alive["a"].end(model.Exit{Known: true})
	h.core.Turn()
	full, due := h.core.storm.full, s.turn
	if due != h.w.now+10*stormGap || len(h.launched) != 0 {
		t.Fatalf("due in %v, launched %v", due-h.w.now, h.launched)
	}
	h.restore(h.journal.kept)
	if h.core.storm.full != full {
		t.Errorf("the budget is full at %v, was %v", h.core.storm.full, full)
	}
	h.pass(due - h.w.now - time.Millisecond)
	if len(h.launched) != 0 {
		t.Error("it does not wait")
	}
	h.pass(2 * time.Millisecond)
	if len(h.launched) != 1 {
		t.Errorf("launched %v", h.launched)
	}
}

// TestOrdersWaitForOthersWishes: an order that finds its wish already put, and not durable yet, waits for it.
func TestOrdersWaitForOthersWishes(t *testing.T) {
	h := newHeir(t)
	h.wishes = &wishbook{}
	h.renew()
	h.script["a"] = script{dies: time.Minute}
	h.add("a", nil)
	h.pass(2 * time.Second)
	over := func(o *order) bool {
		h.core.Turn()
		select {
		case <-o.done:
			return true
		default:
			return false
		}
	}
	slots := []*Slot{h.slot("a")}
	if over(h.core.stop(slots, Each, false)) {
		t.Error("a stop is acknowledged before it is durable")
	}
	h.wishes.flush(nil)
	first, second := h.core.start(slots, Each, false), h.core.start(slots, Each, false)
	if over(first) || over(second) {
		t.Error("a start is acknowledged before it is durable")
	}
	h.wishes.flush(errDisk)
	if !over(first) || !over(second) || !errors.Is(second.out[0].Err, ErrNotDurable) {
		t.Errorf("%v", second.out)
	}
	// What failed is tried again by the next who asks.
	if third := h.core.start(slots, Each, false); over(third) {
		t.Error("nothing is tried again")
	} else if h.wishes.flush(nil); !over(third) || third.out[0].Err != nil {
		t.Errorf("%v", third.out)
	}
}

// TestRemovalIsDurable: a program that is removed and comes again later begins anew after a power cut too.
func TestRemovalIsDurable(t *testing.T) {
	h := newHeir(t)
	h.wishes = &wishbook{}
	h.renew()
	h.add("a", nil)
	h.pass(2 * time.Second)
	h.core.stop([]*Slot{h.slot("a")}, Each, true)
	h.pass(time.Second)
	h.wishes.flush(nil)
	answer := h.core.ask(func() error { return h.core.removeGroup("a") })
	h.pass(time.Second)
	select {
	case <-answer:
		t.Fatal("acknowledged before it is durable")
	default:
	}
	h.wishes.flush(errDisk)
	h.pass(0)
	if err := <-answer; !errors.Is(err, ErrNotDurable) {
		t.Error(err)
	}
	if d := cmp.Diff([]string{"a:a=down", "a:a="}, h.wishes.puts); d != "" {
		t.Error(d)
	}
}

// TestFollowingStartNeverWaits: a start that follows a stop is an order, and not part of the storm.
func TestFollowingStartNeverWaits(t *testing.T) {
	h := newHeir(t)
	h.add("a", nil)
	h.pass(2 * time.Second)
	s := h.slot("a")
	s.ends = ends{last: h.w.now, before: h.w.now}
	h.core.storm.full = h.w.now + time.Minute
	h.launched = nil
	h.core.stop([]*Slot{s}, Each, false)
	h.core.start([]*Slot{s}, Each, false)
	h.pass(10 * time.Millisecond)
	if len(h.launched) != 1 {
		t.Errorf("launched %v", h.launched)
	}
}
