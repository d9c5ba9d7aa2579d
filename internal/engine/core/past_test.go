package core

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// past fails unless this is what is told of a program besides its state.
func (s *stage) pastIs(when, name string, want model.Past) {
	s.t.Helper()
	if d := cmp.Diff(want, s.slot(name).Status().Past); d != "" {
		s.t.Errorf("%s: (-want +got)\n%s", when, d)
	}
}

// TestPast: restarts are counted until somebody starts the program, and who stopped it or sent it a signal is known.
func TestPast(t *testing.T) {
	s := newStage(t)
	s.script["again"] = script{lives: 5 * time.Second, status: 3}
	s.script["never"] = script{lives: 100 * time.Millisecond, status: 1}
	s.script["deaf"] = script{stubborn: true}
	s.add("again never deaf", func(p *model.Program, _ *model.Group) {
		p.Start.Secs, p.Start.Retries, p.Exit.Restart, p.Stop.Wait = time.Second, 2, model.RestartAlways, 2*time.Second
	})
	s.pass(4 * time.Second)
	s.pastIs("at first", "again", model.Past{})
	s.pass(8 * time.Second)
	s.pastIs("after two ends", "again", model.Past{Restarts: 2, Ended: 2, Lasted: 5 * time.Second})
	s.pastIs("after the last try", "never", model.Past{Restarts: 2, Ended: 3, Lasted: 100 * time.Millisecond, Tries: 3})
	if st := s.slot("never").Status(); st.State != model.Fatal || st.Tries != 3 {
		t.Errorf("given up: %v after %d", st.State, st.Tries)
	}

	s.until(s.core.signalFor("ann", []*Slot{s.slot("again")}, Each, 15))
	s.pass(time.Millisecond)
	st := s.slot("again").Status()
	if st.Past.Restarts != 3 || st.Past.Signal != 0 || st.Past.Ended != 3 {
		t.Errorf("a signal that ended it belongs to the instance before: %+v", st.Past)
	}
	s.until(s.core.signalFor("ann", []*Slot{s.slot("deaf")}, Each, 1))
	s.pastIs("after a signal", "deaf", model.Past{Signal: 1, SignalBy: "ann"})
	s.until(s.core.stopFor("bob", []*Slot{s.slot("deaf")}, Each, true))
	st = s.slot("deaf").Status()
	if p := st.Past; p.StopBy != "bob" || !p.Forced || p.Ended != 1 || p.SignalBy != "ann" {
		t.Errorf("stopped by force: %+v", p)
	}
	if _, err := s.start("deaf", Each, true); err != nil {
		t.Fatal(err)
	}
	s.pastIs("after a start", "deaf", model.Past{Ended: 1, Lasted: st.Past.Lasted})
	if _, err := s.start("never", Each, false); err != nil {
		t.Fatal(err)
	}
	s.pastIs("after a start of what was given up", "never", model.Past{Ended: 3, Lasted: 100 * time.Millisecond})
}

// TestPastSurvives: it is in the record of the journal, and comes back from there.
func TestPastSurvives(t *testing.T) {
	s := newStage(t)
	s.add("a", nil)
	s.pass(2 * time.Second)
	slot := s.slot("a")
	slot.past = model.Past{Restarts: 4, Ended: 7, Lasted: time.Second, Tries: 2, StopBy: "ann", Forced: true, Signal: 1, SignalBy: "bob", Adopted: true}
	value, err := json.Marshal(s.core.record(slot))
	if err != nil {
		t.Fatal(err)
	}
	var r slotRecord
	if err := json.Unmarshal(value, &r); err != nil {
		t.Fatal(err)
	}
	again := &Slot{spec: slot.spec}
	again.restore(r)
	if d := cmp.Diff(slot.past, again.Status().Past); d != "" {
		t.Error(d)
	}
}
