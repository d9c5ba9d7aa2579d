package checks

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/sys/notified"
	"github.com/upkeep-project/upkeep/internal/sys/probe"
)

// TestFloodOfLines: lines that come faster than looks are taken do not put off the next look.
func TestFloodOfLines(t *testing.T) {
	r := newRig(t)
	_, err, up := r.hear("a", model.Check{
		Name: "l", Kind: model.CheckLog, Pattern: "panic", Stderr: true, Every: 10 * time.Second, Failures: 3, Passes: 1,
	})
	up()
	r.run(time.Second)
	for n := range 100 {
		err([]byte(fmt.Sprint("panic ", n)))
		r.run(10 * time.Millisecond)
	}
	if s := r.state("a"); s.Verdict != model.Failing || s.Looks < 9 || s.Looks > 12 {
		t.Errorf("after a second of such lines: %+v", s)
	}
}

// TestChangedWhileItWaits: a look that waits for room is not planned a second time by a new definition of its program.
func TestChangedWhileItWaits(t *testing.T) {
	r := newRig(t)
	hang := make(chan struct{})
	stuck := http()
	stuck.Name, stuck.Every, stuck.Timeout = "stuck", time.Minute, 10*time.Minute
	r.hang["stuck"] = hang
	fill := laneFast.width() + laneSlow.width()
	for n := range fill {
		r.start(fmt.Sprint("s", n), stuck)
	}
	r.run(2 * time.Minute)
	ready := http()
	ready.Stage = model.StageReady
	i := r.start("late", ready)
	r.run(time.Second)
	for n := range 3 {
		other := http()
		other.Name, other.Stage = fmt.Sprint("other", n), model.StageReady
		r.c.Up(i, r.program("late", ready, other), 1000, r.clock())
		r.run(time.Second)
	}
	waiting := 0
	for _, k := range r.c.lanes[laneFast].queue {
		if k.Name == "web" {
			waiting++
		}
	}
	if waiting != 1 {
		t.Errorf("one look waits %d times", waiting)
	}
	delete(r.hang, "stuck")
	close(hang)
	r.c.flying.Wait()
	r.settle()
	if n := r.looked["late/web"]; n != 1 {
		t.Errorf("%d looks at once", n)
	}
}

// TestHangingForGood: however many looks hang for good, no more than a bounded number is under way, and the others say so.
func TestHangingForGood(t *testing.T) {
	r := newRig(t)
	hang := make(chan struct{})
	stuck := http()
	stuck.Name, stuck.Timeout = "stuck", time.Second
	r.hang["stuck"] = hang
	const many = 1500
	for n := range many {
		r.start(fmt.Sprint("s", n), stuck)
	}
	r.run(time.Minute)
	r.mu.Lock()
	hung := r.hung
	r.mu.Unlock()
	if hung > 1000 {
		t.Errorf("%d looks hang", hung)
	}
	silent := 0
	for n := range many {
		if s := r.state(fmt.Sprint("s", n)); s.Text == "" {
			silent++
		}
	}
	if silent > 0 {
		t.Errorf("%d checks say nothing", silent)
	}
	r.told("")
	delete(r.hang, "stuck")
	close(hang)
	r.c.flying.Wait()
	r.run(time.Minute)
	for n := range many {
		if s := r.state(fmt.Sprint("s", n)); s.Verdict != model.Passing {
			t.Fatalf("when nothing hangs any more: %+v", s)
		}
	}
}

// TestAnotherProcess: when another process has become the instance, what the one before had used and said counts no more.
func TestAnotherProcess(t *testing.T) {
	r := newRig(t)
	k := model.Check{Name: "c", Kind: model.CheckCPU, Limit: 50, Every: 5 * time.Second, Failures: 1}
	beat := model.Check{Name: "b", Kind: model.CheckHeartbeat, Age: time.Hour, Every: time.Minute}
	i := r.start("a", k, beat) // 101
	r.notify(notified.Message{PID: 102, MainPID: 102})
	w := r.c.living[i]
	if w.main != 102 {
		t.Fatalf("%d is the main one", w.main)
	}
	r.spent = time.Second
	r.run(10 * time.Second)
	r.spent = time.Hour // of another, older one
	r.c.Up(i, w.spec, 201, r.clock())
	r.run(10 * time.Second)
	r.told("")
	if w.main != 0 || w.pid != 201 {
		t.Errorf("%d is looked at, %d is the instance", w.main, w.pid)
	}
	r.spent = 2 * time.Hour
	r.notify(notified.Message{PID: 202, MainPID: 202})
	r.run(10 * time.Second)
	r.told("")
}

// TestSaidEarly: a program can be quicker than the news of its start. What it has said by then counts, and nobody else's.
func TestSaidEarly(t *testing.T) {
	r := newRig(t)
	begin := func(name string, gen uint64, list ...model.Check) (core.Instance, *model.Program) {
		i, p := core.Instance{Slot: &core.Slot{}, Gen: gen}, r.program(name, list...)
		r.up[name] = i
		r.c.Begin(i, p)
		return i, p
	}
	r.notify(notified.Message{PID: 103, Ready: true}) // before it was
	i, p := begin("a", 1, notify(model.StageStartup))
	j, q := begin("b", 1, notify(model.StageStartup))
	r.notify(notified.Message{PID: 103, MainPID: 102})
	r.notify(notified.Message{PID: 300, Ready: true})
	for n := range 10_000 { // strangers
		r.notify(notified.Message{PID: 1000 + n%20, Ready: true})
	}
	r.tellUp(i, p, 101)
	r.run(time.Second)
	r.told("")
	if w := r.c.living[i]; w.main != 102 {
		t.Errorf("%d is the main one", w.main)
	}
	r.notify(notified.Message{PID: 202, Ready: true, MainPID: 300, HasStatus: true, Status: "up"})
	r.notify(notified.Message{PID: 202, Beat: true})
	r.tellUp(j, q, 201)
	r.run(time.Second)
	r.told("b proved")
	if w := r.c.living[j]; w.main != 0 || w.status != "up" || len(r.journal) != 1 {
		t.Errorf("%+v, kept %q", w, r.journal)
	}
	if len(r.c.said) != 0 || len(r.c.begun) != 0 {
		t.Errorf("%d messages of nobody are left, %d beginnings", len(r.c.said), len(r.c.begun))
	}
	begin("c", 1, notify(model.StageStartup)) // never comes to be
	r.notify(notified.Message{PID: 300, Ready: true})
	for n := range 10_000 {
		r.notify(notified.Message{PID: 1000 + n, Ready: true})
	}
	if len(r.c.said) > maxSaid {
		t.Errorf("%d messages are kept", len(r.c.said))
	}
	r.run(time.Hour)
	r.c.sweep()
	if len(r.c.said) != 0 || len(r.c.begun) != 0 {
		t.Errorf("%d messages of nobody are left, %d beginnings", len(r.c.said), len(r.c.begun))
	}
}

// TestAdoptedIsSilent: who was started by somebody else does not know where to say that it lives, and is not restarted for it;
// once it has said so, it is held to it.
func TestAdoptedIsSilent(t *testing.T) {
	r := newRig(t)
	r.adopted = true
	k := model.Check{Name: "h", Kind: model.CheckHeartbeat, Age: 10 * time.Second, Every: 5 * time.Second, Failures: 1, Passes: 1}
	r.start("a", k)
	r.run(time.Hour)
	r.told("")
	if s := r.state("a"); s.Verdict != model.Unjudged || !strings.Contains(s.Text, "started by somebody else") {
		t.Errorf("%+v", s)
	}
	r.notify(notified.Message{PID: 101, Beat: true})
	r.run(5 * time.Second)
	if s := r.state("a"); s.Verdict != model.Passing {
		t.Errorf("%+v", s)
	}
	r.run(time.Minute)
	if got := r.tell(); !strings.HasPrefix(got, "a bounce: h: last sign of life") {
		t.Error(got)
	}
}

// TestTimeOfDay: what is written keeps its age when the time of day is set or the machine was suspended, and what is not
// written grows old however it is set.
func TestTimeOfDay(t *testing.T) {
	k := model.Check{Name: "f", Kind: model.CheckActivity, Age: 30 * time.Second, Every: 10 * time.Second, Failures: 1, Passes: 1}
	for _, jump := range []time.Duration{8 * time.Hour, -8 * time.Hour} {
		r := newRig(t)
		written := r.wall()
		r.find = func(*model.Check) Finding {
			if written.After(r.wall()) {
				return Finding{Change: probe.Change{Ahead: written}}
			}
			return Finding{Change: probe.Change{Last: written}}
		}
		r.start("a", k)
		r.run(20 * time.Second)
		written = r.wall()
		r.run(10 * time.Second)
		r.jump = jump
		r.run(10 * time.Second)
		r.told("")
		written = r.wall()
		for range 10 {
			r.run(10 * time.Second)
			written = r.wall()
		}
		r.told("")
		r.jump -= jump // and back again
		r.run(20 * time.Second)
		r.told("")
		r.run(50 * time.Second)
		if got := r.tell(); !strings.HasPrefix(got, "a bounce: f: last change ") {
			t.Errorf("a jump by %v: %q", jump, got)
		}
	}
	r := newRig(t)
	r.find = func(*model.Check) Finding { return Finding{Change: probe.Change{Last: r.wall().Add(-time.Hour)}} }
	r.start("a", k)
	r.run(10 * time.Second)
	r.told("a bounce: f: last change 1h ago, limit 30s") // at the first look there is nothing else to go by
}

// TestStandstill: a time in which this process did not run is nobody's silence.
func TestStandstill(t *testing.T) {
	r := newRig(t)
	k := model.Check{Name: "h", Kind: model.CheckHeartbeat, Age: 10 * time.Second, Every: 5 * time.Second, Failures: 1, Passes: 1}
	r.start("a", k)
	r.notify(notified.Message{PID: 101, Beat: true})
	r.run(5 * time.Second)
	r.mu.Lock()
	r.now += time.Minute // stopped, or without a processor
	r.mu.Unlock()
	r.settle()
	r.told("")
	r.run(4 * time.Second)
	r.told("")
	r.run(8 * time.Second) // but it stays silent
	if got := r.tell(); got == "" {
		t.Error("it is forgotten")
	}
}

// TestLineSoonAfterRestart: a line is written once; that the last restart is too short ago puts its own off.
func TestLineSoonAfterRestart(t *testing.T) {
	r := newRig(t)
	k := model.Check{Name: "l", Kind: model.CheckLog, Pattern: "deadlock", Every: 2 * time.Second, Failures: 1, Passes: 1}
	out, _, up := r.hear("a", k)
	up()
	r.run(time.Second)
	out([]byte("deadlock 1"))
	r.run(time.Second)
	r.told("a bounce: l: deadlock 1")
	r.c.Down(r.up["a"])
	out, _, up = r.hear("a", k)
	up()
	r.run(time.Second)
	out([]byte("deadlock 2"))
	r.run(time.Second)
	r.told("")
	r.run(20 * time.Second)
	r.told("a bounce: l: deadlock 2")
}

// TestEarsOfNobody: what was made for an instance that never came to be goes with its program.
func TestEarsOfNobody(t *testing.T) {
	r := newRig(t)
	r.hear("a", model.Check{Name: "l", Kind: model.CheckLog, Pattern: "x", Every: time.Second})
	r.c.sweep()
	if len(r.c.ears) != 1 {
		t.Error("an instance that begins is not heard")
	}
	r.gone = true
	r.c.sweep()
	if len(r.c.ears) != 0 {
		t.Error("an ear is left")
	}
}

// BenchmarkNotified is one message of a stranger while a thousand programs are to send some.
func BenchmarkNotified(b *testing.B) {
	r := newRig(nil)
	for n := range 1000 {
		i := core.Instance{Slot: &core.Slot{}, Gen: 1}
		p := r.program(fmt.Sprint("p", n), model.Check{Name: "h", Kind: model.CheckHeartbeat, Age: time.Hour, Every: time.Minute})
		r.c.Up(i, p, 1000+n, r.clock())
	}
	runtime.GC()
	for b.Loop() {
		r.notify(notified.Message{PID: 300, Beat: true})
	}
}
