package alerts

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/alerts/report"
)

// TestSecretsEverywhere: whatever a message is made of, from wherever it comes, no secret is in it, nor in a reminder.
// Source: spec/reliability S25.
func TestSecretsEverywhere(t *testing.T) {
	const canary = "hunter2"
	all := ops(when(model.TriggerFatal, model.TriggerRecovered, model.TriggerUnhealthy, model.TriggerCheck, model.TriggerRestart, model.TriggerDaemon, model.TriggerBackoff)...)
	all.Repeat = time.Hour
	r := newRig(t, all)
	r.a.o.Explain = func(context.Context, model.ID) []report.Fact {
		return []report.Fact{{Name: "checked", Text: "nothing answers at postgres://app:" + canary + "@db/x"}}
	}
	r.a.o.Tail = func(model.Status) (string, []string) {
		return "stderr", []string{"export DB_PASSWORD='" + canary + "'", "Authorization: Bearer " + canary}
	}
	w := r.program("worker")
	w.Program.Checks = []model.Check{{Name: "http", Kind: model.CheckHTTP, Action: model.CheckAlert}}
	r.up(w, false)
	r.wait(minute)
	r.a.Trouble("configuration", "the configuration is not applied: /etc/x:3: api_key="+canary+" is no number")
	r.a.Happened(model.Event{Time: r.now, ID: w.ID, Type: model.EventCheckFailed, Kind: "http", Data: []byte("503 token: " + canary)})
	r.journal.Flush()
	r.wait(5 * minute)
	r.die(w, model.Exit{Reason: "nobody knows, secret=" + canary}, model.Backoff)
	r.enter(w, model.Fatal)
	r.wait(3 * time.Hour)
	r.up(w, false)
	r.wait(time.Hour)
	kinds := map[string]bool{}
	hidden, reminders := 0, 0
	for _, m := range r.mails.all {
		kinds[m.Kind] = true
		text := m.Subject() + "\n" + m.Text()
		if strings.Contains(text, canary) {
			t.Errorf("%s", text)
		}
		hidden += strings.Count(text, report.Hidden)
		if m.Reminder {
			reminders++
		}
	}
	for _, kind := range []model.TriggerKind{model.TriggerFatal, model.TriggerRecovered, model.TriggerUnhealthy, model.TriggerDaemon} {
		if !kinds[kind.String()] {
			t.Errorf("nothing is told of %s: %v", kind, r.mails.got)
		}
	}
	if hidden < 8 || reminders < 2 {
		t.Errorf("%d secrets are hidden, %d reminders", hidden, reminders)
	}
}
