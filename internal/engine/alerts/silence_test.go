package alerts

import (
	"testing"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// TestStoppedWhileUnhealthy: that somebody stops what is not well is no recovery, and a start after it is none either.
func TestStoppedWhileUnhealthy(t *testing.T) {
	r := newRig(t, ops(when(model.TriggerUnhealthy, model.TriggerFatal, model.TriggerRecovered)...))
	w := r.program("web")
	w.Program.Checks = []model.Check{{Name: "http", Kind: model.CheckHTTP, Action: model.CheckAlert}}
	r.up(w, false)
	r.a.Happened(model.Event{Time: r.now, ID: w.ID, Type: model.EventCheckFailed, Kind: "http", Data: []byte("503")})
	r.journal.Flush()
	r.wait(minute)
	r.got("mailto:ops@x [web-3] UNHEALTHY shop:web, http: 503")
	r.enter(w, model.Stopping)
	r.die(w, model.Exit{Known: true, Signal: 15}, model.Stopped)
	r.wait(10 * minute)
	r.up(w, false)
	r.wait(10 * minute)
	r.got()
}

// TestFoundRunning: a program that ran all the time and was taken over is not one that was started.
func TestFoundRunning(t *testing.T) {
	r := newRig(t, ops(when(model.TriggerStarted, model.TriggerRestart)...))
	a, b := r.program("a"), r.program("b")
	r.a.Expect([]model.ID{a.ID, b.ID})
	for _, w := range []*model.Status{a, b} {
		r.enter(w, model.Starting)
		w.Generation++
		w.Past = w.Past.Begin(false)
		w.Past.Adopted = w == a
		w.PID, w.Start = 7, r.now
		r.enter(w, model.Running)
	}
	r.wait(10 * minute)
	r.got("mailto:ops@x [web-3] STARTED shop:b, by autostart")
}
