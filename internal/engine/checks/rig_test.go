package checks

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/events"
)

// rig is Checks with a clock that the test moves, a world that the test makes, and a core that writes down what it is told.
type rig struct {
	t  *testing.T
	c  *Checks
	mu sync.Mutex
	// of the world:
	now      time.Duration
	jump     time.Duration                // by which the time of day was set
	find     func(k *model.Check) Finding // nil = all is well
	amount   int64
	spent    time.Duration
	trouble  error
	refuses  string
	hang     map[string]chan struct{} // looks of these checks return when it is closed
	hung     int
	looked   map[string]int
	seen     func(program string, now time.Duration) // each look; nil = nobody wants to know
	measured int
	running  bool
	resumed  bool // instances run before they are told
	gone     bool
	adopted  bool // instances were begun by somebody else
	journal  map[string][]byte
	// of the core:
	said []string
	log  []string
	up   map[string]core.Instance
	gens map[string]uint64
	// wanted are the checks that want an instance to be started anew.
	wanted map[core.Instance]string
}

func newRig(t *testing.T) *rig {
	r := &rig{
		t: t, now: time.Hour, hang: map[string]chan struct{}{}, looked: map[string]int{}, up: map[string]core.Instance{},
		gens: map[string]uint64{}, wanted: map[core.Instance]string{}, journal: map[string][]byte{},
	}
	r.c = r.make()
	return r
}

func (r *rig) make() *Checks {
	c := New(Options{
		World: r, Log: r, Ring: events.New(1000), Now: r.clock, Wall: r.wall,
		Journal: r, Running: func(core.Instance) bool { return r.running }, Known: func(model.ID) bool { return !r.gone }, Adopted: func(core.Instance) bool { return r.adopted },
	})
	c.Tell(r)
	return c
}

func (r *rig) clock() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// wall is the time of day.
func (r *rig) wall() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Unix(0, 0).Add(r.now + r.jump)
}

func (r *rig) Put(key string, value []byte) {
	if value == nil {
		delete(r.journal, key)
		return
	}
	r.journal[key] = value
}

func (r *rig) Flush() error { return nil }

func (r *rig) Logf(_ activity.Level, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, fmt.Sprintf(format, args...))
}

func (r *rig) Refuses(*model.Program, *model.Check) string { return r.refuses }

func (r *rig) Look(_ context.Context, p *model.Program, _ int, k *model.Check) Finding {
	r.mu.Lock()
	r.looked[p.ID.Name+"/"+k.Name]++
	if r.seen != nil {
		r.seen(p.ID.Name, r.now)
	}
	hang, find := r.hang[k.Name], r.find
	r.mu.Unlock()
	if hang != nil {
		r.hangs(1)
		<-hang
		r.hangs(-1)
	}
	if find == nil {
		return Finding{OK: true, Text: "well"}
	}
	return find(k)
}

func (r *rig) hangs(more int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hung += more
}

func (r *rig) Measure(int, *model.Check) Measure {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.measured++
	return Measure{r.amount, r.spent, r.trouble}
}

func (r *rig) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

func (r *rig) name(i core.Instance) string {
	for name, one := range r.up {
		if one == i {
			return name
		}
	}
	return "nobody"
}

func (r *rig) Proved(i core.Instance) { r.say("%s proved", r.name(i)) }
func (r *rig) StartFailed(i core.Instance, check, text string) {
	r.say("%s start failed: %s: %s", r.name(i), check, text)
}
func (r *rig) SetReady(i core.Instance, ready bool) { r.say("%s ready=%t", r.name(i), ready) }
func (r *rig) Bounce(i core.Instance, check, text string) {
	r.say("%s bounce: %s: %s", r.name(i), check, text)
	r.wanted[i] = check
}

// start has an instance of a program begin now.
func (r *rig) start(name string, list ...model.Check) core.Instance {
	r.t.Helper()
	r.gens[name]++
	i := core.Instance{Slot: &core.Slot{}, Gen: r.gens[name]}
	if old, ok := r.up[name]; ok {
		i.Slot = old.Slot
	}
	r.up[name] = i
	r.tellUp(i, r.program(name, list...), 100+len(r.up))
	return i
}

// tellUp tells of an instance whose start is confirmed soon after.
func (r *rig) tellUp(i core.Instance, p *model.Program, pid int) {
	r.running = r.resumed
	r.c.Up(i, p, pid, r.clock())
	r.running = true
}

func (r *rig) program(name string, list ...model.Check) *model.Program {
	p := &model.Program{ID: model.ID{Group: name, Name: name}, Checks: list}
	p.Start.Timeout, p.Stop.Wait = 20*time.Second, 30*time.Second
	return p
}

// bounce is what the core does when a check wants it.
func (r *rig) renew(name string, list ...model.Check) {
	if check, ok := r.wanted[r.up[name]]; ok {
		r.c.Bounced(r.up[name], check)
	}
	r.c.Down(r.up[name])
	r.start(name, list...)
}

// settle waits for looks that do not hang, with what they bring about.
func (r *rig) settle() {
	r.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; {
		r.c.turn()
		r.c.mu.Lock()
		busy := 0
		for l := range r.c.lanes {
			busy += r.c.lanes[l].busy
		}
		r.c.mu.Unlock()
		r.mu.Lock()
		busy -= r.hung
		r.mu.Unlock()
		if busy == 0 {
			return
		}
		if time.Now().After(end) {
			r.t.Fatal("a look does not return")
		}
		runtime.Gosched()
	}
}

// run lets time pass, from one thing that is due to the next.
func (r *rig) run(d time.Duration) {
	r.t.Helper()
	end := r.clock() + d
	for {
		r.settle()
		next, ok := r.c.turn()
		r.mu.Lock()
		if !ok || r.now+next > end {
			r.now = end
			r.mu.Unlock()
			r.settle()
			return
		}
		r.now += next
		r.mu.Unlock()
	}
}

// tell are the lines since it was asked last.
func (r *rig) tell() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := strings.Join(r.said, "; ")
	r.said = nil
	return s
}

func (r *rig) told(want string) {
	r.t.Helper()
	if got := r.tell(); got != want {
		r.t.Errorf("the core was told %q, want %q", got, want)
	}
}

// events are the types and texts of all events.
func (r *rig) events() string {
	list, _ := r.c.o.Ring.Since(0, 0)
	var out []string
	for _, e := range list {
		out = append(out, fmt.Sprintf("%s %s %s %s", e.Type, e.ID, e.Kind, e.Data))
	}
	return strings.Join(out, "; ")
}

// state is the one check of a program.
func (r *rig) state(name string) model.CheckState {
	r.t.Helper()
	id := model.ID{Group: name, Name: name}
	list := r.c.States([]model.ID{id})[id]
	if len(list) != 1 {
		r.t.Fatalf("%d checks of %s", len(list), name)
	}
	return list[0]
}

func bad(text string) func(*model.Check) Finding {
	return func(*model.Check) Finding { return Finding{Text: text} }
}

// http is a live check that looks every 10 s and fails at once.
func http() model.Check {
	return model.Check{Name: "web", Kind: model.CheckHTTP, Every: 10 * time.Second, Failures: 1, Passes: 1}
}
