package core

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// TestStartHasToProveItself: a start counts when startsecs are over and its checks have passed.
func TestStartHasToProveItself(t *testing.T) {
	s := newStage(t)
	s.add("app", only("app", checked(model.StageStartup)))
	o := s.core.start([]*Slot{s.slot("app")}, Needed, true)
	s.pass(5 * time.Second)
	s.state("app", model.Starting)
	s.core.Proved(s.inst("app"))
	s.pass(time.Millisecond)
	s.state("app", model.Running)
	s.until(o)
	// Proved before startsecs are over.
	s.alive["app"].end(model.Exit{Known: true, Status: 1})
	s.pass(10 * time.Millisecond)
	s.core.Proved(s.inst("app"))
	s.pass(time.Second / 2)
	s.state("app", model.Starting)
	s.pass(time.Second)
	s.state("app", model.Running)
}

// TestStartThatDoesNotProveItself is ended and tried again, and given up like any other that fails.
func TestStartThatDoesNotProveItself(t *testing.T) {
	s := newStage(t)
	s.script["app"] = script{dies: time.Second}
	s.add("app", each(off, only("app", checked(model.StageStartup)), only("app", func(p *model.Program) {
		p.Start.Timeout, p.Start.Retries, p.Start.Delay = 20*time.Second, 1, 7*time.Second
	})))
	o := s.core.start([]*Slot{s.slot("app")}, Each, true)
	s.pass(2 * time.Second)
	s.core.StartFailed(s.inst("app"), "port", "connection refused")
	s.pass(time.Millisecond)
	s.state("app", model.Stopping)
	if _, err := s.one(o); !errors.Is(err, ErrSpawn) {
		t.Errorf("%v", err)
	}
	st := s.slot("app").Status()
	if st.State != model.Backoff || st.SpawnErr != "startup check port: connection refused" || st.Past.Check != "port" {
		t.Errorf("%s, %q, %q", st.State, st.SpawnErr, st.Past.Check)
	}
	if next := model.NextTry(st); next.Sub(st.Stop) != 7*time.Second {
		t.Errorf("the next try is %v after the end", next.Sub(st.Stop))
	}
	s.pass(8 * time.Second)
	s.state("app", model.Starting)
	if got := s.slot("app").Status().Past; got.Check != "port" || got.Restarts != 1 {
		t.Errorf("%+v", got)
	}
	s.pass(30 * time.Second)
	st = s.slot("app").Status()
	if st.State != model.Fatal || st.SpawnErr != "its startup checks had not passed after 20s" || st.Tries != 2 {
		t.Errorf("%s, %q, %d tries", st.State, st.SpawnErr, st.Tries)
	}
}

// TestStartThatEndsUnproved has failed, however long it has lived.
func TestStartThatEndsUnproved(t *testing.T) {
	s := newStage(t)
	s.script["app"] = script{lives: 5 * time.Second}
	s.add("app", each(only("app", checked(model.StageStartup)), only("app", func(p *model.Program) { p.Start.Retries = 0 })))
	s.pass(time.Minute)
	if st := s.slot("app").Status(); st.State != model.Fatal || st.SpawnErr != "Exited before its startup checks had passed (process log may have details)" {
		t.Errorf("%s, %q", st.State, st.SpawnErr)
	}
}

// TestBounce: a check has a program started anew, which counts as a start by itself.
func TestBounce(t *testing.T) {
	s := newStage(t)
	s.script["app"] = script{dies: time.Second}
	s.add("app", only("app", func(p *model.Program) { p.Exit.Restart = model.RestartNever }))
	s.pass(2 * time.Second)
	old := s.inst("app")
	s.core.Bounce(old, "memory", "612 MB, limit 512 MB")
	s.core.Bounce(old, "memory", "once more")
	s.pass(3 * time.Second)
	st := s.slot("app").Status()
	want := model.Past{Restarts: 1, Check: "memory", CheckText: "612 MB, limit 512 MB", Ended: 1, Lasted: 2999 * time.Millisecond}
	if d := cmp.Diff(want, st.Past); st.State != model.Running || st.Generation != 2 || d != "" {
		t.Errorf("%s of generation %d\n%s", st.State, st.Generation, d)
	}
	s.core.Bounce(old, "memory", "of the one before")
	s.pass(time.Minute)
	if got := s.inst("app").Gen; got != 2 {
		t.Errorf("generation %d", got)
	}
	// A stop that is ordered meanwhile counts.
	s.core.Bounce(s.inst("app"), "memory", "again")
	s.pass(time.Millisecond)
	s.state("app", model.Stopping)
	s.until(s.core.stop([]*Slot{s.slot("app")}, Each, true))
	s.pass(time.Minute)
	s.state("app", model.Stopped)
}

// TestBounceWaitsForItsDelay, during which a stop works as ever.
func TestBounceWaitsForItsDelay(t *testing.T) {
	s := newStage(t)
	s.add("app", only("app", func(p *model.Program) { p.Start.Delay = 30 * time.Second }))
	s.pass(2 * time.Second)
	s.core.Bounce(s.inst("app"), "memory", "too much")
	s.pass(29 * time.Second)
	s.state("app", model.Backoff)
	st := s.slot("app").Status()
	if left := model.NextTry(st).Sub(s.Wall()); st.Tries != 0 || left <= 0 || left > 2*time.Second {
		t.Errorf("%d tries, the next in %v", st.Tries, left)
	}
	s.pass(3 * time.Second)
	s.state("app", model.Running)
	// So does an end of its own.
	s.alive["app"].end(model.Exit{Known: true})
	s.pass(time.Second)
	s.state("app", model.Backoff)
	if took, err := s.stop("app", true); err != nil || took > 10*time.Millisecond {
		t.Errorf("%v after %v", err, took)
	}
	s.pass(time.Minute)
	s.state("app", model.Stopped)
}

// TestEndless: attempts never end, and the waits between them do not grow beyond a minute.
func TestEndless(t *testing.T) {
	s := newStage(t)
	s.script["app"] = script{fails: "no"}
	s.add("app", only("app", func(p *model.Program) { p.Start.Retries = model.Endless }))
	s.pass(24 * time.Hour)
	s.state("app", model.Backoff)
	if n := s.slot("app").Status().Tries; n < 24*60 {
		t.Errorf("%d tries in a day", n)
	}
}

func (a *actor) Detach() {
	a.over = true // it lives on, and nobody here knows
	delete(a.s.alive, a.inst.Slot.spec.ID.Name)
}

// TestRelease: the process is let go of without a signal, the program is stopped and stays so.
func TestRelease(t *testing.T) {
	s := newStage(t)
	s.add("app other", nil)
	s.pass(2 * time.Second)
	p := s.alive["app"]
	out, err := s.core.wait(t.Context(), s.drive(func() *order { return s.release("app", Each) }))
	if err != nil || len(out) != 1 || out[0].Err != nil {
		t.Fatalf("%v, %v", errsOf(out), err)
	}
	st := s.slot("app").Status()
	if st.State != model.Stopped || st.PID != 0 || st.HasExit || len(p.got) != 0 || st.Past.Released != p.pid {
		t.Errorf("%s with pid %d, signals %v, pid %d let go of", st.State, st.PID, p.got, st.Past.Released)
	}
	evs, _ := s.ring.Since(0, 0)
	if last := evs[len(evs)-1]; last.Type != model.EventReleased || last.PID != p.pid {
		t.Errorf("the last event is %+v", last)
	}
	if !slices.Contains(s.log, "released: 'app' with pid 101, which goes on without us") {
		t.Errorf("%q", s.log)
	}
	s.core.Ended(p.inst, model.Exit{Known: true})
	next := &actor{s: s, inst: p.inst, pid: 777} // it had gone on as another one, and that was on its way to be told
	s.core.Moved(p.inst, next)
	s.pass(time.Minute)
	if !next.over || next.freed {
		t.Errorf("the next process is let go of: %v, given up as if it had ended: %v", next.over, next.freed)
	}
	s.state("app", model.Stopped)
	if _, err := s.one(s.release("app", Each)); !errors.Is(err, ErrNotRunning) {
		t.Errorf("%v", err)
	}
	if _, err := s.one(s.release("app", Needed)); err != errLeftOut {
		t.Errorf("%v", err)
	}
	if _, err := s.start("app", Each, true); err != nil {
		t.Error(err)
	}
	if past := s.slot("app").Status().Past; past.Released != 0 {
		t.Errorf("%+v of what was started anew", past)
	}
}

func (s *stage) release(name string, mode Mode) *order {
	return s.core.letGo([]*Slot{s.slot(name)}, mode)
}

// drive lets an order be carried out.
func (s *stage) drive(give func() *order) *order {
	o := give()
	s.until(o)
	return o
}

// TestFoundAndMoved: what ran already is taken in the place of a start, and an instance may become another process.
func TestFoundAndMoved(t *testing.T) {
	s := newStage(t)
	s.script["app"] = script{found: time.Minute}
	s.add("app", only("app", checked(model.StageStartup)))
	s.pass(10 * time.Millisecond)
	st := s.slot("app").Status()
	if st.State != model.Running || !st.Past.Adopted || s.Wall().Sub(st.Start) < time.Minute {
		t.Errorf("%s, adopted %v, for %v", st.State, st.Past.Adopted, s.Wall().Sub(st.Start))
	}
	old := s.alive["app"]
	next := &actor{s: s, inst: old.inst, pid: 777}
	s.alive["app"] = next
	s.core.Moved(old.inst, next)
	s.pass(time.Millisecond)
	if st := s.slot("app").Status(); st.PID != 777 || st.Generation != 1 || st.State != model.Running {
		t.Errorf("%s with pid %d of generation %d", st.State, st.PID, st.Generation)
	}
	if _, err := s.stop("app", true); err != nil || !slices.Equal(next.got, []int{15}) || len(old.got) != 0 {
		t.Errorf("%v, %v, %v", err, next.got, old.got)
	}
}

// TestAway: while it is looked for what a program has left that sends itself away, its start has not succeeded; when nothing is
// found the start has failed, as of when the program ended.
func TestAway(t *testing.T) {
	s := newStage(t)
	s.add("app", nil)
	s.pass(500 * time.Millisecond)
	first := s.alive["app"]
	s.core.Away(first.inst)
	s.pass(5 * time.Second)
	s.state("app", model.Starting)
	next := &actor{s: s, inst: first.inst, pid: 777}
	s.alive["app"] = next
	s.core.Moved(first.inst, next)
	s.pass(time.Millisecond)
	s.state("app", model.Running)
	if _, err := s.stop("app", true); err != nil {
		t.Fatal(err)
	}

	if _, err := s.start("app", Each, false); err != nil {
		t.Fatal(err)
	}
	s.pass(100 * time.Millisecond)
	again := s.alive["app"]
	s.core.Away(again.inst)
	s.pass(900*time.Millisecond - time.Microsecond)
	s.state("app", model.Starting)
	s.pass(8 * time.Second)
	s.state("app", model.Starting)
	s.core.Ended(again.inst, model.Exit{Reason: "it has left nothing"})
	s.pass(0)
	evs, _ := s.ring.Since(0, 0)
	if st, last := s.slot("app").Status(), evs[len(evs)-2]; st.Tries != 1 || last.Type != model.EventProcessBackoff || st.Past.Lasted > time.Second {
		t.Errorf("%d tries, %s after %v: %q", st.Tries, last.Type, st.Past.Lasted, st.SpawnErr)
	}
}

// told is a Watch that writes down what it is told.
type told struct{ t []string }

func (w *told) Up(i Instance, p *model.Program, pid int, _ time.Duration) {
	w.t = append(w.t, "up "+p.ID.Name+" "+string(rune('0'+i.Gen)))
}

func (w *told) Bounced(i Instance, check string) {
	w.t = append(w.t, "bounced "+i.Slot.Status().ID.Name+" "+string(rune('0'+i.Gen))+" "+check)
}

func (w *told) Down(i Instance) {
	w.t = append(w.t, "down "+i.Slot.Status().ID.Name+" "+string(rune('0'+i.Gen)))
}

// TestWatch is told of each instance once, again when its definition changes, and when it is to end.
func TestWatch(t *testing.T) {
	s := newStage(t)
	w := &told{}
	s.core.watch = w
	s.script["app"] = script{dies: time.Second}
	s.add("app", nil)
	s.pass(2 * time.Second)
	spec := *s.slot("app").spec
	spec.Checks = []model.Check{{Name: "c"}}
	s.core.redefine(s.core.application(), s.slot("app"), &definition{Spec: &spec}, nil)
	s.alive["app"].end(model.Exit{Known: true})
	s.pass(2 * time.Second)
	s.core.Bounce(s.inst("app"), "c", "bad")
	s.core.Bounce(s.inst("app"), "d", "once more") // of which nothing comes, and nothing is told
	s.pass(500 * time.Millisecond)
	s.state("app", model.Stopping)
	if d := cmp.Diff([]string{"up app 1", "up app 1", "down app 1", "up app 2", "bounced app 2 c", "down app 2"}, w.t); d != "" {
		t.Error(d)
	}
	s.pass(2 * time.Second)
	s.until(s.release("app", Each))
	s.pass(time.Second)
	if d := cmp.Diff([]string{"up app 3", "down app 3"}, w.t[6:]); d != "" {
		t.Error(d)
	}
}

// TestChecksSayWhyAStartHasFailed: those that watch know which check has not passed in time, and are not overtaken.
func TestChecksSayWhyAStartHasFailed(t *testing.T) {
	s := newStage(t)
	s.core.watch = &told{}
	s.add("app", only("app", func(p *model.Program) {
		checked(model.StageStartup)(p)
		p.Start.Timeout, p.Start.Retries = 5*time.Second, 1
	}))
	s.pass(5*time.Second + 10*time.Millisecond)
	s.core.StartFailed(s.inst("app"), "port", "connection refused, not within 5s")
	s.pass(time.Second)
	if st := s.slot("app").Status(); st.SpawnErr != "startup check port: connection refused, not within 5s" {
		t.Errorf("%s: %q", st.State, st.SpawnErr)
	}
	s.pass(10 * time.Second) // this time they say nothing
	if st := s.slot("app").Status(); st.State != model.Fatal || st.SpawnErr != "its startup checks had not passed after 5.0s" {
		t.Errorf("%s: %q", st.State, st.SpawnErr)
	}
}
