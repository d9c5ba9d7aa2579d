package manager

import (
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/explain"
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
