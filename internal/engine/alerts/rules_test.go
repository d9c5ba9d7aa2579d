package alerts

import (
	"context"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/alerts/report"
)

// check tells what a check of a program has found, or has done.
func (r *rig) check(st *model.Status, t model.EventType, name string) {
	r.a.Happened(model.Event{Time: r.now, ID: st.ID, Kind: name, Data: []byte("503"), Type: t})
	r.journal.Flush()
}

// bounce is what a check does: it ends the instance, and the next one comes up.
func (r *rig) bounce(st *model.Status) {
	r.check(st, model.EventCheckAction, "http")
	r.enter(st, model.Stopping)
	r.die(st, model.Exit{Known: true, Signal: 15}, model.Stopped)
	r.turn()
	r.up(st, true)
}

// TestWhatIsTold goes through what can happen to a program, one thing at a time.
func TestWhatIsTold(t *testing.T) {
	restart := when(model.TriggerRestart)
	checks := []model.Check{
		{Name: "http", Kind: model.CheckHTTP, Action: model.CheckRestart}, {Name: "port", Kind: model.CheckTCP, Stage: model.StageReady},
	}
	for _, c := range []struct {
		name    string
		on      []model.Trigger
		happens func(r *rig, w *model.Status)
		want    string
	}{
		{"a check has a program started anew, once for all", when(model.TriggerCheck, model.TriggerRestart, model.TriggerRecovered), func(r *rig, w *model.Status) {
			r.up(w, false)
			r.check(w, model.EventCheckFailed, "http")
			r.bounce(w)
		}, "RESTARTED"},
		{"that is no other restart", restart, func(r *rig, w *model.Status) {
			r.up(w, false)
			r.bounce(w)
		}, ""},
		{"it has helped", when(model.TriggerUnhealthy, model.TriggerRecovered), func(r *rig, w *model.Status) {
			r.up(w, false)
			r.check(w, model.EventCheckFailed, "http")
			r.wait(minute)
			r.now = r.now.Add(minute) // so that it is looked at while it is STOPPED
			r.bounce(w)
		}, "UNHEALTHY RECOVERED"},
		{"an instance that is told again is not the next one", when(model.TriggerUnhealthy, model.TriggerRecovered), func(r *rig, w *model.Status) {
			r.up(w, false)
			r.check(w, model.EventCheckFailed, "http")
			r.wait(minute)
			r.checks[w.ID] = []model.CheckState{{Check: checks[0], Verdict: model.Failing}}
			r.enter(w, model.Running)
		}, "UNHEALTHY"},
		{"nor is it one more restart", restart, func(r *rig, w *model.Status) {
			r.up(w, false)
			r.die(w, code(1), model.Exited)
			r.up(w, true)
			r.wait(11 * minute)
			r.enter(w, model.Running)
		}, "RESTARTED"},
		{"a check has acted before, and a person stops the next instance", when(model.TriggerCheck), func(r *rig, w *model.Status) {
			r.up(w, false)
			r.check(w, model.EventCheckAction, "http")
			r.die(w, code(1), model.Exited) // before it could be stopped
			r.enter(w, model.Starting)
			w.Generation++
			r.enter(w, model.Stopping)
		}, ""},
		{"what others wait for is not there", when(model.TriggerUnhealthy), func(r *rig, w *model.Status) {
			r.up(w, false)
			r.check(w, model.EventCheckFailed, "port")
		}, ""},
		{"autorestart=true after an expected end", restart, func(r *rig, w *model.Status) {
			w.Program.Exit.Restart = model.RestartAlways
			r.up(w, false)
			w.Exit, w.Stop, w.PID, w.State = code(0), r.now, 0, model.Exited
			w.Past.Ended = w.Generation
			r.a.Happened(model.Event{Time: r.now, Type: model.EventProcessExited, ID: w.ID, From: model.Running, Expected: true})
			r.turn()
			r.up(w, true)
		}, "RESTARTED"},
		{"one that ran before anybody was told of it", restart, func(r *rig, w *model.Status) {
			w.State, w.Generation, w.Start = model.Running, 1, r.now
			r.die(w, code(1), model.Exited)
			r.up(w, true)
		}, "RESTARTED"},
		{"the first start comes about at the second try", restart, func(r *rig, w *model.Status) {
			r.enter(w, model.Starting)
			w.Generation, w.Start = 1, r.now
			r.die(w, code(1), model.Backoff)
			r.up(w, true)
		}, ""},
		{"somebody starts what does not stay up", restart, func(r *rig, w *model.Status) {
			r.up(w, false)
			r.die(w, code(1), model.Backoff)
			r.up(w, false)
		}, ""},
		{"an ordered end, and the next daemon", when(model.TriggerStarted, model.TriggerRestart), func(r *rig, w *model.Status) {
			r.up(w, false)
			r.a.Happened(model.Event{Time: r.now, Type: model.EventDaemonStopping})
			r.enter(w, model.Stopping)
			r.die(w, code(0), model.Stopped)
			r.turn()
			r.restart()
			r.a.Expect([]model.ID{w.ID})
			r.up(w, false)
		}, "STARTED by autostart"},
		{"no memory, and the restart after it", when(model.TriggerOOM, model.TriggerRestart), func(r *rig, w *model.Status) {
			r.up(w, false)
			r.die(w, model.Exit{Known: true, Signal: 9, OOMKills: 1}, model.Exited)
			r.up(w, true)
		}, "OOM"},
		{"a clock that is set back does not make old restarts new ones", []model.Trigger{{Kind: model.TriggerRestart, Count: 2, Within: minute}}, func(r *rig, w *model.Status) {
			r.up(w, false)
			for range 2 {
				r.die(w, code(1), model.Exited)
				r.up(w, true)
				r.turn()
				r.now = r.now.Add(-2 * minute)
			}
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, ops(c.on...))
			w := r.program("web")
			w.Program.Checks = checks
			c.happens(r, w)
			r.wait(minute)
			got := told(r)
			if len(r.mails.all) == 1 && got == "STARTED" {
				got += " " + r.mails.all[0].Items[0].Headline
			}
			if got != c.want {
				t.Errorf("told: %q, want %q", got, c.want)
			}
		})
	}
}

// TestMoreIsNoDelay: what joins a message that is about to be told does not put it off.
func TestMoreIsNoDelay(t *testing.T) {
	r := newRig(t, ops(when(model.TriggerUnhealthy, model.TriggerFatal)...))
	w := r.program("web")
	w.Program.Checks = []model.Check{{Name: "http", Kind: model.CheckHTTP, Action: model.CheckAlert}}
	r.up(w, false)
	r.check(w, model.EventCheckFailed, "http")
	r.wait(20 * time.Second)
	r.fatal(w)
	r.wait(11 * time.Second)
	if got := told(r); got != "FATAL" {
		t.Errorf("told: %q", got)
	}
}

// TestExplained: causes are looked for of a few of each message, and of none that is up again.
func TestExplained(t *testing.T) {
	r := newRig(t, ops(when(model.TriggerFatal)...))
	asked := 0
	r.a.o.Explain = func(context.Context, model.ID) []report.Fact { asked++; return nil }
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o"} {
		r.fatal(r.program(name))
	}
	r.wait(minute)
	if asked != report.Detailed {
		t.Errorf("%d are explained, want %d", asked, report.Detailed)
	}
	w := r.program("well")
	r.fatal(w)
	r.wait(20 * time.Second)
	r.up(w, false)
	r.wait(minute)
	if asked != report.Detailed {
		t.Error("one that is up again is explained")
	}
}
