package core

import (
	"slices"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

func TestRenew(t *testing.T) {
	s := newStage(t)
	s.add("cat off", func(p *model.Program, _ *model.Group) { p.Start.Auto = p.ID.Name == "cat" })
	s.pass(2 * time.Second)
	s.state("cat", model.Running)
	id, gen := s.slot("cat").Program().ID, s.slot("cat").Status().Generation
	s.core.Renew(id, gen+1) // another instance
	s.core.Renew(model.ID{Group: "x", Name: "x"}, 1)
	s.core.Renew(s.slot("off").Program().ID, s.slot("off").Status().Generation)
	s.pass(time.Second)
	if now := s.slot("cat").Status(); now.Generation != gen || now.State != model.Running {
		t.Errorf("%s, generation %d", now.State, now.Generation)
	}
	s.state("off", model.Stopped)
	s.core.Renew(id, gen)
	s.pass(3 * time.Second)
	s.state("cat", model.Running)
	if now := s.slot("cat").Status(); now.Generation != gen+1 {
		t.Errorf("generation %d, was %d", now.Generation, gen)
	}
	s.core.Renew(id, gen) // the old one once more
	s.pass(time.Second)
	if now := s.slot("cat").Status(); now.Generation != gen+1 {
		t.Errorf("generation %d, was %d", now.Generation, gen)
	}
	if _, err := s.stop("cat", true); err != nil {
		t.Fatal(err)
	}
	s.core.Renew(id, gen+1)
	s.pass(3 * time.Second)
	s.state("cat", model.Stopped) // what somebody stopped stays so
}

// TestDrain: an ordered end waits for listeners that have events, but not for ever, and for nobody else. K39.
func TestDrain(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after time.Duration // until the listeners say that they have all; 0 = never
		least time.Duration
		most  time.Duration
	}{
		{"soon", 300 * time.Millisecond, 300 * time.Millisecond, time.Second},
		{"never", 0, drainPatience, drainPatience + time.Second},
	} {
		s := newStage(t)
		var asked []string
		s.core.drain = func(groups []string, done func()) {
			asked = append(asked, groups...)
			if tt.after > 0 {
				s.w.later(tt.after, done)
			}
			s.w.later(10*time.Second, done) // too late, and twice
		}
		s.add("l cat", func(_ *model.Program, g *model.Group) {
			if g.Name == "l" {
				g.Priority, g.Pool = -1, &model.Pool{}
			}
		})
		s.pass(2 * time.Second)
		began := s.w.now
		s.core.BeginEnd(model.DaemonShutdown)
		for !s.core.end.complete && s.w.now-began < time.Minute {
			s.pass(50 * time.Millisecond)
			if s.slot("cat").Status().State != model.Stopped && s.slot("l").Status().State != model.Running {
				t.Fatalf("%s: the listener was stopped first", tt.name)
			}
		}
		if took := s.w.now - began; took < tt.least || took > tt.most {
			t.Errorf("%s: it took %v", tt.name, took)
		}
		if !slices.Equal(asked, []string{"l"}) {
			t.Errorf("%s: asked for %v", tt.name, asked)
		}
		s.state("l", model.Stopped)
		s.pass(20 * time.Second)
	}
}

func TestAnnounced(t *testing.T) {
	s := newStage(t)
	s.core.announce = true
	s.add("cat", nil)
	s.add("dog", nil)
	var got []model.EventType
	events, _ := s.ring.Since(0, 0)
	for _, e := range events {
		got = append(got, e.Type)
	}
	want := []model.EventType{
		model.EventGroupAdded, model.EventDaemonRunning, model.EventProcessStarting, model.EventGroupAdded, model.EventProcessStarting,
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}
