package core

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// after makes programs depend on others: "app=db:ready,migrate:completed".
func after(lines ...string) func(*model.Program, *model.Group) {
	return func(p *model.Program, _ *model.Group) {
		for _, l := range lines {
			name, needs, _ := strings.Cut(l, "=")
			if name != p.ID.Name {
				continue
			}
			for need := range strings.SplitSeq(needs, ",") {
				at := strings.LastIndex(need, ":")
				d := model.Dependency{On: need[:at]}
				for c := range model.Condition(3) {
					if c.String() == need[at+1:] {
						d.Condition = c
					}
				}
				p.Depends = append(p.Depends, d)
			}
		}
	}
}

func off(p *model.Program, _ *model.Group) { p.Start.Auto = false }

func each(all ...func(*model.Program, *model.Group)) func(*model.Program, *model.Group) {
	return func(p *model.Program, g *model.Group) {
		for _, f := range all {
			f(p, g)
		}
	}
}

// only applies a change to one program.
func only(name string, f func(*model.Program)) func(*model.Program, *model.Group) {
	return func(p *model.Program, _ *model.Group) {
		if p.ID.Name == name {
			f(p)
		}
	}
}

// checked gives a program a check of a stage.
func checked(stage model.Stage) func(*model.Program) {
	return func(p *model.Program) { p.Checks = append(p.Checks, model.Check{Name: "c", Stage: stage}) }
}

func (s *stage) inst(name string) Instance {
	slot := s.slot(name)
	return Instance{slot, slot.Status().Generation}
}

func (s *stage) waits(name, want string) {
	s.t.Helper()
	if got := s.slot(name).Status().Waiting; got != want {
		s.t.Errorf("%s waits for %q, want %q", name, got, want)
	}
}

// order is the sequence of lines of the activity log with one of the given words in front, as their second words.
func (s *stage) order(word string) (out []string) {
	for _, l := range s.log {
		if rest, ok := strings.CutPrefix(l, word+": "); ok {
			name, _, _ := strings.Cut(strings.TrimLeft(rest, "'"), " ")
			out = append(out, strings.Trim(name, "',"))
		}
	}
	return out
}

// TestDependentsWait: what is started at the same time is started in the order of what it needs, whatever the priorities.
func TestDependentsWait(t *testing.T) {
	s := newStage(t)
	s.script["migrate"] = script{lives: 2 * time.Second}
	s.add("app db migrate", each(after("app=db:ready,migrate:completed", "migrate=db:started"),
		only("db", checked(model.StageReady)), only("migrate", func(p *model.Program) { p.Exit.Restart = model.RestartNever }),
		only("app", func(p *model.Program) { p.Priority = 1 })))
	s.pass(time.Second / 2)
	s.state("app", model.Starting)
	s.waits("app", "db: ready")
	s.state("migrate", model.Starting)
	s.waits("migrate", "")
	if s.alive["app"] != nil || s.alive["migrate"] == nil {
		t.Error("app lives too early, or migrate does not")
	}
	s.pass(time.Second)
	if st := s.slot("db").Status(); st.State != model.Running || st.Ready {
		t.Errorf("db: %s, ready %v", st.State, st.Ready)
	}
	s.core.SetReady(s.inst("db"), true)
	s.pass(10 * time.Millisecond)
	s.waits("app", "migrate: completed")
	if !s.slot("db").Status().Ready {
		t.Error("db is not ready")
	}
	s.pass(2 * time.Second)
	s.waits("app", "")
	if s.alive["app"] == nil {
		t.Error("app was not started")
	}
	if got := s.order("spawned"); !slices.Equal(got, []string{"db", "migrate", "app"}) {
		t.Errorf("the order was %v", got)
	}
	// What runs is not touched when its dependency goes.
	s.core.SetReady(s.inst("db"), false)
	if _, err := s.stop("db", true); err != nil {
		t.Error(err)
	}
	s.pass(time.Minute)
	s.state("app", model.Running)
	// Its next start waits again, and does not bring back what somebody has stopped.
	s.alive["app"].end(model.Exit{Known: true, Status: 1})
	s.pass(time.Minute)
	s.state("app", model.Starting)
	s.waits("app", "db: ready")
	s.state("db", model.Stopped)
	if _, err := s.start("db", Each, true); err != nil {
		t.Error(err)
	}
	s.core.SetReady(s.inst("db"), true)
	s.pass(2 * time.Second)
	s.state("app", model.Running)
}

// TestStartBringsWhatIsNeeded: who starts a program starts what it depends on, and is told when that cannot be.
func TestStartBringsWhatIsNeeded(t *testing.T) {
	s := newStage(t)
	s.add("app web db", each(off, after("app=web:started", "web=db:ready")))
	s.pass(time.Second)
	if _, err := s.start("app", Each, true); err != nil {
		t.Error(err)
	}
	if got := s.order("spawned"); !slices.Equal(got, []string{"db", "web", "app"}) {
		t.Errorf("the order was %v", got)
	}
	if got := s.order("needed"); !slices.Equal(got, []string{"db", "web"}) {
		t.Errorf("needed were %v", got)
	}
	// All of a set are answered for, whatever has started them.
	s.until(s.core.stop(s.core.Table().ByPriority(), Needed, true))
	out, _ := s.until(s.core.start(s.core.Table().ByPriority(), Needed, true))
	if len(out) != 3 || out[0].Err != nil || out[1].Err != nil || out[2].Err != nil {
		t.Errorf("start all: %v", errsOf(out))
	}
}

func TestDependencyThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(*model.Program, *model.Group)
		sc   script
		want string
	}{
		"gives up":    {off, script{fails: "no such file"}, "db: FATAL"},
		"is disabled": {each(off, only("db", func(p *model.Program) { p.Disabled = true })), script{}, "db: disabled"},
		"ends badly": {each(off, only("app", func(p *model.Program) { p.Depends[0].Condition = model.DependCompleted }),
			only("db", func(p *model.Program) { p.Exit.Restart, p.Start.Secs = model.RestartNever, 0 })), script{lives: time.Second, status: 3}, "db: EXITED"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			s.script["db"] = c.sc
			s.add("app db", each(after("app=db:ready"), c.set))
			_, err := s.start("app", Each, true)
			var unmet *DependencyError
			if !errors.Is(err, ErrDependency) || !errors.As(err, &unmet) || unmet.Text != c.want {
				t.Errorf("%v, want %s", err, c.want)
			}
			s.state("app", model.Starting)
			// It waits on, and is started when its dependency is there.
			s.script["db"] = script{lives: 5 * time.Second}
			if name == "is disabled" {
				return
			}
			if _, err := s.start("db", Each, true); err != nil {
				t.Error(err)
			}
			s.pass(10 * time.Second)
			s.state("app", model.Running)
		})
	}
	s := newStage(t)
	s.add("app", each(off, after("app=gone:ready")))
	if _, err := s.start("app", Each, true); !errors.Is(err, ErrDependency) || !strings.HasSuffix(err.Error(), "gone: no such program") {
		t.Errorf("%v", err)
	}
	// Who does not wait for the outcome is answered at once.
	if took, err := s.stop("app", true); err != nil || took > 10*time.Millisecond {
		t.Errorf("stop: %v after %v", err, took)
	}
	if took, err := s.start("app", Each, false); err != nil || took > 10*time.Millisecond {
		t.Errorf("start: %v after %v", err, took)
	}
	s.waits("app", "gone: ready")
	s.add("gone", nil)
	s.pass(3 * time.Second)
	s.state("app", model.Running)
}

// TestStoppedWhileWaiting: a stop gives a waiting start up at once, and what comes later does not bring it back.
func TestStoppedWhileWaiting(t *testing.T) {
	s := newStage(t)
	s.add("app db", each(after("app=db:ready"), only("db", checked(model.StageReady))))
	s.pass(2 * time.Second)
	s.waits("app", "db: ready")
	if took, err := s.stop("app", true); err != nil || took > 10*time.Millisecond {
		t.Errorf("%v after %v", err, took)
	}
	s.waits("app", "")
	s.core.SetReady(s.inst("db"), true)
	s.pass(time.Minute)
	s.state("app", model.Stopped)
	if _, err := s.start("app", Each, true); err != nil {
		t.Error(err)
	}
}

// TestStopOrder: in an ordered end, and where several are stopped together, a dependent is gone before what it depends on is
// asked.
func TestStopOrder(t *testing.T) {
	for name, stop := range map[string]func(s *stage){
		"all": func(s *stage) { s.until(s.core.stop(s.core.Table().ByPriority(), Needed, true)) },
		"all, without waiting": func(s *stage) {
			s.until(s.core.stop(s.core.Table().ByPriority(), Needed, false))
			s.pass(time.Minute)
		},
		"end": func(s *stage) { s.core.BeginEnd(model.DaemonShutdown); s.pass(time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			s.script["app"] = script{dies: 5 * time.Second}
			s.script["web"] = script{dies: time.Second}
			s.add("db app web other", after("app=db:ready", "web=app:started"))
			s.pass(5 * time.Second)
			stop(s)
			if got := s.order("stopped"); !slices.Equal(got, []string{"other", "web", "app", "db"}) {
				t.Errorf("the order was %v", got)
			}
			for _, n := range []string{"db", "app", "web", "other"} {
				s.state(n, model.Stopped)
			}
		})
	}
}

// TestStopOrderIsNotForOne: one program alone is stopped at once, and a circle stops nobody from stopping.
func TestStopOrderIsNotForOne(t *testing.T) {
	s := newStage(t)
	s.add("a b c", each(after("a=b:started", "b=c:started"), func(p *model.Program, _ *model.Group) { p.Start.Secs = 0 }))
	s.pass(5 * time.Second)
	if _, err := s.stop("c", true); err != nil {
		t.Error(err)
	}
	s.state("a", model.Running)

	s = newStage(t)
	s.add("a b", func(p *model.Program, _ *model.Group) { p.Start.Secs = 0 })
	s.pass(time.Second)
	for _, n := range []string{"a", "b"} {
		other := map[string]string{"a": "b", "b": "a"}[n]
		spec := *s.slot(n).spec
		spec.Depends = []model.Dependency{{On: other}}
		s.core.exchange(s.slot(n), &definition{Spec: &spec})
	}
	s.until(s.core.stop(s.core.Table().ByPriority(), Needed, true))
	s.state("a", model.Stopped)
	s.state("b", model.Stopped)
}

// TestStartWhileParting: the newest order counts, also for what has not been asked to stop yet.
func TestStartWhileParting(t *testing.T) {
	s := newStage(t)
	s.script["app"] = script{dies: 5 * time.Second}
	s.add("db app", after("app=db:ready"))
	s.pass(5 * time.Second)
	o := s.core.stop(s.core.Table().ByPriority(), Needed, true)
	s.pass(time.Second)
	s.state("db", model.Running)
	if _, err := s.start("app", Each, true); err != nil {
		t.Error(err)
	}
	s.until(o)
	s.state("db", model.Running)
	s.state("app", model.Running)
}

func TestDisabled(t *testing.T) {
	s := newStage(t)
	disabled := only("no", func(p *model.Program) { p.Disabled = true })
	s.add("no yes", disabled)
	s.pass(2 * time.Second)
	s.state("no", model.Stopped)
	if _, err := s.start("no", Each, true); !errors.Is(err, ErrDisabled) {
		t.Errorf("%v", err)
	}
	if _, err := s.start("no", Needed, true); err != errLeftOut {
		t.Errorf("%v", err)
	}
	// What becomes disabled runs on, and is not started again when it has ended.
	spec := *s.slot("yes").spec
	spec.Disabled = true
	a := s.core.application()
	s.core.redefine(a, s.slot("yes"), &definition{Spec: &spec}, nil)
	s.pass(time.Minute)
	s.state("yes", model.Running)
	s.core.Bounce(s.inst("yes"), "memory", "too much")
	s.pass(time.Minute)
	s.state("yes", model.Running)
	s.alive["yes"].end(model.Exit{Known: true, Status: 1})
	s.pass(time.Minute)
	s.state("yes", model.Exited)
}
