package tally

import (
	"testing"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// world is one program and what is known of it.
type world struct {
	t  *Tally
	st model.Status
}

func newWorld() *world {
	w := &world{st: model.Status{ID: model.ID{Group: "g", Name: "p"}}}
	w.t = New(func(id model.ID) (model.Status, bool) { return w.st, id == w.st.ID })
	return w
}

func (w *world) enter(s model.State, from model.State) model.Event {
	w.st.State = s
	return model.Event{Type: model.StateEvent(s), ID: w.st.ID, From: from}
}

// start is a start, by itself or not, up to RUNNING.
func (w *world) start(byItself bool, from model.State) {
	w.st.Generation++
	w.t.Happened(w.enter(model.Starting, from))
	w.st.Past = w.st.Past.Begin(byItself)
	w.st.PID = 7
	w.t.Happened(w.enter(model.Running, model.Starting))
}

// end is the end of the present process. autorestart: what is announced is announced when the next is decided on.
func (w *world) end(x model.Exit, to, from model.State, expected bool) {
	w.st.PID, w.st.Exit, w.st.Past.Ended = 0, x, w.st.Generation
	e := w.enter(to, from)
	e.Expected = expected
	w.st.Generation++ // the machine is in STARTING already
	w.t.Happened(e)
	w.st.Generation--
}

func (w *world) want(t *testing.T, when string, restarts [model.NumRestartReasons]uint64, exits [model.NumExitKinds]uint64, failures uint64) {
	t.Helper()
	got := w.t.Counts([]model.ID{w.st.ID})[0]
	if got.Restarts != restarts || got.Exits != exits || got.StartFailures != failures {
		t.Errorf("%s: %+v, want %v %v %d", when, got, restarts, exits, failures)
	}
}

// TestReasons: each start and each end is counted once, by what was the reason.
func TestReasons(t *testing.T) {
	w := newWorld()
	type r = [model.NumRestartReasons]uint64
	type x = [model.NumExitKinds]uint64
	w.start(false, model.Stopped)
	w.want(t, "the first start is no restart", r{}, x{}, 0)
	w.end(model.Exit{Known: true}, model.Exited, model.Running, true)
	w.start(true, model.Exited)
	w.want(t, "0, and by itself", r{1}, x{1}, 0)
	w.end(model.Exit{Known: true, Status: 3}, model.Exited, model.Running, false)
	w.start(true, model.Exited)
	w.end(model.Exit{Known: true, Signal: 11}, model.Exited, model.Running, false)
	w.start(true, model.Exited)
	w.want(t, "3, and a signal", r{2, 1}, x{1, 1, 1}, 0)
	w.end(model.Exit{Known: true, Signal: 9, OOMKills: 1}, model.Exited, model.Running, false)
	w.start(true, model.Exited)
	w.want(t, "no memory", r{2, 1, 1}, x{1, 1, 1, 1}, 0)
	w.end(model.Exit{Reason: "nobody saw it"}, model.Exited, model.Running, false)
	w.start(true, model.Exited)
	w.want(t, "unknown", r{2, 1, 1, 0, 1}, x{1, 1, 1, 1, 0, 1}, 0)
	w.st.Past.Check = "http"
	w.t.Happened(w.enter(model.Stopping, model.Running))
	w.end(model.Exit{Known: true, Signal: 15}, model.Stopped, model.Stopping, true)
	w.start(true, model.Stopped)
	w.want(t, "a check", r{2, 1, 1, 1, 1}, x{1, 1, 1, 1, 1, 1}, 0)
	w.t.Happened(w.enter(model.Stopping, model.Running))
	w.end(model.Exit{Known: true, Signal: 15}, model.Stopped, model.Stopping, true)
	w.start(false, model.Stopped)
	w.want(t, "somebody", r{2, 1, 1, 1, 1, 1}, x{1, 1, 1, 1, 2, 1}, 0)
}

// TestFailures: attempts that fail, with and without a process, and waiting that is none.
func TestFailures(t *testing.T) {
	w := newWorld()
	w.st.Generation = 1
	w.t.Happened(w.enter(model.Starting, model.Stopped))
	w.st.Past = w.st.Past.Begin(false)
	w.st.Exit, w.st.Past.Ended = model.Exit{Known: true, Status: 1}, 1
	back := w.enter(model.Backoff, model.Starting)
	back.Tries = 1
	w.t.Happened(back)
	w.st.Generation = 2
	w.t.Happened(w.enter(model.Starting, model.Backoff))
	w.st.Past = w.st.Past.Begin(true)
	w.t.Happened(back) // it could not be executed: there was no process
	w.st.Generation = 3
	w.t.Happened(w.enter(model.Starting, model.Backoff))
	w.st.Past = w.st.Past.Begin(true)
	w.t.Happened(w.enter(model.Fatal, model.Backoff))
	wait := w.enter(model.Backoff, model.Exited)
	w.t.Happened(wait)
	w.want(t, "two failures", [model.NumRestartReasons]uint64{model.RestartExit: 1, model.RestartSpawn: 1},
		[model.NumExitKinds]uint64{model.ExitUnexpected: 1}, 2)
}

// TestAfterTakeover: what a predecessor has counted is not counted again.
func TestAfterTakeover(t *testing.T) {
	w := newWorld()
	w.st.Generation, w.st.Past.Ended, w.st.Exit = 5, 4, model.Exit{Known: true, Status: 1}
	w.t.Happened(w.enter(model.Running, model.Starting))
	w.want(t, "found", [model.NumRestartReasons]uint64{}, [model.NumExitKinds]uint64{}, 0)
	w.st.Generation = 6
	w.t.Happened(w.enter(model.Starting, model.Exited))
	w.want(t, "found STARTING", [model.NumRestartReasons]uint64{}, [model.NumExitKinds]uint64{}, 0)
}

// TestForgotten: programs that are not there, or not any more, have no counts; the events stay counted.
func TestForgotten(t *testing.T) {
	w := newWorld()
	w.start(false, model.Stopped)
	w.end(model.Exit{Known: true}, model.Exited, model.Running, true)
	w.t.Flows(w.st.ID)[1].Dropped.Add(3)
	if c := w.t.Counts([]model.ID{{Group: "x", Name: "y"}, w.st.ID}); c[0] != (model.Counts{}) || c[1].Dropped[1] != 3 || c[1].Exits[0] != 1 {
		t.Errorf("%+v", c)
	}
	w.t.Happened(model.Event{Type: model.EventProcessExited, ID: model.ID{Group: "x", Name: "y"}})
	w.t.Happened(model.Event{Type: model.EventTick5})
	w.t.Happened(model.Event{Type: model.EventGroupRemoved, ID: model.ID{Group: "g"}})
	if c := w.t.Counts([]model.ID{w.st.ID}); c[0] != (model.Counts{}) {
		t.Errorf("%+v", c)
	}
	if ev := w.t.Events(); ev[model.EventProcessExited] != 2 || ev[model.EventTick5] != 1 || ev[model.EventProcessRunning] != 1 {
		t.Errorf("%v", ev)
	}
}
