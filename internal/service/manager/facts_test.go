package manager

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/explain"
	"github.com/upkeep-project/upkeep/internal/service"
)

func TestRecall(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(1000+s), 0) }
	web, db := model.ID{Group: "web", Name: "web"}, model.ID{Group: "db", Name: "db"}
	program := &model.Program{ID: web, Stop: model.StopPolicy{Wait: 10 * time.Second}}
	for _, c := range []struct {
		name          string
		state         model.State
		runs          []explain.Run
		events        []model.Event
		pid           int
		sent, killDue time.Time
	}{
		{name: "nothing is known", state: model.Fatal, runs: []explain.Run{{Start: at(1)}}},
		{
			name: "the last run", state: model.Backoff, runs: []explain.Run{{Start: at(1), PID: 5}, {Start: at(10)}},
			events: []model.Event{
				{ID: web, Type: model.EventProcessBackoff, Time: at(2), PID: 5},
				{ID: web, Type: model.EventProcessStarting, Time: at(10)},
				{ID: web, Type: model.EventProcessBackoff, Time: at(11), PID: 7},
				{ID: db, Type: model.EventProcessExited, Time: at(12), PID: 9},
			}, pid: 7,
		},
		{
			name: "the event of an earlier run says nothing", state: model.Fatal, runs: []explain.Run{{Start: at(10)}},
			events: []model.Event{{ID: web, Type: model.EventProcessExited, Time: at(2), PID: 5}},
		},
		{
			name: "it is being stopped", state: model.Stopping,
			events: []model.Event{{ID: web, Type: model.EventProcessStopping, Time: at(3)}, {ID: db, Type: model.EventProcessStopping, Time: at(4)}},
			sent:   at(3), killDue: at(13),
		},
		{name: "it was being stopped", state: model.Running, events: []model.Event{{ID: web, Type: model.EventProcessStopping, Time: at(3)}}},
	} {
		f := explain.Facts{Status: model.Status{ID: web, State: c.state, Program: program}, Runs: c.runs}
		recall(&f, c.events)
		pid := 0
		if n := len(f.Runs); n > 0 {
			pid = f.Runs[n-1].PID
		}
		if pid != c.pid || !f.StopSent.Equal(c.sent) || !f.KillDue.Equal(c.killDue) {
			t.Errorf("%s: pid %d, sent %v, due %v", c.name, pid, f.StopSent, f.KillDue)
		}
	}
}

// TestRemember: what is known of an instance is said of the run that it is about, and of no other.
func TestRemember(t *testing.T) {
	kill := model.Exit{Known: true, Signal: 9}
	for _, c := range []struct {
		name   string
		status model.Status
		want   explain.Run // By, Who and OOMKills
		by     string      // Facts.StoppedBy
	}{
		{"nothing is known", model.Status{State: model.Exited, Exit: kill}, explain.Run{}, ""},
		{"stopped", model.Status{State: model.Stopped, Generation: 2, Past: model.Past{Ended: 2, StopBy: "ann"}}, explain.Run{By: explain.Stop, Who: "ann"}, "ann"},
		{"stopped by force", model.Status{State: model.Stopped, Generation: 2, Past: model.Past{Ended: 2, StopBy: "ann", Forced: true}}, explain.Run{By: explain.Kill, Who: "ann"}, "ann"},
		{"stopped before this was kept", model.Status{State: model.Stopped}, explain.Run{By: explain.Stop}, ""},
		{"by a signal of ours", model.Status{State: model.Exited, Generation: 2, Exit: kill, Past: model.Past{Ended: 2, Signal: 9, SignalBy: "bob"}}, explain.Run{By: explain.SignalOrder, Who: "bob"}, ""},
		{"by another signal", model.Status{State: model.Exited, Generation: 2, Exit: kill, Past: model.Past{Ended: 2, Signal: 1, SignalBy: "bob"}}, explain.Run{}, ""},
		{"the signal was sent to the next one", model.Status{State: model.Running, Generation: 3, Exit: kill, Past: model.Past{Ended: 2, Signal: 9}}, explain.Run{}, ""},
		{"for lack of memory", model.Status{State: model.Running, Generation: 3, Exit: model.Exit{Known: true, Signal: 9, OOMKills: 2}, Past: model.Past{Ended: 2}}, explain.Run{OOMKills: 2}, ""},
		{"being stopped", model.Status{State: model.Stopping, Generation: 3, Past: model.Past{Ended: 2, StopBy: "ann"}}, explain.Run{}, "ann"},
	} {
		f := explain.Facts{Status: c.status, Runs: []explain.Run{{PID: 1}, {Exit: c.status.Exit}}}
		remember(&f)
		got := f.Runs[1]
		got.Exit = model.Exit{}
		if got != c.want || f.StoppedBy != c.by || f.Runs[0] != (explain.Run{PID: 1}) {
			t.Errorf("%s: %+v by %q", c.name, got, f.StoppedBy)
		}
	}
	f := explain.Facts{Status: model.Status{State: model.Running, Past: model.Past{Restarts: 3}}}
	remember(&f)
	if f.Restarts != 3 {
		t.Errorf("%d restarts", f.Restarts)
	}
}

// TestRunsOf: without an index of the log the status tells of the last run, also while the next one lives.
func TestRunsOf(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(1000+s), 0) }
	exit := model.Exit{Known: true, Status: 3}
	for _, c := range []struct {
		name string
		st   model.Status
		want []explain.Run
	}{
		{"none", model.Status{PID: 7, Start: at(5)}, nil},
		{"the last", model.Status{Start: at(5), Stop: at(9), Exit: exit}, []explain.Run{{Start: at(5), End: at(9), Exit: exit}}},
		{"the one before", model.Status{PID: 7, Start: at(10), Stop: at(9), Exit: exit, Past: model.Past{Ended: 1, Lasted: 2 * time.Second}}, []explain.Run{{Start: at(7), End: at(9), Exit: exit}}},
	} {
		got := runsOf(&c.st)
		if len(got) != len(c.want) || len(got) == 1 && got[0] != c.want[0] {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// TestWhyKnowsTheEnvironment that a program gets: with inherit_env=false nothing of the daemon's is in it.
func TestWhyKnowsTheEnvironment(t *testing.T) {
	for _, clear := range []bool{false, true} {
		g := group("app", 1, "quick")
		g.Programs[0].Command.Clear = clear
		g.Programs[0].IO.Stderr = model.Stream{Log: model.LogFile, Path: "err"}
		s := newStage(t, g)
		if err := os.WriteFile(filepath.Join(s.dir, "err"), []byte("error: TOWN is not set\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _ = s.Start(context.Background(), one("app"), service.WaitOutcome) // it fails
		s.until("it ends", func() bool { st, _ := s.Get(context.Background(), one("app").ID); return st.State == model.Exited })
		x, err := s.Why(context.Background(), one("app").ID)
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Contains(x.Checked, "the variable TOWN is not in the program's environment"); got != clear {
			t.Errorf("inherit_env=%t: %+v", !clear, x)
		}
	}
}

// TestWhyOfAMachineThatHangs: explanations share the places of those that never come back from a dead disk.
func TestWhyOfAMachineThatHangs(t *testing.T) {
	s := newStage(t, group("app", 1, "quick"))
	_, _ = s.Start(context.Background(), one("app"), service.WaitOutcome) // it fails
	s.until("it ends", func() bool { st, _ := s.Get(context.Background(), one("app").ID); return st.State == model.Exited })
	for {
		if _, ok := s.machine.Enter(); !ok {
			break
		}
	}
	x, err := s.Why(context.Background(), one("app").ID)
	if err != nil || !slices.ContainsFunc(x.Checked, func(l string) bool { return strings.Contains(l, "did not answer in time") }) {
		t.Errorf("%+v, %v", x, err)
	}
}

// judged are what checks have found.
type judged []model.CheckState

func (s judged) States(ids []model.ID) map[model.ID][]model.CheckState {
	return map[model.ID][]model.CheckState{ids[0]: s}
}

// TestUnwell: an explanation has what fails, and what cannot look.
func TestUnwell(t *testing.T) {
	m := &Manager{o: Options{Checks: judged{
		{Check: model.Check{Name: "a"}, Verdict: model.Passing, Text: "fine"},
		{Check: model.Check{Name: "b"}, Verdict: model.Failing, Text: "connection refused"},
		{Check: model.Check{Name: "c"}, Text: "cannot look: permission denied"},
		{Check: model.Check{Name: "d"}},
		{Check: model.Check{Name: "e"}, Disabled: "not on this system"},
	}}}
	want := []string{"check b fails: connection refused", "check c cannot look: permission denied", "check e does not look: not on this system"}
	if got := m.unwell(context.Background(), model.ID{Name: "x"}); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
