package manager

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
)

// auto gives programs automatic logs.
func auto(g *model.Group) *model.Group {
	for _, p := range g.Programs {
		p.IO.Stdout.Log, p.IO.Stderr.Log = model.LogAuto, model.LogAuto
	}
	return g
}

// autoLogs are the automatic logs that exist.
func (s *stage) autoLogs() []string {
	found, err := filepath.Glob(filepath.Join(s.dir, "*---me-*.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	for i, f := range found {
		found[i], _, _ = strings.Cut(filepath.Base(f), "---")
	}
	return found
}

func TestInfoAndList(t *testing.T) {
	s := newStage(t, group("b", 1, "b2=stay", "b1=stay"), group("a", 2, "stay"))
	if d := cmp.Diff(service.Info{Identifier: "me", PID: 4711, State: model.DaemonRunning}, s.Info()); d != "" {
		t.Error(d)
	}
	list, err := s.List(context.Background())
	var names []string
	for _, st := range list {
		names = append(names, st.ID.Namespec()+" "+st.State.String())
	}
	if d := cmp.Diff([]string{"a:a STOPPED", "b:b1 STOPPED", "b:b2 STOPPED"}, names); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
	_, err = s.Get(context.Background(), model.ID{Group: "b", Name: "b"})
	code(t, "get of a group's name", err, service.CodeNoSuchProgram)
}

func TestConfigured(t *testing.T) {
	file := group("f", 5, "stay")
	file.Programs[0].IO.Stdout = model.Stream{Log: model.LogFile, Path: "f.log"}
	merged := auto(group("m", 6, "stay"))
	merged.Programs[0].IO.MergeStderr = true
	s := newStage(t, file, auto(group("a", 7, "z=stay", "b=stay")), merged)
	show := func() []string {
		t.Helper()
		list, err := s.Configured(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, c := range list {
			log := func(path string) string {
				path = strings.TrimPrefix(path, s.dir+"/")
				path, _, _ = strings.Cut(path, "---")
				return path
			}
			out = append(out, fmt.Sprintf("%s %d %v [%s] [%s]", c.Program.ID.Namespec(), c.GroupPriority, c.InUse, log(c.StdoutLog), log(c.StderrLog)))
		}
		return out
	}
	if d := cmp.Diff([]string{
		"a:b 7 true [b-stdout] [b-stderr]", "f:f 5 true [f.log] []", "m:m 6 true [m-stdout] []", "a:z 7 true [z-stdout] [z-stderr]",
	}, show()); d != "" {
		t.Error(d)
	}
	// After a reread the new definitions are shown: their automatic logs have not been made yet.
	next := auto(group("m", 9, "stay"))
	next.Programs[0].IO.MergeStderr = true
	s.reads(&model.Config{Groups: []*model.Group{auto(group("new", 3, "stay")), next}}, nil)
	if _, err := s.Reread(context.Background()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"m:m 9 true [auto] []", "new:new 3 false [auto] [auto]"}, show()); d != "" {
		t.Error(d)
	}
}

func TestRereadAddRemove(t *testing.T) {
	ctx := context.Background()
	s := newStage(t, auto(group("kept", 1, "stay")), auto(group("old", 2, "stay")), group("changes", 3, "stay"))
	s.reads(&model.Config{Groups: []*model.Group{auto(group("kept", 1, "stay")), group("changes", 3, "mule"), auto(group("new", 4, "stay"))}}, nil)
	code(t, "add before the reread", s.AddGroup(ctx, "new"), service.CodeNoSuchProgram)
	for range 2 { // the answer stays the same until something is changed
		got, err := s.Reread(ctx)
		want := service.Changes{Added: []string{"new"}, Changed: []string{"changes"}, Removed: []string{"old"}}
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%v %s", err, d)
		}
	}
	code(t, "add of what is there", s.AddGroup(ctx, "kept"), service.CodeAlreadyAdded)
	code(t, "add of what is not configured any more", s.AddGroup(ctx, "old"), service.CodeNoSuchProgram)
	code(t, "add of nothing", s.AddGroup(ctx, ""), service.CodeNoSuchProgram)
	code(t, "add", s.AddGroup(ctx, "new"), 0)
	code(t, "add again", s.AddGroup(ctx, "new"), service.CodeAlreadyAdded)

	for _, name := range []string{"old", "changes"} {
		if _, err := s.Start(ctx, one(name), service.WaitOutcome); err != nil {
			t.Fatal(err)
		}
		code(t, "remove of a running group", s.RemoveGroup(ctx, name), service.CodeStillRunning)
		if _, err := s.Stop(ctx, one(name), service.WaitOutcome); err != nil {
			t.Fatal(err)
		}
		code(t, "remove of a name that is not configured any more", s.RemoveGroup(ctx, name), 0)
		code(t, "remove again", s.RemoveGroup(ctx, name), service.CodeNoSuchProgram)
	}
	code(t, "add of the new definition", s.AddGroup(ctx, "changes"), 0)
	if st, err := s.Get(ctx, one("changes").ID); err != nil || st.Program.Command.Line != "mule" {
		t.Errorf("the old definition is in force: %v", err)
	}
	if d := cmp.Diff([]string{"kept-stderr", "kept-stdout", "new-stderr", "new-stdout"}, s.autoLogs()); d != "" {
		t.Errorf("automatic logs: %s", d) // those of the removed group are gone (F40)
	}
	got, err := s.Reread(ctx)
	if d := cmp.Diff(service.Changes{Added: []string{}, Changed: []string{}, Removed: []string{}}, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
}

// TestUnkillableGroupIsNotForgotten: UNKNOWN counts as down, but what lives must stay in the table.
func TestUnkillableGroupIsNotForgotten(t *testing.T) {
	ctx := context.Background()
	s := newStage(t, group("deaf", 1, "deaf"))
	if _, err := s.Start(ctx, one("deaf"), service.WaitOutcome); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stop(ctx, one("deaf"), service.WaitOutcome); err != nil {
		t.Fatal(err)
	}
	s.state("deaf", model.Unknown)
	code(t, "remove", s.RemoveGroup(ctx, "deaf"), service.CodeStillRunning)
	s.mu.Lock()
	a := s.live["deaf"]
	s.mu.Unlock()
	s.core.Ended(a.i, model.Exit{Known: true})
	s.until("its end is known", func() bool {
		st, _ := s.Get(ctx, one("deaf").ID)
		return st.State == model.Exited
	})
	code(t, "remove", s.RemoveGroup(ctx, "deaf"), 0)
}

func TestBadConfigurationChangesNothing(t *testing.T) {
	ctx := context.Background()
	s := newStage(t, group("x", 1, "stay"))
	if _, err := s.Start(ctx, one("x"), service.WaitOutcome); err != nil {
		t.Fatal(err)
	}
	s.reads(nil, errors.New("The section is bad in 'f'"))
	for what, f := range map[string]func() error{
		"reread":  func() error { _, err := s.Reread(ctx); return err },
		"restart": func() error { return s.Restart(ctx) },
	} {
		err := f()
		code(t, what, err, service.CodeCannotReread)
		var e *service.Error
		if errors.As(err, &e) && e.Text != "The section is bad in 'f'" {
			t.Errorf("%s: %q", what, e.Text)
		}
	}
	s.state("x", model.Running)
	if list, err := s.Configured(ctx); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	if s.Info().State != model.DaemonRunning {
		t.Errorf("state %v", s.Info().State)
	}
}

// TestLogsThatCannotBeMade: nothing is added then, and nothing is left behind.
func TestLogsThatCannotBeMade(t *testing.T) {
	ctx := context.Background()
	s := newStage(t)
	g := auto(group("g", 1, "one=stay", "two/three=stay")) // the second name is no name for a file
	s.reads(&model.Config{Groups: []*model.Group{g}}, nil)
	if _, err := s.Reread(ctx); err != nil {
		t.Fatal(err)
	}
	code(t, "add", s.AddGroup(ctx, "g"), service.CodeFailed)
	if left := s.autoLogs(); len(left) > 0 || s.core.Table().Group("g") != nil {
		t.Errorf("left behind: %v", left)
	}
	if _, err := s.Prepare(&model.Config{Groups: []*model.Group{auto(group("h", 1, "stay")), g}}, func(string) bool { return false }); err == nil {
		t.Error("prepared")
	}
	if left := s.autoLogs(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestGoneClientLeavesNothingHalfDone: an add or remove is finished although nobody waits for it any more.
func TestGoneClientLeavesNothingHalfDone(t *testing.T) {
	s := newStage(t, auto(group("x", 1, "stay")))
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	code(t, "remove", s.RemoveGroup(gone, "x"), 0)
	if left := s.autoLogs(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	code(t, "add", s.AddGroup(gone, "x"), 0)
	if s.core.Table().Group("x") == nil || len(s.autoLogs()) != 2 {
		t.Error("not added")
	}
}

func TestEverythingFailsWhileShuttingDown(t *testing.T) {
	for _, end := range []func(*stage) error{
		func(s *stage) error { return s.Shutdown(context.Background()) },
		func(s *stage) error { return s.Restart(context.Background()) },
	} {
		s := newStage(t, group("mule", 1, "mule"))
		ctx := context.Background()
		if _, err := s.Start(ctx, one("mule"), service.WaitOutcome); err != nil {
			t.Fatal(err)
		}
		if err := end(s); err != nil {
			t.Fatal(err)
		}
		ref := service.LogRef{ID: one("mule").ID}
		for what, f := range map[string]func() error{
			"List":         func() error { _, err := s.List(ctx); return err },
			"Get":          func() error { _, err := s.Get(ctx, one("mule").ID); return err },
			"Configured":   func() error { _, err := s.Configured(ctx); return err },
			"Start":        func() error { _, err := s.Start(ctx, everything, service.WaitOutcome); return err },
			"Start one":    func() error { _, err := s.Start(ctx, one("mule"), service.WaitOutcome); return err },
			"Start nobody": func() error { _, err := s.Start(ctx, one("nobody"), service.WaitOutcome); return err },
			"Stop":         func() error { _, err := s.Stop(ctx, service.Selector{Group: "mule"}, service.WaitOutcome); return err },
			"Signal":       func() error { _, err := s.Signal(ctx, one("mule"), "NOPE"); return err },
			"WriteStdin":   func() error { return s.WriteStdin(ctx, one("mule").ID, nil) },
			"ReadLog":      func() error { _, err := s.ReadLog(ctx, ref, -1, 1); return err },
			"ReadLog main": func() error { _, err := s.ReadLog(ctx, service.LogRef{Main: true}, 0, 0); return err },
			"TailLog":      func() error { _, _, _, err := s.TailLog(ctx, ref, 0, 0); return err },
			"FollowLog":    func() error { _, err := s.FollowLog(ctx, ref, 0); return err },
			"Logs":         func() error { _, err := s.Logs(ctx, service.LogQuery{Logs: []service.LogRef{ref}}); return err },
			"ClearLogs":    func() error { _, err := s.ClearLogs(ctx, everything); return err },
			"ClearMainLog": func() error { return s.ClearMainLog(ctx) },
			"Reread":       func() error { _, err := s.Reread(ctx); return err },
			"AddGroup":     func() error { return s.AddGroup(ctx, "nobody") },
			"RemoveGroup":  func() error { return s.RemoveGroup(ctx, "nobody") },
			"Shutdown":     func() error { return s.Shutdown(ctx) },
			"Restart":      func() error { return s.Restart(ctx) },
		} {
			code(t, what, f(), service.CodeShuttingDown)
		}
		if st := s.Info().State; st == model.DaemonRunning {
			t.Errorf("state %v", st)
		}
		before := s.ring.Last()
		if err := s.Publish(ctx, "kind", "data"); err != nil {
			t.Error(err)
		}
		evs, _ := s.ring.Since(before, 0)
		evs = slices.DeleteFunc(evs, func(e model.Event) bool { return e.Type != model.EventRemote })
		if len(evs) != 1 || evs[0].Kind != "kind" || string(evs[0].Data) != "data" || evs[0].Time.IsZero() {
			t.Errorf("events %+v", evs)
		}
	}
}

// TestNothingHangsAfterTheEnd: whoever comes in the last moment is answered.
func TestNothingHangsAfterTheEnd(t *testing.T) {
	s := newStage(t, group("x", 1, "stay"))
	slot := s.core.Table().Slot(one("x").ID)
	s.core.BeginEnd(model.DaemonShutdown)
	<-s.core.Done()
	ctx := context.Background()
	// As calls that have passed the manager's own check before the order came.
	_, err := results(s.core.Start(ctx, nil, 0, true))
	code(t, "start", err, service.CodeShuttingDown)
	code(t, "add", failure(s.core.AddGroups(ctx, nil), ""), service.CodeShuttingDown)
	code(t, "remove", failure(s.core.RemoveGroup(ctx, "x"), ""), service.CodeShuttingDown)
	code(t, "stdin", failure(s.core.WriteStdin(ctx, slot, nil), ""), service.CodeShuttingDown)
}

// TestStartUnderWayWhenTheEndComes: who waits for a start is told that it came to nothing.
func TestStartUnderWayWhenTheEndComes(t *testing.T) {
	g := group("x", 1, "stay")
	g.Programs[0].Start.Secs = 1 << 60
	s := newStage(t, g)
	var rs []service.Result
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		rs, err = s.Start(context.Background(), one("x"), service.WaitOutcome)
	}()
	s.until("it is being started", func() bool {
		st, _ := s.Get(context.Background(), one("x").ID)
		return st.State == model.Starting && st.PID > 0
	})
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	<-done
	is(t, "start", rs, err, "x:x abnormal termination: x")
}

// TestManyAtOnce: groups are added, removed, started and stopped by many clients; each answer is one of those
// that can be, and the table and the automatic logs agree in the end.
func TestManyAtOnce(t *testing.T) {
	const clients, rounds, n = 8, 60, 5
	var groups []*model.Group
	for i := range n {
		groups = append(groups, auto(group(fmt.Sprint("g", i), i, "stay")))
	}
	s := newStage(t, groups...)
	ctx := context.Background()
	allowed := map[string][]service.Code{
		"add":    {0, service.CodeAlreadyAdded},
		"remove": {0, service.CodeStillRunning, service.CodeNoSuchProgram},
		"start":  {0, service.CodeAlreadyStarted, service.CodeNoSuchProgram, service.CodeAbnormalTermination},
		"stop":   {0, service.CodeNotRunning, service.CodeNoSuchProgram},
		"read":   {0},
	}
	var work sync.WaitGroup
	for c := range clients {
		work.Go(func() {
			dice := rand.New(rand.NewPCG(1, uint64(c)))
			for range rounds {
				name := fmt.Sprint("g", dice.IntN(n))
				var what string
				var err error
				var rs []service.Result
				switch dice.IntN(5) {
				case 0:
					what, err = "add", s.AddGroup(ctx, name)
				case 1:
					what, err = "remove", s.RemoveGroup(ctx, name)
				case 2:
					what = "start"
					rs, err = s.Start(ctx, one(name), service.WaitOutcome)
				case 3:
					what = "stop"
					rs, err = s.Stop(ctx, one(name), service.WaitOutcome)
				default:
					what = "read"
					_, err = s.Reread(ctx)
					if _, e := s.Configured(ctx); e != nil {
						err = e
					}
					if _, e := s.List(ctx); e != nil {
						err = e
					}
				}
				for _, r := range rs {
					err = errors.Join(err, r.Err)
				}
				got, ok := service.CodeOf(err), false
				for _, a := range allowed[what] {
					ok = ok || a == got
				}
				if !ok {
					t.Errorf("%s %s: %v", what, name, err)
				}
			}
		})
	}
	work.Wait()
	var want int
	for _, g := range s.core.Table().Groups {
		want += 2 * len(g.Slots)
		for _, slot := range g.Slots {
			for _, path := range []string{slot.Logs().Stdout, slot.Logs().Stderr} {
				if _, err := os.Stat(path); err != nil {
					t.Error(err)
				}
			}
		}
	}
	if got := s.autoLogs(); len(got) != want {
		t.Errorf("%d automatic logs, want %d: %v", len(got), want, got)
	}
}
