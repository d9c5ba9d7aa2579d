package core

import (
	"errors"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// TestBounceObeys: a check has nothing started anew that may not be started, that is about to be stopped, or that a daemon
// which has crashed too often is to leave alone.
func TestBounceObeys(t *testing.T) {
	for name, set := range map[string]func(s *stage, app *Slot){
		"disabled": func(s *stage, app *Slot) {
			spec := *app.spec
			spec.Disabled = true
			s.core.redefine(s.core.application(), app, &definition{Spec: &spec}, nil)
		},
		"safe": func(s *stage, _ *Slot) { s.core.safe = true },
		"it is to be stopped when what depends on it is gone": func(s *stage, _ *Slot) {
			s.core.stop(s.core.Table().ByPriority(), Each, true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			s.script["web"] = script{dies: time.Second}
			s.add("app web", after("web=app:started"))
			s.pass(10 * time.Second)
			set(s, s.slot("app"))
			s.pass(time.Millisecond)
			i := s.inst("app")
			s.core.Bounce(i, "memory", "too much")
			s.pass(time.Millisecond)
			if st := s.slot("app").Status(); st.State != model.Running || st.Generation != i.Gen || st.Past.Check != "" {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestProvedStaysProved: a startup check that is late in failing changes nothing for a start that has succeeded.
func TestProvedStaysProved(t *testing.T) {
	s := newStage(t)
	s.add("app", only("app", checked(model.StageStartup)))
	s.pass(2 * time.Second)
	i := s.inst("app")
	s.core.Proved(i)
	s.pass(2 * time.Second)
	s.state("app", model.Running)
	s.core.StartFailed(i, "c", "late")
	s.pass(time.Minute)
	if st := s.slot("app").Status(); st.State != model.Running || st.Generation != i.Gen || st.Past.Check != "" {
		t.Errorf("%+v", st)
	}
}

// TestAdoptedIsThere: who waits for a program is started when that is adopted.
func TestAdoptedIsThere(t *testing.T) {
	s := newStage(t)
	s.add("app db", each(after("app=db:ready"), only("db", func(p *model.Program) { p.Start.Auto = false })))
	s.until(s.core.stop([]*Slot{s.slot("db")}, Needed, true)) // a person's wish: nobody starts it for app
	s.pass(5 * time.Second)
	s.waits("app", "db: ready")
	if err := s.core.adoptForeign(s.slot("db"), &foreigner{s: s, pid: 4711, since: s.w.now - time.Minute}); err != nil {
		t.Fatal(err)
	}
	s.pass(5 * time.Second)
	s.state("app", model.Running)
}

// TestNeededButDisabled: what may not be started is not started because something else needs it, whoever starts that.
func TestNeededButDisabled(t *testing.T) {
	for _, auto := range []bool{true, false} {
		s := newStage(t)
		s.add("app db", each(after("app=db:started"), only("db", func(p *model.Program) { p.Disabled = true }), func(p *model.Program, _ *model.Group) { p.Start.Auto = auto }))
		s.pass(5 * time.Second)
		if !auto {
			if _, err := s.start("app", Each, true); !errors.Is(err, ErrDependency) {
				t.Error(err)
			}
		}
		s.pass(time.Minute)
		s.state("db", model.Stopped)
		if s.alive["db"] != nil || s.alive["app"] != nil {
			t.Error("what is disabled was started, or what needs it")
		}
	}
}
