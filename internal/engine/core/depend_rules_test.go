package core

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/lifecycle"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// TestFulfils: what a dependent may rely on, and of what it need not wait for ever.
func TestFulfils(t *testing.T) {
	up := lifecycle.Machine{State: model.Running, Live: true}
	slot := func(m lifecycle.Machine, d depending) *Slot {
		return &Slot{spec: &model.Program{}, m: m, depending: d}
	}
	leaves, gone := slot(up, depending{completed: true}), slot(up, depending{completed: true})
	leaves.leaving, gone.gone = true, true
	for _, c := range []struct {
		name                      string
		s                         *Slot
		ready, started, completed bool
		hopeless                  string
	}{
		{"it runs", slot(up, depending{}), true, true, false, ""},
		{"it starts", slot(lifecycle.Machine{State: model.Starting, Live: true}, depending{}), false, true, false, ""},
		{"it is about to be launched", slot(lifecycle.Machine{State: model.Starting, Spawning: true}, depending{}), false, false, false, ""},
		{"it is being stopped", slot(lifecycle.Machine{State: model.Stopping, Live: true}, depending{}), false, false, false, ""},
		{"it has ended as it should", slot(lifecycle.Machine{State: model.Exited}, depending{completed: true}), false, false, true, "EXITED"},
		{"it has given up", slot(lifecycle.Machine{State: model.Fatal}, depending{}), false, false, false, "FATAL"},
		{"it is tried again", slot(lifecycle.Machine{State: model.Backoff}, depending{}), false, false, false, ""},
		{"it is its turn soon", slot(lifecycle.Machine{State: model.Stopped}, depending{}), false, false, false, "STOPPED"},
		{"it has ended unseen", slot(up, depending{over: true}), false, false, false, ""},
		{"it has ended unseen, and as it should", slot(up, depending{over: true, completed: true}), false, false, true, ""},
		{"it is about to be removed", leaves, false, false, false, "is removed"},
		{"it is removed", gone, false, false, false, "is removed"},
	} {
		if c.name == "it is its turn soon" {
			c.s.begin, c.hopeless = true, ""
		}
		got := []bool{c.s.fulfils(model.DependReady), c.s.fulfils(model.DependStarted), c.s.fulfils(model.DependCompleted)}
		if !slices.Equal(got, []bool{c.ready, c.started, c.completed}) || c.s.hopeless() != c.hopeless {
			t.Errorf("%s: ready, started, completed %v, hopeless %q", c.name, got, c.s.hopeless())
		}
	}
}

// TestWaitingIsSaidOnce: what happens to others is no news of a program that goes on waiting for the same.
func TestWaitingIsSaidOnce(t *testing.T) {
	s := newStage(t)
	s.add("app db other", each(after("app=db:ready"), only("db", checked(model.StageReady)), only("other", checked(model.StageReady))))
	s.pass(2 * time.Second)
	for _, ready := range []bool{true, false, true} {
		s.core.SetReady(s.inst("other"), ready)
		s.pass(time.Second)
	}
	if got := s.order("waiting"); !slices.Equal(got, []string{"app"}) {
		t.Errorf("said of %q", got)
	}
}

// TestNobodyBringsBack: the restart of a program starts neither what somebody has stopped, nor what is disabled; a person who starts it
// starts the first, and waits for the second.
func TestNobodyBringsBack(t *testing.T) {
	s := newStage(t)
	s.add("app db", after("app=db:ready"))
	s.pass(5 * time.Second)
	if _, err := s.stop("db", true); err != nil {
		t.Fatal(err)
	}
	s.core.Bounce(s.inst("app"), "memory", "too much")
	s.pass(time.Minute)
	s.state("db", model.Stopped)
	s.waits("app", "db: ready")
	if _, err := s.stop("app", true); err != nil {
		t.Fatal(err)
	}
	if _, err := s.start("app", Each, true); err != nil {
		t.Error(err)
	}
	s.state("db", model.Running)
	s.state("app", model.Running)

	s = newStage(t)
	s.add("app db", each(off, after("app=db:ready"), only("db", func(p *model.Program) { p.Disabled = true })))
	if _, err := s.start("app", Each, true); !errors.Is(err, ErrDependency) {
		t.Errorf("%v", err)
	}
	s.pass(time.Minute)
	s.state("db", model.Stopped)
	s.waits("app", "db: ready")
}

// TestStartable: what is started since another program needs it, when a person has that started, and when nobody has.
func TestStartable(t *testing.T) {
	down := func(s model.State, gen uint64) lifecycle.Machine { return lifecycle.Machine{State: s, Gen: gen} }
	for _, c := range []struct {
		name           string
		m              lifecycle.Machine
		set            func(c *Core, s *Slot)
		person, nobody bool
	}{
		{"it was never started", down(model.Stopped, 0), nil, true, true},
		{"… and is not to be", down(model.Stopped, 0), func(c *Core, s *Slot) { c.keep.wished[s.spec.ID] = false }, true, false},
		{"somebody has stopped it", down(model.Stopped, 1), nil, true, false},
		{"… and it is its turn now", down(model.Stopped, 1), func(_ *Core, s *Slot) { s.begin = true }, true, true},
		{"it has ended", down(model.Exited, 1), nil, true, true},
		{"… and is to be up", down(model.Exited, 1), func(c *Core, s *Slot) { c.keep.wished[s.spec.ID] = true }, true, true},
		{"… and is to be down", down(model.Fatal, 1), func(c *Core, s *Slot) { c.keep.wished[s.spec.ID] = false }, true, false},
		{"… in a daemon that starts nothing by itself", down(model.Exited, 1), func(c *Core, _ *Slot) { c.passive = true }, true, false},
		{"… and is disabled", down(model.Exited, 1), func(_ *Core, s *Slot) { s.spec.Disabled = true }, false, false},
		{"… and is about to be removed", down(model.Exited, 1), func(_ *Core, s *Slot) { s.leaving = true }, false, false},
		{"… and is removed", down(model.Exited, 1), func(_ *Core, s *Slot) { s.gone = true }, false, false},
		{"… and everything ends", down(model.Exited, 1), func(c *Core, _ *Slot) { c.BeginEnd(model.DaemonShutdown) }, false, false},
		{"its process is not gone yet", lifecycle.Machine{State: model.Stopped, Live: true}, nil, false, false},
		{"it is about to be", lifecycle.Machine{State: model.Stopped, Spawning: true}, nil, false, false},
		{"it runs", lifecycle.Machine{State: model.Running, Live: true, Gen: 1}, nil, false, false},
		{"… and is to be stopped after others", lifecycle.Machine{State: model.Running, Live: true, Gen: 1}, func(_ *Core, s *Slot) { s.parting = true }, true, false},
		{"it is being stopped", lifecycle.Machine{State: model.Stopping, Live: true, Gen: 1}, nil, true, false},
		{"… and comes again", lifecycle.Machine{State: model.Stopping, Live: true, Gen: 1, Again: true}, nil, false, false},
	} {
		s := newStage(t)
		one := &Slot{spec: &model.Program{ID: model.ID{Group: "db", Name: "db"}}, m: c.m}
		if c.set != nil {
			c.set(s.core, one)
			s.pass(time.Millisecond)
		}
		if person, nobody := s.core.startable(one, true), s.core.startable(one, false); person != c.person || nobody != c.nobody {
			t.Errorf("%s: by a person %t, by nobody %t", c.name, person, nobody)
		}
	}
}

// TestNeededWhileItStops: what a person needs is started again when it is being stopped at that moment, or is about to be.
func TestNeededWhileItStops(t *testing.T) {
	s := newStage(t)
	s.script["db"] = script{dies: 5 * time.Second}
	s.add("app db", each(off, after("app=db:ready")))
	if _, err := s.start("db", Each, true); err != nil {
		t.Fatal(err)
	}
	o := s.core.stop([]*Slot{s.slot("db")}, Each, true)
	s.pass(time.Second)
	s.state("db", model.Stopping)
	if _, err := s.start("app", Each, true); err != nil {
		t.Error(err)
	}
	s.until(o)
	s.state("db", model.Running)
	s.state("app", model.Running)
	if n := s.inst("db").Gen; n != 2 {
		t.Errorf("generation %d", n)
	}
}
