package core

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/agenda"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// newSurvivor is a stage with a journal.
func newSurvivor(t *testing.T) survivor {
	s := survivor{newStage(t), &notebook{map[string][]byte{}, map[string][]byte{}}}
	s.renew()
	return s
}

// killed has the next core go on with what the journal has.
func (s survivor) killed() {
	s.t.Helper()
	sv, errs := Read(s.journal.kept)
	if errs != nil {
		s.t.Fatal(errs)
	}
	s.renew()
	s.core.Restore(sv)
	s.pass(0)
}

// TestDisabledForTheNextProcess: a change that disables a program and waits for its process to end holds after a kill too.
func TestDisabledForTheNextProcess(t *testing.T) {
	s := newSurvivor(t)
	s.activate(members("g", "a"))
	next := with(members("g", "a"), func(p *model.Program) { p.Disabled, p.Command.Dir = true, "/new" })
	s.applied(s.apply("", next), "refresh g:a")
	s.killed()
	s.are("a RUNNING 101")
	s.alive["a"].end(model.Exit{Known: true, Status: 1})
	s.pass(10 * time.Second)
	s.are("a EXITED")
}

// TestStopOfAll also calls off what a check, a failed start or an order would have brought back.
func TestStopOfAll(t *testing.T) {
	for name, comes := range map[string]func(s *stage){
		"a check": func(s *stage) { s.core.Bounce(s.inst("app"), "memory", "too much") },
		"a failed start": func(s *stage) {
			s.core.StartFailed(s.inst("app"), "port", "refused")
		},
		"an order": func(s *stage) {
			s.core.stop([]*Slot{s.slot("app")}, Each, false)
			s.core.start([]*Slot{s.slot("app")}, Each, false)
		},
	} {
		for _, gone := range []bool{false, true} {
			s := newStage(t)
			s.script["app"] = script{dies: 5 * time.Second}
			s.add("app other", each(only("app", func(p *model.Program) {
				if name == "a failed start" {
					checked(model.StageStartup)(p)
				}
			}), after("other=app:started")))
			s.pass(5 * time.Second)
			comes(s)
			s.pass(time.Second)
			s.state("app", model.Stopping)
			out, _ := s.until(s.core.stop(s.core.Table().ByPriority(), Needed, gone))
			for _, o := range out {
				if o.Err != nil {
					t.Errorf("%s, wait %v: %v", name, gone, errsOf(out))
				}
			}
			if gone && name != "an order" && s.alive["app"] != nil {
				t.Errorf("%s: answered while it lives", name)
			}
			s.pass(time.Minute)
			s.state("app", model.Stopped)
			s.state("other", model.Stopped)
		}
	}
}

// TestStopOfWhatComesBack is an order like any other.
func TestStopOfWhatComesBack(t *testing.T) {
	s := newStage(t)
	s.script["app"] = script{dies: 5 * time.Second}
	s.add("app", nil)
	s.pass(5 * time.Second)
	s.core.Bounce(s.inst("app"), "memory", "too much")
	s.pass(time.Second)
	if took, err := s.stop("app", true); err != nil || took < 3*time.Second {
		t.Errorf("%v after %v", err, took)
	}
	s.state("app", model.Stopped)
	if _, err := s.stop("app", true); !errors.Is(err, ErrNotRunning) {
		t.Errorf("%v", err)
	}
}

// TestChangedBeforeItsFirstStart: what has come and waits for those that go is started, whatever is changed of it meanwhile.
func TestChangedBeforeItsFirstStart(t *testing.T) {
	s := newStage(t)
	s.script["old"] = script{dies: 10 * time.Second}
	s.activate(members("o", "old"))
	first := s.apply("o", members("n", "new", "off", "stopped"))
	s.pass(time.Second)
	s.are("old STOPPING 101, new STOPPED, off STOPPED, stopped STOPPED")
	next := members("n", "new", "off", "stopped")
	next.Programs[0].Stop.Wait = 3 * time.Second
	next.Programs[1].Start.Auto = false
	s.applied(s.apply("", next), "refresh n:new, refresh n:off")
	s.until(s.core.stop([]*Slot{s.in("n", "stopped")}, Each, true)) // it counts
	s.finished(first)
	s.pass(5 * time.Second)
	s.are("new RUNNING 102, off STOPPED, stopped STOPPED")
}

// TestRenewLeavesAlone what is to be stopped, and what may not be started again.
func TestRenewLeavesAlone(t *testing.T) {
	s := newStage(t)
	s.script["app"] = script{dies: 5 * time.Second}
	s.add("db app no", after("app=db:ready"))
	s.pass(5 * time.Second)
	spec := *s.slot("no").spec
	spec.Disabled = true
	s.core.redefine(s.core.application(), s.slot("no"), &definition{Spec: &spec}, nil)
	s.core.Renew(s.slot("no").spec.ID, 1)
	s.pass(5 * time.Second)
	s.state("no", model.Running)
	o := s.core.stop(s.core.Table().ByPriority(), Needed, true)
	s.pass(time.Second)
	s.core.Renew(s.slot("db").spec.ID, 1)
	s.until(o)
	s.pass(5 * time.Second)
	s.state("db", model.Stopped)
	if got := s.order("stopped"); !slices.Equal(got, []string{"no", "app", "db"}) {
		t.Errorf("the order was %v", got)
	}
}

// TestEndWhileWaiting: what still waits for another program is not started any more when the daemon ends.
func TestEndWhileWaiting(t *testing.T) {
	s := newStage(t)
	s.script["slow"] = script{dies: 10 * time.Second}
	s.add("slow app db", each(after("app=db:ready"), only("db", checked(model.StageReady)), func(_ *model.Program, g *model.Group) {
		if g.Name != "slow" {
			g.Priority = 1
		}
	}))
	s.pass(5 * time.Second)
	s.waits("app", "db: ready")
	s.core.BeginEnd(model.DaemonShutdown)
	s.pass(time.Second)
	s.core.SetReady(s.inst("db"), true)
	s.pass(time.Minute)
	if got := s.order("spawned"); slices.Contains(got, "app") {
		t.Errorf("started were %v", got)
	}
	if !s.core.end.complete {
		t.Error("the end does not come")
	}
}

// TestKilledWhileEnding: a launch that was decided and not executed is given up by the next process, which goes on with the end.
func TestKilledWhileEnding(t *testing.T) {
	s := newSurvivor(t)
	s.script["slow"] = script{dies: 10 * time.Second}
	s.activate(members("s", "slow"))
	s.add("app", func(_ *model.Program, g *model.Group) { g.Priority = 1 })
	s.core.commit() // app is to be launched
	s.core.BeginEnd(model.DaemonShutdown)
	s.w.coming = agenda.Queue[func()]{} // its spawner goes with the core
	s.killed()
	s.pass(time.Minute)
	if got := s.order("spawned"); slices.Contains(got, "app") || !s.core.end.complete {
		t.Errorf("started were %v, ended: %v", got, s.core.end.complete)
	}
	s.state("app", model.Stopped)
}

// TestAdoptedTask: a task that has completed and is taken over while it runs once more has not completed.
func TestAdoptedTask(t *testing.T) {
	s := newStage(t)
	s.script["task"] = script{lives: 2 * time.Second}
	s.add("task app", each(off, after("app=task:completed"), only("task", func(p *model.Program) { p.Exit.Restart = model.RestartNever })))
	if _, err := s.start("app", Each, true); err != nil {
		t.Fatal(err)
	}
	if _, err := s.stop("app", true); err != nil {
		t.Fatal(err)
	}
	f := &foreigner{s: s, pid: 500}
	if err := s.core.adoptForeign(s.slot("task"), f); err != nil {
		t.Fatal(err)
	}
	o := s.core.start([]*Slot{s.slot("app")}, Each, true)
	s.pass(time.Second)
	s.waits("app", "task: completed")
	f.actor.end(model.Exit{Known: true})
	if _, err := s.one(o); err != nil {
		t.Error(err)
	}
}

// TestStoppedDependencyStaysDown when a changed definition starts what needs it anew, whatever its autostart is.
func TestStoppedDependencyStaysDown(t *testing.T) {
	for _, auto := range []bool{false, true} {
		s := newStage(t)
		g := with(members("g", "app", "db"), func(p *model.Program) { p.Start.Auto = auto })
		g.Programs[0].Depends = []model.Dependency{{On: "db"}}
		s.activate(g)
		if _, err := s.one(s.core.start([]*Slot{s.in("g", "app")}, Needed, true)); err != nil && !errors.Is(err, errLeftOut) {
			t.Fatal(err)
		}
		if _, err := s.one(s.core.stop([]*Slot{s.in("g", "db")}, Each, true)); err != nil {
			t.Fatal(err)
		}
		next := with(members("g", "app", "db"), func(p *model.Program) { p.Start.Auto = auto })
		next.Programs[0].Depends, next.Programs[0].Command.Dir = g.Programs[0].Depends, "/new"
		s.applied(s.apply("", next), "replace g:app a dependency has failed: g:db: STOPPED")
		s.pass(5 * time.Second)
		s.are("app STARTING, db STOPPED")
	}
}

// TestChangeWhileParting: a program that is about to be stopped is not started again for a change.
func TestChangeWhileParting(t *testing.T) {
	s := newStage(t)
	s.script["app"] = script{dies: 5 * time.Second}
	g := members("g", "db", "app")
	g.Programs[1].Depends = []model.Dependency{{On: "db"}}
	s.activate(g)
	s.pass(5 * time.Second)
	o := s.core.stop(s.core.Table().ByPriority(), Needed, true)
	s.pass(time.Second)
	s.are("db RUNNING 101, app STOPPING 102")
	next := members("g", "db", "app")
	next.Programs[0].Command.Dir, next.Programs[1].Depends = "/new", g.Programs[1].Depends
	s.applied(s.apply("", next), "refresh g:db")
	s.until(o)
	s.pass(5 * time.Second)
	s.are("db STOPPED, app STOPPED")
	if got := s.in("g", "db").Program().Command.Dir; got != "/new" {
		t.Errorf("the definition in force is that in %q", got)
	}
}

// TestLivesOnAfterAnEnd: a daemon that begins after one was killed while it ended has what lives goes on like any other
// program, and the rest is what the configuration says.
func TestLivesOnAfterAnEnd(t *testing.T) {
	s := newSurvivor(t)
	s.script["slow"] = script{dies: 10 * time.Second}
	s.activate(members("x", "slow", "quick"))
	s.add("db app", each(after("app=db:ready"), func(_ *model.Program, g *model.Group) { g.Priority = 1 }))
	s.script["app"] = script{dies: time.Minute}
	s.pass(5 * time.Second)
	s.core.BeginEnd(model.DaemonShutdown)
	s.pass(time.Second)
	s.are("db RUNNING 103, app RUNNING 104, slow STOPPING 101, quick STOPPED")
	for _, want := range []string{"db RUNNING 103, app RUNNING 104, slow RUNNING 106, quick RUNNING 105", "db RUNNING 103, app RUNNING 107"} {
		sv, errs := Read(s.journal.kept)
		if errs != nil {
			t.Fatal(errs)
		}
		living := map[model.ID]bool{}
		for _, a := range s.alive {
			living[a.inst.Slot.spec.ID] = true
		}
		sv.Retain(living, &model.Config{Groups: sv.Groups()})
		s.renew()
		s.core.Restore(sv)
		s.pass(2 * time.Minute)
		s.are(want)
		s.core.BeginEnd(model.DaemonShutdown) // once more: db is to wait for app now, and nothing of the other group is left
		s.pass(11 * time.Second)
	}
	s.alive["db"].end(model.Exit{Known: true, Status: 1})
	s.pass(time.Second)
	s.are("db EXITED, app STOPPING 107")
}

// TestStartUnderANewDefinition: what is started when its process is gone needs what its new definition says.
func TestStartUnderANewDefinition(t *testing.T) {
	s := newStage(t)
	s.script["app"] = script{dies: 5 * time.Second}
	g := with(members("g", "app", "old", "new"), func(p *model.Program) { p.Start.Auto = false })
	g.Programs[0].Depends = []model.Dependency{{On: "old"}}
	s.activate(g)
	if _, err := s.one(s.core.start([]*Slot{s.in("g", "app")}, Each, true)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.one(s.core.stop([]*Slot{s.in("g", "old")}, Each, true)); err != nil {
		t.Fatal(err)
	}
	s.core.stop([]*Slot{s.in("g", "app")}, Each, false)
	s.pass(time.Second)
	next := with(members("g", "app", "old", "new"), func(p *model.Program) { p.Start.Auto = false })
	next.Programs[0].Depends, next.Programs[0].Command.Dir = []model.Dependency{{On: "new"}}, "/new"
	s.applied(s.apply("", next), "refresh g:app")
	if _, err := s.one(s.core.start([]*Slot{s.in("g", "app")}, Each, true)); err != nil {
		t.Error(err)
	}
	s.are("app RUNNING 104, old STOPPED, new RUNNING 103")
}

// TestRemovedWhileItComesBack: what a check or an order would bring back is gone for good when it is removed, also where
// others that depend on it are stopped first.
func TestRemovedWhileItComesBack(t *testing.T) {
	for _, again := range []bool{false, true} {
		s := newStage(t)
		s.script["db"], s.script["app"] = script{dies: time.Second}, script{dies: 5 * time.Second}
		g := members("g", "db", "app")
		g.Programs[1].Depends = []model.Dependency{{On: "db"}}
		s.activate(g)
		s.pass(5 * time.Second)
		if again {
			s.core.stop([]*Slot{s.in("g", "db")}, Each, false)
			s.core.start([]*Slot{s.in("g", "db")}, Each, false)
		} else {
			s.core.Bounce(Instance{s.in("g", "db"), 1}, "memory", "too much")
		}
		s.pass(100 * time.Millisecond)
		s.are("db STOPPING 101, app RUNNING 102")
		s.applied(s.apply("g"), "remove g:db, remove g:app")
		if got := s.order("spawned"); !slices.Equal(got, []string{"db", "app"}) {
			t.Errorf("again %v: started were %v", again, got)
		}
	}
}
