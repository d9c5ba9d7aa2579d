package alerts

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/alerts/report"
)

// disk is a store of which a kill leaves what was put until some moment.
type disk struct {
	now  map[string][]byte
	ops  []func(map[string][]byte)
	file map[string][]byte // what a kill leaves
	left int               // how many more operations reach the file; < 0: all
	cut  bool              // some did not
	puts int               // so far
}

func newDisk() *disk {
	return &disk{now: map[string][]byte{}, file: map[string][]byte{}, left: -1}
}

func (d *disk) Put(key string, value []byte) {
	op := func(m map[string][]byte) {
		if value == nil {
			delete(m, key)
			return
		}
		m[key] = slices.Clone(value)
	}
	op(d.now)
	d.puts++
	d.ops = append(d.ops, op)
}

func (d *disk) Flush() error {
	for _, op := range d.ops {
		if d.left == 0 {
			d.cut = true
			break
		}
		d.left--
		op(d.file)
	}
	d.ops = nil
	return nil
}

func (d *disk) Snapshot() map[string][]byte { return maps.Clone(d.now) }

// killed is what the next process finds.
func (d *disk) killed() *disk {
	return &disk{now: maps.Clone(d.file), file: d.file, left: -1}
}

type quiet struct{ r *rig }

func (q quiet) Logf(_ activity.Level, format string, args ...any) {
	if !q.r.quiet {
		q.r.t.Logf("log: "+format, args...)
	}
}

// mails is a courier that keeps what it is given.
type mails struct {
	got  []string // destination and subject
	all  []*report.Report
	fail func(*report.Report) error
}

func (m *mails) Deliver(_ context.Context, _ *model.Notifier, to string, r *report.Report) ([]string, error) {
	if m.fail != nil {
		if err := m.fail(r); err != nil {
			return nil, err
		}
	}
	m.got = append(m.got, to+" "+r.Subject())
	m.all = append(m.all, r)
	return nil, nil
}

// rig is alerts over programs that a test moves.
type rig struct {
	t        *testing.T
	a        *Alerts
	now      time.Time
	programs map[model.ID]*model.Status
	checks   map[model.ID][]model.CheckState
	journal  *disk
	store    *disk
	mails    *mails
	list     []*model.Notifier
	quiet    bool
	tails    int // how often output was looked at

	writes   []int // to the store, in each turn so far
	killTurn int   // the one in which this process is killed, 0 = none, …
	killOps  int   // … after so many writes
}

func id(name string) model.ID { return model.ID{Group: "shop", Name: name} }

func ops(on ...model.Trigger) *model.Notifier {
	return &model.Notifier{Name: "ops", To: []string{"mailto:ops@x"}, On: on}
}

func when(kinds ...model.TriggerKind) []model.Trigger {
	var out []model.Trigger
	for _, k := range kinds {
		out = append(out, model.Trigger{Kind: k})
	}
	return out
}

func newRig(t *testing.T, list ...*model.Notifier) *rig {
	r := &rig{
		t: t, now: time.Date(2026, 11, 20, 14, 0, 0, 0, time.UTC), programs: map[model.ID]*model.Status{}, checks: map[model.ID][]model.CheckState{},
		journal: newDisk(), store: newDisk(), mails: &mails{}, list: list,
	}
	r.boot()
	return r
}

// boot makes the next process, which has read its configuration.
func (r *rig) boot() {
	r.make()
	r.a.Configure(r.list)
	r.journal.Flush()
	r.store.Flush()
}

func (r *rig) make() {
	r.a = New(Options{
		Journal: r.journal, Entries: r.journal.Snapshot(), Store: r.store, Courier: r.mails, Host: "web-3", Command: "upkeep why", Log: quiet{r},
		Now: func() time.Time { return r.now },
		Status: func(id model.ID) (model.Status, bool) {
			st := r.programs[id]
			if st == nil {
				return model.Status{}, false
			}
			return *st, true
		},
		Checks: func(id model.ID) []model.CheckState { return r.checks[id] },
		Explain: func(context.Context, model.ID) []report.Fact {
			return []report.Fact{{Name: "checked", Text: "nothing listens on 127.0.0.1:5432"}}
		},
		Tail: func(model.Status) (string, []string) {
			r.tails++
			return "stderr", []string{"Error: refused", "password=hunter2"}
		},
	})
}

// program is one that is there, STOPPED.
func (r *rig) program(name string) *model.Status {
	p := &model.Program{ID: id(name), Start: model.StartPolicy{Retries: 3}}
	st := &model.Status{Program: p, ID: p.ID}
	r.programs[p.ID] = st
	return st
}

// enter moves a program into a state.
func (r *rig) enter(st *model.Status, to model.State) {
	from := st.State
	st.State = to
	r.a.Happened(model.Event{Time: r.now, Type: model.StateEvent(to), ID: st.ID, Tries: st.Tries, From: from})
	r.journal.Flush()
}

// up starts a program, by itself or because somebody wants it.
func (r *rig) up(st *model.Status, byItself bool) {
	r.enter(st, model.Starting)
	st.Generation++
	st.Past = st.Past.Begin(byItself)
	st.PID, st.Start, st.Tries = 100+int(st.Generation), r.now, 0
	r.enter(st, model.Running)
}

// die ends the instance.
func (r *rig) die(st *model.Status, e model.Exit, to model.State) {
	st.Exit, st.Stop, st.PID = e, r.now, 0
	st.Past.Ended, st.Past.Lasted = st.Generation, r.now.Sub(st.Start)
	if to == model.Backoff {
		st.Tries++
		st.Past.Tries = st.Tries
	}
	if to == model.Exited { // it is started again in the same step
		st.Generation++
		defer func() { st.Generation-- }()
	}
	r.enter(st, to)
}

func code(n int) model.Exit { return model.Exit{Known: true, Status: n} }

// wait lets time pass, with a turn whenever there is something to do.
func (r *rig) wait(d time.Duration) {
	until := r.now.Add(d)
	for {
		next := r.turn()
		if !r.now.Add(next).Before(until) {
			r.now = until
			r.turn()
			return
		}
		r.now = r.now.Add(next)
	}
}

// turn is one, with its deliveries.
func (r *rig) turn() time.Duration {
	for {
		sent := 0
		killed, begin := len(r.writes)+1 == r.killTurn, r.store.puts
		if killed {
			r.store.left = r.killOps
		}
		var under []delivery
		next := r.a.turn(r.t.Context(), r.now, func(d delivery) { under = append(under, d) })
		for _, d := range under {
			if sent++; r.store.cut {
				break // it was killed before
			}
			_, err := r.mails.Deliver(r.t.Context(), d.who, d.To, d.m.Report)
			r.a.posted.all = append(r.a.posted.all, outcome{d, err})
		}
		r.writes = append(r.writes, r.store.puts-begin)
		if killed {
			r.journal, r.store = r.journal.killed(), r.store.killed()
			r.boot()
			continue
		}
		if sent == 0 {
			return next
		}
	}
}

// got are the mails since the last call.
func (r *rig) got(want ...string) *report.Report {
	r.t.Helper()
	if diff := cmp.Diff(want, r.mails.got); diff != "" && len(want)+len(r.mails.got) > 0 {
		r.t.Errorf("told (-want +got): %s", diff)
	}
	var last *report.Report
	if n := len(r.mails.all); n > 0 {
		last = r.mails.all[n-1]
	}
	r.mails.got, r.mails.all = nil, nil
	return last
}

const minute = time.Minute

func TestGaveUpAndRecovered(t *testing.T) {
	r := newRig(t, ops(when(model.TriggerFatal, model.TriggerRecovered)...))
	w := r.program("worker")
	r.up(w, false)
	r.wait(3 * time.Hour)
	r.die(w, code(3), model.Exited)
	for range 4 {
		r.enter(w, model.Starting)
		w.Generation++
		w.Past = w.Past.Begin(true)
		w.Start = r.now
		r.now = r.now.Add(200 * time.Millisecond)
		r.die(w, code(3), model.Backoff)
	}
	r.enter(w, model.Fatal)
	r.wait(29 * time.Second)
	r.got()
	r.wait(2 * time.Second)
	m := r.got("mailto:ops@x [web-3] FATAL shop:worker, exit 3 after 0.2s, gave up after 4 tries")
	want := `shop:worker on web-3 is down since 17:00:00 UTC (20 Nov 2026).

  exit      it exited with code 3 after 0.2s
  last up   for 3h, until 17:00:00 UTC (20 Nov 2026)
  checked   nothing listens on 127.0.0.1:5432
  now       it is FATAL

last 2 lines of stderr
  Error: refused
  password=[hidden]

  upkeep why shop:worker

`
	if text, _, _ := strings.Cut(m.Text(), "-- \n"); text != want {
		t.Error(cmp.Diff(want, text))
	}
	r.wait(time.Hour)
	r.up(w, false)
	r.wait(minute)
	m = r.got("mailto:ops@x [web-3] RECOVERED shop:worker, well again after 1h")
	if m == nil || !strings.Contains(m.Text(), "down for 1h") {
		t.Errorf("%+v", m)
	}
}

// TestAsked: nobody is told of what somebody has asked for.
func TestAsked(t *testing.T) {
	r := newRig(t, ops(when(model.TriggerFatal, model.TriggerRestart, model.TriggerStarted, model.TriggerRecovered, model.TriggerCheck)...))
	w := r.program("web")
	r.up(w, false)
	r.enter(w, model.Stopping)
	r.die(w, model.Exit{Known: true, Signal: 15}, model.Stopped)
	r.up(w, false) // restarted
	w.Past.Signal = 9
	r.die(w, model.Exit{Known: true, Signal: 9}, model.Exited)
	r.up(w, true) // after upkeep signal KILL
	r.enter(w, model.Stopping)
	r.die(w, code(0), model.Stopped)
	w.Program = &model.Program{ID: w.ID, Exit: model.ExitPolicy{Restart: model.RestartAlways}} // apply
	r.up(w, false)
	r.a.Happened(model.Event{Type: model.EventDaemonStopping})
	r.enter(w, model.Backoff) // whatever happens now
	r.enter(w, model.Fatal)
	r.wait(time.Hour)
	r.got()
}

// TestRestarts: each is told at first, then one message for all of a while; a trigger with a number waits for that many.
func TestRestarts(t *testing.T) {
	five := &model.Notifier{Name: "five", To: []string{"mailto:five@x"}, On: []model.Trigger{{Kind: model.TriggerRestart, Count: 5, Within: 10 * minute}, {Kind: model.TriggerRecovered}}}
	r := newRig(t, ops(when(model.TriggerRestart)...), five)
	w := r.program("web")
	r.up(w, false)
	for range 12 {
		r.wait(minute)
		r.die(w, model.Exit{Known: true, Signal: 11}, model.Exited)
		r.up(w, true)
	}
	r.wait(15 * minute)
	m := r.mails.all
	r.got("mailto:ops@x [web-3] RESTARTED shop:web, SIGSEGV after 1m",
		"mailto:five@x [web-3] RESTARTED shop:web, SIGSEGV after 1m",
		"mailto:ops@x [web-3] RESTARTED shop:web, SIGSEGV after 1m",
		"mailto:ops@x [web-3] RESTARTED shop:web, SIGSEGV after 1m",
		"mailto:five@x [web-3] RECOVERED shop:web, well again after 17m")
	if len(m) == 5 && (m[1].Items[0].Times != 5 || m[2].Items[0].Times != 10) {
		t.Errorf("%d and %d times", m[1].Items[0].Times, m[2].Items[0].Times)
	}
	if len(m) > 0 && !strings.Contains(m[0].Text(), "now       it is RUNNING since 14:01:00 UTC (20 Nov 2026), pid 102") {
		t.Errorf("%s", m[0].Text())
	}
}

// TestCheckRestarts: one message says which check, what it had found and how it came out, although the check first failed.
func TestCheckRestarts(t *testing.T) {
	r := newRig(t, ops(when(model.TriggerCheck, model.TriggerUnhealthy, model.TriggerRestart, model.TriggerRecovered)...))
	w := r.program("web")
	w.Program.Checks = []model.Check{{Name: "memory", Kind: model.CheckMemory}}
	r.up(w, false)
	r.wait(minute)
	found := model.Event{Time: r.now, ID: w.ID, Kind: "memory", Data: []byte("612 MB, limit 512 MB, token=hunter2")}
	found.Type = model.EventCheckFailed
	r.a.Happened(found)
	found.Type = model.EventCheckAction
	r.a.Happened(found)
	w.Past.Check, w.Past.CheckText = "memory", "612 MB, limit 512 MB, token=hunter2"
	r.enter(w, model.Stopping)
	r.die(w, model.Exit{Known: true, Signal: 15}, model.Stopped)
	r.up(w, true)
	r.wait(time.Hour)
	m := r.got("mailto:ops@x [web-3] RESTARTED shop:web, memory: 612 MB, limit 512 MB, token=[hi...")
	if m == nil || !strings.Contains(m.Text(), "it is RUNNING") || strings.Contains(m.Text(), "hunter2") || !strings.Contains(m.Text(), "Error: refused") {
		t.Errorf("%+v", m)
	}
}

// TestUnhealthy: it is told once, and when it is over, also when no event says so.
func TestUnhealthy(t *testing.T) {
	r := newRig(t, ops(when(model.TriggerUnhealthy, model.TriggerRecovered)...))
	w := r.program("web")
	w.Program.Checks = []model.Check{{Name: "http", Kind: model.CheckHTTP, Action: model.CheckAlert}, {Name: "log", Action: model.CheckEvent}}
	r.up(w, false)
	fail := func(name string, t model.EventType) {
		r.a.Happened(model.Event{Time: r.now, ID: w.ID, Kind: name, Data: []byte("503 Service Unavailable"), Type: t})
		r.journal.Flush()
	}
	fail("log", model.EventCheckFailed)
	fail("http", model.EventCheckFailed)
	r.wait(minute)
	r.got("mailto:ops@x [web-3] UNHEALTHY shop:web, http: 503 Service Unavailable")
	fail("http", model.EventCheckPassed)
	r.wait(minute)
	r.got("mailto:ops@x [web-3] RECOVERED shop:web, well again after 1m")
	for range 20 { // it flaps: that is one more message in ten minutes
		fail("http", model.EventCheckFailed)
		r.wait(5 * time.Second)
		fail("http", model.EventCheckPassed)
		r.wait(5 * time.Second)
	}
	fail("http", model.EventCheckFailed)
	r.wait(10 * minute)
	m := r.got("mailto:ops@x [web-3] UNHEALTHY shop:web, http: 503 Service Unavailable")
	if m == nil || m.Items[0].Times != 21 {
		t.Errorf("%+v", m)
	}
	r.checks[w.ID] = []model.CheckState{{Check: w.Program.Checks[0], Verdict: model.Passing}}
	r.wait(2 * minute)
	m = r.got("mailto:ops@x [web-3] RECOVERED shop:web, well again after 10m 30s")
	_ = m
}

// TestGroups: several programs of a group are one message.
func TestGroups(t *testing.T) {
	r := newRig(t, ops(when(model.TriggerFatal)...))
	for _, name := range []string{"a", "b", "c"} {
		w := r.program(name)
		r.up(w, false)
		r.die(w, code(1), model.Backoff)
		r.enter(w, model.Fatal)
		r.wait(5 * time.Second)
	}
	r.wait(minute)
	r.got("mailto:ops@x [web-3] FATAL 3 programs of shop: shop:a, shop:b, shop:c")
}

// TestFoundDead: what ended while the daemon was not there, and what had been up when the machine went down, are told as such;
// other starts by autostart are told to those who want to know.
func TestFoundDead(t *testing.T) {
	r := newRig(t, ops(when(model.TriggerStarted)...), &model.Notifier{Name: "r", To: []string{"mailto:r@x"}, On: when(model.TriggerRestart)})
	a, b, c := r.program("a"), r.program("b"), r.program("c")
	r.a.Expect([]model.ID{a.ID, b.ID, c.ID})
	for _, w := range []*model.Status{a, b} {
		r.up(w, false)
	}
	r.wait(minute)
	r.got("mailto:ops@x [web-3] STARTED 2 programs of shop: shop:a, shop:b")
	r.journal, r.store = r.journal.killed(), r.store.killed()
	r.now = r.now.Add(minute)
	r.boot()
	a.Past.Unseen = true
	r.die(a, model.Exit{Reason: "it ended while nobody watched"}, model.Exited)
	r.up(a, true)
	r.wait(minute)
	r.got("mailto:ops@x [web-3] STARTED shop:a, found dead and started, nobody saw how it e...",
		"mailto:r@x [web-3] STARTED shop:a, found dead and started, nobody saw how it e...")
	r.journal, r.store = newDisk(), r.store.killed() // a reboot
	for _, w := range []*model.Status{a, b, c} {
		*w = model.Status{Program: w.Program, ID: w.ID}
	}
	r.now = r.now.Add(time.Hour)
	r.boot()
	r.a.Expect([]model.ID{a.ID, b.ID, c.ID})
	r.up(b, false)
	r.wait(minute)
	m := r.got("mailto:ops@x [web-3] STARTED shop:b, found dead and started", "mailto:r@x [web-3] STARTED shop:b, found dead and started")
	if m == nil || !strings.Contains(m.Text(), "nobody saw how it ended") {
		t.Errorf("%+v", m)
	}
	r.up(c, false)
	r.wait(minute)
	r.got("mailto:ops@x [web-3] STARTED shop:c, by autostart")
}

// TestEmail: the addresses of one program are told of what usrsvc tells.
func TestEmail(t *testing.T) {
	r := newRig(t)
	w := r.program("web")
	w.Program.Email = []string{"me@x", "you@x"}
	r.a.Expect([]model.ID{w.ID})
	r.up(w, false)
	r.wait(minute)
	r.got("mailto:me@x [web-3] STARTED shop:web, by autostart", "mailto:you@x [web-3] STARTED shop:web, by autostart")
	r.die(w, code(1), model.Backoff)
	r.enter(w, model.Fatal)
	r.wait(minute)
	r.got("mailto:me@x [web-3] FATAL shop:web, exit 1 after 1m, gave up after 1 try", "mailto:you@x [web-3] FATAL shop:web, exit 1 after 1m, gave up after 1 try")
	if n := r.a.Notifiers(); len(n) != 1 || n[0].Notifier.Name != model.EmailAlerts || n[0].Sent != 4 {
		t.Errorf("%+v", n)
	}
}

// TestBackoff: a trigger with a number waits for that many attempts; giving up after that is another message.
func TestBackoff(t *testing.T) {
	r := newRig(t, ops(model.Trigger{Kind: model.TriggerBackoff, Count: 3}, model.Trigger{Kind: model.TriggerRecovered}))
	w := r.program("web")
	for range 3 {
		r.enter(w, model.Starting)
		w.Generation++
		w.Start = r.now
		r.wait(minute)
		r.got()
		r.die(w, code(7), model.Backoff)
	}
	r.wait(minute)
	r.got("mailto:ops@x [web-3] BACKOFF shop:web, exit 7 after 1m, try 3 of 4")
	r.up(w, true)
	r.wait(minute)
	r.got("mailto:ops@x [web-3] RECOVERED shop:web, well again after 3m")
}

func TestDaemon(t *testing.T) {
	n := ops(when(model.TriggerDaemon, model.TriggerRecovered)...)
	n.Repeat, n.Groups = time.Hour, []string{"other"}
	r := newRig(t, n)
	r.a.Trouble("safe", "it has crashed too often and starts nothing by itself")
	r.a.Trouble("safe", "again")
	r.wait(minute)
	r.got("mailto:ops@x [web-3] DAEMON it has crashed too often and starts nothing by itself")
	r.journal, r.store = r.journal.killed(), r.store.killed()
	r.boot()
	r.a.Trouble("safe", "it has crashed too often and starts nothing by itself")
	r.a.Over("config")
	r.wait(minute)
	r.got()
	r.wait(time.Hour)
	r.got("mailto:ops@x [web-3] STILL DAEMON it has crashed too often and starts nothing by...")
	r.a.Over("safe")
	r.wait(minute)
	r.got("mailto:ops@x [web-3] RECOVERED the trouble (safe) is over after 1h 2m")
	for range 30 { // a disk that is full again and again is told of once in a while
		r.a.Trouble("logs", "the log of a program cannot be written: no space left on device")
		r.wait(10 * time.Second)
		r.a.Over("logs")
		r.wait(10 * time.Second)
	}
	r.a.Trouble("logs", "the log of a program cannot be written: no space left on device")
	r.wait(10 * minute)
	r.got("mailto:ops@x [web-3] DAEMON the log of a program cannot be written: no space lef...",
		"mailto:ops@x [web-3] RECOVERED the trouble (logs) is over after 10s",
		"mailto:ops@x [web-3] DAEMON the log of a program cannot be written: no space lef...")
}

// TestDeadServer: what cannot be delivered is kept and comes later, over a kill too; after a day it is given up and counted.
func TestDeadServer(t *testing.T) {
	r := newRig(t, ops(when(model.TriggerFatal)...))
	r.mails.fail = func(*report.Report) error { return errors.New("connection refused") }
	w := r.program("web")
	r.die(w, code(1), model.Backoff)
	r.enter(w, model.Fatal)
	r.wait(10 * minute)
	if n := r.a.Notifiers()[0]; n.Waiting != 1 || n.LastError != "connection refused" || n.Sent+n.Failed != 0 {
		t.Errorf("%+v", n)
	}
	r.journal, r.store = r.journal.killed(), r.store.killed()
	r.boot()
	r.mails.fail = nil
	r.wait(10 * minute)
	r.got("mailto:ops@x [web-3] FATAL shop:web, gave up after 1 try")
	r.mails.fail = func(*report.Report) error { return errors.New("connection refused") }
	r.up(w, false)
	r.die(w, code(1), model.Backoff)
	r.enter(w, model.Fatal)
	r.wait(25 * time.Hour)
	if n := r.a.Notifiers()[0]; n.Waiting != 0 || n.Failed != 1 || n.Sent != 1 {
		t.Errorf("%+v", n)
	}
}

// TestFullQueue: the oldest reminder goes first, then the oldest message, and each is counted.
func TestFullQueue(t *testing.T) {
	n := ops(when(model.TriggerFatal)...)
	n.Repeat = time.Hour
	r := newRig(t, n)
	r.mails.fail = func(*report.Report) error { return errors.New("no") }
	fail := func(name string) {
		w := r.program(name)
		w.ID.Group, w.Program.ID.Group = name, name // each in a message of its own
		delete(r.programs, id(name))
		r.programs[w.ID] = w
		r.die(w, code(1), model.Backoff)
		r.enter(w, model.Fatal)
	}
	fail("first")
	r.wait(minute)
	r.wait(2 * time.Hour) // two reminders
	for i := range maxQueue {
		fail(fmt.Sprint("p", i))
	}
	r.wait(minute)
	if n := r.a.Notifiers()[0]; n.Waiting != maxQueue || n.Failed != 3 {
		t.Errorf("%+v", n)
	}
	for _, m := range r.a.messages {
		if m.Report.Reminder || m.Report.Group == "first" {
			t.Errorf("%s is still there", m.Report.Subject())
		}
	}
}
