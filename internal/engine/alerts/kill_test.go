package alerts

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// life is everything that people can be told of, of two programs and of the daemon; so many events are read at once.
func life(r *rig, together int) {
	n := 0
	a, b := r.program("a"), r.program("b")
	a.Program.Checks = []model.Check{{Name: "http", Kind: model.CheckHTTP, Action: model.CheckAlert}, {Name: "memory"}}
	b.Program.Checks = a.Program.Checks
	step := func(do func()) {
		do()
		if n++; n%together == 0 {
			r.turn()
		}
		r.now = r.now.Add(time.Second)
	}
	check := func(st *model.Status, name string, t model.EventType) {
		r.a.Happened(model.Event{Time: r.now, ID: st.ID, Kind: name, Data: []byte("503"), Type: t})
		r.journal.Flush()
	}
	r.a.Expect([]model.ID{a.ID})
	step(func() { r.up(a, false) })
	r.a.Expect(nil)
	step(func() { r.up(b, false) })
	r.wait(minute)
	for range 2 { // restarts, the second of which is one too many
		step(func() { r.die(a, model.Exit{Known: true, Signal: 9, OOMKills: 1}, model.Exited) })
		step(func() { r.up(a, true) })
	}
	step(func() { check(a, "http", model.EventCheckFailed) })
	step(func() { check(b, "http", model.EventCheckFailed) })
	r.wait(2 * minute)
	r.checks[a.ID] = []model.CheckState{{Check: a.Program.Checks[0], Verdict: model.Passing}}
	r.checks[b.ID] = r.checks[a.ID]
	r.wait(2 * minute) // both are well again, and no event says so
	step(func() { check(b, "memory", model.EventCheckFailed) })
	step(func() { check(b, "memory", model.EventCheckAction) })
	b.Past.Check, b.Past.CheckText = "memory", "503"
	step(func() { r.enter(b, model.Stopping) })
	step(func() { r.die(b, model.Exit{Known: true, Signal: 15}, model.Stopped) })
	step(func() { r.up(b, true) })
	step(func() { r.a.Trouble("logs", "no space left"); r.journal.Flush() })
	r.wait(minute)
	step(func() { r.a.Over("logs"); r.journal.Flush() })
	for range 2 {
		step(func() { r.die(a, code(3), model.Backoff) })
		step(func() { r.enter(a, model.Starting); a.Generation++; a.Start = r.now })
	}
	step(func() { r.die(a, code(3), model.Backoff) })
	step(func() { r.die(b, code(3), model.Backoff) })
	r.wait(minute)
	step(func() { r.enter(a, model.Fatal) })
	step(func() { r.enter(b, model.Fatal) })
	r.wait(20 * minute)
	step(func() { r.up(a, false) })
	r.wait(20 * minute)
	step(func() { r.enter(a, model.Stopping) })
	step(func() { r.die(a, code(0), model.Stopped) })
	r.wait(2 * time.Hour)
}

// TestKilledAnywhere: at whichever write to the disk this process is killed, people are told the same, each thing once; what
// was on its way comes again with the same id.
func TestKilledAnywhere(t *testing.T) {
	all := ops(when(model.TriggerFatal, model.TriggerUnhealthy, model.TriggerCheck, model.TriggerOOM, model.TriggerRestart,
		model.TriggerStarted, model.TriggerRecovered, model.TriggerDaemon)...)
	all.Repeat = time.Hour
	few := &model.Notifier{Name: "few", To: []string{"mailto:x@x", "mailto:y@x"}, On: []model.Trigger{
		{Kind: model.TriggerBackoff, Count: 2},
		{Kind: model.TriggerRestart, Count: 2, Within: 10 * minute},
		{Kind: model.TriggerRecovered},
		{Kind: model.TriggerDaemon},
	}}
	told := func(together, turn, ops int) (got []string, r *rig) {
		r = newRig(t, all, few)
		r.quiet = true
		r.killTurn, r.killOps = turn, ops
		life(r, together)
		seen := map[string]bool{}
		for i, m := range r.mails.all {
			if m.ID == "" || !seen[m.ID] {
				text, _, _ := strings.Cut(r.mails.got[i], " after ") // a look comes earlier in a new process
				got = append(got, fmt.Sprint(m.Notifier, " ", text, " ", len(m.Items), " ", m.Items[0].Times))
			}
			seen[m.ID] = true
		}
		slices.Sort(got)
		return got, r
	}
	for _, together := range []int{1, 3} {
		want, whole := told(together, 0, 0)
		if len(want) != 21 {
			t.Errorf("%d messages: %q", len(want), want)
		}
		for turn, writes := range whole.writes {
			if testing.Short() && turn%20 != 0 || writes == 0 {
				continue
			}
			for ops := range writes + 1 {
				got, _ := told(together, turn+1, ops)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("killed in turn %d after %d of %d writes (-want +got): %s", turn, ops, writes, diff)
				}
			}
		}
	}
}
