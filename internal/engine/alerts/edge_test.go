package alerts

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/alerts/deliver"
	"github.com/upkeep-project/upkeep/internal/engine/alerts/report"
)

// fatal gives up a program.
func (r *rig) fatal(st *model.Status) {
	r.die(st, code(1), model.Backoff)
	r.enter(st, model.Fatal)
}

// restart makes the next process after a kill.
func (r *rig) restart() {
	r.journal, r.store = r.journal.killed(), r.store.killed()
	r.boot()
}

// TestRestartsAreCounted: the number is that of the restarts, however fast they come, and whatever else the notifier tells.
func TestRestartsAreCounted(t *testing.T) {
	five := model.Trigger{Kind: model.TriggerRestart, Count: 5, Within: 10 * minute}
	r := newRig(t, &model.Notifier{Name: "five", To: []string{"mailto:five@x"}, On: []model.Trigger{five}},
		&model.Notifier{Name: "both", To: []string{"mailto:both@x"}, On: []model.Trigger{{Kind: model.TriggerRestart}, five}})
	w := r.program("web")
	r.up(w, false)
	for range 8 {
		r.wait(time.Second)
		r.die(w, code(1), model.Exited)
		r.up(w, true)
	}
	r.wait(minute)
	if len(r.mails.all) != 2 {
		t.Fatalf("%q", r.mails.got)
	}
	for _, m := range r.mails.all {
		if m.Items[0].Times != 8 {
			t.Errorf("%s: %d times", m.Notifier, m.Items[0].Times)
		}
	}
}

// TestOverWithoutEvent: an incident does not outlast what it tells of, also where no event has said that it is over.
func TestOverWithoutEvent(t *testing.T) {
	n := ops(when(model.TriggerFatal, model.TriggerUnhealthy, model.TriggerRecovered)...)
	n.Repeat = time.Hour
	for name, c := range map[string]struct {
		change func(*rig, *model.Status)
		want   []string
	}{
		"lasts":               {func(*rig, *model.Status) {}, []string{"mailto:ops@x [web-3] STILL FATAL shop:web, exit 1 after 1m, gave up after 1 try"}},
		"not started at boot": {func(r *rig, w *model.Status) { *w = model.Status{Program: w.Program, ID: w.ID}; r.restart() }, nil},
		"disabled": {func(_ *rig, w *model.Status) {
			p := *w.Program
			p.Disabled = true
			w.Program = &p
		}, nil},
		"runs":   {func(r *rig, w *model.Status) { w.State, w.Start, w.Generation = model.Running, r.now, w.Generation+1 }, []string{"mailto:ops@x [web-3] RECOVERED shop:web, well again after 1m 30s"}},
		"gone":   {func(r *rig, w *model.Status) { delete(r.programs, w.ID) }, nil},
		"nobody": {func(r *rig, w *model.Status) { w.Program = &model.Program{ID: w.ID, Notify: []string{"none"}} }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, n)
			w := r.program("web")
			r.up(w, false)
			r.wait(minute)
			r.fatal(w)
			r.wait(minute)
			r.got("mailto:ops@x [web-3] FATAL shop:web, exit 1 after 1m, gave up after 1 try")
			c.change(r, w)
			r.wait(80 * minute)
			r.got(c.want...)
		})
	}
}

// TestStoppedMeanwhile: a program that somebody stops while a check restarts it is not unhealthy for ever.
func TestStoppedMeanwhile(t *testing.T) {
	n := ops(when(model.TriggerUnhealthy)...)
	n.Repeat = time.Hour
	r := newRig(t, n)
	w := r.program("web")
	w.Program.Checks = []model.Check{{Name: "http", Kind: model.CheckHTTP}}
	r.up(w, false)
	r.wait(minute)
	for _, e := range []model.EventType{model.EventCheckFailed, model.EventCheckAction} {
		r.a.Happened(model.Event{Time: r.now, ID: w.ID, Kind: "http", Data: []byte("503"), Type: e})
	}
	r.enter(w, model.Stopping)
	r.wait(minute)
	r.got("mailto:ops@x [web-3] UNHEALTHY shop:web, http: 503")
	w.Past.StopBy = "bob"
	r.die(w, code(0), model.Stopped)
	r.wait(2 * time.Hour)
	r.got()
}

// TestAskedBySignal: what ends by a signal that somebody has sent is told to nobody, whether it is started again or not.
func TestAskedBySignal(t *testing.T) {
	r := newRig(t, ops(when(model.TriggerFatal, model.TriggerBackoff, model.TriggerStarted)...))
	a, b := r.program("a"), r.program("b")
	b.Program.Exit.Restart = model.RestartNever
	for _, w := range []*model.Status{a, b} {
		r.up(w, false)
		r.wait(minute)
		w.Past.Signal = 9
	}
	r.die(a, model.Exit{Known: true, Signal: 9}, model.Backoff)
	r.die(b, model.Exit{Known: true, Signal: 9}, model.Exited)
	r.wait(minute)
	r.got()
	b.Generation--
	r.journal, r.store = newDisk(), r.store.killed() // a reboot
	*b = model.Status{Program: b.Program, ID: b.ID}
	r.boot()
	r.a.Expect(nil)
	r.a.Expect([]model.ID{b.ID})
	r.up(b, false)
	r.wait(minute)
	r.got("mailto:ops@x [web-3] STARTED shop:b, by autostart") // it was not found dead
}

// TestOrder: messages of one destination arrive in their order, after a failure and a kill too; one that the destination
// refuses does not keep the others from it.
func TestOrder(t *testing.T) {
	r := newRig(t, ops(when(model.TriggerFatal, model.TriggerRecovered)...))
	w := r.program("web")
	r.up(w, false)
	r.mails.fail = func(*report.Report) error { return errors.New("connection refused") }
	r.fatal(w)
	r.wait(2 * minute)
	r.up(w, false)
	r.wait(minute)
	r.restart()
	r.mails.fail = nil
	r.wait(20 * minute)
	if len(r.mails.all) != 2 || r.mails.all[0].State != "FATAL" || r.mails.all[1].State != "RECOVERED" {
		t.Errorf("%q", r.mails.got)
	}
	r.mails.got, r.mails.all = nil, nil
	r.mails.fail = func(m *report.Report) error {
		if m.State == "FATAL" {
			return fmt.Errorf("550 this is spam: %w", deliver.ErrRefused)
		}
		return nil
	}
	r.fatal(w)
	r.wait(minute)
	r.up(w, false)
	r.wait(10 * minute)
	if len(r.mails.all) != 1 || r.mails.all[0].State != "RECOVERED" {
		t.Errorf("%q", r.mails.got)
	}
	r.wait(25 * time.Hour)
	if n := r.a.Notifiers()[0]; n.Waiting != 0 || n.Failed != 1 || n.Sent != 3 {
		t.Errorf("%+v", n)
	}
}

// TestChangedWhileWaiting: what waits for a notifier or a destination that is not there any more is dropped, also when it is
// being delivered at that moment; the rest goes as the notifier is now.
func TestChangedWhileWaiting(t *testing.T) {
	two := &model.Notifier{Name: "two", To: []string{"mailto:a@x", "mailto:b@x"}, On: when(model.TriggerFatal)}
	r := newRig(t, ops(when(model.TriggerFatal)...), two)
	w := r.program("web")
	r.mails.fail = func(*report.Report) error {
		r.list = []*model.Notifier{{Name: "two", To: []string{"mailto:b@x", "mailto:c@x"}, Via: "smtp://new", On: two.On}}
		r.a.Configure(r.list) // while it is being delivered
		return errors.New("no")
	}
	r.fatal(w)
	r.wait(minute)
	r.mails.fail = nil
	r.restart()
	r.wait(30 * minute)
	r.got("mailto:b@x [web-3] FATAL shop:web, gave up after 1 try")
	if len(r.a.messages)+len(r.a.lanes) != 0 {
		t.Errorf("%d messages, %d lanes", len(r.a.messages), len(r.a.lanes))
	}
	for key := range r.store.Snapshot() {
		if strings.HasPrefix(key, messagePrefix) {
			t.Errorf("%s is still there", key)
		}
	}
}

// TestClock: a clock that is set back or forward by a year neither keeps a message back nor throws one away.
func TestClock(t *testing.T) {
	n := ops(model.Trigger{Kind: model.TriggerFatal}, model.Trigger{Kind: model.TriggerUnhealthy},
		model.Trigger{Kind: model.TriggerRestart, Count: 2, Within: 10 * minute}, model.Trigger{Kind: model.TriggerRecovered})
	n.Repeat = time.Hour
	const year = 365 * 24 * time.Hour
	for _, c := range []struct {
		name  string
		jump  time.Duration
		again bool // this process ends meanwhile
	}{{"back", -year, true}, {"forward", year, true}, {"back while it lives", -year, false}, {"forward while it lives", year, false}} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, n)
			leap := func() {
				if r.now = r.now.Add(c.jump); c.again {
					r.restart()
				}
			}
			a, b := r.program("a"), r.program("b")
			r.up(a, false)
			r.up(b, false)
			r.mails.fail = func(*report.Report) error { return errors.New("connection refused") }
			r.fatal(a)
			for range 2 {
				r.wait(time.Second)
				r.die(b, code(1), model.Exited)
				r.up(b, true)
			}
			r.wait(40 * time.Second) // both wait for the server
			leap()
			r.wait(time.Second) // one more failure
			r.mails.fail = nil
			r.wait(30 * minute)
			if got := told(r); got != "FATAL RESTARTED RECOVERED" && got != "FATAL RESTARTED STILL FATAL RECOVERED" && got != "FATAL RESTARTED RECOVERED STILL FATAL" {
				t.Errorf("told: %s", got)
			}
			r.mails.got, r.mails.all = nil, nil
			r.wait(65 * minute)
			if got := told(r); !strings.Contains(got, "STILL FATAL") {
				t.Errorf("reminded: %s", got)
			}
			r.up(a, false)
			r.wait(minute)
			r.mails.got, r.mails.all = nil, nil
			r.fatal(a)
			leap() // before that is read
			r.wait(11 * minute)
			if got := told(r); got != "FATAL" {
				t.Errorf("told: %s", got)
			}
			r.up(a, false)
			r.wait(minute)
			r.mails.got, r.mails.all = nil, nil
			r.fatal(a)
			r.turn()
			leap() // while it waits for more
			r.wait(11 * minute)
			if got := told(r); got != "FATAL" {
				t.Errorf("told: %s", got)
			}
		})
	}
}

// told are the states of the mails so far.
func told(r *rig) string {
	var all []string
	for _, m := range r.mails.all {
		if m.Reminder {
			all = append(all, "STILL")
		}
		all = append(all, m.State)
	}
	return strings.Join(all, " ")
}

// TestManyPrograms: a message about hundreds of programs has their names, and the output of a few.
func TestManyPrograms(t *testing.T) {
	r := newRig(t, ops(when(model.TriggerFatal)...))
	for i := range 300 {
		r.fatal(r.program(fmt.Sprintf("p%03d", i)))
	}
	r.wait(minute)
	m := r.got("mailto:ops@x [web-3] FATAL 300 programs of shop: shop:p000, shop:p001, shop:p002...")
	if m == nil {
		t.Fatal("there is none")
	}
	for i := range m.Items {
		if detailed := i < report.Detailed; (len(m.Items[i].Lines) > 0) != detailed || (m.Items[i].Stream != "") != detailed {
			t.Errorf("%s: %q", m.Items[i].Name, m.Items[i].Lines)
		}
	}
}

// TestLongOff: a machine that was off for days tries again before it gives up what is old.
func TestLongOff(t *testing.T) {
	r := newRig(t, ops(when(model.TriggerFatal)...))
	r.mails.fail = func(*report.Report) error { return errors.New("network is unreachable") }
	w := r.program("web")
	r.fatal(w)
	r.wait(2 * minute)
	r.now = r.now.Add(72 * time.Hour)
	r.restart()
	r.wait(minute)
	r.mails.fail = nil
	r.wait(10 * minute)
	r.got("mailto:ops@x [web-3] FATAL shop:web, gave up after 1 try")
}

// TestStorm: a storm of events is read in pieces, so that nobody who asks how notifiers do waits for all of it; output is looked
// at only where somebody is told.
func TestStorm(t *testing.T) {
	r := newRig(t, ops(when(model.TriggerFatal)...))
	w := r.program("web")
	for range 10 * maxRead {
		r.die(w, code(1), model.Backoff)
	}
	r.enter(w, model.Fatal)
	if next := r.turn(); next != time.Millisecond || len(r.a.inbox.notes) != 9*maxRead+1 {
		t.Errorf("the next turn is in %v, %d events are left", next, len(r.a.inbox.notes))
	}
	r.wait(minute)
	r.got("mailto:ops@x [web-3] FATAL shop:web, gave up after 1000 tries")
	if r.tails != 1 {
		t.Errorf("output was looked at %d times", r.tails)
	}
}

// TestRemoved: of a program that is removed nothing is kept, nor told, also where it has addresses of its own alone.
func TestRemoved(t *testing.T) {
	r := newRig(t)
	w, other := r.program("web"), r.program("other")
	w.Program.Email, other.Program.Email = []string{"me@x"}, []string{"me@x"}
	r.up(w, false)
	r.up(other, false)
	r.fatal(w)
	r.turn()
	delete(r.programs, w.ID)
	r.a.Happened(model.Event{Time: r.now, Type: model.EventGroupRemoved, ID: model.ID{Group: "shop"}})
	r.turn()
	for key := range r.store.Snapshot() {
		if strings.Contains(key, "shop:web") && !strings.HasPrefix(key, pendingPrefix) {
			t.Errorf("%s is kept", key)
		}
	}
	if len(r.a.programs) != 1 || len(r.a.incidents) != 0 {
		t.Errorf("%d programs, %d incidents", len(r.a.programs), len(r.a.incidents))
	}
}

// TestTooManyEvents: events that nobody has looked at are said to be lost, once, and what comes after them is told.
func TestTooManyEvents(t *testing.T) {
	r := newRig(t, ops(when(model.TriggerFatal, model.TriggerDaemon)...))
	w := r.program("web")
	r.up(w, false)
	for range maxInbox + 10 {
		r.a.Happened(model.Event{Time: r.now, ID: w.ID, Kind: "none", Type: model.EventCheckPassed})
	}
	r.wait(minute)
	r.got("mailto:ops@x [web-3] DAEMON 12 events came too fast: somebody may not have been ...")
	r.fatal(w)
	r.wait(minute)
	r.got("mailto:ops@x [web-3] FATAL shop:web, exit 1 after 1m, gave up after 1 try")
	if r.journal.Flush(); len(r.journal.file) != 0 {
		t.Errorf("%d notes are left", len(r.journal.file))
	}
}

// TestResume: a process that goes on with what was in force goes on with the notifiers too, whatever else the file has.
func TestResume(t *testing.T) {
	r := newRig(t, ops(when(model.TriggerFatal)...))
	r.fatal(r.program("web"))
	r.turn()
	r.journal, r.store = r.journal.killed(), r.store.killed()
	for _, key := range []string{
		programPrefix + "a:b", programPrefix + "a:*", incidentPrefix + "x", pendingPrefix + "x", messagePrefix + "x", countPrefix + "x", "other",
	} {
		r.store.Put(key, []byte("{"))
	}
	r.store.Put(messagePrefix+"y", []byte("{}"))
	r.journal.Put(notePrefix+"x", []byte("{}"))
	before := len(r.store.now) - 8
	r.make()
	r.a.Resume()
	if len(r.store.now) != before || len(r.journal.now) != 0 {
		t.Errorf("%d records, want %d; %d notes", len(r.store.now), before, len(r.journal.now))
	}
	r.wait(minute)
	r.got("mailto:ops@x [web-3] FATAL shop:web, gave up after 1 try")
}

// TestTest: a test goes to all destinations, says that it is one, and is not counted.
func TestTest(t *testing.T) {
	n := ops(when(model.TriggerFatal)...)
	n.To = []string{"mailto:ops@x", "https://x/secret"}
	r := newRig(t, n)
	r.mails.fail = func(*report.Report) error {
		if len(r.mails.got) > 0 {
			return errors.New("no")
		}
		return nil
	}
	list, ok := r.a.Test(t.Context(), "ops")
	if !ok || len(list) != 2 || list[0].Err != nil || list[1].Err == nil || list[1].To != "https://x/…" {
		t.Errorf("%v %+v", ok, list)
	}
	m := r.got("mailto:ops@x [web-3] TEST of notifier ops")
	if m == nil || !strings.Contains(m.Text(), "Nothing has happened") || strings.Contains(m.Text(), "upkeep why") {
		t.Errorf("%+v", m)
	}
	for _, name := range []string{"none", model.EmailAlerts} {
		if _, ok := r.a.Test(t.Context(), name); ok {
			t.Errorf("%s is tested", name)
		}
	}
	if n := r.a.Notifiers()[0]; n.Sent+n.Failed != 0 || n.LastError != "" {
		t.Errorf("%+v", n)
	}
}

// TestEnds: an end that nobody starts it again after is told as given up, unless it was expected or somebody has signalled it.
func TestEnds(t *testing.T) {
	for name, c := range map[string]struct {
		exit     model.Exit
		expected bool
		signal   int
		want     []string
	}{
		"fails":             {code(3), false, 0, []string{"mailto:ops@x [web-3] EXITED shop:web, exit 3 after 1m, and is not to be started ..."}},
		"has done its work": {code(0), true, 0, nil},
		"by KILL of ours":   {model.Exit{Known: true, Signal: 9}, false, 9, nil},
		"by USR1 of ours":   {model.Exit{Known: true, Signal: 10}, false, 10, nil},
		"by SEGV after our USR1": {
			model.Exit{Known: true, Signal: 11}, false, 10, []string{"mailto:ops@x [web-3] EXITED shop:web, SIGSEGV after 1m, and is not to be started..."},
		},
		"its shell, after our KILL": {code(137), false, 9, nil},
		"exits upon INT":            {code(130), false, 2, nil},
		"exits upon QUIT":           {code(131), false, 3, nil},
		"exits upon TERM":           {code(143), false, 15, nil},
		"exits some time after HUP": {code(1), false, 1, []string{"mailto:ops@x [web-3] EXITED shop:web, exit 1 after 1m, and is not to be started ..."}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, ops(when(model.TriggerFatal, model.TriggerRecovered)...))
			w := r.program("web")
			w.Program.Exit.Restart = model.RestartNever
			r.up(w, false)
			r.wait(minute)
			w.Past.Signal = c.signal
			w.Exit, w.Stop, w.PID, w.State = c.exit, r.now, 0, model.Exited
			w.Past.Ended, w.Past.Lasted = w.Generation, r.now.Sub(w.Start)
			r.a.Happened(model.Event{Time: r.now, Type: model.EventProcessExited, ID: w.ID, From: model.Running, Expected: c.expected})
			r.wait(minute)
			r.got(c.want...)
		})
	}
}

// TestCheckGone: what a check has found is over when the check is not made any more.
func TestCheckGone(t *testing.T) {
	r := newRig(t, ops(when(model.TriggerUnhealthy, model.TriggerRecovered)...))
	w := r.program("web")
	w.Program.Checks = []model.Check{{Name: "http", Kind: model.CheckHTTP, Action: model.CheckAlert}}
	r.up(w, false)
	r.a.Happened(model.Event{Time: r.now, ID: w.ID, Kind: "http", Data: []byte("503"), Type: model.EventCheckFailed})
	r.wait(minute)
	r.got("mailto:ops@x [web-3] UNHEALTHY shop:web, http: 503")
	p := *w.Program
	p.Checks = nil
	w.Program = &p
	r.wait(2 * minute)
	if got := told(r); got != "RECOVERED" {
		t.Errorf("told: %s", got)
	}
}

// TestRun: the worker delivers by itself, ends when it is told to, and does not wait for a server that hangs.
func TestRun(t *testing.T) {
	under := make(chan struct{})
	a := New(Options{
		Courier: courier(func(ctx context.Context) error { close(under); <-ctx.Done(); return ctx.Err() }),
		Log:     quiet{&rig{quiet: true}}, Status: func(model.ID) (model.Status, bool) { return model.Status{}, false },
		Pace: Pace{Window: time.Millisecond, Retry: []time.Duration{time.Hour}, Expiry: time.Hour, Look: time.Hour, Patience: time.Minute},
	})
	a.Configure([]*model.Notifier{ops(when(model.TriggerDaemon)...)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); a.Run(ctx) }()
	a.Trouble("logs", "no space left")
	<-under
	cancel()
	<-done
	if n := a.Notifiers()[0]; n.Waiting != 1 || n.LastError != "interrupted: the daemon ends" {
		t.Errorf("%+v", n)
	}
}

type courier func(context.Context) error

func (c courier) Deliver(ctx context.Context, _ *model.Notifier, _ string, _ *report.Report) ([]string, error) {
	return nil, c(ctx)
}
