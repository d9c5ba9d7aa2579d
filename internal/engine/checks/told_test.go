package checks

import (
	"strings"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/sys/notified"
)

// parents is a small machine: 102 descends from 101, 202 from 201, 300 from nobody.
func parents(pid int) int {
	return map[int]int{103: 102, 102: 101, 202: 201, 101: 1, 201: 1, 300: 1}[pid]
}

func (r *rig) notify(m notified.Message) { r.c.Notified(m, parents) }

func notify(stage model.Stage) model.Check {
	return model.Check{Name: "n", Kind: model.CheckNotify, Stage: stage, Every: time.Second}
}

func TestNotify(t *testing.T) {
	r := newRig(t)
	i := r.start("a", notify(model.StageStartup)) // pid 101
	r.run(5 * time.Second)
	if s := r.state("a"); s.Verdict != model.Unjudged || s.Text != "the program has not said that it is ready" {
		t.Errorf("%+v", s)
	}
	r.notify(notified.Message{PID: 300, Ready: true})
	r.notify(notified.Message{PID: 999, Ready: true})
	r.notify(notified.Message{PID: 1, Ready: true})
	r.run(time.Second)
	r.told("")
	r.notify(notified.Message{PID: 103, HasStatus: true, Status: "loading \x1b[31m7 of 9\nand more"})
	if s := r.state("a"); s.Text != "the program has not said that it is ready (loading 7 of 9)" {
		t.Errorf("%q", s.Text)
	}
	r.notify(notified.Message{PID: 102, Ready: true})
	r.run(time.Second)
	r.told("a proved")
	if len(r.journal) != 1 {
		t.Errorf("kept: %q", r.journal)
	}
	r.c.Down(i)
	if len(r.journal) != 0 {
		t.Errorf("kept of an instance that has ended: %q", r.journal)
	}
	r.notify(notified.Message{PID: 102, Ready: true})
	r.run(time.Second)
	r.told("")
}

// TestReadyIsKept: READY=1 is said once, so that a successor has to know it.
func TestReadyIsKept(t *testing.T) {
	for _, same := range []bool{true, false} {
		r := newRig(t)
		r.start("a", notify(model.StageReady))
		r.notify(notified.Message{PID: 101, Ready: true})
		r.run(time.Second)
		r.told("a ready=true")
		r.c.end()
		r.c = r.make()
		r.c.Restore(r.journal)
		r.resumed = true
		if same {
			r.gens["a"]--
		}
		r.start("a", notify(model.StageReady))
		r.run(time.Minute)
		if same {
			r.told("a ready=true")
		} else {
			r.told("")
		}
	}
}

func TestExtend(t *testing.T) {
	r := newRig(t)
	r.start("a", notify(model.StageStartup))
	r.run(19 * time.Second)
	r.notify(notified.Message{PID: 101, Extend: 30 * time.Second})
	r.notify(notified.Message{PID: 101, Extend: time.Second}) // less is no more
	r.run(29 * time.Second)
	r.told("")
	r.run(2 * time.Second)
	r.told("a start failed: n: the program has not said that it is ready, not within 20s")
}

// TestStopping: a program that says that it ends has the time of a stop for that, and what it asks for beside; then it hangs like
// any other.
func TestStopping(t *testing.T) {
	for _, c := range []struct {
		name        string
		first, then notified.Message
		mute        time.Duration
	}{
		{"once", notified.Message{}, notified.Message{}, 30 * time.Second},
		{"again and again", notified.Message{}, notified.Message{Stopping: true}, 30 * time.Second},
		{"with more time", notified.Message{Extend: 2 * time.Minute}, notified.Message{Extend: time.Second}, 2 * time.Minute},
		{"more time later", notified.Message{}, notified.Message{Extend: time.Minute}, 80 * time.Second},
		{"more than there is", notified.Message{Extend: 9 * time.Hour}, notified.Message{}, time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			live := http() // every 10 s
			r.start("a", notify(model.StageReady), live)
			r.notify(notified.Message{PID: 101, Ready: true})
			r.run(10 * time.Second)
			r.told("a ready=true")
			c.first.PID, c.first.Stopping, c.then.PID = 101, true, 101
			r.notify(c.first)
			r.told("a ready=false")
			if len(r.journal) != 0 {
				t.Errorf("kept of one that ends: %q", r.journal)
			}
			r.find = bad("refused")
			r.run(20 * time.Second)
			r.notify(c.then)
			r.run(c.mute - 21*time.Second)
			r.told("")
			r.run(11 * time.Second)
			r.told("a bounce: web: refused")
		})
	}
	r := newRig(t)
	r.start("a", notify(model.StageReady), http())
	r.notify(notified.Message{PID: 101, Stopping: true})
	r.run(time.Second)
	r.tell()
	r.notify(notified.Message{PID: 101, Ready: true}) // it has thought better of it
	r.find = bad("refused")
	r.run(10 * time.Second)
	r.told("a ready=true; a bounce: web: refused")
}

func TestHeartbeat(t *testing.T) {
	r := newRig(t)
	k := model.Check{Name: "h", Kind: model.CheckHeartbeat, Age: 10 * time.Second, Every: 5 * time.Second, Failures: 1, Passes: 1}
	r.start("a", k)
	for range 20 {
		r.run(9 * time.Second)
		r.notify(notified.Message{PID: 102, Beat: true})
	}
	r.told("")
	if s := r.state("a"); s.Verdict != model.Passing || s.Looks > 60 {
		t.Errorf("%+v", s)
	}
	r.run(10 * time.Second)
	r.told("")
	r.run(time.Second)
	r.told("a bounce: h: last sign of life 10s ago, limit 10s")
	r.renew("a", k)
	r.run(5 * time.Second)
	r.notify(notified.Message{PID: 101, Trip: true})
	r.run(100 * time.Millisecond)
	r.told("") // too soon after the last restart
	r.notify(notified.Message{PID: 101, Beat: true})
	r.run(time.Second)
	if s := r.state("a"); s.Verdict != model.Passing {
		t.Errorf("%+v", s)
	}
	for range 10 {
		r.run(5 * time.Second)
		r.notify(notified.Message{PID: 101, Beat: true})
	}
	r.notify(notified.Message{PID: 101, Trip: true})
	r.run(100 * time.Millisecond)
	r.told("a bounce: h: the program says itself that it is not well")
}

func TestMainPID(t *testing.T) {
	r := newRig(t)
	i := r.start("a", notify(model.StageStartup))
	w := r.c.living[i]
	for _, c := range []struct{ main, want int }{{300, 0}, {202, 0}, {1, 0}, {0, 0}, {103, 103}, {300, 103}, {102, 102}} {
		r.notify(notified.Message{PID: 101, MainPID: c.main})
		if w.main != c.want {
			t.Errorf("MAINPID=%d: %d is the main one, want %d", c.main, w.main, c.want)
		}
	}
}

// hear is an instance whose output is listened to before it is told.
func (r *rig) hear(name string, list ...model.Check) (out, err func([]byte), up func()) {
	p := r.program(name, list...)
	r.gens[name]++
	i := core.Instance{Slot: &core.Slot{}, Gen: r.gens[name]}
	r.up[name] = i
	return r.c.Lines(i, p, 0), r.c.Lines(i, p, 1), func() { r.tellUp(i, p, 101) }
}

func TestLogLive(t *testing.T) {
	r := newRig(t)
	k := model.Check{Name: "l", Kind: model.CheckLog, Pattern: "^panic:", Stderr: true, Every: 10 * time.Second, Failures: 2, Passes: 1}
	out, err, up := r.hear("a", k)
	if out != nil || err == nil {
		t.Fatal("the wrong channel is listened to")
	}
	up()
	r.run(time.Minute)
	if s := r.state("a"); s.Verdict != model.Passing || s.Looks > 3 {
		t.Errorf("of a silent program: %+v", s)
	}
	err([]byte("all is well, no panic: really"))
	err([]byte("panic: one\x07"))
	r.run(time.Second)
	r.told("")
	err([]byte("panic: two"))
	err([]byte("panic: three"))
	r.run(time.Second)
	r.told("a bounce: l: panic: three")
	r.run(time.Minute)
	if s := r.state("a"); s.Verdict != model.Passing {
		t.Errorf("after a minute without: %+v", s)
	}
}

// TestLogStart: what is waited for may come before the instance is known.
func TestLogStart(t *testing.T) {
	k := model.Check{Name: "l", Kind: model.CheckLog, Pattern: "listening on \\d+", Stage: model.StageStartup, Every: time.Second}
	for _, early := range []bool{true, false} {
		r := newRig(t)
		out, _, up := r.hear("a", k)
		if early {
			out([]byte("listening on 80"))
			up()
		} else {
			up()
			r.run(5 * time.Second)
			r.told("")
			out([]byte("listening on 80"))
		}
		r.run(time.Second)
		r.told("a proved")
		if s := r.state("a"); s.Text != "listening on 80" {
			t.Errorf("%+v", s)
		}
		out([]byte("listening on 81"))
		r.run(time.Second)
		r.told("")
	}
}

// TestLogOfOthers: an instance to which nobody listens is shown as one.
func TestLogOfOthers(t *testing.T) {
	r := newRig(t)
	k := model.Check{Name: "l", Kind: model.CheckLog, Pattern: "x", Every: time.Second}
	r.start("a", k)
	if s := r.state("a"); !strings.Contains(s.Disabled, "next start") {
		t.Errorf("%+v", s)
	}
	out, _, up := r.hear("b", k)
	up()
	r.c.Down(r.up["b"])
	out([]byte("x")) // late output of one that has ended
	r.run(time.Minute)
	r.told("")
	if len(r.c.ears) != 0 {
		t.Error("an ear is left")
	}
	merged := k
	merged.Stderr = true
	p := r.program("c", merged)
	p.IO.MergeStderr = true
	if r.c.Lines(core.Instance{Gen: 1}, p, 0) == nil || r.c.Lines(core.Instance{Gen: 1}, p, 1) != nil {
		t.Error("stderr in stdout is not looked for there")
	}
}
