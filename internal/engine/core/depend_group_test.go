package core

import (
	"slices"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// TestDependOnGroup: who depends on a group waits for each of its programs, however the group is named; one of the group
// itself waits for the others.
func TestDependOnGroup(t *testing.T) {
	for _, on := range []string{"db:*", "db"} {
		t.Run(on, func(t *testing.T) {
			s := newStage(t)
			depends := []model.Dependency{{On: on, Condition: model.DependReady}}
			s.add("app db", func(p *model.Program, g *model.Group) {
				if p.ID.Name == "app" {
					p.Depends = depends
					return
				}
				slow, last := simProgram("slow"), simProgram("last")
				slow.ID.Group, last.ID.Group = "db", "db"
				checked(model.StageReady)(slow)
				last.Depends = depends
				g.Programs = append(g.Programs, slow, last)
			})
			slot := func(name string) *Slot { return s.core.Table().Slot(model.ID{Group: "db", Name: name}) }
			s.pass(5 * time.Second)
			s.waits("app", "db:slow: ready")
			if got := slot("last").Status().Waiting; got != "db:slow: ready" {
				t.Errorf("last waits for %q", got)
			}
			s.core.SetReady(Instance{slot("slow"), slot("slow").Status().Generation}, true)
			s.pass(5 * time.Second)
			s.state("app", model.Running)
			if got := s.order("spawned"); !slices.Equal(got, []string{"db", "slow", "last", "app"}) {
				t.Errorf("the order was %v", got)
			}
			// They go in the order in which they need each other.
			s.core.BeginEnd(model.DaemonShutdown)
			s.pass(time.Minute)
			if got := s.order("stopped"); len(got) != 4 || got[0] != "app" || got[1] != "last" {
				t.Errorf("stopped in the order %v", got)
			}
		})
	}
}

// TestHeldBeginsLate: a program that has waited for another one began when it was launched, not when it was to be.
func TestHeldBeginsLate(t *testing.T) {
	s := newStage(t)
	s.add("app db", each(after("app=db:ready"), only("db", checked(model.StageReady))))
	s.pass(10 * time.Second)
	s.waits("app", "db: ready")
	s.core.SetReady(s.inst("db"), true)
	s.pass(5 * time.Second)
	s.state("app", model.Running)
	if late := s.slot("app").Status().Start.Sub(s.slot("db").Status().Start); late < 9*time.Second {
		t.Errorf("app began %v after db, and has waited for 10 s", late)
	}
}

// TestStartOfWhatIsNeeded: who starts a program has what it needs started as well, but what has completed for it is not done
// again.
func TestStartOfWhatIsNeeded(t *testing.T) {
	s := newStage(t)
	s.script["migrate"] = script{lives: 2 * time.Second}
	s.add("app db migrate", each(after("app=db:ready,migrate:completed"), only("migrate", func(p *model.Program) { p.Exit.Restart = model.RestartNever })))
	s.pass(10 * time.Second)
	s.state("app", model.Running)
	for _, name := range []string{"app", "db"} {
		if _, err := s.stop(name, true); err != nil {
			t.Error(err)
		}
	}
	s.pass(10 * time.Second)
	if _, err := s.start("app", Each, true); err != nil {
		t.Error(err)
	}
	s.pass(10 * time.Second)
	s.state("app", model.Running)
	if got := s.order("spawned"); !slices.Equal(got, []string{"db", "migrate", "app", "db", "app"}) {
		t.Errorf("started: %v", got)
	}
}
