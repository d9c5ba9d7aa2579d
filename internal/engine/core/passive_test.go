package core

import (
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// TestPassive: nothing comes by itself, neither at the beginning nor when something ends or a check fails; what a person
// orders is done, once.
func TestPassive(t *testing.T) {
	s := newStage(t)
	s.core.passive = true
	s.add("cat bad", func(p *model.Program, _ *model.Group) {
		p.Start.Auto, p.Exit.Restart, p.Start.Retries = true, model.RestartAlways, 5
	})
	s.pass(10 * time.Second)
	s.state("cat", model.Stopped)
	if _, err := s.start("cat", Each, true); err != nil {
		t.Fatal(err)
	}
	cat := s.slot("cat")
	s.core.Bounce(Instance{cat, cat.Status().Generation}, "health", "it fails")
	s.pass(time.Second)
	if st := cat.Status(); st.Generation != 1 || st.State != model.Running {
		t.Errorf("a check has started it anew: %s, generation %d", st.State, st.Generation)
	}
	cat.proc.(*actor).end(model.Exit{Known: true})
	s.pass(time.Minute)
	s.state("cat", model.Exited)
	if st := cat.Status(); st.Generation != 1 {
		t.Errorf("it was started %d times", st.Generation)
	}
	o := s.core.start([]*Slot{s.slot("bad")}, Each, true)
	s.pass(10 * time.Millisecond)
	s.slot("bad").proc.(*actor).end(model.Exit{Known: true, Status: 1, Raw: 1 << 8})
	if out, _ := s.until(o); len(out) != 1 || out[0].Err == nil {
		t.Errorf("%+v", out)
	}
	s.pass(time.Minute)
	s.state("bad", model.Fatal)
	if st := s.slot("bad").Status(); st.Generation != 1 {
		t.Errorf("it was tried %d times", st.Generation)
	}
}

// TestAutostart: what is down and starts by itself is started, but not what was stopped by a person.
func TestAutostart(t *testing.T) {
	s := newStage(t)
	s.add("auto other off", func(p *model.Program, _ *model.Group) {
		p.Start.Auto, p.Exit.Restart = p.ID.Name != "off", model.RestartNever
	})
	s.pass(2 * time.Second)
	for _, name := range []string{"auto", "other"} {
		s.slot(name).proc.(*actor).end(model.Exit{Known: true})
	}
	s.pass(time.Second)
	s.core.keep.wished[s.slot("other").Program().ID] = false
	var told []model.ID
	s.core.post(func() { s.core.Autostart(func(ids []model.ID) { told = ids }) })
	s.pass(2 * time.Second)
	if len(told) != 1 || told[0].Name != "auto" {
		t.Errorf("%v are told to come", told)
	}
	s.state("auto", model.Running)
	s.state("off", model.Stopped)
	if s.slot("other").Status().State.Up() {
		t.Error("what was stopped by a person is started")
	}
}

// TestGentle: a changed definition ends nothing and counts from the next start on.
func TestGentle(t *testing.T) {
	s := newStage(t)
	s.core.gentle = true
	s.add("cat", func(p *model.Program, _ *model.Group) { p.Start.Auto = true })
	s.pass(2 * time.Second)
	old := s.slot("cat").Program()
	next := *old
	next.Command.Line = "/bin/dog"
	g := &model.Group{Name: old.ID.Group, Programs: []*model.Program{&next}}
	if err := s.core.apply(s.core.application(), Change{Groups: []NewGroup{{Spec: g, Logs: make([]LogPaths, 1)}}}); err != nil {
		t.Fatal(err)
	}
	s.pass(10 * time.Second)
	if st := s.slot("cat").Status(); st.State != model.Running || st.Generation != 1 || st.Program != old {
		t.Errorf("%s, generation %d, %s", st.State, st.Generation, st.Program.Command.Line)
	}
	if _, err := s.stop("cat", true); err != nil {
		t.Fatal(err)
	}
	if _, err := s.start("cat", Each, true); err != nil {
		t.Fatal(err)
	}
	if st := s.slot("cat").Status(); st.Program != &next || st.Generation != 2 {
		t.Errorf("generation %d, %s", st.Generation, st.Program.Command.Line)
	}
}
