package checks

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/sys/notified"
)

// failing makes looks of the checks that are named find something wrong.
func failing(names ...string) func(*model.Check) Finding {
	return func(k *model.Check) Finding {
		for _, name := range names {
			if name == k.Name {
				return Finding{Text: "no"}
			}
		}
		return Finding{OK: true, Text: "well"}
	}
}

// named is a check like http under another name.
func named(name string, every time.Duration) model.Check {
	k := http()
	k.Name, k.Every = name, every
	return k
}

// finds has looks find something else from now on.
func (r *rig) finds(f func(*model.Check) Finding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.find = f
}

// TestInARow: passes and failures count in a row: one of the other kind begins anew.
func TestInARow(t *testing.T) {
	r := newRig(t)
	k := http()
	k.Failures, k.Passes, k.Action = 2, 2, model.CheckEvent
	r.start("a", k)
	r.finds(failing("web"))
	r.run(20 * time.Second)
	if s := r.state("a"); s.Verdict != model.Failing {
		t.Fatalf("%+v", s)
	}
	for range 3 {
		r.finds(nil)
		r.run(10 * time.Second)
		r.finds(failing("web"))
		r.run(10 * time.Second)
		if s := r.state("a"); s.Verdict != model.Failing {
			t.Errorf("one look in two is well: %+v", s)
		}
	}
	r.finds(nil)
	r.run(20 * time.Second)
	for range 3 {
		r.finds(failing("web"))
		r.run(10 * time.Second)
		r.finds(nil)
		r.run(10 * time.Second)
		if s := r.state("a"); s.Verdict != model.Passing {
			t.Errorf("one look in two is bad: %+v", s)
		}
	}
}

// TestLiveWaitsForTheStart: a live check does not look, and restarts nothing, before the start has proved itself; a startup
// check does not look afterwards.
func TestLiveWaitsForTheStart(t *testing.T) {
	r := newRig(t)
	port, page := named("port", time.Second), named("page", time.Second)
	port.Stage, page.Stage = model.StageStartup, model.StageStartup
	r.finds(failing("page", "web"))
	r.start("a", port, page, named("web", time.Second))
	r.run(10 * time.Second)
	r.told("")
	if n := r.looked["a/web"]; n != 0 {
		t.Errorf("%d looks of the live check before the start has succeeded", n)
	}
	r.finds(failing("web"))
	r.run(1 * time.Second)
	if got := r.tell(); got != "a proved" && got != "a proved; a bounce: web: no" {
		t.Errorf("told %q", got)
	}
	n := r.looked["a/port"] + r.looked["a/page"]
	r.finds(failing("port", "page"))
	r.run(10 * time.Second)
	if more := r.looked["a/port"] + r.looked["a/page"]; more != n {
		t.Errorf("%d looks of startup checks after the start has succeeded", more-n)
	}
	if r.looked["a/web"] == 0 {
		t.Error("the live check does not look")
	}
}

// TestNoLookAfterAFailedStart: when the start has failed nothing is looked at any more, also by a look that was under way.
func TestNoLookAfterAFailedStart(t *testing.T) {
	r := newRig(t)
	port, slow := named("port", time.Second), named("slow", time.Second)
	port.Stage, slow.Stage = model.StageStartup, model.StageReady
	r.finds(failing("port"))
	hang := make(chan struct{})
	r.hang["slow"] = hang
	r.start("a", port, slow)
	r.run(30 * time.Second)
	r.told("a start failed: port: no, not within 20s")
	r.mu.Lock()
	delete(r.hang, "slow")
	r.mu.Unlock()
	close(hang)
	r.c.flying.Wait()
	n := r.looked["a/port"] + r.looked["a/slow"]
	r.run(time.Minute)
	if more := r.looked["a/port"] + r.looked["a/slow"]; more != n {
		t.Errorf("%d looks at a program whose start has failed", more-n)
	}
}

// well has an instance be well for a minute, and then not any more; nothing is known of one check.
func (r *rig) well(name, but string, list []model.Check) {
	is := func(ok bool) func(*model.Check) Finding {
		return func(k *model.Check) Finding {
			if k.Name == but {
				return Finding{Trouble: errors.New("nobody knows")}
			}
			return Finding{OK: ok, Text: "no"}
		}
	}
	r.finds(is(true))
	r.renew(name, list...)
	r.run(time.Minute)
	r.finds(is(false))
	r.run(2 * time.Second)
	r.told(name + " bounce: web: no")
	r.renew(name, list...)
	r.run(15 * time.Second) // one that begins anew comes after 10 s, the third after 40 s
}

// TestNotRelieved: earlier restarts are forgotten when every check that restarts has been well for long enough, counted
// from when the new instance was there.
func TestNotRelieved(t *testing.T) {
	bounced := func(t *testing.T, list ...model.Check) *rig { // twice: the third comes 20 s after the second at the earliest
		r := newRig(t)
		r.finds(failing("web"))
		r.start("a", list...)
		r.run(2 * time.Second)
		r.told("a bounce: web: no")
		r.renew("a", list...)
		r.run(12 * time.Second)
		r.told("a bounce: web: no")
		return r
	}
	web, other := named("web", time.Second), named("other", time.Second)
	for _, tt := range []struct {
		name string
		list []model.Check
		then func(r *rig, list []model.Check) // from the second restart on
		want string
	}{
		{"of another one nothing is known", []model.Check{web, other}, func(r *rig, list []model.Check) {
			r.well("a", "other", list)
		}, ""},
		{"another one cannot be done", []model.Check{web, func() model.Check { k := other; k.Pattern = "("; return k }()}, func(r *rig, list []model.Check) {
			r.well("a", "", list)
		}, "a bounce: web: no"},
		{"the new one was long in coming", []model.Check{web}, func(r *rig, list []model.Check) {
			r.c.Down(r.up["a"])
			r.run(time.Minute)
			r.finds(nil)
			r.start("a", list...)
			r.run(5 * time.Second)
			r.finds(failing("web"))
			r.run(2 * time.Second) // the third
			r.told("a bounce: web: no")
			r.renew("a", list...)
			r.run(30 * time.Second) // the fourth would come after 40
		}, ""},
		{"one that only tells fails", []model.Check{web, func() model.Check { k := other; k.Action = model.CheckAlert; return k }()}, func(r *rig, list []model.Check) {
			r.finds(failing("other"))
			r.renew("a", list...)
			r.run(30 * time.Second)
			r.finds(failing("web", "other"))
			r.run(2 * time.Second)
			r.told("a bounce: web: no")
			r.renew("a", list...)
			r.run(15 * time.Second) // it begins with 10 s again
		}, "a bounce: web: no"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := bounced(t, tt.list...)
			tt.then(r, tt.list)
			r.told(tt.want)
		})
	}
}

// meter is a world that notes whose use is asked for, and during which something may happen.
type meter struct {
	*rig
	pids      []int
	meanwhile func()
}

func (m *meter) Measure(pid int, k *model.Check) Measure {
	m.pids = append(m.pids, pid)
	if m.meanwhile != nil {
		m.meanwhile()
	}
	return m.rig.Measure(pid, k)
}

// TestMeasured: the process that a program calls its main one is measured, and what is found of an instance that has ended
// meanwhile is nothing.
func TestMeasured(t *testing.T) {
	r := newRig(t)
	m := &meter{rig: r}
	r.c.o.World = m
	memory := model.Check{Name: "memory", Kind: model.CheckMemory, Every: time.Second, Limit: 10, Failures: 1}
	i := r.start("a", memory, notify(model.StageReady)) // pid 101
	r.run(2 * time.Second)
	r.notify(notified.Message{PID: 101, Ready: true, MainPID: 102})
	r.run(2 * time.Second)
	if len(m.pids) < 2 || m.pids[0] != 101 || m.pids[len(m.pids)-1] != 102 || !slices.IsSorted(m.pids) {
		t.Errorf("measured: %v", m.pids)
	}
	r.tell()
	r.amount = 11
	m.meanwhile = func() { r.c.Down(i) }
	r.run(5 * time.Second)
	r.told("")
	if got := r.events(); strings.Contains(got, "memory") {
		t.Error(got)
	}
}

// TestLimits: a limit may be reached; what cannot be compared with what was before is no finding.
func TestLimits(t *testing.T) {
	k := &check{Check: model.Check{Kind: model.CheckCPU, Limit: 50}}
	for _, tt := range []struct {
		at, spent time.Duration
		ok, found bool
	}{
		{10 * time.Second, time.Hour, false, false}, // nothing is known of before
		{20 * time.Second, time.Hour + 5*time.Second, true, true},
		{30 * time.Second, time.Hour + 11*time.Second, false, true},
		{40 * time.Second, time.Minute, false, false}, // less than before: it is not the same any more
		{50 * time.Second, time.Minute + time.Second, true, true},
		{50 * time.Second, time.Minute + time.Second, false, false}, // no time has gone by
	} {
		if f, found := k.compare(Measure{Spent: tt.spent}, tt.at); found != tt.found || f.OK != tt.ok {
			t.Errorf("%+v: %+v, %v", tt, f, found)
		}
	}
	for _, kind := range []model.CheckKind{model.CheckMemory, model.CheckFiles} {
		k := &check{Check: model.Check{Kind: kind, Limit: 50}}
		for amount, ok := range map[int64]bool{0: true, 50: true, 51: false} {
			if f, found := k.compare(Measure{Amount: amount}, 1); f.OK != ok || !found {
				t.Errorf("%v: %d: %+v", kind, amount, f)
			}
		}
	}
	for every, want := range map[time.Duration]time.Duration{-1: 10 * time.Second, 0: 10 * time.Second, 1: 100 * time.Millisecond, time.Second: time.Second} {
		if got := (&check{Check: model.Check{Every: every}}).every(); got != want {
			t.Errorf("every %v: %v", every, got)
		}
	}
}

// TestSaidByAnother: what was said before an instance began was said by another process with its pid.
func TestSaidByAnother(t *testing.T) {
	r := newRig(t)
	begin := func(name string) (up func(pid int)) {
		i, p := core.Instance{Slot: &core.Slot{}, Gen: 1}, r.program(name, notify(model.StageStartup))
		r.up[name] = i
		r.c.Begin(i, p)
		return func(pid int) { r.tellUp(i, p, pid) }
	}
	other := begin("other")
	r.notify(notified.Message{PID: 101, Ready: true})
	r.run(time.Second)
	up := begin("a")
	up(101)
	other(201)
	r.run(time.Second)
	r.told("")
}

// TestRedefinedMeanwhile: a definition that changes while a start is proved gives it no more time, and takes none that it has asked for.
func TestRedefinedMeanwhile(t *testing.T) {
	for more, want := range map[time.Duration]time.Duration{0: 20 * time.Second, time.Minute: 65 * time.Second} {
		r := newRig(t)
		i := r.start("a", notify(model.StageStartup))
		r.run(5 * time.Second)
		if more > 0 {
			r.notify(notified.Message{PID: 101, Extend: more})
		}
		r.run(10 * time.Second)
		r.running = false // as long as the start is not proved
		r.c.Up(i, r.program("a", notify(model.StageStartup), http()), 101, r.clock())
		r.run(want - 16*time.Second)
		r.told("")
		r.run(2 * time.Second)
		r.told("a start failed: n: the program has not said that it is ready, not within 20s")
	}
}

// TestGoneWhileItHangs: a look that hangs says nothing of a program that has ended meanwhile.
func TestGoneWhileItHangs(t *testing.T) {
	r := newRig(t)
	hang := make(chan struct{})
	r.hang["web"] = hang
	i := r.start("a", http())
	r.run(10 * time.Second)
	if r.looked["a/web"] != 1 {
		t.Fatalf("%d looks", r.looked["a/web"])
	}
	r.c.Down(i)
	r.run(time.Minute)
	if got := strings.Join(r.log, "; "); got != "" {
		t.Errorf("log: %s", got)
	}
	close(hang)
	r.c.flying.Wait()
}

// TestWhoMeasures: shared pages in proportion are counted one by one, which takes its time; the rest is asked for in one go.
func TestWhoMeasures(t *testing.T) {
	for _, c := range []struct {
		k         model.Check
		looks, at int
	}{
		{model.Check{Name: "m", Kind: model.CheckMemory, Limit: 1, Every: time.Second}, 0, 1},
		{model.Check{Name: "m", Kind: model.CheckMemory, Limit: 1, Every: time.Second, PSS: true}, 1, 0},
		{model.Check{Name: "m", Kind: model.CheckCPU, Limit: 1, Every: time.Second}, 0, 1},
		{model.Check{Name: "m", Kind: model.CheckFiles, Limit: 1, Every: time.Second}, 0, 1},
	} {
		r := newRig(t)
		r.start("a", c.k)
		r.run(3 * time.Second)
		if min(r.looked["a/m"], 1) != c.looks || min(r.measured, 1) != c.at {
			t.Errorf("%v: %d looks, %d measured", c.k, r.looked["a/m"], r.measured)
		}
	}
}

// TestFirstReadyIsNews: that a program is ready is told when it is so for the first time; that one is well is not.
func TestFirstReadyIsNews(t *testing.T) {
	for _, c := range []struct {
		stage model.Stage
		want  string
	}{{model.StageReady, "CHECK_PASSED a web well"}, {model.StageLive, ""}} {
		r := newRig(t)
		k := http()
		k.Stage = c.stage
		r.start("a", k)
		r.run(time.Minute)
		if got := r.events(); got != c.want {
			t.Errorf("%v: %q", c.stage, got)
		}
	}
}

// TestMainIsGone: when the process that a program calls its main one is not there any more, its own is looked at again.
func TestMainIsGone(t *testing.T) {
	r := newRig(t)
	i := r.start("a", notify(model.StageReady), model.Check{Name: "m", Kind: model.CheckMemory, Limit: 1, Every: time.Second})
	r.notify(notified.Message{PID: 101, MainPID: 102})
	w := r.c.living[i]
	r.trouble = errors.New("not allowed")
	r.run(2 * time.Second)
	if w.main != 102 {
		t.Errorf("%d is the main one", w.main)
	}
	r.trouble = fmt.Errorf("of pid 102: %w", syscall.ESRCH)
	r.run(2 * time.Second)
	if w.main != 0 {
		t.Errorf("%d is the main one", w.main)
	}
}

// TestCountsGoOn: what is counted outlasts a program that is down for a while, and not one that is gone.
func TestCountsGoOn(t *testing.T) {
	for _, gone := range []bool{false, true} {
		r := newRig(t)
		r.start("a", http())
		r.run(time.Minute)
		before := r.state("a").Looks
		r.c.Down(r.up["a"])
		r.gone = gone
		r.c.sweep()
		r.gone = false
		r.start("a", http())
		if got := r.state("a").Looks; before == 0 || (got == 0) != gone {
			t.Errorf("gone: %t: %d looks, %d before", gone, got, before)
		}
	}
}
