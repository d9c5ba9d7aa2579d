package checks

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
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
