package manager

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
)

// up starts everything.
func (s *stage) up() {
	s.t.Helper()
	if _, err := s.Start(context.Background(), everything, service.WaitOutcome); err != nil {
		s.t.Fatal(err)
	}
	s.took()
}

// next makes the groups the configuration that is read next.
func (s *stage) next(groups ...*model.Group) { s.reads(&model.Config{Groups: groups}, nil) }

// planned is a plan in lines.
func (s *stage) planned() string {
	s.t.Helper()
	steps, err := s.Plan(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	var out []string
	for _, st := range steps {
		line := st.Action.String() + " " + st.ID.Namespec()
		for _, f := range st.Fields {
			line += " " + f.Field
		}
		line += ": " + st.Reason
		if st.Refused != "" {
			line += " REFUSED " + st.Refused
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

// applies applies and compares the answer.
func (s *stage) applies(want string, names ...string) {
	s.t.Helper()
	done, err := s.Apply(context.Background(), names)
	if err != nil {
		s.t.Errorf("apply: %v", err)
	}
	var out []string
	for _, d := range done {
		line := d.Action.String() + " " + d.ID.Namespec()
		if d.Err != nil {
			line += " " + d.Err.Error()
		}
		out = append(out, line)
	}
	if got := strings.Join(out, ", "); got != want {
		s.t.Errorf("applied %q, want %q", got, want)
	}
}

func autostart(g *model.Group) *model.Group {
	for _, p := range g.Programs {
		p.Start.Auto = true
	}
	return g
}

// TestPlanOfWhatIsDisabled says what is done: nothing that may not be started again is ended for a change.
func TestPlanOfWhatIsDisabled(t *testing.T) {
	s := newStage(t, group("g", 1, "a=stay", "b=stay"), group("down", 2, "stay"))
	s.up()
	if _, err := s.Stop(context.Background(), one("down"), service.WaitOutcome); err != nil {
		t.Fatal(err)
	}
	s.took()
	disabled := func(g *model.Group) *model.Group {
		for _, p := range g.Programs {
			p.Disabled, p.Start.Auto = true, true
		}
		return g
	}
	g := group("g", 1, "a=stay -x", "b=stay")
	g.Programs[0].Disabled = true
	s.next(g, disabled(group("down", 2, "stay -x")), disabled(group("new", 3, "stay")))
	if d := cmp.Diff(strings.Join([]string{
		"change g:a command enabled: it is disabled: what runs goes on, and is not started again",
		"change down:down command autostart enabled: it is not running; takes effect when it is started",
		"add new:new: it is new and disabled",
	}, "\n"), s.planned()); d != "" {
		t.Error(d)
	}
	s.applies("change g:a, change down:down, add new:new")
	if got := s.took(); got != "" {
		t.Errorf("orders %s", got)
	}
}

// TestPlanThatRestartsNothing says so too.
func TestPlanThatRestartsNothing(t *testing.T) {
	s := newGentle(t, group("g", 1, "a=stay"))
	s.up()
	s.next(group("g", 1, "a=stay -x"))
	if got := s.planned(); got != "change g:a command: takes effect when it is started again" {
		t.Error(got)
	}
	s.applies("change g:a")
	if got := s.took(); got != "" {
		t.Errorf("orders %s", got)
	}
}

func TestPlanAndApply(t *testing.T) {
	s := newStage(t, group("same", 1, "stay"), group("g", 2, "a=stay", "b=stay", "c=stay"), group("old", 3, "stay"), group("down", 4, "stay"))
	s.up()
	if _, err := s.Stop(context.Background(), one("down"), service.WaitOutcome); err != nil {
		t.Fatal(err)
	}
	s.took()
	next := group("g", 2, "a=stay", "b=stay -x", "d=stay")
	next.Programs[0].Stop.Signal = 2
	next.Programs[2].Start.Auto = true
	s.next(group("same", 1, "stay"), next, group("down", 4, "stay -x"), group("new", 5, "stay"))
	if d := cmp.Diff(strings.Join([]string{
		"remove old:old: it is not configured any more",
		"remove g:c: it is not configured any more",
		"change g:a stopsignal: takes effect at once",
		"restart g:b command: a running process cannot take it over",
		"add g:d: it is new and starts by itself",
		"change down:down command: it is not running; takes effect when it is started",
		"add new:new: it is new and does not start by itself",
	}, "\n"), s.planned()); d != "" {
		t.Error(d)
	}
	if got := s.took(); got != "" {
		t.Errorf("planning did %s", got)
	}
	pids := s.pidsOf("same:same", "g:a")
	s.applies("remove g:c, change g:a, restart g:b, add g:d", "g")
	if got := s.took(); got != "signal c, signal b, start b, start d" {
		t.Errorf("orders %s", got)
	}
	s.applies("remove old:old, change down:down, add new:new")
	if got := s.took(); got != "signal old" {
		t.Errorf("orders %s", got)
	}
	s.applies("")
	if got := s.planned(); got != "" {
		t.Errorf("still planned: %s", got)
	}
	if d := cmp.Diff(pids, s.pidsOf("same:same", "g:a")); d != "" {
		t.Error(d)
	}
	if _, err := s.Stop(context.Background(), member("g", "a"), service.NoWait); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.got["a"], []int{2}) {
		t.Errorf("a got %v, want the new stop signal", s.got["a"])
	}
}

// pidsOf are the pids of programs.
func (s *stage) pidsOf(names ...string) []int {
	s.t.Helper()
	var out []int
	for _, n := range names {
		g, name, _ := strings.Cut(n, ":")
		st, err := s.Get(context.Background(), model.ID{Group: g, Name: name})
		if err != nil || st.PID == 0 {
			s.t.Errorf("%s: %s, %v", n, st.State, err)
		}
		out = append(out, st.PID)
	}
	return out
}

func TestApplyRefusesAsAWhole(t *testing.T) {
	s := newStage(t, group("x", 1, "stay"), group("y", 2, "stay"), group("off", 3, "stay"))
	s.up()
	if _, err := s.Stop(context.Background(), one("off"), service.WaitOutcome); err != nil {
		t.Fatal(err)
	}
	s.took()
	all := func(line string) []*model.Group {
		return []*model.Group{group("x", 1, "stay 1"), group("y", 2, line), group("off", 3, line)}
	}
	for _, c := range []struct {
		line string
		code service.Code
		text string
	}{
		{"missing", service.CodeNoFile, "y: can't find command 'missing'"},
		{"noexec", service.CodeNotExecutable, "y: command at 'noexec' is not executable"},
	} {
		s.next(all(c.line)...)
		if got := s.planned(); !strings.Contains(got, "restart y:y command: a running process cannot take it over REFUSED "+c.text) {
			t.Error(got)
		}
		_, err := s.Apply(context.Background(), nil)
		code(t, c.line, err, c.code)
		var e *service.Error
		if errors.As(err, &e) && e.Text != c.text {
			t.Errorf("%q", e.Text)
		}
	}
	s.next(all("stay")...)
	_, err := s.Apply(context.Background(), []string{"x", "nobody"})
	code(t, "an unknown name", err, service.CodeNoSuchProgram)
	bad := auto(group("z", 1, "two/three=stay"))
	s.next(auto(group("x", 1, "stay 1")), bad)
	_, err = s.Apply(context.Background(), nil)
	code(t, "logs that cannot be made", err, service.CodeFailed)
	s.reads(nil, errors.New("line 7"))
	_, err = s.Apply(context.Background(), nil)
	code(t, "a bad configuration", err, service.CodeCannotReread)
	_, err = s.Plan(context.Background())
	code(t, "a plan of it", err, service.CodeCannotReread)
	if got := s.took(); got != "" {
		t.Errorf("a refusal did %s", got)
	}
	if left := s.autoLogs(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if st, _ := s.Get(context.Background(), one("x").ID); st.Program.Command.Line != "stay" {
		t.Error("half of a refused change is in force")
	}
	// What is not running may be given any command.
	s.next(group("x", 1, "stay"), group("y", 2, "stay"), group("off", 3, "missing"))
	s.applies("change off:off")
}

func TestApplyFailsToStart(t *testing.T) {
	s := newStage(t, group("x", 1, "stay"), group("deaf", 2, "deaf"))
	s.up()
	s.next(group("x", 1, "broken"), autostart(group("q", 3, "quick")), group("deaf", 2, "deaf -x"))
	s.applies("restart x:x spawn error: x, restart deaf:deaf failed: deaf is in an unknown process state, add q:q")
	s.state("x", model.Fatal)
	s.state("q", model.Exited)
	s.next(group("x", 1, "stay"), group("q", 3, "quick"), group("deaf", 2, "deaf -x"))
	if got := s.planned(); !strings.Contains(got, "restart x:x command: it had given up and is tried again") {
		t.Error(got)
	}
	s.applies("restart x:x, change q:q")
	s.state("x", model.Running)
}

// TestApplyKeepsAutomaticLogs: those of programs that stay are kept, whatever happens to the rest.
func TestApplyKeepsAutomaticLogs(t *testing.T) {
	s := newStage(t, auto(group("g", 1, "a=stay", "b=stay", "c=stay")), auto(group("o", 2, "stay")))
	s.up()
	before := map[string]string{}
	for _, slot := range s.core.Table().Sorted {
		before[slot.Program().ID.Name] = slot.Logs().Stdout + " " + slot.Logs().Stderr
	}
	next := auto(group("g", 1, "a=stay -x", "b=stay", "d=stay"))
	next.Programs[0].IO.MergeStderr = true // a restart, and no log of its own any more
	next.Programs[1].IO.Stdout.MaxBytes = 7
	s.next(next)
	s.applies("remove o:o, remove g:c, restart g:a, change g:b, add g:d")
	if d := cmp.Diff([]string{"a-stdout", "b-stderr", "b-stdout", "d-stderr", "d-stdout"}, s.autoLogs()); d != "" {
		t.Error(d)
	}
	for name, want := range map[string]string{"a": strings.Fields(before["a"])[0], "b": before["b"]} {
		slot := s.core.Table().Slot(model.ID{Group: "g", Name: name})
		if got := strings.TrimSpace(slot.Logs().Stdout + " " + slot.Logs().Stderr); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	// A file instead, and back again.
	file := auto(group("g", 1, "a=stay -x", "b=stay", "d=stay"))
	file.Programs[0].IO.MergeStderr = true
	file.Programs[1].IO.Stdout = model.Stream{Log: model.LogFile, Path: "b.log"}
	s.place(file.Programs[1])
	s.next(file)
	s.applies("restart g:b")
	if got := s.autoLogs(); slices.Contains(got, "b-stdout") || !slices.Contains(got, "b-stderr") {
		t.Errorf("%v", got)
	}
	s.next(next)
	s.applies("restart g:b")
	if len(s.autoLogs()) != 5 {
		t.Errorf("%v", s.autoLogs())
	}
	for _, slot := range s.core.Table().Sorted {
		for _, path := range strings.Fields(slot.Logs().Stdout + " " + slot.Logs().Stderr) {
			if _, err := os.Stat(path); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestApplyWhileItStops: a slow stop holds up nobody else, and who comes later is heard.
func TestApplyWhileItStops(t *testing.T) {
	s := newStage(t, group("mule", 1, "mule"), group("x", 2, "stay"))
	s.up()
	s.next(group("mule", 1, "mule -x"), group("x", 2, "stay"))
	first := make(chan error, 1)
	go func() {
		_, err := s.Apply(context.Background(), nil)
		first <- err
	}()
	s.until("mule is being stopped", func() bool {
		st, _ := s.Get(context.Background(), one("mule").ID)
		return st.State == model.Stopping
	})
	if got := s.planned(); got != "" {
		t.Errorf("what is under way is planned again: %s", got)
	}
	s.next(group("mule", 1, "mule -x"), group("x", 2, "stay"), group("new", 3, "stay"))
	s.applies("add new:new")
	code(t, "remove", s.RemoveGroup(context.Background(), "new"), 0)
	if _, err := s.Signal(context.Background(), one("mule"), "KILL"); err != nil {
		t.Fatal(err)
	}
	if err := <-first; err != nil {
		t.Error(err)
	}
	if st, _ := s.Get(context.Background(), one("mule").ID); st.State != model.Running || st.Program.Command.Line != "mule -x" {
		t.Errorf("%s %q", st.State, st.Program.Command.Line)
	}
}

// TestApplyStorm: twenty clients apply while the configuration changes, breaks and is mended. What does not
// change keeps its pid; in the end the last valid configuration is in force, no log is left over, and
// nothing lives that is not in the table.
func TestApplyStorm(t *testing.T) {
	const clients, rounds = 20, 25
	steady := func() *model.Group { return auto(group("steady", 1, "s1=stay", "s2=stay")) }
	s := newStage(t, steady())
	s.up()
	pids := s.pidsOf("steady:s1", "steady:s2")
	version := func(dice *rand.Rand) []*model.Group {
		out := []*model.Group{steady()}
		for _, name := range []string{"a", "b"} {
			if dice.IntN(4) == 0 {
				continue
			}
			var m []string
			for i := range 1 + dice.IntN(4) {
				m = append(m, fmt.Sprintf("%s%d=stay %d", name, i, dice.IntN(2)))
			}
			out = append(out, auto(autostart(group(name, 1+dice.IntN(3), m...))))
		}
		return out
	}
	var work sync.WaitGroup
	for c := range clients {
		work.Go(func() {
			dice := rand.New(rand.NewPCG(3, uint64(c)))
			for range rounds {
				switch dice.IntN(6) {
				case 0:
					s.reads(nil, errors.New("broken"))
				case 1, 2:
					s.next(version(dice)...)
				}
				_, err := s.Apply(context.Background(), nil)
				if got := service.CodeOf(err); got != 0 && got != service.CodeCannotReread {
					t.Errorf("apply: %v", err)
				}
				if _, err := s.Plan(context.Background()); err != nil && service.CodeOf(err) != service.CodeCannotReread {
					t.Errorf("plan: %v", err)
				}
			}
		})
	}
	work.Wait()
	if d := cmp.Diff(pids, s.pidsOf("steady:s1", "steady:s2")); d != "" {
		t.Error(d)
	}
	last := version(rand.New(rand.NewPCG(4, 4)))
	s.next(last...)
	if _, err := s.Apply(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	if got := s.planned(); got != "" {
		t.Errorf("not in force: %s", got)
	}
	want := 0
	for _, g := range last {
		want += len(g.Programs)
	}
	table := s.core.Table()
	if len(table.Sorted) != want {
		t.Errorf("%d programs, want %d", len(table.Sorted), want)
	}
	if got := s.autoLogs(); len(got) != 2*want {
		t.Errorf("%d automatic logs, want %d", len(got), 2*want)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, a := range s.live {
		if id := a.i.Slot.Program().ID; !a.over && table.Slot(id) != a.i.Slot {
			t.Errorf("%s lives, and the table does not know it", name)
		}
	}
}

// TestApplyDuringAnEnd: who waits is answered.
func TestApplyDuringAnEnd(t *testing.T) {
	s := newStage(t, group("mule", 1, "mule"))
	s.up()
	s.next(group("mule", 1, "mule -x"))
	answer := make(chan error, 1)
	go func() {
		done, err := s.Apply(context.Background(), nil)
		for _, d := range done {
			err = errors.Join(err, d.Err)
		}
		answer <- err
	}()
	s.until("mule is being stopped", func() bool {
		st, _ := s.Get(context.Background(), one("mule").ID)
		return st.State == model.Stopping
	})
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	_, err := s.Apply(context.Background(), nil)
	code(t, "apply", err, service.CodeShuttingDown)
	_, err = s.Plan(context.Background())
	code(t, "plan", err, service.CodeShuttingDown)
	s.mu.Lock()
	a := s.live["mule"]
	s.mu.Unlock()
	if err := a.Signal(9, model.ReachProcess); err != nil {
		t.Fatal(err)
	}
	if err := <-answer; err == nil {
		t.Error("a restart that did not happen is called a success")
	}
}
