package httpapi

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

func TestHealth(t *testing.T) {
	live := model.CheckState{Check: model.Check{Name: "page"}, Verdict: model.Passing, Text: "200 OK"}
	bad := live
	bad.Check.Name, bad.Verdict, bad.Text = "heap", model.Failing, "612 MB, limit 512 MB"
	start := bad
	start.Check.Stage = model.StageStartup
	for _, c := range []struct {
		list                  []model.CheckState
		state                 string
		health, text, summary string
	}{
		{nil, "RUNNING", "none", "", "as it was"},
		{[]model.CheckState{live}, "RUNNING", "healthy", "", "as it was"},
		{[]model.CheckState{live, start}, "RUNNING", "healthy", "", "as it was"},
		{[]model.CheckState{live, bad}, "RUNNING", "unhealthy", "heap: 612 MB, limit 512 MB", "unhealthy, heap: 612 MB, limit 512 MB"},
		{[]model.CheckState{bad}, "STOPPING", "unhealthy", "heap: 612 MB, limit 512 MB", "as it was"},
	} {
		v := upkeep.Process{State: c.state, Summary: "as it was"}
		health(&v, c.list)
		if v.Health != c.health || v.HealthText != c.text || v.Summary != c.summary {
			t.Errorf("%+v: %q, %q, %q", c.list, v.Health, v.HealthText, v.Summary)
		}
	}
}

func TestCheckView(t *testing.T) {
	at := time.Unix(1000, 0)
	k := model.CheckState{
		Check:   model.Check{Name: "page", Kind: model.CheckHTTP, Target: "http://x/", Action: model.CheckAlert},
		Verdict: model.Failing, Text: "503", At: at, Took: 250 * time.Millisecond, Looks: 7, Failed: 3, Acted: 1,
	}
	want := upkeep.Check{
		Name: "page", Kind: "http", Stage: "live", Action: "alert", Definition: k.Check.String(), Verdict: "failing",
		Text: "503", Time: &at, Took: 0.25, Looks: 7, Failed: 3, Acted: 1,
	}
	if d := cmp.Diff(want, check(&k)); d != "" {
		t.Error(d)
	}
	k = model.CheckState{Check: model.Check{Name: "up", Kind: model.CheckNotify, Stage: model.StageReady}, Disabled: "not here"}
	want = upkeep.Check{Name: "up", Kind: "notify", Stage: "ready", Definition: k.Check.String(), Verdict: "none", Disabled: "not here"}
	if d := cmp.Diff(want, check(&k)); d != "" {
		t.Error(d)
	}
}
