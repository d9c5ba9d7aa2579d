package checks

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

func TestThresholds(t *testing.T) {
	r := newRig(t)
	k := http()
	k.Failures, k.Passes, k.Action = 3, 2, model.CheckEvent
	r.start("a", k)
	r.run(10 * time.Second)
	if s := r.state("a"); s.Verdict != model.Unjudged || s.Looks != 1 || s.Text != "well" {
		t.Errorf("after one look: %+v", s)
	}
	r.run(10 * time.Second)
	if s := r.state("a"); s.Verdict != model.Passing {
		t.Errorf("after two: %+v", s)
	}
	r.find = bad("503")
	r.run(20 * time.Second)
	if s := r.state("a"); s.Verdict != model.Passing || s.Failed != 2 {
		t.Errorf("after two bad ones: %+v", s)
	}
	r.run(10 * time.Second)
	if s := r.state("a"); s.Verdict != model.Failing || s.Text != "503" {
		t.Errorf("after three: %+v", s)
	}
	r.find = nil
	r.run(20 * time.Second)
	if s := r.state("a"); s.Verdict != model.Passing || s.Failed != 3 || s.Looks != 7 || s.Acted != 0 {
		t.Errorf("when it is well again: %+v", s)
	}
	if got, want := r.events(), "CHECK_FAILED a web 503; CHECK_PASSED a web well"; got != want {
		t.Errorf("events %q, want %q", got, want)
	}
	r.told("")
}

// TestBounces: restarts that do not help come further and further apart, and an instance that is well makes them forgotten.
func TestBounces(t *testing.T) {
	r := newRig(t)
	r.find = bad("503")
	k := http()
	k.Every = time.Second
	begin := r.clock()
	r.start("a", k)
	var at []int
	for len(at) < 8 {
		r.run(time.Second)
		if r.tell() != "" {
			if s := r.state("a"); int(s.Acted) != len(at) {
				t.Fatalf("%d restarts are counted before the core has obeyed, there were %d", s.Acted, len(at))
			}
			at = append(at, int((r.clock()-begin)/time.Second))
			r.renew("a", k)
		}
	}
	for n := 1; n < len(at); n++ {
		want := min(10<<(n-1), 300)
		if apart := at[n] - at[n-1]; apart < want || apart > want+2 {
			t.Errorf("restart %d came %d s after the one before, want %d (%d)", n+1, apart, want, at)
		}
	}
	if s := r.state("a"); s.Acted != 8 {
		t.Errorf("%d restarts are counted", s.Acted)
	}
	r.find = nil
	r.run(290 * time.Second)
	r.find = bad("503")
	r.run(5 * time.Second)
	r.told("") // it was not well for long enough
	r.find = nil
	r.run(310 * time.Second)
	r.find = bad("500")
	r.run(2 * time.Second)
	r.told("a bounce: web: 500")
	r.renew("a", k)
	r.run(12 * time.Second)
	r.told("a bounce: web: 500") // 10 s again
	if !strings.HasSuffix(r.events(), "CHECK_FAILED a web 500") {
		t.Errorf("told before the core has obeyed: %s", r.events())
	}
	r.renew("a", k)
	if !strings.HasSuffix(r.events(), "CHECK_FAILED a web 500; CHECK_ACTION a web 500") {
		t.Error(r.events())
	}
}

// TestTrouble: a look that cannot be taken changes nothing, and is shown.
func TestTrouble(t *testing.T) {
	r := newRig(t)
	r.find = func(*model.Check) Finding { return Finding{Trouble: errors.New("permission denied")} }
	r.start("a", http())
	r.run(10 * time.Minute)
	r.told("")
	s := r.state("a")
	if s.Verdict != model.Unjudged || s.Text != "cannot look: permission denied" || s.Failed != 0 || s.Looks < 50 {
		t.Errorf("%+v", s)
	}
	if len(r.log) != 1 || r.log[0] != "check: a, web cannot look: permission denied" || r.events() != "" {
		t.Errorf("%q, %q", r.log, r.events())
	}
	r.find = nil
	r.run(10 * time.Second)
	if s := r.state("a"); s.Verdict != model.Passing || s.Text != "well" {
		t.Errorf("%+v", s)
	}
}

// TestNotYetRunning: a program whose start is not confirmed is not restarted by a check, and none is counted.
func TestNotYetRunning(t *testing.T) {
	r := newRig(t)
	r.find = bad("no")
	r.start("a", http())
	r.running = false
	r.run(20 * time.Second)
	r.told("")
	if s := r.state("a"); s.Verdict != model.Failing || s.Acted != 0 {
		t.Errorf("%+v", s)
	}
	r.running = true
	r.run(10 * time.Second)
	r.told("a bounce: web: no")
}

func TestAfter(t *testing.T) {
	r := newRig(t)
	r.find = bad("no")
	k := http()
	k.After = time.Minute
	r.start("a", k)
	r.run(time.Minute - 1)
	if s := r.state("a"); s.Looks != 0 {
		t.Errorf("%d looks at a program that is too young", s.Looks)
	}
	r.run(10*time.Second + 1)
	r.told("a bounce: web: no")
}

// TestDown: nothing that is found about an instance that has gone counts.
func TestDown(t *testing.T) {
	r := newRig(t)
	r.find = bad("no")
	hang := make(chan struct{})
	r.hang["web"] = hang
	i := r.start("a", http())
	r.run(10 * time.Second)
	r.c.Down(i)
	if len(r.c.States([]model.ID{{Group: "a", Name: "a"}})) != 0 {
		t.Error("a program without an instance has states")
	}
	delete(r.hang, "web")
	close(hang)
	r.c.flying.Wait()
	r.run(10 * time.Minute)
	r.told("")
	if r.events() != "" {
		t.Error(r.events())
	}
	r.c.Down(i)
	r.gone = true
	if r.c.sweep(); len(r.c.programs) != 0 || len(r.c.living) != 0 || r.c.queue.Len() != 0 {
		t.Errorf("%d programs, %d living, %d timers are left", len(r.c.programs), len(r.c.living), r.c.queue.Len())
	}
}

func TestStartup(t *testing.T) {
	r := newRig(t)
	r.find = bad("refused")
	start := http()
	start.Name, start.Stage, start.Failures = "port", model.StageStartup, 3
	live := http()
	r.start("a", start, live)
	r.run(3 * time.Second)
	r.told("")
	if n := r.looked["a/port"]; n < 3 || r.looked["a/web"] != 0 {
		t.Errorf("%d looks at the start, %d at life", n, r.looked["a/web"])
	}
	r.find = nil
	r.run(10 * time.Second)
	r.told("a proved")
	n := r.looked["a/port"]
	r.run(time.Minute)
	if r.looked["a/port"] != n || r.looked["a/web"] < 5 {
		t.Errorf("after the start %d looks at it, and %d at life", r.looked["a/port"]-n, r.looked["a/web"])
	}
	r.told("")
}

func TestStartupFails(t *testing.T) {
	r := newRig(t)
	r.find = bad("refused")
	k := http()
	k.Stage = model.StageStartup
	r.start("a", k)
	r.run(20 * time.Second)
	r.told("a start failed: web: refused, not within 20s")
	n := r.looked["a/web"]
	r.run(time.Hour)
	if r.looked["a/web"] != n {
		t.Error("it goes on looking")
	}
	r.told("")
	r.find = nil
	r.renew("a", k)
	r.run(time.Second)
	r.told("a proved")
}

// TestResumed: the start of an instance that ran when this process began has succeeded.
func TestResumed(t *testing.T) {
	r := newRig(t)
	r.resumed = true
	r.find = bad("refused")
	k := http()
	k.Stage = model.StageStartup
	r.start("a", k)
	r.run(time.Minute)
	r.told("")
	if s := r.state("a"); s.Verdict != model.Passing || s.Looks != 0 || r.events() != "" {
		t.Errorf("%+v, %q", s, r.events())
	}
}

func TestReady(t *testing.T) {
	r := newRig(t)
	r.find = bad("loading")
	one := http()
	one.Stage, one.Failures = model.StageReady, 2
	two := one
	two.Name = "other"
	r.start("a", one, two)
	r.run(time.Minute)
	r.told("a ready=false")
	r.find = nil
	r.run(10 * time.Second)
	r.told("a ready=true")
	r.find = func(k *model.Check) Finding { return Finding{OK: k.Name == "web", Text: "x"} }
	r.run(10 * time.Second)
	r.told("")
	r.run(10 * time.Second)
	r.told("a ready=false")
	r.renew("a", one, two)
	r.find = nil
	r.run(time.Second)
	r.told("a ready=true")
}

// TestChange: checks that a new definition has too go on with what they know; others begin.
func TestChange(t *testing.T) {
	r := newRig(t)
	k := http()
	k.Action = model.CheckEvent
	i := r.start("a", k)
	r.find = bad("no")
	r.run(10 * time.Second)
	other := k
	other.Name = "other"
	r.c.Up(i, r.program("a", other, k), 101, r.clock())
	list := r.c.States([]model.ID{{Group: "a", Name: "a"}})[model.ID{Group: "a", Name: "a"}]
	if len(list) != 2 || list[0].Looks != 0 || list[1].Verdict != model.Failing || list[1].Looks != 1 {
		t.Errorf("%+v", list)
	}
	r.run(10 * time.Second)
	n := r.looked["a/web"]
	r.c.Up(i, r.program("a", other), 101, r.clock())
	r.run(time.Minute)
	if r.looked["a/web"] != n || r.looked["a/other"] < 6 {
		t.Errorf("%v", r.looked)
	}
	r.c.Up(i, r.program("a"), 101, r.clock())
	r.run(time.Minute)
	if r.c.queue.Len() != 0 {
		t.Error("something is planned for a program without checks")
	}
}

// TestSpread: a thousand programs that began together do not look together.
func TestSpread(t *testing.T) {
	r := newRig(t)
	for n := range 1000 {
		r.start(fmt.Sprint("p", n), http())
	}
	most, before := 0, 0
	for range 100 {
		r.run(100 * time.Millisecond)
		now := 0
		for _, n := range r.looked {
			now += n
		}
		most, before = max(most, now-before), now
	}
	if before != 1000 || most > 40 {
		t.Errorf("%d looks in one interval, at most %d in a hundredth of it", before, most)
	}
}

// TestHanging: looks that hang hold up nobody else, be they as many as may hang and more.
func TestHanging(t *testing.T) {
	r := newRig(t)
	hang := make(chan struct{})
	stuck := http()
	stuck.Name, stuck.Timeout = "stuck", time.Second
	r.hang["stuck"] = hang
	const many = 300
	for n := range many {
		r.start(fmt.Sprint("s", n), stuck)
	}
	for n := range 50 {
		r.start(fmt.Sprint("p", n), http())
	}
	r.run(50 * time.Second)
	for n := range 50 {
		if got := r.looked[fmt.Sprintf("p%d/web", n)]; got < 4 || got > 6 {
			t.Errorf("p%d was looked at %d times in five intervals", n, got)
		}
	}
	for l := range r.c.lanes {
		if r.c.lanes[l].busy > laneKind(l).width() && l != int(laneLost) {
			t.Errorf("%d looks in lane %d", r.c.lanes[l].busy, l)
		}
	}
	if s := r.state("s0"); s.Verdict != model.Unjudged || s.Text != "cannot look: the look hangs" {
		t.Errorf("%+v", s)
	}
	r.told("")
	delete(r.hang, "stuck")
	close(hang)
	r.c.flying.Wait()
	r.run(time.Minute)
	for l := range r.c.lanes {
		if r.c.lanes[l].busy != 0 || len(r.c.lanes[l].queue) != 0 {
			t.Errorf("lane %d: %+v", l, r.c.lanes[l])
		}
	}
	if s := r.state("s0"); s.Verdict != model.Passing {
		t.Errorf("when it does not hang any more: %+v", s)
	}
}

func TestMeasures(t *testing.T) {
	memory := model.Check{Name: "m", Kind: model.CheckMemory, Limit: 512 << 20, Every: 5 * time.Second, Failures: 1}
	files := model.Check{Name: "m", Kind: model.CheckFiles, Limit: 10, Every: 5 * time.Second, Failures: 1}
	for _, c := range []struct {
		check  model.Check
		amount int64
		want   string
	}{
		{memory, 512 << 20, ""},
		{memory, 612 << 20, "a bounce: m: 612 MB, limit 512 MB"},
		{memory, 512<<20 + 1, "a bounce: m: 536870913 bytes, limit 536870912 bytes"},
		{files, 10, ""},
		{files, 11, "a bounce: m: 11 open files, limit 10"},
	} {
		r := newRig(t)
		r.amount = c.amount
		r.start("a", c.check)
		r.run(5 * time.Second)
		r.told(c.want)
	}
	r := newRig(t)
	r.trouble = errors.New("gone")
	r.start("a", memory)
	r.run(time.Minute)
	r.told("")
	if s := r.state("a"); s.Text != "cannot look: gone" {
		t.Errorf("%+v", s)
	}
}

func TestCPU(t *testing.T) {
	r := newRig(t)
	r.start("a", model.Check{Name: "c", Kind: model.CheckCPU, Limit: 50, Every: 5 * time.Second, Failures: 2})
	for _, c := range []struct {
		used time.Duration
		want string
	}{
		{time.Hour, ""}, // the first look knows no span
		{2 * time.Second, ""},
		{4 * time.Second, ""},
		{time.Second, ""},
		{3 * time.Second, ""},
		{5 * time.Second, "a bounce: c: 100% of a processor, limit 50%"},
	} {
		r.spent += c.used
		r.run(5 * time.Second)
		r.told(c.want)
	}
	r.spent = 0 // of a tree something has vanished unnoticed
	r.run(5 * time.Second)
	r.told("")
}

// TestTreesTogether: what needs a walk over all processes is asked for all programs at once.
func TestTreesTogether(t *testing.T) {
	r := newRig(t)
	for n := range 100 {
		r.start(fmt.Sprint("p", n), model.Check{Name: "m", Kind: model.CheckMemory, Tree: true, Limit: 1, Every: 5 * time.Second})
		r.run(13 * time.Millisecond)
	}
	r.run(10 * time.Second)
	turns, before := 0, r.measured
	for range 100 {
		r.run(100 * time.Millisecond)
		if r.measured != before {
			turns++
		}
		before = r.measured
	}
	if turns != 2 {
		t.Errorf("in two intervals there were %d turns with looks", turns)
	}
}

// TestRefused: a check that cannot be done is shown as that, and one that the start depends on fails it.
func TestRefused(t *testing.T) {
	r := newRig(t)
	r.refuses = "not on this system"
	k := http()
	k.Stage = model.StageStartup
	r.start("a", k)
	if s := r.state("a"); s.Disabled != "not on this system" {
		t.Errorf("%+v", s)
	}
	r.run(time.Minute)
	r.told("a start failed: web: not on this system, not within 20s")
	if len(r.looked) != 0 {
		t.Error(r.looked)
	}
	r = newRig(t)
	k = model.Check{Name: "l", Kind: model.CheckLog, Pattern: "("}
	r.start("a", k)
	if s := r.state("a"); !strings.Contains(s.Disabled, "missing closing") {
		t.Errorf("%+v", s)
	}
}

// TestGathered: the looks at many programs are taken together, a few times a second, each of them in its cadence and late by
// no more than may be.
func TestGathered(t *testing.T) {
	r := newRig(t)
	at := map[string][]time.Duration{}
	wakes := map[time.Duration]bool{}
	const programs = 500
	for n := range programs {
		k := http()
		k.Every = 7 * time.Second
		r.start(fmt.Sprint("p", n), k)
	}
	begin := r.clock()
	r.seen = func(name string, now time.Duration) {
		at[name] = append(at[name], now)
		wakes[now] = true
	}
	r.run(70 * time.Second)
	r.seen = nil
	if len(wakes) > int(70*time.Second/gatherMost)+1 {
		t.Errorf("looks at %d moments in 70 s", len(wakes))
	}
	if len(at) != programs {
		t.Errorf("%d programs were looked at", len(at))
	}
	slots := map[time.Duration]int{}
	for name, list := range at {
		slots[list[0]]++
		if first := list[0] - begin; first > 7*time.Second+gatherMost || len(list) != 10 {
			t.Fatalf("%s: the first look after %v, %d looks", name, first, len(list))
		}
		for n := range list {
			if off := list[n] - list[0] - time.Duration(n)*7*time.Second; off < -gatherMost || off > gatherMost {
				t.Fatalf("%s: look %d is off its cadence by %v", name, n, off)
			}
		}
	}
	for _, n := range slots {
		if n > 5*programs/28 {
			t.Errorf("%d of %d looks at one moment", n, programs)
		}
	}
}
