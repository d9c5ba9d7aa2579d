package core

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// members makes a group of programs, each started by itself.
func members(name string, programs ...string) *model.Group {
	g := &model.Group{Name: name, Priority: 999}
	for _, p := range programs {
		m := simProgram(p)
		m.ID.Group = name
		g.Programs = append(g.Programs, m)
	}
	return g
}

// with changes the programs of a group.
func with(g *model.Group, set func(*model.Program)) *model.Group {
	for _, p := range g.Programs {
		set(p)
	}
	return g
}

func newGroups(groups ...*model.Group) []NewGroup {
	var out []NewGroup
	for _, g := range groups {
		out = append(out, NewGroup{Spec: g, Logs: make([]LogPaths, len(g.Programs))})
	}
	return out
}

func (s *stage) activate(groups ...*model.Group) {
	s.t.Helper()
	if err := s.core.addGroups(newGroups(groups...)); err != nil {
		s.t.Fatal(err)
	}
	s.pass(2 * time.Second)
}

// apply orders a change; groups written with a dash in front go.
func (s *stage) apply(remove string, groups ...*model.Group) *Application {
	s.t.Helper()
	a := s.core.application()
	if err := s.core.apply(a, Change{Groups: newGroups(groups...), Remove: strings.Fields(remove)}); err != nil {
		s.t.Fatal(err)
	}
	return a
}

// finished lets time pass until an application is over, and shows it in one line.
func (s *stage) finished(a *Application) (shown string, took time.Duration) {
	s.t.Helper()
	began := s.w.now
	for {
		s.pass(0)
		select {
		case <-a.done:
			var out []string
			for _, d := range a.out {
				line := d.Kind.String() + " " + d.ID.Namespec()
				if d.Err != nil {
					line += " " + d.Err.Error()
				}
				out = append(out, line)
			}
			return strings.Join(out, ", "), s.w.now - began
		default:
		}
		s.pass(10 * time.Millisecond)
		if s.w.now-began > time.Hour {
			s.t.Fatal("not finished within an hour")
		}
	}
}

func (s *stage) applied(a *Application, want string) {
	s.t.Helper()
	if got, _ := s.finished(a); got != want {
		s.t.Errorf("applied %q, want %q", got, want)
	}
}

// all is every program with its state and, while it lives, its pid.
func (s *stage) all() string {
	var out []string
	for _, g := range s.core.Table().Groups {
		for _, slot := range g.Slots {
			st := slot.Status()
			line := st.ID.Name + " " + st.State.String()
			if st.PID > 0 {
				line += fmt.Sprint(" ", st.PID)
			}
			out = append(out, line)
		}
	}
	return strings.Join(out, ", ")
}

func (s *stage) are(want string) {
	s.t.Helper()
	if got := s.all(); got != want {
		s.t.Errorf("programs:\n%s\nwant\n%s", got, want)
	}
}

func (s *stage) in(group, name string) *Slot {
	return s.core.Table().Slot(model.ID{Group: group, Name: name})
}

func TestApplyLive(t *testing.T) {
	s := newStage(t)
	s.activate(members("g", "a", "b"))
	before := s.in("g", "a").Status()
	next := members("g", "a", "b")
	next.Programs[0].Stop = model.StopPolicy{Signal: 2, Wait: 3 * time.Second}
	next.Programs[0].Exit.Restart = model.RestartNever
	s.applied(s.apply("", next), "refresh g:a")
	s.are("a RUNNING 101, b RUNNING 102")
	slot := s.in("g", "a")
	if now := slot.Status(); now.Start != before.Start || now.Generation != before.Generation || now.Program != next.Programs[0] {
		t.Errorf("status %+v, was %+v", now, before)
	}
	if s.core.Table().Group("g").Spec != next || slot.Program() != next.Programs[0] {
		t.Error("the old definition is in the table")
	}
	a := s.alive["a"]
	o := s.core.stop([]*Slot{slot}, Each, true)
	s.pass(0)
	if !slices.Equal(a.got, []int{2}) {
		t.Errorf("signals %v, want the new stop signal", a.got)
	}
	if _, took := s.until(o); took < 3*time.Second || took > 4*time.Second {
		t.Errorf("killed after %v, the new patience is 3 s", took)
	}
	if _, err := s.one(s.core.start([]*Slot{slot}, Each, true)); err != nil {
		t.Fatal(err)
	}
	s.alive["a"].end(model.Exit{Known: true, Status: 1})
	s.pass(time.Minute)
	s.are("a EXITED, b RUNNING 102") // the new restart policy counts too
}

func TestApplyRestartsOnlyWhatMust(t *testing.T) {
	s := newStage(t)
	s.activate(members("g", "a", "b", "off"))
	if _, err := s.one(s.core.stop([]*Slot{s.in("g", "off")}, Each, true)); err != nil {
		t.Fatal(err)
	}
	next := members("g", "a", "b", "off")
	for _, i := range []int{0, 2} {
		next.Programs[i].Command.Dir = "/new"
		next.Programs[i].Stop.Signal = 9
	}
	old := s.alive["a"]
	app := s.apply("", next)
	if d := s.in("g", "a"); d.Program().Command.Dir != "" {
		t.Error("the new definition is in force while the old process lives")
	}
	s.applied(app, "replace g:a, refresh g:off")
	if !slices.Equal(old.got, []int{15}) {
		t.Errorf("the old process got %v, want what its definition says", old.got)
	}
	s.are("a RUNNING 104, b RUNNING 102, off STOPPED")
	for _, name := range []string{"a", "off"} {
		if p := s.in("g", name).Program(); p.Command.Dir != "/new" {
			t.Errorf("%s has the old definition", name)
		}
	}
}

func TestApplyMembers(t *testing.T) {
	s := newStage(t)
	s.activate(members("g", "a", "b"))
	more := members("g", "c", "a", "b", "d")
	more.Programs[3].Start.Auto = false
	s.applied(s.apply("", more), "add g:c, add g:d")
	s.are("c RUNNING 103, a RUNNING 101, b RUNNING 102, d STOPPED")

	s.script["b"] = script{stubborn: true}
	fewer := members("g", "a")
	a := s.apply("", fewer)
	s.are("a RUNNING 101, c STOPPING 103, b STOPPING 102, d STOPPED") // d is gone at the next turn
	if _, err := s.one(s.core.start([]*Slot{s.in("g", "b")}, Each, true)); !errors.Is(err, ErrNoGroup) {
		t.Errorf("start of what goes: %v", err)
	}
	s.applied(a, "remove g:c, remove g:b, remove g:d")
	s.are("a RUNNING 101")
}

// What comes is started when what goes is gone; what stays does not wait for that.
func TestApplyMakesRoom(t *testing.T) {
	s := newStage(t)
	s.script["old"] = script{dies: 5 * time.Second}
	s.activate(members("o", "old"), members("g", "a"))
	next := with(members("g", "a"), func(p *model.Program) { p.Command.Dir = "/new" })
	a := s.apply("o", next, members("n", "new"))
	s.pass(3 * time.Second)
	s.are("old STOPPING 101, a RUNNING 103, new STOPPED")
	shown, took := s.finished(a)
	if shown != "remove o:old, replace g:a, add n:new" || took < 2*time.Second {
		t.Errorf("%s after %v", shown, took)
	}
	s.are("a RUNNING 103, new RUNNING 104")
	var groups []string
	evs, _ := s.ring.Since(0, 0)
	for _, e := range evs {
		if e.Type == model.EventGroupAdded || e.Type == model.EventGroupRemoved {
			groups = append(groups, fmt.Sprint(e.Type, e.ID.Group))
		}
	}
	want := []string{
		fmt.Sprint(model.EventGroupAdded, "o"), fmt.Sprint(model.EventGroupAdded, "g"),
		fmt.Sprint(model.EventGroupAdded, "n"), fmt.Sprint(model.EventGroupRemoved, "o"),
	}
	if d := cmp.Diff(want, groups); d != "" {
		t.Error(d)
	}
}

// A stop by a person during a change counts.
func TestApplyAndAStop(t *testing.T) {
	s := newStage(t)
	s.script["a"] = script{dies: time.Second}
	s.activate(members("g", "a"))
	a := s.apply("", with(members("g", "a"), func(p *model.Program) { p.Command.Dir = "/new" }))
	s.pass(100 * time.Millisecond)
	s.core.stop([]*Slot{s.in("g", "a")}, Each, false)
	s.applied(a, "replace g:a abnormal termination")
	s.are("a STOPPED")
	if s.in("g", "a").Program().Command.Dir != "/new" {
		t.Error("the old definition is in force")
	}
}

func TestApplyInEveryState(t *testing.T) {
	dir := func(p *model.Program) { p.Command.Dir = "/new" }
	for _, c := range []struct {
		name   string
		script script
		set    func(*model.Program)
		before func(*stage)
		state  model.State
		want   string // applied
		after  string
	}{
		{"starting", script{}, func(p *model.Program) { p.Start.Secs = time.Minute }, nil, model.Starting, "replace x:x", "x RUNNING 102"},
		{"backoff", script{lives: time.Millisecond}, func(p *model.Program) { p.Start.Retries = 100 }, func(s *stage) { s.pass(10 * time.Second); s.script["x"] = script{} }, model.Backoff, "replace x:x", "x RUNNING"},
		{"fatal", script{lives: time.Millisecond}, func(p *model.Program) { p.Start.Retries = 0 }, func(s *stage) { s.script["x"] = script{} }, model.Fatal, "replace x:x", "x RUNNING 102"},
		{"exited", script{lives: 1500 * time.Millisecond}, func(p *model.Program) { p.Exit.Restart = model.RestartNever }, nil, model.Exited, "refresh x:x", "x EXITED"},
		{"stopping", script{dies: 4 * time.Second}, nil, func(s *stage) { s.core.stop([]*Slot{s.in("x", "x")}, Each, false); s.pass(time.Second) }, model.Stopping, "refresh x:x", "x STOPPED"},
		{
			"unknown",
			script{refuses: true},
			nil, func(s *stage) { s.one(s.core.stop([]*Slot{s.in("x", "x")}, Each, true)) },
			model.Unknown, "refresh x:x", "x UNKNOWN 101",
		},
		{"failing", script{}, nil, func(s *stage) { s.script["x"] = script{fails: "no"} }, model.Running, "replace x:x spawn error", "x BACKOFF"},
		{"unkillable", script{refuses: true}, nil, nil, model.Running, "replace x:x unknown process state", "x UNKNOWN 101"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			s.script["x"] = c.script
			g, next := members("x", "x"), members("x", "x")
			if c.set != nil {
				with(g, c.set)
				with(next, c.set)
			}
			s.activate(g)
			if c.before != nil {
				c.before(s)
			}
			if got := s.in("x", "x").Status().State; got != c.state {
				t.Fatalf("before it is %s, want %s", got, c.state)
			}
			slot := s.in("x", "x")
			s.applied(s.apply("", with(next, dir)), c.want)
			if c.state == model.Stopping {
				s.pass(10 * time.Second)
			}
			if got := s.all(); got != c.after && !(c.name == "backoff" && strings.HasPrefix(got, c.after)) {
				t.Errorf("after: %s, want %s", got, c.after)
			}
			if s.in("x", "x") != slot {
				t.Error("the program has another place")
			}
			if p, _ := slot.Target(); p != next.Programs[0] {
				t.Error("the new definition is nowhere")
			}
			if inForce := slot.Program() == next.Programs[0]; inForce == strings.Contains(c.after, "UNKNOWN") {
				t.Errorf("in force: %v", inForce)
			}
			if c.script.refuses { // it ends some day, and then the new definition counts
				s.alive["x"].end(model.Exit{Known: true})
				s.pass(2 * time.Second)
				if slot.Program() != next.Programs[0] {
					t.Error("the old definition outlives the process")
				}
			}
		})
	}
}

// What cannot be stopped stays in the table until it ends, and is not started again.
func TestApplyRemovesTheUnkillable(t *testing.T) {
	s := newStage(t)
	s.script["x"] = script{refuses: true}
	s.activate(members("x", "x"), members("y", "y"))
	shown, _ := s.finished(s.apply("x", members("n", "n")))
	if !strings.HasPrefix(shown, "remove x:x unknown problem killing x") || !strings.HasSuffix(shown, ", add n:n") {
		t.Error(shown)
	}
	s.are("x UNKNOWN 101, y RUNNING 102, n RUNNING 103")
	s.alive["x"].end(model.Exit{Known: true, Status: 7})
	s.pass(time.Minute)
	s.are("y RUNNING 102, n RUNNING 103")
	if len(s.alive) != 2 {
		t.Errorf("%d live", len(s.alive))
	}
}

// A program that went and is back before it was gone.
func TestApplyChangesItsMind(t *testing.T) {
	s := newStage(t)
	s.script["b"] = script{dies: 5 * time.Second}
	s.activate(members("g", "a", "b"), members("h", "h"))
	first := s.apply("h", members("g", "a"))
	s.pass(time.Second)
	back := members("g", "a", "b")
	second := s.apply("", back, members("h", "h"))
	s.applied(second, "add g:b, add h:h")
	s.applied(first, "remove h:h, remove g:b")
	s.are("a RUNNING 101, b RUNNING 105, h RUNNING 104")
	if p := s.in("g", "b").Program(); p != back.Programs[1] {
		t.Error("the old definition is in force")
	}
	// And the other way round: a restart is under way, and the old definition comes back.
	s.apply("", with(members("g", "a", "b"), func(p *model.Program) { p.Command.Dir = "/new" }))
	s.pass(time.Second)
	s.apply("", back)
	s.pass(time.Minute)
	if got := s.in("g", "b").Status(); got.State != model.Running || got.Program.Command.Dir != "" {
		t.Errorf("%s in %q", got.State, got.Program.Command.Dir)
	}
}

func TestApplyPriorities(t *testing.T) {
	s := newStage(t)
	s.activate(members("a", "a"), members("b", "b1", "b2"))
	next := members("b", "b1", "b2")
	next.Priority = 1
	next.Programs[0].Priority = 9
	s.applied(s.apply("", next), "refresh b:, refresh b:b1")
	var names []string
	for _, slot := range s.core.Table().ByPriority() {
		names = append(names, slot.Program().ID.Name)
	}
	if got := strings.Join(names, " "); got != "b2 b1 a" {
		t.Errorf("order %s", got)
	}
	for _, slot := range s.core.Table().Sorted {
		if slot.Status().PID == 0 {
			t.Errorf("%s was stopped", slot.Status().ID)
		}
	}
}

// A value of the group that asks for it restarts all, and nothing that was stopped.
func TestApplyGroupRestart(t *testing.T) {
	s := newStage(t)
	s.activate(members("g", "a", "b"))
	s.one(s.core.stop([]*Slot{s.in("g", "b")}, Each, true))
	next := members("g", "a", "b")
	next.Kind = model.KindFastCGI
	s.applied(s.apply("", next), "replace g:a, refresh g:b")
	s.are("a RUNNING 103, b STOPPED")
}

func TestApplyDuringAnEnd(t *testing.T) {
	s := newStage(t)
	s.script["a"] = script{dies: time.Second}
	s.activate(members("g", "a"), members("h", "h"))
	a := s.apply("h", with(members("g", "a"), func(p *model.Program) { p.Command.Dir = "/new" }), members("n", "n"))
	s.core.BeginEnd(model.DaemonShutdown)
	if err := s.core.apply(s.core.application(), Change{}); !errors.Is(err, ErrEnding) {
		t.Errorf("a change during the end: %v", err)
	}
	for s.w.now < 2*time.Hour && !s.core.end.complete {
		s.pass(100 * time.Millisecond)
	}
	s.pass(time.Second)
	if len(s.alive) > 0 || !s.core.end.complete {
		t.Fatalf("%d live after the end", len(s.alive))
	}
	select {
	case <-a.done:
		if got := fmt.Sprint(a.out[len(a.out)-1].Err); got != ErrEnding.Error() {
			t.Errorf("what had come: %s", got)
		}
	default: // the core was gone first
	}
}

// tuned is a process that notes what it is tuned to.
type tuned struct {
	*actor
	to *[]int64
}

func (x tuned) Tune(p *model.Program) { *x.to = append(*x.to, p.IO.Stdout.MaxBytes) }

func TestApplyTunes(t *testing.T) {
	s := newStage(t)
	s.add("x", nil)
	var to []int64
	size := func(n int64) *model.Group {
		return with(members("x", "x"), func(p *model.Program) { p.IO.Stdout.MaxBytes = n })
	}
	// While the process is being made it cannot be told, but later it must be.
	s.apply("", size(1))
	slot := s.in("x", "x")
	a := &actor{s: s, inst: Instance{slot, slot.m.Gen}, pid: 9}
	s.core.launched(a.inst, tuned{a, &to})
	s.apply("", size(2))
	s.apply("", size(2))
	if !slices.Equal(to, []int64{1, 2, 2}) {
		t.Errorf("tuned to %v", to)
	}
}

// TestSimulatedChanges: changes of every kind come at every moment, while people start and stop programs.
// After each the table is what was asked for; nothing is touched that did not change; nothing lives that
// the table does not know; and in the end everything ends.
func TestSimulatedChanges(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			w.meanUp = 40 * time.Second
			dice := rand.New(rand.NewPCG(seed, 2))
			var want []*model.Group
			for round := range 150 {
				next := drawGroups(dice, want)
				var ch Change
				ch.Groups = newGroups(next...)
				for _, g := range want {
					if !slices.ContainsFunc(next, func(n *model.Group) bool { return n.Name == g.Name }) {
						ch.Remove = append(ch.Remove, g.Name)
					}
				}
				steady := w.steady(next)
				a := w.core.application()
				w.do(func() error { return w.core.apply(a, ch) })
				want = next
				for slot, gen := range steady {
					if slot.m.Gen != gen || !slot.m.State.Up() {
						t.Fatalf("round %d: %s was touched and did not change", round, slot.spec.ID)
					}
				}
				w.run(w.now + time.Duration(dice.IntN(20_000))*time.Millisecond)
				w.asked(want)
				if table := w.core.Table().Sorted; len(table) > 0 && dice.IntN(2) == 0 {
					w.person(table[dice.IntN(len(table))])
				}
			}
			w.run(w.now + 5*time.Minute)
			w.asked(want)
			w.census()
			for _, s := range w.core.Table().Sorted {
				if s.leaving || s.next.Load() != nil {
					t.Errorf("%s: still under way", s.spec.ID)
				}
			}
			w.core.BeginEnd(model.DaemonShutdown)
			w.run(w.now + 10*time.Minute)
			if len(w.live) > 0 || !w.core.end.complete {
				t.Errorf("%d live after the end", len(w.live))
			}
		})
	}
}

// person stops a program that is up, and starts it some time later, however it may have changed meanwhile.
func (w *world) person(s *Slot) {
	if s.m.State.Up() {
		w.core.stop([]*Slot{s}, Each, true)
	}
	w.later(time.Duration(w.dice.IntN(30))*time.Second, func() { w.core.start([]*Slot{s}, Each, true) })
}

// drawGroups is a configuration near to another one.
func drawGroups(dice *rand.Rand, from []*model.Group) []*model.Group {
	var out []*model.Group
	for _, name := range []string{"a", "b", "c"} {
		i := slices.IndexFunc(from, func(g *model.Group) bool { return g.Name == name })
		if dice.IntN(5) == 0 {
			continue
		}
		g := &model.Group{Name: name, Priority: 1 + dice.IntN(2)}
		for _, p := range []string{"1", "2", "3", "4"} {
			if dice.IntN(4) == 0 {
				continue
			}
			m := simProgram(name + p)
			m.ID.Group = name
			if i >= 0 {
				for _, old := range from[i].Programs {
					if old.ID == m.ID {
						*m = *old
					}
				}
			}
			switch dice.IntN(6) {
			case 0:
				m.Command.Line = fmt.Sprint(dice.IntN(3))
			case 1:
				m.Start.Auto = dice.IntN(2) == 0
			case 2:
				m.Stop.Wait = time.Duration(1+dice.IntN(5)) * time.Second
			}
			g.Programs = append(g.Programs, m)
		}
		if len(g.Programs) > 0 {
			out = append(out, g)
		}
	}
	return out
}

// steady are the programs that are up and that a change must not touch.
func (w *world) steady(next []*model.Group) map[*Slot]uint64 {
	out := map[*Slot]uint64{}
	for _, g := range next {
		for _, p := range g.Programs {
			s := w.core.Table().Slot(p.ID)
			if s != nil && !s.leaving && s.m.State.Up() && model.EffectOf(model.Diff(s.spec, p)) != model.EffectRestart {
				out[s] = s.m.Gen
			}
		}
	}
	return out
}

// asked holds the table against what was asked for.
func (w *world) asked(groups []*model.Group) {
	w.t.Helper()
	want := map[model.ID]*model.Program{}
	for _, g := range groups {
		if e := w.core.Table().Group(g.Name); e == nil || e.Spec != g {
			w.t.Fatalf("group %s is not what was asked for", g.Name)
		}
		for _, p := range g.Programs {
			want[p.ID] = p
		}
	}
	for _, s := range w.core.Table().Sorted {
		p, _ := s.Target()
		if !s.leaving && want[s.spec.ID] != p {
			w.t.Fatalf("%s is not what was asked for", s.spec.ID)
		}
		if s.leaving && want[s.spec.ID] != nil {
			w.t.Fatalf("%s leaves and was asked for", s.spec.ID)
		}
		delete(want, s.spec.ID)
	}
	if len(want) > 0 {
		w.t.Fatalf("%d programs are missing", len(want))
	}
	for s := range w.live {
		if w.core.Table().Slot(s.spec.ID) != s {
			w.t.Fatalf("%s lives, and the table does not know it", s.spec.ID)
		}
	}
}
