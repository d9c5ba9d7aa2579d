package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/events"
)

// stage is a world without dice: every program does what its script says, and the log is kept.
type stage struct {
	t      *testing.T
	core   *Core
	ring   *events.Ring
	w      *world // clock, and what is to happen
	script map[string]script
	log    []string
	alive  map[string]*actor
	pids   int
}

// script is what a program does each time it is started.
type script struct {
	fails    string        // the launch fails with this text
	lives    time.Duration // then it exits; 0 = for ever
	status   int
	stubborn bool // only KILL ends it
	refuses  bool // signals are not permitted
	dies     time.Duration
	found    time.Duration // it runs already, for so long
}

func newStage(t *testing.T) *stage {
	s := &stage{t: t, w: &world{t: t, now: time.Hour}, script: map[string]script{}, alive: map[string]*actor{}, ring: events.New(1000)}
	s.core = New(Options{Host: s, Log: s, Ring: s.ring})
	s.w.core = s.core
	return s
}

func (s *stage) Logf(level activity.Level, format string, args ...any) {
	if level >= activity.Info {
		s.log = append(s.log, fmt.Sprintf(format, args...))
	}
}
func (s *stage) Now() time.Duration { return s.w.now }
func (s *stage) Wall() time.Time    { return s.w.Wall() }

func (s *stage) Resume(Instance, bool) Resumed { return Resumed{} }

func (s *stage) Launch(i Instance) {
	name := i.Slot.spec.ID.Name
	sc := s.script[name]
	s.w.later(time.Millisecond, func() {
		if sc.fails != "" {
			s.core.LaunchFailed(i, sc.fails)
			return
		}
		s.pids++
		a := &actor{s: s, sc: sc, inst: i, pid: 100 + s.pids}
		if s.alive[name] != nil {
			s.t.Errorf("a second %s", name)
		}
		s.alive[name] = a
		if sc.found > 0 {
			s.core.LaunchedFound(i, a, s.w.now-sc.found)
		} else {
			s.core.Launched(i, a)
		}
		if sc.lives > 0 {
			s.w.later(sc.lives, func() { a.end(model.Exit{Known: true, Status: sc.status}) })
		}
	})
}

type actor struct {
	s    *stage
	sc   script
	inst Instance
	pid  int
	over bool
	got  []int

	freed bool
}

func (a *actor) end(e model.Exit) {
	if !a.over {
		a.over = true
		delete(a.s.alive, a.inst.Slot.spec.ID.Name)
		a.s.core.Ended(a.inst, e)
	}
}
func (a *actor) PID() int                { return a.pid }
func (a *actor) WriteStdin([]byte) error { return nil }
func (a *actor) Release()                { a.freed = true }
func (a *actor) Signal(sig int, _ model.Reach) error {
	a.got = append(a.got, sig)
	switch {
	case a.over:
		return syscall.ESRCH
	case a.sc.refuses:
		return syscall.EPERM
	case sig == 15 && !a.sc.stubborn || sig == sigKill:
		a.s.w.later(a.sc.dies, func() { a.end(model.Exit{Known: true, Signal: sig}) })
	}
	return nil
}

// add activates one group of its own for each program; set changes them first.
func (s *stage) add(names string, set func(*model.Program, *model.Group)) {
	s.t.Helper()
	var add []NewGroup
	for name := range strings.FieldsSeq(names) {
		p := simProgram(name)
		g := &model.Group{Name: name, Priority: 999, Programs: []*model.Program{p}}
		if set != nil {
			set(p, g)
		}
		add = append(add, NewGroup{Spec: g, Logs: make([]LogPaths, len(g.Programs))})
	}
	if err := s.core.addGroups(add); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) slot(name string) *Slot {
	return s.core.Table().Slot(model.ID{Group: name, Name: name})
}

func (s *stage) pass(d time.Duration) { s.w.run(s.w.now + d) }

// until lets time pass until all outcomes of an order are known.
func (s *stage) until(o *order) (out []Outcome, took time.Duration) {
	s.t.Helper()
	began := s.w.now
	for {
		s.pass(0)
		select {
		case <-o.done:
			return o.out, s.w.now - began
		default:
		}
		s.pass(10 * time.Millisecond)
		if s.w.now-began > time.Hour {
			s.t.Fatal("no outcome within an hour")
		}
	}
}

// start, and stop, wait for the outcome of an order to one program.
func (s *stage) start(name string, mode Mode, confirm bool) (time.Duration, error) {
	return s.one(s.core.start([]*Slot{s.slot(name)}, mode, confirm))
}

func (s *stage) stop(name string, gone bool) (time.Duration, error) {
	return s.one(s.core.stop([]*Slot{s.slot(name)}, Each, gone))
}

func (s *stage) one(o *order) (time.Duration, error) {
	s.t.Helper()
	out, took := s.until(o)
	if len(out) == 0 {
		return took, errLeftOut
	}
	return took, out[0].Err
}

var errLeftOut = errors.New("left out")

func (s *stage) state(name string, want model.State) {
	s.t.Helper()
	if got := s.slot(name).Status().State; got != want {
		s.t.Errorf("%s is %s, want %s", name, got, want)
	}
}

func (s *stage) logIs(want ...string) {
	s.t.Helper()
	if d := cmp.Diff(want, s.log); d != "" {
		s.t.Errorf("activity log (-want +got):\n%s", d)
	}
}

func TestStartConfirmed(t *testing.T) {
	s := newStage(t)
	s.add("cat", func(p *model.Program, _ *model.Group) { p.Start.Auto = false })
	s.pass(time.Second)
	s.state("cat", model.Stopped)
	took, err := s.start("cat", Each, true)
	if err != nil {
		t.Error(err)
	}
	if took < time.Second {
		t.Errorf("confirmed after %v, startsecs is 1 s", took)
	}
	s.state("cat", model.Running)
	s.logIs("spawned: 'cat' with pid 101",
		"success: cat entered RUNNING state, process has stayed up for > than 1 seconds (startsecs)")
	if _, err := s.start("cat", Each, true); !errors.Is(err, ErrAlreadyStarted) {
		t.Errorf("second start: %v", err)
	}
	if _, err := s.start("cat", Needed, true); err != errLeftOut {
		t.Errorf("second start of all: %v, want nothing", err)
	}
}

func TestRetriesAndGiveUp(t *testing.T) {
	s := newStage(t)
	s.script["bad"] = script{lives: 10 * time.Millisecond, status: 1}
	s.script["gone"] = script{fails: "can't find command 'gone'"}
	s.add("bad gone", func(p *model.Program, _ *model.Group) { p.Start.Retries = 2 })
	s.pass(time.Minute)
	s.state("bad", model.Fatal)
	s.state("gone", model.Fatal)
	if got := s.slot("bad").Status().SpawnErr; got != "Exited too quickly (process log may have details)" {
		t.Errorf("bad: spawnerr %q", got)
	}
	if got := s.slot("gone").Status().SpawnErr; got != "can't find command 'gone'" {
		t.Errorf("gone: spawnerr %q", got)
	}
	count := map[string]int{}
	for _, l := range s.log {
		count[l]++
	}
	for line, n := range map[string]int{
		"spawnerr: can't find command 'gone'":                                     3,
		"exited: bad (exit status 1; not expected)":                               3,
		"gave up: bad entered FATAL state, too many start retries too quickly":    1,
		"gave up: gone entered FATAL state, too many start retries too quickly":   1,
		"success: bad entered RUNNING state, process has stayed up for > than 1s": 0,
	} {
		if count[line] != n {
			t.Errorf("%q: %d times, want %d", line, count[line], n)
		}
	}
}

func TestStartReportsSpawnError(t *testing.T) {
	for name, sc := range map[string]script{
		"quick": {lives: time.Millisecond},
		"none":  {fails: "command is empty"},
	} {
		for _, confirm := range []bool{true, false} {
			s := newStage(t)
			s.script[name] = sc
			s.add(name, func(p *model.Program, _ *model.Group) { p.Start.Auto = false })
			_, err := s.start(name, Each, confirm)
			if want := confirm || sc.fails != ""; errors.Is(err, ErrSpawn) != want {
				t.Errorf("%s, confirm %v: %v", name, confirm, err)
			}
		}
	}
}

func TestStopEscalates(t *testing.T) {
	s := newStage(t)
	s.script["mule"] = script{stubborn: true}
	s.add("mule", func(p *model.Program, _ *model.Group) { p.Stop.Wait = 3 * time.Second })
	s.pass(2 * time.Second)
	mule := s.alive["mule"]
	s.log = nil
	took, err := s.stop("mule", true)
	if err != nil {
		t.Error(err)
	}
	if took < 3*time.Second || took > 4*time.Second {
		t.Errorf("stopped after %v, want 3 s", took)
	}
	if d := cmp.Diff([]int{15, 9}, mule.got); d != "" {
		t.Error(d)
	}
	s.logIs("waiting for mule to stop", "waiting for mule to stop", "killing 'mule' (101) with SIGKILL",
		"stopped: mule (terminated by SIGKILL)")
	s.pass(time.Minute)
	s.state("mule", model.Stopped)
}

func TestStopDuringBackoffAndSpawn(t *testing.T) {
	s := newStage(t)
	s.script["bad"] = script{lives: time.Millisecond}
	s.add("bad", nil)
	s.pass(100 * time.Millisecond)
	s.state("bad", model.Backoff)
	if _, err := s.stop("bad", true); err != nil {
		t.Error(err)
	}
	s.state("bad", model.Stopped)
	s.pass(time.Minute)
	s.state("bad", model.Stopped)

	s.add("slow", nil) // its spawn has been ordered, not answered
	if _, err := s.stop("slow", true); err != nil {
		t.Error(err)
	}
	s.state("slow", model.Stopped)
}

func TestStartWhileStoppingFollows(t *testing.T) {
	s := newStage(t)
	s.script["slow"] = script{dies: 5 * time.Second}
	s.add("slow", nil)
	s.pass(2 * time.Second)
	if _, err := s.stop("slow", false); err != nil {
		t.Error(err)
	}
	s.state("slow", model.Stopping)
	took, err := s.start("slow", Each, true)
	if err != nil {
		t.Error(err)
	}
	s.state("slow", model.Running)
	if took < 5*time.Second {
		t.Errorf("started after %v, while the old instance lived", took)
	}
}

func TestUnkillableIsSupervisedOn(t *testing.T) {
	s := newStage(t)
	s.script["root"] = script{refuses: true}
	s.add("root", nil)
	s.pass(2 * time.Second)
	var refused *SignalError
	if _, err := s.stop("root", true); !errors.As(err, &refused) {
		t.Errorf("stop: %v", err)
	} else if want := "unknown problem killing root (101):[Errno 1] Operation not permitted"; refused.Text != want {
		t.Errorf("stop: %q, want %q", refused.Text, want)
	}
	s.state("root", model.Unknown)
	if _, err := s.start("root", Each, true); !errors.Is(err, ErrUnknownState) {
		t.Errorf("start: %v", err)
	}
	s.script["root"] = script{}
	s.alive["root"].end(model.Exit{Known: true})
	s.pass(5 * time.Second)
	s.state("root", model.Running) // autorestart=true
}

func TestShutdownOrder(t *testing.T) {
	s := newStage(t)
	prio := map[string]int{"first": 1, "mid1": 5, "mid2": 5, "last": 9}
	s.script["mid1"] = script{dies: 2 * time.Second}
	s.script["bo"] = script{fails: "command is empty"}
	s.add("first mid1 mid2 last bo", func(p *model.Program, g *model.Group) { g.Priority = prio[g.Name] })
	s.pass(1500 * time.Millisecond)
	s.log = nil
	s.core.BeginEnd(model.DaemonShutdown)
	s.pass(100 * time.Millisecond)
	s.state("last", model.Stopped)
	s.state("mid2", model.Stopped)
	s.state("mid1", model.Stopping)
	s.state("first", model.Running)
	s.pass(5 * time.Second)
	if !s.core.end.complete {
		t.Error("not complete")
	}
	s.state("bo", model.Fatal)
	s.logIs("waiting for bo, first, mid1, mid2, last to die", "stopped: last (terminated by SIGTERM)",
		"stopped: mid2 (terminated by SIGTERM)", "stopped: mid1 (terminated by SIGTERM)", "stopped: first (terminated by SIGTERM)")
	<-s.core.Done()
}

// TestLeave: when the core has left, nobody waits for it for ever, whether it was asked before or is asked then.
func TestLeave(t *testing.T) {
	s := newStage(t)
	s.add("a", nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.core.Run(ctx)
	answer := make(chan error, 4)
	for i, ask := range []func() error{
		func() error { _, err := s.core.Release(t.Context(), nil, Needed); return err },
		func() error { _, err := s.core.Start(t.Context(), s.core.Table().Sorted, Needed, true); return err },
		func() error { return s.core.RemoveGroup(t.Context(), "a") },
		func() error { _, err := s.core.Apply(t.Context(), Change{Remove: []string{"a"}}); return err },
	} {
		if i == 2 {
			s.core.Leave()
		}
		go func() { answer <- ask() }()
	}
	for range cap(answer) {
		if err := <-answer; !errors.Is(err, ErrEnding) {
			t.Error(err)
		}
	}
}

func TestGroupsAreAddedAndRemoved(t *testing.T) {
	s := newStage(t)
	s.add("b a c", func(_ *model.Program, g *model.Group) {
		if g.Name == "c" {
			g.Priority = 1
		}
	})
	var order, sorted []string
	for _, g := range s.core.Table().Groups {
		order = append(order, g.Spec.Name)
	}
	for _, x := range s.core.Table().Sorted {
		sorted = append(sorted, x.spec.ID.Name)
	}
	if !slices.Equal(order, []string{"c", "b", "a"}) || !slices.Equal(sorted, []string{"a", "b", "c"}) {
		t.Errorf("order %v, sorted %v", order, sorted)
	}
	s.pass(2 * time.Second)
	if err := s.core.removeGroup("a"); !errors.Is(err, ErrStillRunning) {
		t.Errorf("remove of a running group: %v", err)
	}
	if _, err := s.stop("a", true); err != nil {
		t.Error(err)
	}
	if err := s.core.removeGroup("a"); err != nil {
		t.Error(err)
	}
	if err := s.core.removeGroup("a"); !errors.Is(err, ErrNoGroup) {
		t.Errorf("remove of a removed group: %v", err)
	}
	if s.slot("a") != nil || s.slot("b") == nil {
		t.Error("the wrong group is gone")
	}
	var types []model.EventType
	evs, _ := s.ring.Since(0, 100)
	for _, e := range evs {
		if e.ID.Group == "a" {
			types = append(types, e.Type)
		}
	}
	want := []model.EventType{
		model.EventGroupAdded, model.EventProcessStarting, model.EventProcessRunning, model.EventProcessStopping,
		model.EventProcessStopped, model.EventGroupRemoved,
	}
	if d := cmp.Diff(want, types); d != "" {
		t.Error(d)
	}
}

func TestStormIsLimitedAndOrdersAreNot(t *testing.T) {
	s := newStage(t)
	var names []string
	for i := range 200 {
		names = append(names, fmt.Sprint("p", i))
		s.script[names[i]] = script{lives: 100 * time.Millisecond, status: 1}
	}
	s.add(strings.Join(names, " "), func(p *model.Program, _ *model.Group) { p.Start.Secs = 0 })
	s.pass(10 * time.Second)
	if n := s.pids; n < 200+50+9*45 || n > 200+200+50+11*50 {
		t.Errorf("%d launches in 10 s, want 200 first ones, 200 second ones, then about 50 a second", n)
	}
	s.script["fresh"] = script{}
	s.add("fresh", nil)
	s.pass(5 * time.Millisecond)
	if s.alive["fresh"] == nil {
		t.Error("a first start waited for the storm")
	}
	// A program that waits for its turn can be stopped at once.
	var waiting string
	for _, n := range names {
		if s.slot(n).delayed != nil {
			waiting = n
		}
	}
	if waiting == "" {
		t.Fatal("nobody waits")
	}
	took, err := s.stop(waiting, true)
	if err != nil {
		t.Error(err)
	}
	if took > 50*time.Millisecond {
		t.Errorf("the stop of a waiting program took %v", took)
	}
}

func TestZeroStartsecs(t *testing.T) {
	s := newStage(t)
	s.script["once"] = script{lives: time.Microsecond}
	s.add("once", func(p *model.Program, _ *model.Group) {
		p.Start.Secs, p.Exit.Restart = 0, model.RestartNever
	})
	s.pass(time.Second)
	s.state("once", model.Exited)
	s.logIs("spawned: 'once' with pid 101",
		"success: once entered RUNNING state, process has stayed up for > than 0 seconds (startsecs)",
		"exited: once (exit status 0; expected)")
}

// TestEndIsKnownAtOnce: whoever has given the order sees it in force, and nobody can begin anything.
func TestEndIsKnownAtOnce(t *testing.T) {
	s := newStage(t)
	s.add("x", func(p *model.Program, _ *model.Group) { p.Start.Auto = false })
	s.core.BeginEnd(model.DaemonRestarting)
	for _, c := range []struct{ order, want model.DaemonState }{
		{model.DaemonRestarting, model.DaemonRestarting},
		{model.DaemonShutdown, model.DaemonShutdown},
		{model.DaemonRestarting, model.DaemonShutdown}, // a shutdown stays one
	} {
		s.core.BeginEnd(c.order)
		if got := s.core.State(); got != c.want {
			t.Errorf("after %s: %s, want %s", c.order, got, c.want)
		}
	}
	if _, err := s.start("x", Each, true); !errors.Is(err, ErrEnding) {
		t.Errorf("start: %v", err)
	}
	if err := s.core.addGroups(nil); !errors.Is(err, ErrEnding) {
		t.Errorf("add: %v", err)
	}
	s.pass(time.Second)
	<-s.core.Done()
	stopping := 0
	evs, _ := s.ring.Since(0, 0)
	for _, e := range evs {
		if e.Type == model.EventDaemonStopping {
			stopping++
		}
	}
	if stopping != 1 {
		t.Errorf("%d times announced", stopping)
	}
}

// TestUnknownIsNotRemoved: what lives stays in the table, and is supervised again when it is restarted.
func TestUnknownIsNotRemoved(t *testing.T) {
	s := newStage(t)
	s.script["root"] = script{refuses: true}
	s.add("root", nil)
	s.pass(2 * time.Second)
	if _, err := s.stop("root", true); err == nil {
		t.Fatal("stopped")
	}
	if err := s.core.removeGroup("root"); !errors.Is(err, ErrStillRunning) {
		t.Errorf("remove: %v", err)
	}
	s.core.BeginEnd(model.DaemonShutdown) // it cannot be waited for
	s.pass(time.Second)
	<-s.core.Done()
}

// TestPidsInEvents: the pid of an event is that of the process it is about.
func TestPidsInEvents(t *testing.T) {
	s := newStage(t)
	s.script["p"] = script{lives: 3 * time.Second}
	s.add("p", func(p *model.Program, _ *model.Group) { p.Exit.Restart = model.RestartAlways })
	s.pass(5 * time.Second)
	var got []string
	evs, _ := s.ring.Since(0, 0)
	for _, e := range evs {
		if e.ID.Name == "p" {
			got = append(got, fmt.Sprint(e.Type, " ", e.From, " ", e.PID))
		}
	}
	want := []string{
		"PROCESS_STATE_STARTING STOPPED 0", "PROCESS_STATE_RUNNING STARTING 101", "PROCESS_STATE_EXITED RUNNING 101",
		"PROCESS_STATE_STARTING EXITED 0", "PROCESS_STATE_RUNNING STARTING 102",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
